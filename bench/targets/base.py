"""The port: a load in no server's words, and what a server has to say of it. Each server is a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bench.requests import Request


class Ask(NamedTuple):
    """The newest records that match all of this; with ``count_by`` their number by that field instead.

    ``field`` is a key of the metadata and its value, ``interval`` the seconds of a count's buckets.
    """

    service: str | None = None
    log_type: str | None = None
    word: str | None = None
    pattern: str | None = None
    field: tuple[str, str] | None = None
    hours: int = 24
    limit: int = 100
    cursor: str | None = None
    count_by: str | None = None
    interval: int | None = None


class Found(NamedTuple):
    """How many records an answer holds, or counts; how to go on, and whether all was looked at."""

    records: int
    cursor: str | None = None
    complete: bool = True


class Target(Protocol):
    """One kind of server."""

    name: str
    ingest_status: int
    """What it answers where it took a request in."""
    is_ours: bool
    """Whether the rows that only this service can have are measured: its own start, its promises."""

    def ingest(self, records: Sequence[str]) -> Request:
        """The request that stores these records, given as JSON."""
        ...

    def accepted(self, body: bytes, records: int) -> bool:
        """Whether this answer says that so many records are stored."""
        ...

    def read(self, ask: Ask) -> Request | None:
        """The request that asks this; ``None`` where the server knows no such thing."""
        ...

    def found(self, ask: Ask, body: bytes) -> Found:
        """What the answer holds."""
        ...

    def flush(self) -> Request | None:
        """What makes all that was taken in visible to reads; ``None`` where it is at once."""
        ...

    def metrics(self) -> Request | None:
        """Where the service says what is left to merge; ``None`` of others."""
        ...
