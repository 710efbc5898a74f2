"""How every store leaves out what is past its retention where services and types have rules of their own.

The service sets the rules anew for each page; a store holds every record to that of its service and type, wherever it
lies and whatever else lies beside it.
"""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from simple_log_service.core.limits import DAY_NS, HOUR_NS, SECOND_NS
from simple_log_service.core.ports import LogStore
from simple_log_service.core.query import Query
from simple_log_service.core.retention import Retention
from simple_log_service.core.service import LogService
from simple_log_service.core.stats import StatsQuery
from simple_log_service.server.metrics import PrometheusMetrics
from support.stores import NOON, Given, SetClock, batch_of, decoded

pytestmark = pytest.mark.asyncio

SERVICES = ("shop", "debug-app")
LOG_TYPES = ("application", "audit")
RETENTION = Retention(10, {"debug-app": 3}, {"audit": 20})
DAYS_OF_KINDS = {
    ("shop", "application"): 10,
    ("shop", "audit"): 20,
    ("debug-app", "application"): 3,
    ("debug-app", "audit"): 3,
}


@pytest.fixture
def service(store: LogStore, clock: SetClock) -> LogService:
    """Those rules over each of the stores."""
    return LogService(store, clock, PrometheusMetrics(), retention=RETENTION)


async def fill(store: LogStore, *, days: int = 25) -> list[Given]:
    """Records of every kind over so many days, all kinds in each batch, many within the same minute."""
    chance = random.Random(1)
    given: list[Given] = []
    for day in range(days):
        start_ns = NOON - day * DAY_NS
        many = [
            Given(
                f"{day}-{n} {log_type}", start_ns - chance.randrange(60) * SECOND_NS, chance.choice(SERVICES), log_type
            )
            for n in range(10)
            for log_type in LOG_TYPES
        ]
        await store.append(batch_of(*many))
        given += many
    return given


def kept_of(given: list[Given], query: Query, now_ns: int) -> list[str]:
    """The messages that a reader may see, sorted by name."""
    return sorted(
        record.message
        for record in given
        if record.timestamp >= now_ns - DAYS_OF_KINDS[record.service_name, record.log_type] * DAY_NS
        and query.service_name in (None, record.service_name)
        and query.log_type in (None, record.log_type)
    )


async def read(service: LogService, query: Query) -> list[str]:
    """The messages of all pages, newest first."""
    found: list[str] = []
    while True:
        page = await service.recent(query)
        found += [record["message"] for record in decoded(page)]
        if page.below is None:
            assert page.complete
            return found
        query = msgspec.structs.replace(query, below=page.below, reach_ns=page.reach_ns)


@pytest.mark.parametrize(
    "query",
    [
        Query(0, limit=10_000),
        Query(0, limit=7),
        Query(0, service_name="debug-app", limit=7),
        Query(0, service_name="shop", limit=7),
        Query(0, log_type="audit", limit=7),
        Query(0, log_type="application", limit=1),
        Query(0, service_name="shop", log_type="audit", limit=7),
    ],
    ids=["in one page", "all", "short service", "service", "long type", "type", "both"],
)
async def test_each_record_is_there_until_its_own_retention_is_over(
    store: LogStore, service: LogService, clock: SetClock, query: Query
) -> None:
    given = await fill(store)
    for hours in (0, 12, 24 * 6, 24 * 19, 24 * 21):
        clock.now_ns = NOON + hours * HOUR_NS
        assert sorted(await read(service, query)) == kept_of(given, query, clock.now_ns)


@pytest.mark.parametrize("query", [Query(0), Query(0, service_name="debug-app"), Query(0, log_type="audit")])
@pytest.mark.parametrize("interval_ns", [None, DAY_NS])
async def test_records_are_counted_until_their_own_retention_is_over(
    store: LogStore, service: LogService, clock: SetClock, query: Query, interval_ns: int | None
) -> None:
    given = await fill(store)
    for hours in (0, 12, 24 * 6, 24 * 19, 24 * 21):
        clock.now_ns = NOON + hours * HOUR_NS
        page = await service.stats(StatsQuery(query, "log_type", interval_ns))
        assert page.below is None
        counted = sum((Counter(bucket.counts) for bucket in page.buckets), Counter[str]())
        assert counted == Counter(name.split()[1] for name in kept_of(given, query, clock.now_ns))


async def test_a_record_is_there_to_the_last_nanosecond_of_its_retention(
    store: LogStore, service: LogService, clock: SetClock
) -> None:
    for service_name, log_type in DAYS_OF_KINDS:
        await store.append(batch_of(Given(f"{service_name} {log_type}", NOON, service_name, log_type)))
    last = {"debug-app audit": 3, "debug-app application": 3, "shop application": 10, "shop audit": 20}
    for days in (3, 10, 20):
        clock.now_ns = NOON + days * DAY_NS
        assert set(await read(service, Query(0))) == {name for name, kept in last.items() if kept >= days}
        clock.advance(1)
        assert set(await read(service, Query(0))) == {name for name, kept in last.items() if kept > days}


async def test_what_expires_while_a_reader_pages_does_not_come_any_more(
    store: LogStore, service: LogService, clock: SetClock
) -> None:
    given = await fill(store, days=5)
    first = await service.recent(Query(0, limit=10))
    seen = {record["message"] for record in decoded(first)}
    clock.advance(DAY_NS)
    rest = await read(service, Query(0, limit=10, below=first.below, reach_ns=first.reach_ns))
    assert seen.isdisjoint(rest)
    assert sorted(rest) == sorted(set(kept_of(given, Query(0), clock.now_ns)) - seen)


async def test_a_clock_far_ahead_hides_records_and_deletes_none(
    store: LogStore, service: LogService, clock: SetClock
) -> None:
    given = await fill(store, days=5)
    clock.now_ns = NOON + 36_500 * DAY_NS
    assert await read(service, Query(0)) == []
    clock.now_ns = NOON
    assert sorted(await read(service, Query(0))) == kept_of(given, Query(0), NOON)
