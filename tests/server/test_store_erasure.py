"""Erasing on purpose: what was asked for is gone from every answer and from every frame, and nothing else is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from simple_log_service.core.erasure import Erasure
from simple_log_service.core.errors import StoreBusy
from simple_log_service.core.limits import DAY_NS, HOUR_NS, SECOND_NS
from simple_log_service.core.query import Query
from simple_log_service.core.search import Search
from simple_log_service.core.stats import StatsQuery
from simple_log_service.stores.embedded import erasure as embedded_erasure
from simple_log_service.stores.embedded import merging
from simple_log_service.stores.embedded import store as embedded_store
from simple_log_service.stores.embedded.blocks import BlockRow
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.leases import Leases
from simple_log_service.stores.embedded.merger import Merger
from simple_log_service.stores.embedded.sealing import Part
from simple_log_service.stores.embedded.sql import rows
from simple_log_service.stores.embedded.store import EmbeddedStore
from simple_log_service.stores.embedded.writer import Writer
from simple_log_service.stores.packing import decompress
from support.in_process_helper import InProcessHelper
from support.stores import (
    KEYS,
    NOON,
    Given,
    SetClock,
    batch_of,
    embedded,
    everything,
    messages,
    open_embedded,
    retry_key,
)

pytestmark = pytest.mark.asyncio

SECRET = "zwiebelkuchen"
"""In every text that the tests erase, and in none that stays."""


@pytest.fixture(autouse=True)
def helper_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_store, "HelperProcess", InProcessHelper)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest_asyncio.fixture
async def store(tmp_path: Path, clock: SetClock) -> AsyncIterator[EmbeddedStore]:
    async with embedded(tmp_path / "logs", clock) as opened:
        yield opened


async def as_chunks(store: EmbeddedStore) -> None:
    """Leave what was stored as it lies."""


async def as_blocks(store: EmbeddedStore) -> None:
    await store.settle()


LIES = pytest.mark.parametrize("settled", [as_chunks, as_blocks], ids=["chunks", "blocks"])


async def count(store: EmbeddedStore, query: Query | None = None) -> int:
    stats = await store.stats(StatsQuery(query or everything()))
    assert stats.below is None
    return sum(bucket.count for bucket in stats.buckets)


CHUNKS = "SELECT key_id, id, time_min, time_max, arrival_max, CAST(head AS BLOB), CAST(body AS BLOB) FROM chunks"


def frames(folder: Path) -> list[bytes]:
    """Everything in the store's files, opened: heads and bodies of chunks, indexes, filters and leaves of blocks."""
    opened: list[bytes] = []
    for path in folder.glob("*.logs"):
        file = DayFile(path, KEYS)
        with closing(file.connect()) as connection:
            for key, chunk, low, high, last, head, body in rows(connection, CHUNKS):
                sealer, about = file.sealer(connection, key), (low, high, last)
                opened.append(sealer.open(Part.CHUNK_HEAD, chunk, head, *about))
                opened.append(decompress(sealer.open(Part.CHUNK_BODY, chunk, body, *about)))
            blocks = [BlockRow(*row) for row in rows(connection, "SELECT * FROM blocks")]
            assert {file.block_path(row.id) for row in blocks} == set(file.blocks.glob("*.block"))
            for row in blocks:
                sealer = file.sealer(connection, row.key_id)
                data = file.block_path(row.id).read_bytes()
                sealed = data[row.index_at :]
                opened.append(decompress(sealer.open(Part.BLOCK_INDEX, row.id, sealed, *row.about)))
                for source in merging._blocks(file, connection, [row.id]):
                    columns = source.run.open().columns
                    opened += [message.encode() for message in columns.messages]
                    opened += [*columns.metadata, *(log_id.encode() for log_id in columns.log_ids.values())]
    return opened


def assert_gone(folder: Path) -> None:
    assert not [frame for frame in frames(folder) if SECRET.encode() in frame]


def doomed(text: str, timestamp: int = NOON, service: str = f"{SECRET}-app", log_type: str = "application") -> Given:
    return Given(f"{SECRET} {text}", timestamp, service, log_type, metadata=f'{{"why":"{SECRET}"}}')


def noise() -> str:
    """Text that fills pages, since it cannot be compressed."""
    return random.Random(1).randbytes(10_000).hex()


# --- What goes, and what stays. ---


