"""A real server for end-to-end tests: ``serve`` in a process of its own, on a free port, in a folder of its own.

    with ServerProcess(tmp_path / "data", "--throttle-rate", "0") as server:
        assert server.request("GET", "/logs/recent").status == 200
        server.kill()
        server.restart()

Flags are those of ``serve``; ``--port 0 --access-log off`` stand before them. Each start takes another free port, so
ask for ``endpoint`` anew after ``restart``. Nothing of the user's own configuration is read or written.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import msgspec
import urllib3

from simple_log_service.api.signer import Credentials, sign_headers
from simple_log_service.client.client import Client

REGION = "us-east-1"
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 60.0
_COMMAND = os.fspath(Path(sys.executable).with_name("simple-log-service"))
"""The program as it is installed beside the Python that runs the tests."""

_READY = "simple-log-service: listening on "


class NotStarted(Exception):
    """The server ended, or said nothing, before it listened; the message is what it wrote to standard error."""


class Answer(NamedTuple):
    """What the server answered; header names ignore case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Page(msgspec.Struct):
    next_cursor: str | None
    complete: bool


class ServerProcess:
    """One server over its life: started on entering, stopped on leaving, killed and restarted as a test likes.

    ``environ`` is what its process sees, for client commands too; ``endpoint`` is ``http://127.0.0.1:PORT``.
    ``wrapper`` stands before the command, as ``("unshare", "-rm")`` would.
    """

    def __init__(
        self,
        data_dir: Path,
        *flags: str,
        environ: Mapping[str, str] | None = None,
        wrapper: Iterable[str] = (),
    ) -> None:
        self.data_dir = data_dir
        self._config = TemporaryDirectory(prefix="slog-config-")
        own = {name: value for name, value in os.environ.items() if not name.startswith("SIMPLE_LOG_SERVICE_")}
        self.environ = {**own, "XDG_CONFIG_HOME": self._config.name, **(environ or {})}
        standard = ("--data-dir", os.fspath(data_dir), "--port", "0", "--access-log", "off")
        self.command = (*wrapper, _COMMAND, "serve", *standard, *flags)
        self.endpoint = ""
        self._process: subprocess.Popen[str] | None = None
        self._stderr: list[str] = []
        self._reader: threading.Thread | None = None
        self._pool = urllib3.PoolManager(retries=False, maxsize=16, timeout=60.0)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.is_running:
                self.stop()
        finally:
            self._let_go()

    @property
    def pid(self) -> int:
        """The process's id, also after its end."""
        assert self._process is not None, "the server was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def stderr(self) -> str:
        """What it wrote to standard error since its last start; all of it once the process has ended."""
        return "".join(self._stderr)

    @cached_property
    def credentials(self) -> Credentials:
        """The administrator's, from the file that the first start made."""
        profiles = configparser.ConfigParser(interpolation=None)
        profiles.read_string((self.data_dir / "credentials").read_text())
        profile = profiles["default"]
        return Credentials(profile["aws_access_key_id"], profile["aws_secret_access_key"])

    def start(self) -> None:
        """Start it and wait until it listens; ``NotStarted`` where it does not."""
        assert not self.is_running, "the server is running"
        self._stderr = []
        ready = threading.Event()
        process = self._process = subprocess.Popen(
            self.command, env=self.environ, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read_stderr, args=(process, self._stderr, ready), daemon=True)
        self._reader.start()
        self.endpoint = ""
        ready.wait(START_SECONDS_MAX)
        for line in self._stderr:
            if line.startswith(_READY):
                self.endpoint = line.removeprefix(_READY).strip()
                return
        process.kill()
        self._ended()
        raise NotStarted(self.stderr)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL), and wait for its end."""
        assert self._process is not None
        self._process.kill()
        self._ended()

    def stop(self) -> int:
        """Ask it to stop (SIGTERM), wait, and give its exit code; one that does not stop in time fails the test."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop:\n{self.stderr}") from None
        return self._ended()

    def wait(self) -> int:
        """Wait for the end of a server that has been told to stop, and give its exit code."""
        return self._ended()

    def restart(self) -> None:
        """Start it again in the same folder, after stopping it if it runs."""
        if self.is_running:
            self.stop()
        self.start()

    def client(self, *, timeout_seconds: float = 60.0, attempts_max: int = 1) -> Client:
        """The package's own client, as the administrator."""
        return Client(
            self.endpoint,
            region=REGION,
            credentials=self.credentials,
            timeout_seconds=timeout_seconds,
            attempts_max=attempts_max,
        )

    def request(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        headers: Iterable[tuple[str, str]] = (),
        credentials: Credentials | None = None,
    ) -> Answer:
        """One signed request, never repeated; threads may call it. ``target`` is path and query, percent-encoded.

        Raises ``urllib3.exceptions.HTTPError`` where no answer came.
        """
        path, _, query = target.partition("?")
        given = [("Host", urlsplit(self.endpoint).netloc), *headers]
        digest = hashlib.sha256(body).hexdigest()
        signer = credentials or self.credentials
        signature = sign_headers(method, path, query, given, digest, signer, REGION, time.time())
        answer = self._pool.urlopen(
            method, self.endpoint + target, body=body or None, headers=dict([*given, *signature]), redirect=False
        )
        return Answer(answer.status, answer.headers, answer.data)

    def pages(self, query: str = "limit=10000", path: str = "/logs/recent") -> Iterator[bytes]:
        """The bodies of all pages of a query, percent-encoded and without a cursor; every one must be complete."""
        cursor = ""
        while True:
            answer = self.request("GET", f"{path}?{query}{cursor}")
            assert answer.status == 200, answer
            page = msgspec.json.decode(answer.body, type=_Page)
            assert page.complete, answer.body[-200:]
            yield answer.body
            if page.next_cursor is None:
                return
            cursor = f"&cursor={page.next_cursor}"

    def logs(self, query: str = "limit=10000", path: str = "/logs/recent") -> list[dict[str, Any]]:
        """Every record that a query finds, newest first."""
        return [record for body in self.pages(query, path) for record in msgspec.json.decode(body)["logs"]]

    def _let_go(self) -> None:
        self._pool.clear()
        self._config.cleanup()

    def _ended(self) -> int:
        """Wait for the process's end and the last of what it wrote."""
        assert self._process is not None
        assert self._reader is not None
        code = self._process.wait(STOP_SECONDS_MAX)
        self._reader.join(STOP_SECONDS_MAX)
        return code

    @staticmethod
    def _read_stderr(process: subprocess.Popen[str], lines: list[str], ready: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                lines.append(line)
                if line.startswith(_READY):
                    ready.set()
        ready.set()
