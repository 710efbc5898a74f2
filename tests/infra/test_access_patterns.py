"""What each access pattern costs: the real store's own calls to a real engine, counted and as documented."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from bench.aws_requests import NOW_NS, batches, newest
from simple_log_service.core import signals
from simple_log_service.core.batch import Batch, RetryKey
from simple_log_service.core.limits import DAY_NS
from simple_log_service.core.query import Query
from simple_log_service.core.signals import Signal
from simple_log_service.stores.dynamodb.store import DynamoDBStore
from support.dynalite import create_table, delete_table
from support.dynamodb_tables import open_dynamodb

DESIGN = Path(__file__).parents[2] / "docs" / "DATABASE_DESIGN.md"
NEWEST = Query(since_ns=NOW_NS - DAY_NS)
BY_SERVICE = msgspec.structs.replace(NEWEST, service_name="service-00")
BY_TYPE = msgspec.structs.replace(NEWEST, log_type="type-0")


class Meter:
    """Adds up what the store says its calls cost."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()

    def count(self, signal: Signal, amount: float = 1, *dimensions: str) -> None:
        if signal is signals.DYNAMODB_UNITS:
            self.spent[" ".join(dimensions)] += amount  # type: ignore[assignment]  # units come in halves

    def observe(self, signal: Signal, value: float, *dimensions: str) -> None:
        if signal is signals.DYNAMODB_SECONDS:
            self.spent["calls"] += 1

    def gauge(self, signal: Signal, value: float, *dimensions: str) -> None:
        raise AssertionError("the store sets no gauge")


@asynccontextmanager
async def metered(endpoint_url: str) -> AsyncIterator[tuple[DynamoDBStore, Meter]]:
    name, meter = f"logs-{uuid4().hex}", Meter()
    create_table(endpoint_url, name)
    store = open_dynamodb(endpoint_url, name, lambda: NOW_NS, meter)
    try:
        yield store, meter
    finally:
        await store.close()
        delete_table(endpoint_url, name)


def some(records: int, requests: int = 1, *, mixed: bool = False) -> list[Batch]:
    return [batch for batch, _ in batches(records, requests, "mixed" if mixed else "single")]


async def store_all(store: DynamoDBStore, requests: list[Batch]) -> None:
    # The first one alone: it enters the types.
    receipts = [await store.append(requests[0])]
    receipts += await asyncio.gather(*map(store.append, requests[1:]))
    assert not any(receipt.rejected for receipt in receipts)


def with_key(batch: Batch) -> Batch:
    batch.retry = RetryKey.of("owner", "key", "meaning")
    return batch


def with_log_id(batch: Batch) -> Batch:
    batch.log_ids = ["an id of the caller's own"]
    return batch


Pattern = tuple[list[Batch], Callable[[DynamoDBStore], Awaitable[object]]]


def writing(batch: Batch, *, types_known: bool = True) -> Pattern:
    return ([some(400, mixed=True)[0]] if types_known else []), lambda store: store.append(batch)


def reading(stored: list[Batch], query: Query) -> Pattern:
    return stored, lambda store: store.recent(query)


PATTERNS: dict[str, Callable[[], Pattern]] = {
    "write 1 record": lambda: writing(some(1)[0]),
    "the same, with an `Idempotency-Key`": lambda: writing(with_key(some(1)[0])),
    "the same, with a `log_id` of its own": lambda: writing(with_log_id(some(1)[0])),
    "the same, the first of its type in a container": lambda: writing(some(1)[0], types_known=False),
    "write 10 records of one kind": lambda: writing(some(10)[0]),
    "write 100 records of one kind": lambda: writing(some(100)[0]),
    "write 1,000 records of one kind": lambda: writing(some(1000)[0]),
    "write 100 records of 100 kinds": lambda: writing(some(100, mixed=True)[0]),
    "newest 100 of a service, stored one by one": lambda: reading(some(1, 240), BY_SERVICE),
    "newest 100 of a service, stored by 10": lambda: reading(some(10, 40), BY_SERVICE),
    "newest 100 of a service, stored by 100": lambda: reading(some(100, 40), BY_SERVICE),
    "newest 100 of a type, stored one by one": lambda: reading(some(1, 240), BY_TYPE),
    "newest 100 of a type, stored by 10": lambda: reading(some(10, 40), BY_TYPE),
    "newest 100 of a type, stored by 100": lambda: reading(some(100, 40), BY_TYPE),
    "newest 100 of all, 8 types, stored one by one": lambda: reading(some(400, mixed=True), NEWEST),
    "newest of a service that has none": lambda: reading([], BY_SERVICE),
}
COLUMNS = ("table write", "index write", "table read", "index read", "calls")


@pytest.mark.parametrize("name", PATTERNS)
def test_an_access_pattern_costs_what_is_documented(name: str, dynamodb_url: str) -> None:
    before, act = PATTERNS[name]()

    async def measure() -> Counter[str]:
        async with metered(dynamodb_url) as (store, meter):
            if before:
                await store_all(store, before)
            meter.spent.clear()
            await act(store)
            return meter.spent

    spent = asyncio.run(measure())
    row = re.search(rf"^\| {re.escape(name)} \|(.*)\|$", DESIGN.read_text(encoding="utf-8"), re.MULTILINE)
    cells = tuple(f"{spent[column]:g}" for column in COLUMNS)
    assert row is not None, f"| {name} | {' | '.join(cells)} |"
    assert tuple(cell.strip() for cell in row[1].split("|")) == cells


@pytest.mark.parametrize("records", [1, 10, 100])
def test_what_the_bill_assumes_of_reads_is_what_they_cost(records: int, dynamodb_url: str) -> None:
    requests = 240 if records == 1 else 40

    async def measure(query: Query) -> Counter[str]:
        async with metered(dynamodb_url) as (store, meter):
            await store_all(store, some(records, requests))
            meter.spent.clear()
            await store.recent(query)
            return meter.spent

    for query, index in ((BY_SERVICE, False), (BY_TYPE, True)):
        spent, assumed = asyncio.run(measure(query)), newest(records, index=index)
        assert (spent["table read"], spent["index read"]) == pytest.approx(
            (assumed.table_read, assumed.index_read), rel=0.2
        )


def test_every_documented_access_pattern_is_measured() -> None:
    table = DESIGN.read_text(encoding="utf-8").partition("| access pattern |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| (\S.*?) \| [\d.]", table, re.MULTILINE) == list(PATTERNS)
