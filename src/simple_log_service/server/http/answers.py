"""Writing answers: the status line and the headers, most of them made once and used by every answer alike."""

from __future__ import annotations

import secrets
from email.utils import formatdate
from http import HTTPStatus

from simple_log_service.api.cors import COMMON_HEADERS
from simple_log_service.api.messages import Response

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_COMMON = "".join(f"{name}: {value}\r\n" for name, value in COMMON_HEADERS)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
BODILESS = (204, 304)
"""Statuses whose answers end with their head (RFC 9112 section 6.3)."""


class RequestIds:
    """Ids in the form of a UUID: random per process, then counted, which costs a tenth of a random one."""

    def __init__(self) -> None:
        prefix = secrets.token_hex(10)
        # The version and variant digits of a UUIDv4 (RFC 9562 section 5.4), for readers that check them.
        self._prefix = f"{prefix[:8]}-{prefix[8:12]}-4{prefix[12:15]}-a{prefix[15:18]}-"
        self._count = secrets.randbits(32)

    def next(self) -> str:
        """An id that no other request of this process has."""
        self._count += 1
        return f"{self._prefix}{self._count:012x}"


class Answers:
    """Makes the head of each answer. ``refresh`` must be called now and then: it sets the date."""

    def __init__(self) -> None:
        self._prefixes: dict[tuple[int, str], str] = {}
        self._date = ""
        self.refresh()

    def refresh(self) -> None:
        """Take the current time as the date of the answers to come."""
        self._date = formatdate(usegmt=True)
        self._prefixes.clear()

    def head(self, response: Response, request_id: str, *, keep_alive: bool) -> bytes:
        """The status line and header section of ``response``."""
        status = response.status
        prefix = self._prefixes.get((status, response.content_type)) or self._prefix(response)
        length = "" if status in BODILESS else f"\r\nContent-Length: {len(response.body)}"
        own = _header_lines(response.headers) if response.headers else ""
        closing = "" if keep_alive else "Connection: close\r\n"
        return f"{prefix}{own}{closing}x-amzn-RequestId: {request_id}{length}\r\n\r\n".encode("latin-1")

    def _prefix(self, response: Response) -> str:
        status = response.status
        kind = "" if status in BODILESS else f"Content-Type: {response.content_type}\r\n"
        prefix = f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n{kind}Date: {self._date}\r\n{_COMMON}"
        self._prefixes[status, response.content_type] = prefix
        return prefix


def _header_lines(headers: tuple[tuple[str, str], ...]) -> str:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a response header contains a line break")
    return lines
