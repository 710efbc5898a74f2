"""Merging, by the real helper process: every read is the same before, meanwhile and after."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from itertools import count
from pathlib import Path

import apsw
import msgspec
import pytest

from simple_log_service.core.errors import StoreUnavailable
from simple_log_service.core.limits import DAY_NS, HOUR_NS
from simple_log_service.core.query import Query
from simple_log_service.core.search import Search
from simple_log_service.stores.embedded import keeper
from simple_log_service.stores.embedded.day_file import FORMAT_VERSION, DayFile
from support.merging import (
    answers,
    assert_no_orphans,
    counts_asked,
    eventually,
    files,
    fill,
    mixed,
    numbers,
    queries,
)
from support.stores import (
    KEYS,
    NOON,
    Given,
    SetClock,
    batch_of,
    embedded,
    messages,
    read_all,
    read_from_files_only,
    retry_key,
)

pytestmark = pytest.mark.asyncio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture(autouse=True)
def from_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    read_from_files_only(monkeypatch)


# --- The same answers. ---


async def test_every_read_is_the_same_before_and_after_a_merge_and_a_restart(folder: Path) -> None:
    async with embedded(folder) as store:
        await fill(store, range(25))
        before = await answers(store)
        assert len(before[0]) == 25 * 120  # type: ignore[arg-type]
        assert [bool(each) for each in before[:19]].count(False) == 3
        await store.settle()
        assert store.unmerged_records == 0
        assert await answers(store) == before
    async with embedded(folder) as store:
        assert await answers(store) == before
        assert await store.append(batch_of(*mixed(3), retry=retry_key("3"))) is not None
        assert (await store.append(batch_of(Given("again", service_name="shop", log_id="fresh")))).accepted == 1
        assert len(await messages(store)) == 25 * 120 + 1


async def test_every_read_is_the_same_with_some_merged_some_fresh_and_blocks_merged_again(folder: Path) -> None:
    plain_folder, merged_folder = folder.with_name("plain"), folder.with_name("merged")
    async with embedded(plain_folder) as plain, embedded(merged_folder) as merged:
        for first in range(0, 48, 4):
            batches = range(first, first + 4)
            await fill(plain, batches)
            await fill(merged, batches)
            if first < 44:
                await merged.settle()
        assert plain.unmerged_records == 48 * 120
        assert 0 < merged.unmerged_records <= 4 * 120
        assert len(files(merged_folder, "*.block")) < 12 * 4, "small blocks are merged again"
        expected, found = await answers(plain), await answers(merged)
    for query, expects, finds in zip([*queries(), *counts_asked()], expected, found, strict=True):
        assert without_generated_ids(finds) == without_generated_ids(expects), query


def without_generated_ids(answer: object) -> object:
    """Two stores generate other ids."""
    if not isinstance(answer, list):
        return answer
    return [{**each, "log_id": each["log_id"] if each["log_id"].startswith("own-") else ""} for each in answer]


@pytest.mark.parametrize("asked", [0, 4, 8, 9, 11, 12], ids=str)
async def test_pages_begun_before_a_merge_and_ended_after_it_hold_each_record_once(folder: Path, asked: int) -> None:
    query = msgspec.structs.replace(queries()[asked], limit=10)
    async with embedded(folder) as store:
        await fill(store, range(12))
        before = await read_all(store, query)
        assert len(before) > 30
        merges = count()

        async def merge_now_and_then() -> None:
            if next(merges) % 2 == 0:
                await store.settle()
            else:
                await store.append(batch_of(Given("later", NOON + DAY_NS, service_name="later")))

        assert await read_all(store, query, between=merge_now_and_then) == before


async def test_reads_that_run_beside_merges_are_whole(folder: Path) -> None:
    async with embedded(folder) as store:
        await fill(store, range(10))
        until_ns = NOON + HOUR_NS
        asked = [msgspec.structs.replace(queries()[place], until_ns=until_ns) for place in (0, 4, 8, 11)]
        before = [await read_all(store, query) for query in asked]
        done = asyncio.Event()

        async def read(place: int) -> int:
            rounds = 0
            while not done.is_set():
                assert await read_all(store, asked[place]) == before[place]
                rounds += 1
            return rounds

        readers = [asyncio.create_task(read(place)) for place in range(4)]
        for number in range(20):
            # Nothing of these is in the range that is read, but the eighth small block is merged with the others.
            await store.append(batch_of(Given("later", until_ns + number)))
            await store.settle()
        done.set()
        assert all(await asyncio.gather(*readers))


async def test_big_messages_come_back_whole(folder: Path) -> None:
    big = [os.urandom(100_000).hex() for _ in range(20)] + ["y" * 250_000, ""]
    async with embedded(folder) as store:
        for place, message in enumerate(big):
            await store.append(batch_of(Given(message, NOON + place)))
        await store.settle()
        assert store.unmerged_records == 0
        assert await messages(store, Query(since_ns=0, limit=3)) == big[::-1]


async def test_late_records_lie_in_blocks_of_their_own_day(folder: Path) -> None:
    async with embedded(folder) as store:
        await fill(store, range(10))
        await store.settle()
    (path,) = files(folder, "*.logs")
    oldest = numbers(path, "SELECT time_min FROM blocks ORDER BY id")
    newest = numbers(path, "SELECT time_max FROM blocks ORDER BY id")
    assert len(oldest) > 1
    assert [time // DAY_NS for time in oldest] == [time // DAY_NS for time in newest]


async def test_files_of_past_days_are_merged_too(folder: Path) -> None:
    clock = SetClock()
    async with embedded(folder, clock) as store:
        for day in range(3):
            for number in range(4):
                given = (Given(f"{day}-{number}-{n}", clock() + n) for n in range(50))
                await store.append(batch_of(*given))
            clock.advance(DAY_NS)
        before = await read_all(store)
        await store.settle()
        assert store.unmerged_records == 0
        assert await read_all(store) == before
    assert [path.parent.name for path in files(folder, "*.block")] == ["2025-06-15", "2025-06-16", "2025-06-17"]
    assert not any(path.stat().st_size for path in files(folder, "*-wal"))


async def test_merging_after_restarts_finds_the_keys_of_all_who_wrote(folder: Path) -> None:
    clock = SetClock()
    expected: list[str] = []
    for number in range(6):
        async with embedded(folder, clock) as store:
            await store.append(batch_of(f"record {number}"))
            expected.insert(0, f"record {number}")
        clock.advance(DAY_NS // 2)
    async with embedded(folder, clock) as store:
        searched = Query(since_ns=0, search=Search(q="record"))
        assert sorted(await messages(store, searched)) == sorted(expected)
        await store.settle()
        assert store.unmerged_records == 0
        assert sorted(await messages(store, searched)) == sorted(expected)


# --- Space. ---


async def test_merging_gives_space_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(keeper, "MERGE_QUIET_SECONDS", 0.05)
    monkeypatch.setattr(keeper, "MERGE_QUIET_RECORDS_MIN", 1)
    async with embedded(folder) as store:
        for number in range(60):
            lines = (Given(f"{number} {place} {os.urandom(200).hex()}", NOON + place) for place in range(100))
            await store.append(batch_of(*lines))
        (path,) = files(folder, "*.logs")
        await eventually(lambda: not store.unmerged_records and numbers(path, "PRAGMA freelist_count") == [0])
        assert numbers(path, "SELECT count(*) FROM chunks") == [0]
        blocks_bytes = sum(block.stat().st_size for block in files(folder, "*.block"))
        assert blocks_bytes > 60 * 100 * 200
    assert path.stat().st_size < 200_000
    assert_no_orphans(folder)


async def test_replaced_blocks_stay_until_their_last_reader_has_ended(folder: Path) -> None:
    async with embedded(folder) as store:
        for number in range(7):
            await store.append(batch_of(Given(f"{number}", NOON + number)))
            await store.settle()
        replaced = files(folder, "*.block")
        assert len(replaced) == 7
        lease = store._leases.take()
        await store.append(batch_of(Given("last", NOON + 7)))
        await store.settle()
        assert set(replaced) < set(files(folder, "*.block"))
        store._leases.end(lease)
        assert not set(replaced) & set(files(folder, "*.block"))
        assert_no_orphans(folder)
        assert len(await messages(store)) == 8


async def test_blocks_that_no_file_names_are_removed_at_the_next_start(folder: Path) -> None:
    async with embedded(folder) as store:
        await fill(store, range(3))
        await store.settle()
        before = await read_all(store)
    (named, *_) = files(folder, "*.block")
    for number in (77, 99_999_999):
        (named.parent / f"{number:08}.block").write_bytes(named.read_bytes())
    async with embedded(folder) as store:
        assert_no_orphans(folder)
        assert await read_all(store) == before


# --- Version 1. ---


def make_version_1(path: Path) -> None:
    """The file as the version before wrote it: no blocks, and chunks counted from 1."""
    with closing(apsw.Connection(os.fspath(path))) as connection:
        connection.execute("DROP TABLE blocks; PRAGMA user_version = 1")
        assert connection.pragma("integrity_check") == "ok"


async def test_files_of_version_1_are_brought_up_and_merged(folder: Path) -> None:
    clock = SetClock()
    async with embedded(folder, clock) as store:
        await fill(store, range(4))
        clock.advance(DAY_NS)
        await store.append(batch_of(Given("next day", clock())))
        before = await read_all(store)
    for path in files(folder, "*.logs"):
        make_version_1(path)
    async with embedded(folder, clock) as store:
        assert await read_all(store) == before
        await store.settle()
        assert store.unmerged_records == 0
        assert await read_all(store) == before
    for path in files(folder, "*.logs"):
        assert numbers(path, "PRAGMA user_version") == [FORMAT_VERSION]
    async with embedded(folder, clock) as store:
        assert await read_all(store) == before


async def test_another_programs_file_of_version_1_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "2025-06-14.logs"
    with closing(apsw.Connection(os.fspath(path))) as connection:
        connection.execute("CREATE TABLE t (x); PRAGMA user_version = 1")
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match=r"2025-06-14\.logs has format version 1"):
        DayFile(path, KEYS)
    assert path.read_bytes() == before
