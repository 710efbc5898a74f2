"""Merging where something fails: the helper process, the disk, a chunk. Nothing is lost, doubled or left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from simple_log_service.core.errors import StoreBusy, StoreFull, StoreUnavailable
from simple_log_service.core.limits import DAY_NS, HOUR_NS
from simple_log_service.core.query import Query
from simple_log_service.core.search import Search
from simple_log_service.core.stats import StatsQuery
from simple_log_service.stores.embedded import helper_messages
from simple_log_service.stores.embedded import store as embedded_store
from simple_log_service.stores.embedded.blocks import BlockWriter
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.helper_process import HelperProcess
from simple_log_service.stores.embedded.store import EmbeddedStore
from support.disk import Disk, disk
from support.in_process_helper import InProcessHelper
from support.merging import (
    assert_no_orphans,
    eventually,
    files,
    fill,
    numbers,
)
from support.stores import (
    KEYS,
    NOON,
    Given,
    SetClock,
    batch_of,
    embedded,
    messages,
    open_embedded,
    read_all,
    read_from_files_only,
)

pytestmark = pytest.mark.asyncio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture(autouse=True)
def from_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    read_from_files_only(monkeypatch)


def helper_pid(store: EmbeddedStore) -> int:
    process = store._helper._process
    assert process is not None
    return process.pid


def environ_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def kill_helper(store: EmbeddedStore) -> None:
    process = store._helper._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()


# --- The helper process ends. ---


@asynccontextmanager
async def merge_under_way(store: EmbeddedStore) -> AsyncIterator[asyncio.Task[None]]:
    """A merge that the helper, stopped, has begun or is about to."""
    await store._helper._ensure_started()
    os.kill(helper_pid(store), signal.SIGSTOP)
    settling = asyncio.create_task(store.settle())
    await eventually(lambda: bool(store._helper._waiting))
    yield settling


@pytest.mark.parametrize("after_seconds", [None, 0.0, 0.01, 0.05, 0.1, 0.2])
async def test_a_helper_killed_in_a_merge_loses_nothing(folder: Path, after_seconds: float | None) -> None:
    async with embedded(folder) as store:
        await fill(store, range(20))
        before = await read_all(store)
        async with merge_under_way(store) as settling:
            if after_seconds is not None:
                os.kill(helper_pid(store), signal.SIGCONT)
                await asyncio.wait([settling], timeout=after_seconds)
            if store._helper._process is not None:
                await kill_helper(store)
            if after_seconds is None:
                with pytest.raises(StoreBusy):
                    await settling
            else:
                await asyncio.gather(settling, return_exceptions=True)
                assert settling.exception() is None or isinstance(settling.exception(), StoreBusy)
        assert await read_all(store) == before
        await store.settle()
        assert store.unmerged_records == 0
        assert await read_all(store) == before
        assert_no_orphans(folder)
    async with embedded(folder) as store:
        assert_no_orphans(folder)
        assert await read_all(store) == before


async def test_a_search_whose_helper_is_killed_is_answered_by_the_next_one(folder: Path) -> None:
    asked = Query(since_ns=0, search=Search(q="refused"))
    counting = StatsQuery(asked, "service_name", HOUR_NS)
    async with embedded(folder) as store:
        await fill(store, range(5))
        before, counts = await store.recent(asked), await store.stats(counting)
        for _ in range(3):
            os.kill(helper_pid(store), signal.SIGSTOP)
            waiting = [asyncio.create_task(store.recent(asked)), asyncio.create_task(store.stats(counting))]
            await asyncio.sleep(0)
            await kill_helper(store)
            assert await asyncio.gather(*waiting) == [before, counts]
        assert len(store._leases) == 0


async def test_a_helper_that_is_stuck_is_ended_and_the_next_search_answered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Query(since_ns=0, search=Search(q="refused"))
    async with embedded(folder) as store:
        await fill(store, range(5))
        before = await store.recent(asked)
        os.kill(helper_pid(store), signal.SIGSTOP)
        with monkeypatch.context() as patched:
            patched.setattr(embedded_store, "HELPER_SECONDS_MAX", 0.2)
            with pytest.raises(StoreBusy):
                await store.recent(asked)
        assert await store.recent(asked) == before
        assert len(store._leases) == 0


async def test_searches_past_their_bound_are_turned_away_and_other_reads_are_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_store, "SEARCHES_WAITING_MAX", 2)
    asked = Query(since_ns=0, search=Search(q="refused"))
    async with embedded(folder) as store:
        await fill(store, range(5))
        before = await store.recent(asked)
        os.kill(helper_pid(store), signal.SIGSTOP)
        waiting = [asyncio.create_task(store.recent(asked)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(StoreBusy, match="searches"):
            await store.recent(asked)
        assert len((await store.recent(Query(since_ns=0))).logs) > 0
        os.kill(helper_pid(store), signal.SIGCONT)
        assert await asyncio.gather(*waiting) == [before, before]


async def test_the_helper_is_given_no_setting_and_no_credentials(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLE_LOG_SERVICE_ENCRYPTION_KEY", "the-key-itself")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    async with embedded(folder) as store:
        await store.append(batch_of("a"))
        await store.settle()
        environ = environ_of(helper_pid(store))
    assert b"PATH=" in environ
    assert b"SIMPLE_LOG_SERVICE" not in environ
    assert b"AWS_" not in environ


@pytest.mark.parametrize("turns", range(6))
async def test_a_store_closed_just_when_its_keeper_wakes_is_closed(folder: Path, turns: int) -> None:
    store = await open_embedded(folder, lambda: NOON)
    await asyncio.sleep(0)
    store._keeper._wake.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    closed, _ = await asyncio.wait([asyncio.create_task(store.close())], timeout=20)
    assert closed


async def test_the_helper_ends_with_the_store(folder: Path) -> None:
    async with embedded(folder) as store:
        await store.append(batch_of("a"))
        await store.settle()
        pid = helper_pid(store)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_store_closed_in_the_midst_of_a_merge_loses_nothing(folder: Path) -> None:
    async with embedded(folder) as store:
        await fill(store, range(20))
        before = await read_all(store)
    store = await open_embedded(folder, SetClock())
    settling = asyncio.create_task(store.settle())
    await eventually(lambda: bool(store._helper._waiting))
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)
    await store.close()
    async with embedded(folder) as store:
        assert_no_orphans(folder)
        assert await read_all(store) == before
        await store.settle()
        assert await read_all(store) == before


# --- Keys. ---


async def test_the_helper_is_handed_data_keys_and_never_the_key_that_wraps_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    write = HelperProcess._write

    def remember(helper: HelperProcess, number: int, request: helper_messages.Request) -> None:
        sent.append(helper_messages.pack(request))
        write(helper, number, request)

    monkeypatch.setattr(HelperProcess, "_write", remember)
    async with embedded(folder) as store:
        await fill(store, range(3))
        await store.settle()
        assert await messages(store, Query(since_ns=0, search=Search(q="refused")))
    decoder = msgspec.msgpack.Decoder(helper_messages.Request)
    handed = [request for request in map(decoder.decode, sent) if isinstance(request, helper_messages.Keys)]
    unwrapped = [pair for keys in handed for pair in keys.unwrapped]
    (path,) = files(folder, "*.logs")
    with closing(apsw.Connection(os.fspath(path))) as connection:
        wrapped = {bytes(row[0]) for row in connection.execute("SELECT wrapped FROM data_keys")}
        wrapped |= {bytes(row[0]) for row in connection.execute("SELECT hash_key FROM header")}
    assert {pair[0] for pair in unwrapped} == wrapped
    assert all(len(pair[1]) == 32 for pair in unwrapped)
    assert not any(b"k" * 32 in message for message in sent), "the key-encryption key"
    assert not any(KEYS.kek_id.encode() in message for message in sent)


# --- What cannot be merged. ---


async def test_a_damaged_chunk_stays_and_is_told_and_the_others_are_merged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with embedded(folder) as store:
        for number in range(9):
            await store.append(batch_of(*(Given(f"{number}-{n}", NOON + number * HOUR_NS + n) for n in range(3))))
    (path,) = files(folder, "*.logs")
    damaged = numbers(path, "SELECT id FROM chunks ORDER BY id")[4]
    with closing(apsw.Connection(os.fspath(path))) as connection:
        connection.execute("UPDATE chunks SET body = CAST(substr(body, 2) AS BLOB) WHERE id = ?", (damaged,))
    for _ in range(2):
        async with embedded(folder) as store:
            await store.settle()
            assert store.unmerged_records == 3
            assert numbers(path, "SELECT id FROM chunks") == [damaged]
            for number in range(9):
                asked = Query(since_ns=NOON + number * HOUR_NS, until_ns=NOON + number * HOUR_NS + 10)
                if number == 4:
                    with pytest.raises(StoreUnavailable):
                        await messages(store, asked)
                else:
                    assert await messages(store, asked) == [f"{number}-{n}" for n in (2, 1, 0)]
            assert store.failure is None
            assert_no_orphans(folder)


async def test_a_damaged_block_is_told_and_hides_no_other(folder: Path) -> None:
    async with embedded(folder) as store:
        for day in range(4):
            await store.append(batch_of(Given(f"day {day}", NOON - day * DAY_NS)))
        await store.settle()
    blocks = files(folder, "*.block")
    assert len(blocks) == 4
    blocks[1].write_bytes(blocks[1].read_bytes()[:-1] + b"\0")
    async with embedded(folder) as store:
        told = 0
        for day in range(4):
            try:
                found = await messages(store, Query(since_ns=NOON - day * DAY_NS, until_ns=NOON - day * DAY_NS + 1))
                assert found == [f"day {day}"]
            except StoreUnavailable:
                told += 1
        assert told == 1
        with pytest.raises(StoreUnavailable):
            await messages(store)
        await store.append(batch_of(Given("goes on", NOON + DAY_NS)))
        assert await messages(store, Query(since_ns=NOON + DAY_NS)) == ["goes on"]


# --- A disk that is full, or fails. ---


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper that a test can make fail from inside."""
    monkeypatch.setattr(embedded_store, "HelperProcess", InProcessHelper)


