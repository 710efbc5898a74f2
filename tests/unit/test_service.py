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
from simple_log_service.core.retention import Retention
from simple_log_service.core.service import LogService
from simple_log_service.core.signals import Signal
from simple_log_service.core.stats import Stats, StatsQuery
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


THIRTY_DAYS = Retention(30)


class Home:
    """A service of 30 days, unless told otherwise, whose clock stands where it is put."""

    def __init__(self, store: LogStore | None = None, retention: Retention = THIRTY_DAYS) -> None:
        self.now_ns = NOW_NS
        self.tally = Tally()
        self.store = store or MemoryStore(lambda: self.now_ns)
        self.service = LogService(self.store, lambda: self.now_ns, self.tally, retention=retention)

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


def seconds_ago(days: float) -> int:
    return NOW_NS // SECOND_NS - round(days * 86_400)


def home_of_different_rules() -> Home:
    """30 days, but 3 of the service ``debug-app``, and 365 of the type ``audit``."""
    return Home(retention=Retention(30, {"debug-app": 3}, {"audit": 365}))


@pytest.mark.parametrize(
    ("kind", "kept_days"),
    [
        ({}, 30),
        ({"service_name": "debug-app"}, 3),
        ({"log_type": "audit"}, 365),
        ({"service_name": "debug-app", "log_type": "audit"}, 3),
    ],
)
def test_what_is_older_than_its_own_retention_is_rejected_with_that_reason(
    kind: dict[str, object], kept_days: int
) -> None:
    home = home_of_different_rules()
    receipt = home.ingest(
        kind | {"timestamp": seconds_ago(kept_days)},
        kind | {"timestamp": seconds_ago(kept_days) - 1},
        kind,
    )
    (rejected,) = receipt.rejected
    assert (receipt.accepted, rejected.index, rejected.code) == (2, 1, "TimestampTooOld")
    assert "older than the retention" in rejected.reason


@pytest.mark.parametrize("path", ["debug-app", "shop"])
def test_the_service_of_the_path_has_its_own_retention(path: str) -> None:
    home = home_of_different_rules()
    body = json.dumps([{"log_type": "t", "message": "m", "timestamp": seconds_ago(10)}]).encode()
    batch = decode_batch(body, home.service.rules(NOW_NS, path))
    assert [rejected.code for rejected in batch.rejected] == (["TimestampTooOld"] if path == "debug-app" else [])


def test_nothing_past_its_own_retention_is_returned_however_it_is_asked_for() -> None:
    home = home_of_different_rules()
    home.ingest(
        {"message": "plain", "timestamp": seconds_ago(2)},
        {"message": "debug", "timestamp": seconds_ago(2), "service_name": "debug-app"},
        {"message": "audit", "timestamp": seconds_ago(2), "log_type": "audit"},
        {"message": "both", "timestamp": seconds_ago(2), "service_name": "debug-app", "log_type": "audit"},
    )
    queries = {
        "all": Query(0),
        "service": Query(0, service_name="debug-app"),
        "type": Query(0, log_type="audit"),
        "kind": Query(0, service_name="debug-app", log_type="audit"),
    }

    def seen() -> dict[str, list[str]]:
        return {name: home.messages(query) for name, query in queries.items()}

    everything = {
        "all": ["both", "audit", "debug", "plain"],
        "service": ["both", "debug"],
        "type": ["both", "audit"],
        "kind": ["both"],
    }
    home.now_ns += DAY_NS
    assert seen() == everything
    home.now_ns += 1
    assert seen() == {"all": ["audit", "plain"], "service": [], "type": ["audit"], "kind": []}
    home.now_ns += 27 * DAY_NS
    assert seen() == {"all": ["audit"], "service": [], "type": ["audit"], "kind": []}
    home.now_ns += 335 * DAY_NS
    assert not any(seen().values())


def test_what_expires_between_two_pages_is_not_on_the_second() -> None:
    home = home_of_different_rules()
    names = ("shop", "debug-app")
    home.ingest(
        *({"message": str(n), "service_name": names[n % 2], "timestamp": seconds_ago(2 + n / 10)} for n in range(6))
    )
    first = home.recent(Query(0, limit=2))
    assert [json.loads(log)["message"] for log in first.logs] == ["0", "1"]
    home.now_ns += DAY_NS * 3 // 4
    assert home.messages(Query(0, below=first.below)) == ["2", "4"]


@pytest.mark.parametrize("retention", [Retention(30), Retention(30, {"debug-app": 3}, {"audit": 365})])
def test_a_clock_far_ahead_shows_less_until_it_is_back(retention: Retention) -> None:
    home = Home(retention=retention)
    home.ingest({"message": "plain"}, {"message": "audit", "log_type": "audit"})
    for years in (1, 100, 200):
        home.now_ns = NOW_NS + years * 366 * DAY_NS
        assert home.messages(Query(0)) == []
    home.now_ns = NOW_NS
    assert home.messages(Query(0)) == ["audit", "plain"]


def test_a_clock_far_behind_shows_everything() -> None:
    home = home_of_different_rules()
    home.ingest({"message": "plain"})
    home.now_ns = 0
    assert home.messages(Query(0)) == ["plain"]


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

    async def stats(self, asked: StatsQuery) -> Stats:
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