@LIES
async def test_a_service_goes_wherever_it_lies_and_the_others_stay(
    tmp_path: Path, store: EmbeddedStore, settled: Callable[[EmbeddedStore], Awaitable[None]]
) -> None:
    for minute in range(5):
        at = NOON + minute * 60 * SECOND_NS
        await store.append(batch_of(doomed("alone", at), doomed("alone", at)))
        await store.append(batch_of(doomed("beside", at), Given(f"stays {minute}", at)))
    await settled(store)
    await store.append(batch_of(doomed("fresh"), Given("stays fresh")))

    erased = await store.erase(Erasure(f"{SECRET}-app"))

    assert erased == (16, 0)
    kept = sorted([*(f"stays {minute}" for minute in range(5)), "stays fresh"])
    assert sorted(await messages(store)) == kept
    assert await messages(store, Query(0, service_name=f"{SECRET}-app")) == []
    assert await messages(store, Query(0, search=Search(SECRET))) == []
    assert await count(store) == len(kept)
    assert_gone(tmp_path / "logs")
    await store.settle()
    assert sorted(await messages(store)) == kept


@LIES
async def test_a_range_takes_its_first_moment_and_leaves_its_last(
    store: EmbeddedStore, settled: Callable[[EmbeddedStore], Awaitable[None]]
) -> None:
    await store.append(batch_of(*(Given(str(offset), NOON + offset) for offset in (-1, 0, 1, 9, 10, 11))))
    await settled(store)
    assert (await store.erase(Erasure(since_ns=NOON, until_ns=NOON + 10))).records == 3
    assert sorted(await messages(store)) == ["-1", "10", "11"]


@LIES
async def test_what_goes_is_what_the_erasure_says_of_service_type_and_time(
    store: EmbeddedStore, settled: Callable[[EmbeddedStore], Awaitable[None]]
) -> None:
    chance = random.Random(4)
    given = [
        Given(
            str(n),
            NOON + chance.randrange(-36, 2) * HOUR_NS,
            chance.choice("abc"),
            chance.choice("xy"),
            chance.choice(["INFO", "WARN"]),
        )
        for n in range(400)
    ]
    for at in range(0, 400, 50):
        await store.append(batch_of(*given[at : at + 50]))
    await settled(store)
    for erasure in (
        Erasure("a", "x", NOON - 20 * HOUR_NS, NOON - 3 * HOUR_NS),
        Erasure("b", None, NOON - 8 * HOUR_NS),
        Erasure(None, "y", None, NOON - 30 * HOUR_NS),
        Erasure(None, None, NOON - 2 * HOUR_NS, NOON - HOUR_NS),
        Erasure("c"),
    ):
        going = [
            each
            for each in given
            if erasure.service_name in (None, each.service_name)
            and erasure.log_type in (None, each.log_type)
            and (erasure.since_ns or 0) <= each.timestamp
            and (erasure.until_ns is None or each.timestamp < erasure.until_ns)
        ]
        assert going
        assert await count(store, erasure.query) == len(going)
        assert (await store.erase(erasure)).records == len(going)
        given = [each for each in given if each not in going]
        assert sorted(await messages(store)) == sorted(each.message for each in given)
        assert await count(store) == len(given)


async def test_late_records_go_from_the_files_of_the_days_they_arrived_on(
    tmp_path: Path, store: EmbeddedStore, clock: SetClock
) -> None:
    await store.append(batch_of(doomed("in time"), "stays"))
    await store.settle()
    clock.advance(2 * DAY_NS)
    await store.append(batch_of(doomed("late"), Given("stays too")))
    assert (await store.erase(Erasure(f"{SECRET}-app", since_ns=NOON, until_ns=NOON + 1))).records == 2
    assert len(list((tmp_path / "logs").glob("*.logs"))) == 2
    assert sorted(await messages(store)) == ["stays", "stays too"]
    assert_gone(tmp_path / "logs")


@LIES
async def test_what_arrived_after_the_count_stays(
    store: EmbeddedStore, settled: Callable[[EmbeddedStore], Awaitable[None]]
) -> None:
    await store.append(batch_of("before", "before"))
    arrival_last = store.arrival_last
    await store.append(batch_of("after"))
    await settled(store)
    assert (await store.erase(Erasure("shop", arrival_last=arrival_last))).records == 2
    assert await messages(store) == ["after"]


