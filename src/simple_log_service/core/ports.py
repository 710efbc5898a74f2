"""What the core needs from the world, as Protocols: each adapter is a file of its own elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from simple_log_service.core.batch import Batch
from simple_log_service.core.query import Page, Query
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.signals import Signal
from simple_log_service.core.stats import Stats, StatsQuery

T = TypeVar("T")


class LogStore(Protocol):
    """Keeps log records. Every store passes the one suite in ``tests/contract``."""

    async def append(self, batch: Batch) -> Receipt:
        """Store the batch durably, then say what became of it.

        A retry key seen before answers the first receipt. Where only part could be stored, the rest is rejected as
        ``THROTTLED``. Raises ``IdempotencyMismatch``, ``StoreFull``, ``StoreThrottled`` or ``StoreUnavailable``; after
        all but the last nothing of it is stored.
        """

    async def recent(self, query: Query) -> Page:
        """The newest records that match, in descending (timestamp, arrival)."""

    async def stats(self, asked: StatsQuery) -> Stats:
        """How many records match: as many as paging through ``recent`` with the same query would give."""

    async def close(self) -> None:
        """Finish what was accepted and let go of every file."""


class Offload(Protocol):
    """Runs long work elsewhere than on the event loop's thread, where a home has such a place."""

    def __call__(self, function: Callable[..., T], *arguments: Any) -> Awaitable[T]:
        """The function's result, or its exception."""


class Clock(Protocol):
    """Where the time comes from."""

    def __call__(self) -> int:
        """Nanoseconds since the epoch."""


class KeyProvider(Protocol):
    """Holds the key-encryption keys (KEKs) that wrap data keys and secrets.

    ``context`` is authenticated with the wrapped key: what was wrapped in one place cannot be moved to another.
    """

    @property
    def kek_id(self) -> str:
        """The KEK that new data keys are wrapped with."""

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Encrypt a data key under the current KEK."""

    def unwrap(self, kek_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt a data key; raises an error that says what to do where the KEK is gone or does not fit."""


class Metrics(Protocol):
    """Where signals go. ``dimensions`` are the values of the signal's dimensions, in its order."""

    def count(self, signal: Signal, amount: float = 1, *dimensions: str) -> None:
        """Add to a counter."""

    def observe(self, signal: Signal, value: float, *dimensions: str) -> None:
        """Record one value of a histogram."""

    def gauge(self, signal: Signal, value: float, *dimensions: str) -> None:
        """Set a gauge."""
