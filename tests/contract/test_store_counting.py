"""How every store counts: exactly what paging through the same records would find, by time and by group."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from contract.test_store_reading import fill
from simple_log_service.core.limits import DAY_NS, HOUR_NS, SECOND_NS
from simple_log_service.core.ports import LogStore
from simple_log_service.core.query import Query
from simple_log_service.core.record import Position
from simple_log_service.core.retention import Kept, Retention
from simple_log_service.core.search import Search
from simple_log_service.core.stats import ALL, GROUPINGS, By, Stats, StatsQuery
from simple_log_service.core.timestamps import parse_rfc3339
from support.stores import NOON, Given, SetClock, batch_of, read_all, retry_key

pytestmark = pytest.mark.asyncio

Counts = dict[tuple[int, str], int]

MINUTE_NS = 60 * SECOND_NS


async def answers(store: LogStore, asked: StatsQuery) -> list[Stats]:
    """Every answer, until there is no more to count."""
    found = [await store.stats(asked)]
    while found[-1].below is not None:
        query = msgspec.structs.replace(asked.query, below=found[-1].below, reach_ns=found[-1].reach_ns)
        asked = msgspec.structs.replace(asked, query=query)
        found.append(await store.stats(asked))
    return found


async def counted(store: LogStore, asked: StatsQuery) -> Counts:
    """What the answers add up to."""
    counts: Counter[tuple[int, str]] = Counter()
    for stats in await answers(store, asked):
        for bucket in stats.buckets:
            assert bucket.count == sum(bucket.counts.values()) > 0
            counts.update({(bucket.number, group): count for group, count in bucket.counts.items()})
    return dict(counts)


async def paged(store: LogStore, asked: StatsQuery) -> Counts:
    """What paging through the records gives."""

    def place(record: dict[str, Any]) -> tuple[int, str]:
        group = ALL if asked.by is None else record[asked.by]
        return parse_rfc3339(record["timestamp"]) // asked.bucket_ns, group

    query = msgspec.structs.replace(asked.query, limit=10_000)
    return dict(Counter(map(place, await read_all(store, query))))


@pytest.mark.parametrize("by", [None, *GROUPINGS])
@pytest.mark.parametrize("interval_ns", [None, SECOND_NS, 17 * SECOND_NS, HOUR_NS])
async def test_counts_are_what_paging_finds(store: LogStore, by: By | None, interval_ns: int | None) -> None:
    await fill(store, 300)
    moments = [0, NOON - 55 * SECOND_NS, NOON - 1, NOON, NOON + 1, NOON + 40 * SECOND_NS]
    for since_ns, until_ns in [(0, None), *((a, b) for a in moments for b in moments if a < b)]:
        asked = StatsQuery(Query(since_ns, until_ns), by, interval_ns)
        assert await counted(store, asked) == await paged(store, asked), (since_ns, until_ns)


@pytest.mark.parametrize("service_name", [None, "billing", "nobody"])
@pytest.mark.parametrize("log_type", [None, "access"])
@pytest.mark.parametrize("level", [None, "ERROR"])
async def test_filters_hold_for_counts(
    store: LogStore, service_name: str | None, log_type: str | None, level: str | None
) -> None:
    await fill(store, 200)
    query = Query(NOON - 30 * SECOND_NS, NOON + 30 * SECOND_NS, service_name, log_type, level)
    for by in (None, *GROUPINGS):
        asked = StatsQuery(query, by, 20 * SECOND_NS)
        assert await counted(store, asked) == await paged(store, asked)


@pytest.mark.parametrize(
    "search", [Search(q="1*"), Search(pattern="[02468]$"), Search(fields=(("a", "1"),))], ids=["q", "pattern", "field"]
)
async def test_what_is_searched_for_is_counted(store: LogStore, search: Search) -> None:
    await fill(store, 120)
    await store.append(batch_of(Given("1", NOON, metadata='{"a":1}'), Given("x", NOON, metadata='{"a":2}')))
    asked = StatsQuery(Query(0, search=search), "service_name", 10 * SECOND_NS)
    found = await counted(store, asked)
    assert found == await paged(store, asked)
    assert found


async def test_an_empty_range_and_an_empty_store_hold_nothing(store: LogStore) -> None:
    assert await store.stats(StatsQuery(Query(0))) == Stats([])
    await store.append(batch_of("a"))
    for query in (Query(NOON + 1), Query(0, NOON), Query(NOON, NOON), Query(0, service_name="nobody")):
        assert await store.stats(StatsQuery(query, "level", SECOND_NS)) == Stats([])


async def test_buckets_begin_at_multiples_of_the_interval_and_come_newest_first(store: LogStore) -> None:
    noon = NOON // HOUR_NS
    times = (NOON - 1, NOON, NOON + HOUR_NS - 1, NOON + 5 * HOUR_NS)
    await store.append(batch_of(*(Given(str(time), time) for time in times)))
    stats = await store.stats(StatsQuery(Query(0), None, HOUR_NS))
    assert [(bucket.number, bucket.count) for bucket in stats.buckets] == [(noon + 5, 1), (noon, 2), (noon - 1, 1)]
    assert StatsQuery(Query(0), None, HOUR_NS).start_ns(noon) == NOON


async def test_the_largest_group_comes_first(store: LogStore) -> None:
    names = ["b", "c", "c", "a", "c", "a"]
    await store.append(batch_of(*(Given("", service_name=name) for name in names)))
    (bucket,) = (await store.stats(StatsQuery(Query(0), "service_name"))).buckets
    assert list(bucket.counts.items()) == [("c", 3), ("a", 2), ("b", 1)]


async def test_what_is_sent_again_counts_once(store: LogStore) -> None:
    own = [Given(str(n), NOON + n, log_id=f"id-{n}") for n in range(5)]
    await store.append(batch_of(*own))
    await store.append(batch_of(*own, Given("new", NOON)))
    for _ in range(2):
        await store.append(batch_of("a", "b", retry=retry_key()))
    for interval_ns in (None, SECOND_NS):
        asked = StatsQuery(Query(0), None, interval_ns)
        assert sum((await counted(store, asked)).values()) == 8
        assert await counted(store, asked) == await paged(store, asked)


async def test_late_records_count_in_the_buckets_of_their_own_time(store: LogStore) -> None:
    chance = random.Random(3)
    for _ in range(30):
        times = [NOON + chance.randrange(-4, 1) * DAY_NS + chance.randrange(HOUR_NS) for _ in range(5)]
        await store.append(batch_of(*(Given("", time) for time in times)))
    for interval_ns in (None, 7 * MINUTE_NS, DAY_NS):
        asked = StatsQuery(Query(NOON - 3 * DAY_NS + HOUR_NS // 3, NOON + HOUR_NS // 3), "level", interval_ns)
        assert await counted(store, asked) == await paged(store, asked)


async def test_each_kind_counts_as_long_as_it_is_kept(store: LogStore, clock: SetClock) -> None:
    clock.advance(5 * DAY_NS)
    days = [NOON + day * DAY_NS // 2 for day in range(10)]
    kinds = [(service, log_type) for service in ("shop", "billing") for log_type in ("application", "access")]
    for start in (0, 3, 6):
        await store.append(batch_of(*(Given("", day, *kind) for day in days[start : start + 4] for kind in kinds)))
    kept = Kept(Retention(5, {"shop": 2}, {"access": 3}), clock.now_ns)
    for by in GROUPINGS:
        for interval_ns in (None, HOUR_NS, 2 * DAY_NS):
            asked = StatsQuery(Query(NOON, kept=kept), by, interval_ns)
            assert await counted(store, asked) == await paged(store, asked)


async def test_any_64_bit_bound_can_be_counted_from(store: LogStore) -> None:
    await store.append(batch_of(Given("first", 0), Given("noon")))
    for below, total in ((2**63 - 1, 2), (NOON, 2), (NOON - 1, 1), (0, 1), (-1, 0), (-(2**63), 0)):
        asked = StatsQuery(Query(-(2**63), below=Position(below, 2**63 - 1)), None, SECOND_NS)
        assert sum((await counted(store, asked)).values()) == total


@pytest.fixture
def out_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every read's time is over before it begins."""
    for module in ("stores.memory.READ_SECONDS_MAX", "stores.embedded.store.READ_SECONDS_MAX"):
        monkeypatch.setattr(f"simple_log_service.{module}", -1.0)
    monkeypatch.setattr("simple_log_service.stores.dynamodb.store.DYNAMODB_READ_SECONDS_MAX", -1.0)