async def test_what_comes_in_meanwhile_is_stored_and_stays(store: EmbeddedStore) -> None:
    for n in range(20):
        await store.append(batch_of(*(Given(f"old {n} {m}") for m in range(20)), Given("other", service_name="other")))
    await store.settle()
    erasing = asyncio.create_task(store.erase(Erasure("shop", arrival_last=store.arrival_last)))
    sent = 0
    while not erasing.done():
        assert (await store.append(batch_of(f"new {sent}"))).accepted == 1
        sent += 1
        await asyncio.sleep(0)
    assert (await erasing).records == 400
    found = await messages(store, Query(0, service_name="shop", limit=10_000))
    assert sorted(found) == sorted(f"new {n}" for n in range(sent))
    assert sent > 0


async def test_the_memory_forgets_at_once_and_serves_what_comes_next(store: EmbeddedStore) -> None:
    await store.append(batch_of(doomed("newest", NOON + SECOND_NS), "stays"))
    assert store.tail_records == 2
    await store.erase(Erasure(f"{SECRET}-app"))
    assert store.tail_records == 0
    await store.append(batch_of(Given("later", NOON + 2 * SECOND_NS)))
    assert await messages(store) == ["later", "stays"]
    assert store.tail_records == 1


async def test_an_erasure_holds_after_a_restart(tmp_path: Path, clock: SetClock) -> None:
    async with embedded(tmp_path / "logs", clock) as store:
        await store.append(batch_of(doomed("a"), "stays"))
        await store.erase(Erasure(f"{SECRET}-app"))
    async with embedded(tmp_path / "logs", clock) as store:
        assert await messages(store) == ["stays"]


async def test_erasing_twice_erases_nothing_more(store: EmbeddedStore) -> None:
    await store.append(batch_of(doomed("a"), "stays"))
    assert (await store.erase(Erasure(f"{SECRET}-app"))).records == 1
    assert await store.erase(Erasure(f"{SECRET}-app")) == (0, 0)
    assert await messages(store) == ["stays"]


async def test_a_repeated_request_is_still_answered_and_brings_nothing_back(store: EmbeddedStore) -> None:
    batch = batch_of("a", retry=retry_key())
    first = await store.append(batch)
    given = batch_of(Given("b", log_id="own"))
    await store.append(given)
    await store.erase(Erasure("shop"))
    assert await store.append(batch) == first
    assert (await store.append(given)).duplicates == 1
    assert await messages(store) == []


# --- Nothing of it stays in the files. ---


async def test_files_keep_no_free_page_and_no_log_of_what_went(tmp_path: Path, store: EmbeddedStore) -> None:
    text = noise()
    for n in range(20):
        await store.append(batch_of(*(doomed(f"{text}{m}") for m in range(5)), f"stays {n}"))
    await store.settle()
    await store.append(batch_of(*(doomed(text) for _ in range(5))))
    await store.erase(Erasure(f"{SECRET}-app"))
    (path,) = (tmp_path / "logs").glob("*.logs")
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0
    with closing(DayFile(path, KEYS).connect()) as connection:
        assert connection.pragma("freelist_count") == 0
    assert len(await messages(store)) == 20


async def test_block_files_go_once_the_reads_are_over_that_began_before(tmp_path: Path, store: EmbeddedStore) -> None:
    await store.append(batch_of(doomed("a"), "stays"))
    await store.settle()
    before = set((tmp_path / "logs").rglob("*.block"))
    leases: Leases = store._leases
    lease = leases.take()
    erasing = asyncio.create_task(store.erase(Erasure(f"{SECRET}-app")))
    while await messages(store, Query(0, service_name=f"{SECRET}-app")):  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    assert not erasing.done()
    assert before <= set((tmp_path / "logs").rglob("*.block"))
    leases.end(lease)
    assert (await erasing).records == 1
    assert not before & set((tmp_path / "logs").rglob("*.block"))


# --- What stands in the way. ---


