"""Requests as they go over the wire, and bodies for the computations of the AWS home."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.records import SERVICES, TYPES, Records

__all__ = ["SERVICES", "TYPES", "Bodies", "Request", "plain_request"]


class Request(NamedTuple):
    """One request, in its parts."""

    head: bytes
    body: bytes


class Bodies:
    """Makes bodies whose records are like no others of the run."""

    def __init__(self) -> None:
        self._records = Records()

    def make(self, records: int, bodies: int) -> Iterator[bytes]:
        """Bodies of so many records: an object for one, else an array."""
        return (json_body(self._records.make(records)) for _ in range(bodies))


def json_body(records: Sequence[str]) -> bytes:
    """The records as an object where there is one, else as an array."""
    return (records[0] if len(records) == 1 else f"[{','.join(records)}]").encode()


def plain_request(method: str, target: str, host: str, body: bytes = b"", content_type: str = "") -> Request:
    """A request that nobody signed."""
    headers = [("Host", host)]
    if body:
        headers += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    return request(method, target, headers, body)


def request(method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes) -> Request:
    """A request with these headers."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return Request(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode(), body)
