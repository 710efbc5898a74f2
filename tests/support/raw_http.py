"""A client that sends exactly the bytes it is told to, and reads answers strictly: for tests of what is on the wire."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """One answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawClient:
    """A connection to a server."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._received = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, data: bytes) -> Answer:
        """Send and read one answer."""
        self.send(data)
        return self.answer()

    def answer(self, *, has_body: bool = True) -> Answer:
        """Read one answer, interim ones included; its body is exactly as long as it says."""
        head = self._read_until(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        version, status, _phrase = status_line.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert len(headers) == len(lines), "a header is repeated"
        length = int(headers.get("content-length", "0")) if has_body else 0
        return Answer(int(status), headers, self._read(length))

    def is_closed(self) -> bool:
        """Wait for the server's end of the connection; true where it sends nothing more before that."""
        try:
            return not self._received and not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def rest(self) -> bytes:
        """Everything until the server ends the connection."""
        parts = [self._received]
        while part := self.socket.recv(65536):
            parts.append(part)
        self._received = b""
        return b"".join(parts)

    def reset(self) -> None:
        """Leave by RST, as a process does that is killed with input unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read_until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(end)
        return head + end

    def _read(self, length: int) -> bytes:
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return body

    def _receive(self) -> None:
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError(f"the server closed the connection after {self._received!r}")
        self._received += part


@contextmanager
def connected(address: tuple[str, int], tls: ssl.SSLContext | None = None) -> Iterator[RawClient]:
    """Connect to the server at ``address``."""
    with socket.create_connection(address, timeout=TIMEOUT_SECONDS) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is None:
            yield RawClient(plain)
        else:
            with tls.wrap_socket(plain, server_hostname="localhost") as wrapped:
                yield RawClient(wrapped)


def request(
    line: str = "GET /echo HTTP/1.1", *headers: str, body: bytes = b"", host: str | None = "Host: localhost"
) -> bytes:
    """A well-formed request, but for what the caller makes ill-formed; Content-Length comes by itself."""
    lines = [line, *([host] if host else []), *headers]
    if body and not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
