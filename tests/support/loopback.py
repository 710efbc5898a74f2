"""HTTP servers for what stands in for AWS: one function answers every request, in a thread for each connection.

Requests are handed on as they came: the raw target, every header in its place and spelling, the body's own bytes.
It reads HTTP leniently, as the standard library does; strictness about framing is the embedded home's.
"""

from __future__ import annotations

import http.server
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import NamedTuple

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Received(NamedTuple):
    """A request. ``target`` is percent-encoded as it came; the body is without its chunks."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    source_ip: str

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return next((value for other, value in self.headers if other.lower() == name), None)


class Reply(NamedTuple):
    """An answer; Content-Length comes by itself."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


Answerer = Callable[[Received], Reply | None]
"""``None`` breaks the connection without an answer."""


@contextmanager
def answering(answer: Answerer) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1, and give the URL. Connections that are open at the end are cut."""
    server = _Server(answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.cut_connections()
        server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, answer: Answerer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """Wake every thread that waits for another request on its connection."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no error; anything else is a defect, told as the base class tells it."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed narrows it


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # An answer's head and body leave together.
    server: _Server

    def do_GET(self) -> None:
        # The base class's ``path`` has leading slashes folded.
        target = self.requestline.split(" ")[1]
        headers = [(name, value.strip(" \t")) for name, value in self.headers.items()]
        received = Received(self.command, target, headers, self._body(), self.client_address[0])
        reply = self.server.answer(received)
        if reply is None:
            self.close_connection = True
            return
        length = [] if reply.status == HTTPStatus.NO_CONTENT else [("Content-Length", str(len(reply.body)))]
        lines = [f"HTTP/1.1 {reply.status} {_PHRASES.get(reply.status, '')}"]
        lines += [f"{name}: {value}" for name, value in [*reply.headers, *length]]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.wfile.write(head if self.command == "HEAD" else head + reply.body)
        self.wfile.flush()

    do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = do_GET  # noqa: N815 - the base class's names

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError("the client left in the middle of its request")
        return body

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().strip(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""