@pytest.mark.usefixtures("in_process")
async def test_a_disk_that_is_full_for_blocks_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = BlockWriter.write
    async with embedded(folder) as store:
        await fill(store, range(6))
        before = await read_all(store)
        written: list[object] = []

        def full_after_one(writer: BlockWriter, *given: Any) -> Any:
            if written:
                writer._path.write_bytes(b"part of a block")
                raise OSError(28, "No space left on device")
            written.append(write(writer, *given))
            return written[0]

        with monkeypatch.context() as patched:
            patched.setattr(BlockWriter, "write", full_after_one)
            with pytest.raises(StoreFull):
                await store.settle()
        assert files(folder, "*.block") == []
        assert await read_all(store) == before
        await store.append(batch_of(Given("goes on", NOON + DAY_NS)))
        await store.settle()
        assert store.unmerged_records == 0
        assert (await read_all(store))[1:] == before
        assert_no_orphans(folder)


@pytest.mark.usefixtures("in_process")
async def test_a_disk_that_is_full_for_the_files_loses_nothing(folder: Path) -> None:
    """Full from any write of the swap on."""
    outcomes = set()
    for writes_left in [*range(12), 1000]:
        place = folder / str(writes_left)
        place.parent.mkdir(exist_ok=True)
        with disk() as made:
            store = await open_embedded(place, SetClock(), vfs=made.name)
            await fill(store, range(4))
            before = await read_all(store)
            made.writes_left = writes_left
            try:
                await store.settle()
                outcomes.add("merged")
            except StoreFull:
                outcomes.add("full")
                assert store.unmerged_records == 4 * 120
                assert files(place, "*.block") == []
            assert await read_all(store) == before
            made.writes_left = None
            await store.settle()
            assert store.unmerged_records == 0
            assert await read_all(store) == before
            await store.close()
        async with embedded(place) as reopened:
            assert_no_orphans(place)
            assert await read_all(reopened) == before
    assert outcomes == {"merged", "full"}


