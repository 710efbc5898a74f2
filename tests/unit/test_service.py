"""The service over a store in memory: rules in time, what reaches the store, what is counted."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import msgspec
import pytest

from simple_log_service.core import signals
from simple_log_service.core.batch import Batch, RetryKey
from simple_log_service.core.decode import decode_batch
from simple_log_service.core.errors import StoreFull
from simple_log_service.core.limits import DAY_NS, FUTURE_NS_MAX, SECOND_NS
from simple_log_service.core.ports import LogStore
from simple_log_service.core.query import Page, Query
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.service import LogService
from simple_log_service.core.signals import Signal
from simple_log_service.stores.memory import MemoryStore
from unit.strategies import NOW_NS


class Tally:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()

    def count(self, signal: Signal, amount: float = 1, *dimensions: str) -> None:
        assert len(dimensions) == len(signal.dimensions)
        self.counts[(signal.name, *dimensions)] += int(amount)

    def observe(self, signal: Signal, value: float, *dimensions: str) -> None: ...
    def gauge(self, signal: Signal, value: float, *dimensions: str) -> None: ...


class Home:
    """A service of 30 days whose clock stands where it is put."""

    def __init__(self, store: LogStore | None = None) -> None:
        self.now_ns = NOW_NS
        self.tally = Tally()
        self.store = store or MemoryStore(lambda: self.now_ns)
        self.service = LogService(self.store, lambda: self.now_ns, self.tally, retention_days=30)

    def batch(self, *records: dict[str, object]) -> Batch:
        filled = [{"service_name": "shop", "log_type": "t", "message": "m"} | fields for fields in records]
        return decode_batch(json.dumps(filled).encode(), self.service.rules(self.now_ns, None))

    def ingest(self, *records: dict[str, object]) -> Receipt:
        return asyncio.run(self.service.ingest(self.batch(*records)))

    def recent(self, query: Query) -> Page:
        return asyncio.run(self.service.recent(query))

    def messages(self, query: Query) -> list[str]:
        return [json.loads(log)["message"] for log in self.recent(query).logs]


@pytest.fixture
def home() -> Home:
    return Home()


def test_records_may_be_as_old_as_the_retention_and_5_minutes_ahead(home: Home) -> None:
    rules = home.service.rules(NOW_NS, "shop")
    assert (rules.now_ns, rules.oldest_ns, rules.newest_ns) == (NOW_NS, NOW_NS - 30 * DAY_NS, NOW_NS + 300 * SECOND_NS)
    assert rules.service_name == "shop"


def test_what_was_stored_is_in_the_next_read(home: Home) -> None:
    assert home.ingest({"message": "1"}, {"message": "2"}).accepted == 2
    assert home.messages(Query(0)) == ["2", "1"]


def test_nothing_older_than_the_retention_is_returned_whatever_is_asked_for(home: Home) -> None:
    home.ingest({"message": "old", "timestamp": NOW_NS // SECOND_NS - 29 * 86_400}, {"message": "young"})
    assert home.messages(Query(0)) == ["young", "old"]
    home.now_ns += DAY_NS
    assert home.messages(Query(0)) == ["young", "old"]
    home.now_ns += 1
    assert home.messages(Query(0)) == ["young"]
    assert home.messages(Query(0, until_ns=NOW_NS - DAY_NS)) == []


def test_a_range_within_the_retention_is_left_as_it_is(home: Home) -> None:
    home.ingest({"message": "1", "timestamp": NOW_NS - 1}, {"message": "2", "timestamp": NOW_NS})
    assert home.messages(Query(NOW_NS)) == ["2"]
    assert home.messages(Query(0, until_ns=NOW_NS)) == ["1"]


def test_a_record_ahead_of_the_clock_is_returned_at_once(home: Home) -> None:
    home.ingest({"timestamp": (NOW_NS + FUTURE_NS_MAX) // SECOND_NS})
    assert len(home.recent(Query(NOW_NS)).logs) == 1


def test_what_happens_is_counted(home: Home) -> None:
    home.ingest({"log_id": "a"}, {"log_id": "a"}, {"level": "loud"}, {"level": "loud"}, {"timestamp": 0})
    home.recent(Query(0))
    assert home.tally.counts == {
        (signals.RECORDS_ACCEPTED.name,): 2,
        (signals.RECORDS_DUPLICATE.name,): 1,
        (signals.RECORDS_REJECTED.name, "InvalidField"): 2,
        (signals.RECORDS_REJECTED.name, "TimestampTooOld"): 1,
        (signals.RECORDS_RETURNED.name,): 1,
    }


class Unreachable:
    """A store that must not be asked, or that has no room."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def append(self, batch: Batch) -> Receipt:
        raise self._error

    async def recent(self, query: Query) -> Page:
        raise self._error

    async def close(self) -> None: ...


def test_a_batch_without_a_good_record_never_reaches_the_store() -> None:
    home = Home(Unreachable(AssertionError("the store was asked")))
    receipt = home.ingest({"level": "loud"})
    assert (receipt.accepted, [rejected.code for rejected in receipt.rejected]) == (0, ["InvalidField"])


def test_a_retry_reaches_the_store_even_if_its_records_are_too_old_by_now(home: Home) -> None:
    retry = RetryKey.of("owner", "key", "body")
    record: dict[str, object] = {"timestamp": NOW_NS // SECOND_NS - 30 * 86_400 + 1}
    first = asyncio.run(home.service.ingest(msgspec.structs.replace(home.batch(record), retry=retry)))
    home.now_ns += DAY_NS
    late = msgspec.structs.replace(home.batch(record), retry=retry)
    assert len(late) == 0
    assert asyncio.run(home.service.ingest(late)) == first


def test_the_stores_errors_pass_through_and_nothing_is_counted() -> None:
    home = Home(Unreachable(StoreFull("no room")))
    with pytest.raises(StoreFull):
        home.ingest({})
    with pytest.raises(StoreFull):
        home.recent(Query(0))
    assert home.tally.counts == {}


@pytest.mark.parametrize(("one", "other"), [(("a", "bc"), ("ab", "c")), (("a", ""), ("a",)), (("", "a"), ("a", ""))])
def test_a_retry_key_tells_apart_what_a_request_means(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert RetryKey.of("owner", "key", *one) != RetryKey.of("owner", "key", *other)
    assert RetryKey.of("owner", "key", *one) == RetryKey.of("owner", "key", *one)
