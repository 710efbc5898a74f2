"""The CDK app's templates of dev and prod, synthesized once for all tests by the program that deploys them, too.

What was synthesized is kept under ``build/``, by a hash of all that goes into it. A lock lets one of several test
processes do the work while the others wait.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENTS = ("dev", "prod")
TIMEOUT_SECONDS = 240
KEEP_SECONDS = 24 * 3600
_KEPT = ROOT / "build" / "synthesized"
_SOURCES = (
    "infra/**/*.py",
    "src/simple_log_service/api/*.py",
    "src/simple_log_service/aws/*.py",
    "src/simple_log_service/core/*.py",
    "requirements/dev.txt",
)


def template(env: str, *settings: str) -> dict[str, Any]:
    """The template of ``dev`` or ``prod``, also with other settings (``key=value``); the caller's own to change."""
    return dict(json.loads(_read(f"simple-log-service-{env}.template.json", *_context(env, settings))))


def create_table_arguments(env: str) -> dict[str, Any]:
    """The log table as DynamoDB's CreateTable takes it, at its lowest capacity.

    Scaling, encryption, recovery, protection and expiry are other calls of that API: see ``table_properties``.
    """
    made = table_properties(env)
    own = made["Replicas"][0]
    reads = {index["IndexName"]: index for index in own["GlobalSecondaryIndexes"]}
    return {
        "TableName": made["TableName"],
        "AttributeDefinitions": made["AttributeDefinitions"],
        "KeySchema": made["KeySchema"],
        "BillingMode": made["BillingMode"],
        "ProvisionedThroughput": _lowest(own, made),
        "GlobalSecondaryIndexes": [
            {key: index[key] for key in ("IndexName", "KeySchema", "Projection")}
            | {"ProvisionedThroughput": _lowest(reads[index["IndexName"]], index)}
            for index in made["GlobalSecondaryIndexes"]
        ],
    }


def table_properties(env: str) -> dict[str, Any]:
    """The properties of the log table's resource, an ``AWS::DynamoDB::GlobalTable`` of one region."""
    (table,) = [
        resource for resource in template(env)["Resources"].values() if resource["Type"] == "AWS::DynamoDB::GlobalTable"
    ]
    return dict(table["Properties"])


def validation_report(env: str, *settings: str) -> dict[str, Any]:
    """What the checks at synthesis found, cdk-nag's among them."""
    return dict(json.loads(_read("validation-report.json", *_context(env, settings))))


def template_file(env: str, *settings: str) -> Path:
    """The template as a file, to be read alone."""
    return _synthesized(*_context(env, settings)) / f"simple-log-service-{env}.template.json"


def _lowest(reads: dict[str, Any], writes: dict[str, Any]) -> dict[str, int]:
    read = reads["ReadProvisionedThroughputSettings"]["ReadCapacityAutoScalingSettings"]
    write = writes["WriteProvisionedThroughputSettings"]["WriteCapacityAutoScalingSettings"]
    return {"ReadCapacityUnits": read["MinCapacity"], "WriteCapacityUnits": write["MinCapacity"]}


def synthesize(output: Path, *context: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m infra`` into a folder, with these ``key=value`` settings."""
    command = [sys.executable, "-m", "infra", "--output", str(output)]
    for pair in context:
        command += ["-c", pair]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )


def _context(env: str, settings: Sequence[str]) -> tuple[str, ...]:
    """Dev and prod as they are come from one run of the program, since starting it is what takes long."""
    return (f"env={env}", *settings) if settings else ()


@cache
def _read(name: str, *context: str) -> str:
    return (_synthesized(*context) / name).read_text()


@cache
def _synthesized(*context: str) -> Path:
    kept = _KEPT / _digest(*context)
    _KEPT.mkdir(parents=True, exist_ok=True)
    with (_KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_dir():
            _forget_old()
            _synthesize_into(kept, *context)
    return kept


def _synthesize_into(kept: Path, *context: str) -> None:
    fresh = kept.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    done = synthesize(fresh, *context)
    assert done.returncode == 0, f"python -m infra failed:\n{done.stdout}\n{done.stderr}"
    for asset in fresh.glob("asset.*"):
        shutil.rmtree(asset) if asset.is_dir() else asset.unlink()
    fresh.rename(kept)


def _forget_old() -> None:
    for kept in _KEPT.iterdir():
        if kept.is_dir() and time.time() - kept.stat().st_mtime > KEEP_SECONDS:
            shutil.rmtree(kept)


def _digest(*context: str) -> str:
    digest = hashlib.sha256(repr((context, sorted(path.name for path in (ROOT / "build").glob("*.zip")))).encode())
    for path in sorted(path for pattern in _SOURCES for path in ROOT.glob(pattern)):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
