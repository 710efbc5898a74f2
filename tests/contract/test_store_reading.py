"""How every store reads: newest first by (timestamp, arrival), filtered, in pages that neither skip nor repeat."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

from simple_log_service.core.limits import KIB, PAGE_BYTES_MAX, SECOND_NS
from simple_log_service.core.ports import LogStore
from simple_log_service.core.query import Query
from simple_log_service.core.record import Position
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from support.stores import NOON, Given, batch_of, decoded, everything, messages, read_all

pytestmark = pytest.mark.asyncio

SERVICES = ("shop", "billing", "search")
LOG_TYPES = ("application", "access")
LEVELS = ("INFO", "ERROR")


async def fill(store: LogStore, records: int, *, batch_records: int = 10, seed: int = 1) -> list[Given]:
    """Records of every kind, many with equal timestamps, many late; in order of arrival."""
    chance = random.Random(seed)
    given = [
        Given(
            str(place),
            NOON + chance.randrange(-records // 3, records // 3) * SECOND_NS,
            chance.choice(SERVICES),
            chance.choice(LOG_TYPES),
            chance.choice(LEVELS),
        )
        for place in range(records)
    ]
    for start in range(0, records, batch_records):
        await store.append(batch_of(*given[start : start + batch_records]))
    return given


def in_order(given: list[Given]) -> list[str]:
    """The messages in reading order: by timestamp, ties by arrival, newest first."""
    places = sorted(range(len(given)), key=lambda place: (given[place].timestamp, place), reverse=True)
    return [given[place].message for place in places]


async def test_records_come_by_timestamp_and_ties_by_arrival(store: LogStore) -> None:
    given = await fill(store, 400)
    assert await messages(store) == in_order(given)


async def test_equal_timestamps_within_and_across_batches_come_in_reverse_arrival(store: LogStore) -> None:
    for start in range(0, 60, 6):
        await store.append(batch_of(*(str(place) for place in range(start, start + 6))))
    assert await messages(store) == [str(place) for place in range(59, -1, -1)]


async def test_late_records_stand_where_their_timestamps_say(store: LogStore) -> None:
    await store.append(batch_of(Given("b", NOON + 2), Given("d", NOON + 4)))
    await store.append(batch_of(Given("a", NOON + 1), Given("c", NOON + 3), Given("e", NOON + 5)))
    assert await messages(store) == ["e", "d", "c", "b", "a"]


@pytest.mark.parametrize("limit", [1, 2, 7, 100, 10_000])
async def test_pages_of_any_size_add_up_to_the_same(store: LogStore, limit: int) -> None:
    given = await fill(store, 150)
    assert await messages(store, everything(limit)) == in_order(given)


@pytest.mark.parametrize("service_name", [None, "billing", "nobody"])
@pytest.mark.parametrize("log_type", [None, "access"])
@pytest.mark.parametrize("level", [None, "ERROR"])
async def test_filters_select_exactly_what_matches(
    store: LogStore, service_name: str | None, log_type: str | None, level: str | None
) -> None:
    given = await fill(store, 200)
    asked = Query(since_ns=0, service_name=service_name, log_type=log_type, level=level, limit=9)
    wanted = {
        record.message
        for record in given
        if service_name in {None, record.service_name}
        and log_type in {None, record.log_type}
        and level in {None, record.level}
    }
    assert await messages(store, asked) == [text for text in in_order(given) if text in wanted]


async def test_names_are_compared_whole_and_exactly(store: LogStore) -> None:
    names = ["shop", "Shop", "shop1", "sho", "shop ", "sh\0op", "shöp", "sho\u0308p"]
    await store.append(batch_of(*(Given(name, service_name=name) for name in names)))
    for name in names:
        assert await messages(store, Query(since_ns=0, service_name=name)) == [name]


async def test_the_range_includes_its_start_and_excludes_its_end(store: LogStore) -> None:
    await store.append(batch_of(*(Given(str(n), NOON + n) for n in range(10))))
    assert await messages(store, Query(since_ns=NOON + 3, until_ns=NOON + 6)) == ["5", "4", "3"]
    assert await messages(store, Query(since_ns=NOON + 3, until_ns=NOON + 3)) == []
    assert await messages(store, Query(since_ns=NOON + 9)) == ["9"]
    assert await messages(store, Query(since_ns=NOON + 10)) == []
    assert await messages(store, Query(since_ns=0, until_ns=NOON)) == []


async def test_any_64_bit_bound_can_be_asked_for(store: LogStore) -> None:
    """Bounds come from callers and from cursors, which anybody can forge."""
    await store.append(batch_of(Given("first", 0), Given("noon"), Given("last", TIMESTAMP_NS_MAX)))
    whole = Query(since_ns=-(2**63), until_ns=TIMESTAMP_NS_MAX)
    assert await messages(store, whole) == ["noon", "first"]
    assert await messages(store, Query(since_ns=TIMESTAMP_NS_MAX)) == ["last"]
    for timestamp, found in ((2**63 - 1, ["last", "noon", "first"]), (0, ["first"]), (-1, []), (-(2**63), [])):
        below = Position(timestamp, 2**63 - 1)
        assert await messages(store, Query(since_ns=-(2**63), below=below)) == found
    assert await messages(store, Query(since_ns=0, below=Position(2**63 - 1, -(2**63)))) == ["noon", "first"]


async def test_an_end_and_a_page_before_bound_together(store: LogStore) -> None:
    await store.append(batch_of(*(Given(str(n), NOON + n) for n in range(10))))
    below = Position(NOON + 4, 2**63 - 1)
    assert await messages(store, Query(since_ns=0, until_ns=NOON + 8, below=below)) == ["4", "3", "2", "1", "0"]
    assert await messages(store, Query(since_ns=0, until_ns=NOON + 2, below=below)) == ["1", "0"]


async def test_a_page_that_holds_all_says_so(store: LogStore) -> None:
    await store.append(batch_of("a", "b", "c"))
    assert (await store.recent(everything(limit=3))).below is None
    assert (await store.recent(everything(limit=2))).below is not None


async def test_a_page_ends_early_at_its_bound_of_bytes(store: LogStore) -> None:
    text = "x" * (100 * KIB)
    await store.append(batch_of(*(Given(f"{n:02d}{text}", NOON + n) for n in range(60))))
    page = await store.recent(everything())
    assert sum(map(len, page.logs)) <= PAGE_BYTES_MAX
    assert 20 <= len(page.logs) < 60
    assert page.below is not None
    assert page.complete
    assert [text[:2] for text in await messages(store)] == [f"{n:02d}" for n in range(59, -1, -1)]


async def test_a_record_larger_than_a_page_still_comes(store: LogStore) -> None:
    """Escaped, a control character takes six bytes."""
    texts = [str(n) + "\0" * (PAGE_BYTES_MAX // 6) for n in range(3)]
    await store.append(batch_of(*(Given(text, NOON + n) for n, text in enumerate(texts))))
    assert await messages(store) == texts[::-1]


async def test_paging_gives_what_was_there_exactly_once_while_others_append(store: LogStore) -> None:
    given = await fill(store, 500)
    chance = random.Random(7)
    late = 0

    async def between() -> None:
        nonlocal late
        times = [NOON + chance.randrange(-200, 200) * SECOND_NS for _ in range(5)]
        await store.append(batch_of(*(Given(f"late-{late + n}", time) for n, time in enumerate(times))))
        late += 5

    found = [record["message"] for record in await read_all(store, everything(limit=13), between=between)]
    assert late >= 190
    assert len(set(found)) == len(found)
    assert [text for text in found if not text.startswith("late-")] == in_order(given)


async def test_a_read_that_runs_out_of_time_says_so_and_going_on_finds_the_rest(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("stores.memory", "stores.embedded.tail", "stores.embedded.store"):
        monkeypatch.setattr(f"simple_log_service.{module}.READ_SECONDS_MAX", -1.0)
    monkeypatch.setattr("simple_log_service.stores.dynamodb.store.DYNAMODB_READ_SECONDS_MAX", -1.0)
    monkeypatch.setattr("simple_log_service.stores.embedded.tail._RUN_RECORDS_MIN", 1)
    given = await fill(store, 300)
    await store.append(batch_of(*(Given(f"rare {n}", NOON - 500 * SECOND_NS, level="FATAL") for n in range(3))))
    for asked, wanted in (
        (everything(), [*in_order(given), "rare 2", "rare 1", "rare 0"]),
        (Query(since_ns=0, level="FATAL", limit=2), ["rare 2", "rare 1", "rare 0"]),
        (Query(since_ns=0, level="TRACE"), []),
    ):
        found: list[str] = []
        cut_short = 0
        page = await store.recent(asked)
        while page.below is not None:
            found += [record["message"] for record in decoded(page)]
            cut_short += not page.complete
            page = await store.recent(msgspec.structs.replace(asked, below=page.below))
        assert page.complete
        assert found + [record["message"] for record in decoded(page)] == wanted
        assert cut_short > 0


async def test_readers_beside_writers_see_whole_batches_or_nothing(store: LogStore) -> None:
    done = False

    async def write(writer: int) -> None:
        for place in range(40):
            name = f"writer-{writer}-{place}"
            await store.append(batch_of(*(Given(f"{n}", NOON + place, service_name=name) for n in range(5))))

    async def read() -> int:
        reads = 0
        while not done:
            counts: dict[str, int] = {}
            for record in decoded(await store.recent(everything())):
                counts[record["service_name"]] = counts.get(record["service_name"], 0) + 1
            assert set(counts.values()) <= {5}
            reads += 1
            await asyncio.sleep(0.001)  # A loop that never rests could starve the store's own thread.
        return reads

    reading = asyncio.create_task(read())
    await asyncio.gather(*map(write, range(4)))
    done = True
    assert await reading > 0


async def test_a_query_for_a_later_page_can_narrow_its_limit(store: LogStore) -> None:
    given = await fill(store, 60)
    first = await store.recent(everything(limit=10))
    rest = msgspec.structs.replace(everything(limit=3), below=first.below)
    found = [record["message"] for record in decoded(first)] + await messages(store, rest)
    assert found == in_order(given)


async def test_each_service_has_all_its_records_however_large_those_beside_them_are(store: LogStore) -> None:
    services = [f"service-{number}" for number in range(5)]
    for place in range(20):
        given = [
            Given(f"{place}" + "x" * 60_000, NOON + place * 10 - number, service)
            for number, service in enumerate(services)
        ]
        await store.append(batch_of(*given))
    for service in [*services, "service-", "service-9", "a"]:
        found = await messages(store, Query(since_ns=0, service_name=service))
        assert [int(message.rstrip("x")) for message in found] == [*range(19, -1, -1)] * (service in services)