def fail_in_swap(store: EmbeddedStore, made: Disk, kind: str, suffix: str) -> None:
    """Let the disk fail once the first day's blocks are written and are to become part of its file."""
    swap = store._committer._writer.swap

    def fail_from_now_on(file: DayFile, *given: Any) -> None:
        if file.path.stem == "2025-06-15":
            made.failing, made.failing_suffix = kind, suffix
        swap(file, *given)

    store._committer._writer.swap = fail_from_now_on  # type: ignore[assignment, method-assign]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("kind", ["sync", "write"])
@pytest.mark.parametrize(
    ("days", "suffix"),
    [(0, ".logs-wal"), (1, ".logs-wal"), (1, ".logs")],
    ids=["the log", "a past day's log", "a past day's file"],
)
async def test_a_disk_that_fails_during_a_swap_loses_nothing(folder: Path, days: int, suffix: str, kind: str) -> None:
    """Whatever of the swap is on disk afterwards, the blocks that it names are, too."""
    clock = SetClock()
    with disk() as made:
        store = await open_embedded(folder, clock, vfs=made.name)
        await fill(store, range(4))
        if days:
            clock.advance(days * DAY_NS)
            await store.append(batch_of(Given("next day", clock())))
        before = await read_all(store)
        fail_in_swap(store, made, kind, f"2025-06-15{suffix}")
        with pytest.raises(StoreUnavailable):
            await store.settle()
        assert store.failure is not None
        made.failing = ""
        await store.close()
    async with embedded(folder, clock) as reopened:
        assert await read_all(reopened) == before
        assert_no_orphans(folder)
