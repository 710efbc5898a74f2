"""A proxy that meddles: it passes requests on as they are, and answers changed by the test.

What watches a service has to notice each way in which the service can be wrong: here they are made to happen.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Passing(NamedTuple):
    """An exchange on its way back; ``sent`` is the request's body."""

    method: str
    target: str
    sent: bytes
    status: int
    headers: list[tuple[str, str]]
    body: bytes


Meddling = Callable[[Passing], Passing]


@contextmanager
def meddling(endpoint: str, meddle: Meddling) -> Iterator[str]:
    """A proxy to the endpoint; gives its own."""
    behind = urlsplit(endpoint).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            connection = http.client.HTTPConnection(behind, timeout=30)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            passing = meddle(Passing(self.command, self.path, body, answer.status, answer.getheaders(), answer.read()))
            connection.close()
            self.send_response_only(passing.status)
            for name, value in passing.headers:
                if name.lower() not in {"content-length", "connection"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(passing.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(passing.body)
            self.close_connection = True

        do_GET = do_POST = do_DELETE = do_OPTIONS = _pass_on  # noqa: N815 - the standard library's names

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
