"""What tests of stores share: a clock that is set by hand, batches in a line, real keys, and reading to the end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from simple_log_service.core.batch import Batch, RetryKey
from simple_log_service.core.limits import SECOND_NS
from simple_log_service.core.ports import LogStore
from simple_log_service.core.query import Page, Query
from simple_log_service.core.receipts import Receipt, Rejection
from simple_log_service.server.key_provider import LocalKeyProvider
from simple_log_service.server.metrics import PrometheusMetrics
from simple_log_service.stores.embedded import keeper, tail
from simple_log_service.stores.embedded import store as embedded_store
from simple_log_service.stores.embedded.store import EmbeddedStore

NOON = 1_749_988_800 * SECOND_NS
"""2025-06-15T12:00:00Z: hours away from midnight on either side."""

KEYS = LocalKeyProvider([b"k" * 32])

OpenStore = Callable[[], Awaitable[LogStore]]


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self, now_ns: int = NOON) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, nanoseconds: int) -> None:
        """Move it on, or back."""
        self.now_ns += nanoseconds


class Given(msgspec.Struct, frozen=True):
    """One record as a caller gives it, everything with a default; a message alone makes one."""

    message: str = ""
    timestamp: int = NOON
    service_name: str = "shop"
    log_type: str = "application"
    level: str = "INFO"
    metadata: str = "{}"
    log_id: str | None = None


def batch_of(
    *records: Given | str,
    retry: RetryKey | None = None,
    rejected: Iterable[Rejection] = (),
    single: bool = False,
    received_ns: int = NOON,
) -> Batch:
    """The batch that the decoder would make of these records; ``rejected`` ones stood between or behind them."""
    given = [Given(record) if isinstance(record, str) else record for record in records]
    refused = list(rejected)
    refused_places = {rejection.index for rejection in refused}
    places = [place for place in range(len(given) + len(refused)) if place not in refused_places]
    log_ids = [record.log_id for record in given]
    return Batch(
        [record.service_name for record in given],
        [record.log_type for record in given],
        [record.level for record in given],
        [record.timestamp for record in given],
        [record.message for record in given],
        [record.metadata.encode() for record in given],
        None if log_ids.count(None) == len(log_ids) else log_ids,
        places if refused else range(len(given)),
        refused,
        single,
        retry,
        received_ns,
    )


def retry_key(key: str = "key", body: str = "body", owner: str = "arn:aws:iam::000000000000:user/ann") -> RetryKey:
    """An Idempotency-Key bound to a body."""
    return RetryKey.of(owner, key, body)


def generated_ids(receipt: Receipt) -> dict[int, str]:
    """The generated ids of a receipt, by place in the request."""
    return {index: log_id for run in receipt.log_ids for index, log_id in run}


async def read_all(
    store: LogStore, query: Query | None = None, *, between: Callable[[], Awaitable[object]] | None = None
) -> list[dict[str, Any]]:
    """Every matching record by paging, newest first; ``between`` happens between two pages."""
    query = query or everything()
    logs: list[dict[str, Any]] = []
    while True:
        page = await store.recent(query)
        logs += decoded(page)
        if page.below is None:
            assert page.complete
            return logs
        query = msgspec.structs.replace(query, below=page.below)
        if between is not None:
            await between()


def everything(limit: int = 10_000) -> Query:
    """The query for all there is."""
    return Query(since_ns=0, limit=limit)


def decoded(page: Page) -> list[dict[str, Any]]:
    """A page's records as Python values."""
    return [json.loads(text) for text in page.logs]


async def messages(store: LogStore, query: Query | None = None) -> list[str]:
    """The messages of every matching record, newest first."""
    return [record["message"] for record in await read_all(store, query)]


async def open_embedded(
    folder: Path, clock: Callable[[], int], metrics: PrometheusMetrics | None = None, vfs: str | None = None
) -> EmbeddedStore:
    """The embedded store with real keys and metrics."""
    return await EmbeddedStore.open(folder, keys=KEYS, clock=clock, metrics=metrics or PrometheusMetrics(), vfs=vfs)


def merging(store: EmbeddedStore) -> Callable[[Batch], Awaitable[Receipt]]:
    """The store's ``append``, after which all that is fresh is merged."""
    append = store.append

    async def append_and_merge(batch: Batch) -> Receipt:
        receipt = await append(batch)
        await store.settle()
        return receipt

    return append_and_merge


@asynccontextmanager
async def embedded(
    folder: Path, clock: Callable[[], int] | None = None, metrics: PrometheusMetrics | None = None
) -> AsyncIterator[EmbeddedStore]:
    """The same, closed in the end."""
    store = await open_embedded(folder, clock or SetClock(), metrics)
    try:
        yield store
    finally:
        await store.close()


def read_from_files_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is answered from memory, and nothing is merged or removed but when a test asks for it."""
    monkeypatch.setattr(embedded_store, "TAIL_BYTES_MAX", 0)
    monkeypatch.setattr(embedded_store, "TAIL_LOAD_BYTES_MAX", 1)
    monkeypatch.setattr(tail, "_RUN_RECORDS_MIN", 1)
    monkeypatch.setattr(keeper, "_TICK_SECONDS", 3600.0)
