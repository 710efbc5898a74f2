"""A service for tests of clients: a real HTTP server that verifies every signature and answers from a script.

Each request takes the next answer of the script; once that is used up, every batch is accepted whole and every page
is empty.
"""

from __future__ import annotations

import hashlib
import json
import queue
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

import zstandard

from simple_log_service.api.access_key import AccessKey
from simple_log_service.api.errors import Refused, error_response
from simple_log_service.api.identity import Principal
from simple_log_service.api.messages import RequestHead
from simple_log_service.api.policy import ADMIN, Policy
from simple_log_service.api.signer import Credentials
from simple_log_service.api.sigv4 import Verifier

REGION = "us-east-1"
CREDENTIALS = Credentials("AKIASTUB", "stub-secret/with+signs")


class Seen(NamedTuple):
    """A request as it came; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def records(self) -> list[Any]:
        """The records of an NDJSON body, unpacked."""
        body = self.body
        if self.headers.get("content-encoding") == "zstd":
            body = zstandard.ZstdDecompressor().decompress(body)
        return [json.loads(line) for line in body.split(b"\n")]


class Scripted(NamedTuple):
    """An answer; ``None`` as the status breaks the connection without one, ``held`` waits for ``release`` first."""

    status: int | None
    body: object = None
    headers: Mapping[str, str] = MappingProxyType({})
    held: bool = False


class StubService:
    """What the server has seen and what it will say."""

    def __init__(self, region: str = REGION, clock: Any = time.time) -> None:
        self.seen: list[Seen] = []
        self.arrivals: queue.SimpleQueue[Seen] = queue.SimpleQueue()
        self.release = threading.Event()
        self.script: list[Scripted] = []
        self.url = ""
        principal = Principal(CREDENTIALS.access_key_id, "arn:aws:iam::000000000000:user/stub", "owner")
        key = AccessKey(CREDENTIALS.access_key_id, CREDENTIALS.secret_access_key, principal, Policy.parse(ADMIN))
        self.verifier = Verifier({key.access_key_id: key}.get, region=region, clock=clock)

    def answer(self, request: Seen) -> Scripted:
        if self.script:
            return self.script.pop(0)
        if request.method == "POST":
            return Scripted(201, {"accepted": len(request.records), "duplicates": 0, "rejected": [], "log_ids": []})
        return Scripted(200, {"count": 0, "logs": [], "next_cursor": None, "complete": True})

    @contextmanager
    def running(self, tls: ssl.SSLContext | None = None) -> Iterator[StubService]:
        """Serve on a free port of 127.0.0.1."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        if tls is not None:
            # Handshakes belong to the handlers' threads: one that fails is theirs to report.
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            self.release.set()
            server.shutdown()
            thread.join()
            server.server_close()


def _handler_of(stub: StubService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # The answer's head and body are two writes, which Nagle's algorithm would hold apart.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._handle()

        do_POST = do_GET  # noqa: N815 - the base class looks for these names

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Seen(self.command, self.path, headers, body)
            stub.seen.append(request)
            stub.arrivals.put(request)
            scripted = stub.answer(request)
            if self.path != "/health":
                scripted = _refusal(stub.verifier, request) or scripted
            if scripted.held:
                stub.release.wait()
            if scripted.status is None:
                self.close_connection = True
                return
            answer = scripted.body if isinstance(scripted.body, bytes) else json.dumps(scripted.body).encode()
            self.send_response(scripted.status)
            for name, value in {
                "Content-Length": str(len(answer)),
                "x-amzn-RequestId": "r-1",
                **scripted.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep quiet."""

    return Handler


def _refusal(verifier: Verifier, request: Seen) -> Scripted | None:
    path, _, query = request.target.partition("?")
    headers = [(name.encode(), value.encode("latin-1")) for name, value in request.headers.items()]
    now_ns = time.time_ns()
    head = RequestHead(request.method, path, query, headers, dict(headers), "127.0.0.1", False, "r-1", now_ns)
    try:
        verifier.check_head(head).verify(hashlib.sha256(request.body).hexdigest())
    except Refused as refused:
        response = error_response(refused)
        return Scripted(response.status, response.body, dict(response.headers))
    return None