@pytest.mark.usefixtures("out_of_time")
@pytest.mark.parametrize("interval_ns", [None, MINUTE_NS])
@pytest.mark.parametrize("search", [None, Search(pattern="[13579]$")], ids=["counted", "read"])
async def test_counting_out_of_time_says_so_and_going_on_counts_the_rest(
    store: LogStore, interval_ns: int | None, search: Search | None
) -> None:
    await fill(store, 400, batch_records=7)
    asked = StatsQuery(Query(0, search=search), "service_name", interval_ns)
    cut_short = await answers(store, asked)
    assert [stats.complete for stats in cut_short] == [False] * (len(cut_short) - 1) + [True]
    assert len(cut_short) > 1
    assert await counted(store, asked) == await paged(store, asked)


@pytest.mark.parametrize("interval_ns", [None, SECOND_NS])
async def test_an_answer_stays_small_however_many_groups_there_are(
    store: LogStore, interval_ns: int | None, monkeypatch: pytest.MonkeyPatch, size_of: Callable[[Stats], int]
) -> None:
    monkeypatch.setattr("simple_log_service.core.counting.STATS_BYTES_MAX", 2_500)
    monkeypatch.setattr("simple_log_service.core.counting._BYTES_WANTED", 2_000)
    given = [Given("", NOON + n % 7 * SECOND_NS, service_name=f"service-{n % 150}") for n in range(300)]
    for start in range(0, 300, 60):
        await store.append(batch_of(*given[start : start + 60]))
    asked = StatsQuery(Query(0), "service_name", interval_ns)
    found = await answers(store, asked)
    assert max(map(size_of, found)) <= 2_500 < sum(map(size_of, found))
    assert all(stats.complete for stats in found)
    assert await counted(store, asked) == await paged(store, asked)


@pytest.fixture
def size_of() -> Callable[[Stats], int]:
    """What an answer takes as JSON, about."""
    return lambda stats: len(msgspec.json.encode(stats.buckets))