@pytest.mark.parametrize(
    ("target", "calls"),
    [
        *(((Merger, "swap"), calls) for calls in range(4)),
        *(((Writer, "swap"), calls) for calls in range(4)),
        ((Writer, "give_back"), 0),
        ((Writer, "empty_log"), 0),
    ],
)
async def test_whatever_interrupts_it_the_next_try_does_the_rest(
    tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch, target: tuple[type, str], calls: int
) -> None:
    async with embedded(tmp_path / "logs", clock) as store:
        for n in range(3):
            await store.append(batch_of(doomed(f"{n}"), f"stays {n}"))
            await store.append(batch_of(doomed(f"{n} alone")))
            await store.settle()
            clock.advance(DAY_NS)
        await store.append(batch_of(doomed("fresh"), "stays fresh"))
        with monkeypatch.context() as patched:
            _fail_after(patched, *target, calls)
            with pytest.raises(StoreBusy):
                await store.erase(Erasure(f"{SECRET}-app"))
        left = await count(store, Query(0, service_name=f"{SECRET}-app"))
        assert sorted(await messages(store, Query(0, service_name="shop"))) == [
            "stays 0",
            "stays 1",
            "stays 2",
            "stays fresh",
        ]
    async with embedded(tmp_path / "logs", clock) as store:
        assert (await store.erase(Erasure(f"{SECRET}-app"))).records == left
        assert sorted(await messages(store)) == ["stays 0", "stays 1", "stays 2", "stays fresh"]
    assert_gone(tmp_path / "logs")


def _fail_after(patched: pytest.MonkeyPatch, owner: type, name: str, calls: int) -> None:
    real, made = getattr(owner, name), 0

    def failing(*arguments: object) -> object:
        nonlocal made
        made += 1
        if made > calls:
            raise StoreBusy("interrupted")
        return real(*arguments)

    patched.setattr(owner, name, failing)


async def test_a_damaged_chunk_is_left_and_counted_and_keeps_no_other_from_going(
    tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "logs"
    async with embedded(folder, clock) as store:
        for n in range(4):
            await store.append(batch_of(doomed(str(n)), f"stays {n}"))
    (path,) = folder.glob("*.logs")
    with closing(DayFile(path, KEYS).connect(writable=True)) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM chunks ORDER BY id")]
        connection.execute("UPDATE chunks SET body = zeroblob(40) WHERE id = ?", (ids[1],))
        connection.execute("UPDATE chunks SET head = zeroblob(40) WHERE id = ?", (ids[2],))
    monkeypatch.setattr(embedded_store, "TAIL_LOAD_BYTES_MAX", 0)
    store = await open_embedded(folder, clock)
    try:
        assert await store.erase(Erasure(f"{SECRET}-app")) == (2, 4)
        # A range that holds all of a chunk needs not open it.
        assert (await store.erase(Erasure(since_ns=NOON, until_ns=NOON + 1))).unreadable == 0
        assert await messages(store) == []
    finally:
        await store.close()


async def test_what_an_interrupted_erasure_left_in_free_pages_leaves_with_the_next_try(
    tmp_path: Path, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await store.append(batch_of(*(doomed(noise()) for _ in range(5))))
    with monkeypatch.context() as patched:
        _fail_after(patched, Writer, "give_back", 0)
        with pytest.raises(StoreBusy):
            await store.erase(Erasure(f"{SECRET}-app"))
    (path,) = (tmp_path / "logs").glob("*.logs")
    with closing(DayFile(path, KEYS).connect()) as connection:
        assert connection.pragma("freelist_count") > 0
    assert await store.erase(Erasure(f"{SECRET}-app")) == (0, 0)
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0
    with closing(DayFile(path, KEYS).connect()) as connection:
        assert connection.pragma("freelist_count") == 0


async def test_a_read_that_goes_on_keeps_the_erasure_from_ending(
    tmp_path: Path, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_erasure, "_LOG_TRIES", 2)
    monkeypatch.setattr(embedded_erasure, "_LOG_PAUSE_SECONDS", 0)
    await store.append(batch_of(doomed("a"), "stays"))
    (path,) = (tmp_path / "logs").glob("*.logs")
    with closing(DayFile(path, KEYS).connect()) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM chunks").fetchall()
        with pytest.raises(StoreBusy, match="The records are gone"):
            await store.erase(Erasure(f"{SECRET}-app"))
        assert await messages(store) == ["stays"]
    assert await store.erase(Erasure(f"{SECRET}-app")) == (0, 0)
    assert_gone(tmp_path / "logs")


async def test_the_frames_that_are_looked_at_hold_what_was_stored(tmp_path: Path, store: EmbeddedStore) -> None:
    """The searches above would prove nothing otherwise."""
    await store.append(batch_of(doomed("a")))
    assert sum(SECRET.encode() in frame for frame in frames(tmp_path / "logs")) == 2
    await store.settle()
    assert sum(SECRET.encode() in frame for frame in frames(tmp_path / "logs")) == 3
