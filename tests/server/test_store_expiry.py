"""What has expired is removed, the oldest goes where the store takes too much, and a bad clock removes nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from simple_log_service.core.limits import DAY_NS, HOUR_NS, SECOND_NS
from simple_log_service.core.query import Page, Query
from simple_log_service.core.retention import Kept, Retention
from simple_log_service.core.search import Search
from simple_log_service.core.stats import StatsQuery
from simple_log_service.stores.embedded import keeper
from simple_log_service.stores.embedded import store as embedded_store
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.reader import Reader
from simple_log_service.stores.embedded.store import EmbeddedStore
from support.in_process_helper import InProcessHelper
from support.keeping import Days, keeping, names, remove, removed, stored
from support.merging import eventually, files
from support.stores import NOON, Given, batch_of, read_from_files_only, retry_key

pytestmark = pytest.mark.asyncio

MINUTE_NS = 60 * SECOND_NS
HOURS_OF_TRUST = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> Days:
    made = Days()
    monkeypatch.setattr(embedded_store, "monotonic", made.monotonic)
    read_from_files_only(monkeypatch)
    return made


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_store, "HelperProcess", InProcessHelper)


async def fill_days(store: EmbeddedStore, days: Days, number: int) -> None:
    """Ten records each noon, merged; the clock stands at the noon after."""
    for day in range(number):
        await store.append(batch_of(*(Given(f"day {day} {n}", days.wall() + n) for n in range(10))))
        await store.settle()
        days.go_on(DAY_NS)


def of_days(*numbers: int) -> list[str]:
    return [f"day {day} {n}" for day in numbers for n in range(9, -1, -1)]


# --- What has expired goes, and nothing else. ---


@pytest.mark.usefixtures("in_process")
async def test_files_go_as_a_whole_once_their_newest_record_has_expired(folder: Path, days: Days) -> None:
    async with keeping(folder, days, Retention(3)) as (store, metrics):
        await fill_days(store, days, 5)
        await remove(store)
        # It is noon of the 20th: the 15th and the 16th have expired, the 17th has not quite.
        assert await stored(store) == of_days(4, 3, 2)
        assert removed(metrics, "expired") == 20
        kept = {"17", "18", "19"}
        assert {name[8:10] for name in names(folder)} == kept
        assert files(folder, "*2025-06-1[56]*") == []
        days.go_on(MINUTE_NS)
        await remove(store)
        assert await stored(store) == of_days(4, 3)
        assert removed(metrics, "expired") == 30
    async with keeping(folder, days, Retention(3)) as (store, _):
        assert await stored(store) == of_days(4, 3)


@pytest.mark.usefixtures("in_process")
async def test_nothing_goes_before_it_has_expired(folder: Path, days: Days) -> None:
    async with keeping(folder, days, Retention(30)) as (store, metrics):
        await fill_days(store, days, 4)
        before = names(folder)
        days.go_on(26 * DAY_NS)
        await remove(store)
        assert await stored(store) == of_days(3, 2, 1, 0)
        assert names(folder) == before
        assert removed(metrics, "expired") == 0


@pytest.mark.usefixtures("in_process")
async def test_blocks_go_out_of_a_file_that_holds_newer_records(folder: Path, days: Days) -> None:
    async with keeping(folder, days, Retention(4)) as (store, metrics):
        late = [Given(f"late {n}", NOON - 3 * DAY_NS + n) for n in range(6)]
        await store.append(batch_of(*late, Given("of today", NOON)))
        await store.settle()
        before = names(folder)
        days.go_on(DAY_NS + MINUTE_NS)
        await remove(store)
        assert await stored(store) == ["of today"]
        assert removed(metrics, "expired") == 6
        assert len(before - names(folder)) == 1
        await remove(store)
        assert removed(metrics, "expired") == 6


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    "rules", [{"by_service": {"short": 1}}, {"by_type": {"access": 1}}, {"by_service": {"shop": 9}, "days": 1}]
)
async def test_blocks_are_written_anew_where_some_services_or_types_expire_sooner(
    folder: Path, days: Days, rules: dict[str, object]
) -> None:
    retention = Retention(**{"days": 9, **rules})  # type: ignore[arg-type]
    async with keeping(folder, days, retention) as (store, _):
        short = [Given(f"short {n}", NOON + n, "short", "access") for n in range(300)]
        lasting = [Given(f"lasting {n}", NOON + n, "shop", "audit") for n in range(300)]
        await store.append(batch_of(*short, *lasting))
        await store.settle()
        before = names(folder)
        days.go_on(2 * DAY_NS)
        await remove(store)
        assert await stored(store) == [f"lasting {n}" for n in range(299, -1, -1)]
        (replaced,) = before - names(folder)
        assert replaced.endswith(".block")
        after = names(folder)
        await remove(store)
        assert names(folder) == after, "what was written anew is left alone"
        counted = await store.stats(StatsQuery(Query(since_ns=0), "service_name"))
        assert [bucket.counts for bucket in counted.buckets] == [{"shop": 300}]


@pytest.mark.usefixtures("in_process")
async def test_a_merge_leaves_out_what_has_expired(folder: Path, days: Days) -> None:
    async with keeping(folder, days, Retention(9, by_service={"short": 1})) as (store, _):
        await store.append(batch_of(Given("goes", NOON, "short"), Given("stays", NOON)))
        days.go_on(2 * DAY_NS)
        await store.settle()
        assert await stored(store) == ["stays"]


@pytest.mark.usefixtures("in_process")
async def test_nothing_expired_is_ever_returned(folder: Path, days: Days) -> None:
    """Between two rounds of upkeep, too: a reader asks for what is kept at that moment."""
    retention = Retention(3, by_service={"short": 1})
    async with keeping(folder, days, retention) as (store, _):
        written: list[tuple[str, int, str]] = []
        for step in range(30):
            name = "short" if step % 2 else "shop"
            written.append((f"{step}", days.wall(), name))
            await store.append(batch_of(Given(f"{step}", days.wall(), name)))
            if step % 3 == 0:
                await store.settle()
            if step % 4 == 0:
                await remove(store)
            days.go_on(5 * HOUR_NS)
            now_ns = days.wall()
            asked = Query(since_ns=now_ns - 3 * DAY_NS, kept=Kept(retention, now_ns))
            lasting_ns = {"short": DAY_NS, "shop": 3 * DAY_NS}
            kept = [text for text, time_ns, service in written if time_ns >= now_ns - lasting_ns[service]]
            assert await stored(store, asked) == kept[::-1]


@pytest.mark.usefixtures("in_process")
async def test_a_file_that_is_being_written_may_expire_and_writing_goes_on(folder: Path, days: Days) -> None:
    async with keeping(folder, days, Retention(2)) as (store, _):
        await store.append(batch_of("old"))
        days.go_on(40 * DAY_NS)
        await remove(store)
        assert names(folder) == set()
        assert await stored(store) == []
        await store.append(batch_of(Given("new", days.wall())))
        assert await stored(store) == ["new"]
        await store.settle()
        assert await stored(store) == ["new"]
        assert store.failure is None
    async with keeping(folder, days, Retention(2)) as (store, _):
        assert await stored(store) == ["new"]


async def test_the_keeper_removes_by_itself(folder: Path, days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(keeper, "EXPIRY_SECONDS", 0.0)
    async with keeping(folder, days, Retention(3)) as (store, _):
        await fill_days(store, days, 2)
        days.go_on(10 * DAY_NS)
        await eventually(lambda: not names(folder))
        assert await stored(store) == []


@pytest.mark.usefixtures("in_process")
async def test_upkeep_asks_nothing_of_a_file_that_went(
    folder: Path, days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where so much comes that a file goes before anybody could give back what merging freed in it."""
    async with keeping(folder, days, Retention(2)) as (store, _):
        await fill_days(store, days, 2)
        days.go_on(5 * DAY_NS)
        await store.append(batch_of(Given("fresh", days.wall())))
        await remove(store)
        monkeypatch.setattr(keeper, "MERGE_QUIET_SECONDS", -1.0)
        await store._keeper._look_after()
        assert await stored(store) == ["fresh"]


# --- A clock that is wrong removes nothing. ---


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("jump_ns", [365 * DAY_NS, -365 * DAY_NS, 40 * DAY_NS])
async def test_a_clock_that_jumps_removes_nothing(folder: Path, days: Days, jump_ns: int) -> None:
    async with keeping(folder, days, Retention(30, by_service={"shop": 20})) as (store, metrics):
        await fill_days(store, days, 3)
        await store.append(batch_of(Given("fresh", days.wall())))
        await remove(store)
        days.wall.advance(jump_ns)
        for _ in range(50):
            await remove(store)
            days.go_on(MINUTE_NS)
        await store.settle()
        days.wall.advance(-jump_ns)
        for _ in range(50):
            await remove(store)
            days.go_on(MINUTE_NS)
        assert await stored(store) == ["fresh", *of_days(2, 1, 0)]
        assert removed(metrics, "expired") == 0


@pytest.mark.usefixtures("in_process")
async def test_nothing_is_removed_in_the_first_hour_of_a_process(folder: Path, days: Days) -> None:
    async with keeping(folder, days, Retention(3)) as (store, _):
        await fill_days(store, days, 2)
    days.wall.advance(365 * DAY_NS)
    async with keeping(folder, days, Retention(3)) as (store, _):
        for _ in range(59):
            await remove(store)
            days.go_on(MINUTE_NS)
        await store.append(batch_of("merged with them"))
        await store.settle()
        assert len(await stored(store)) == 21
        days.go_on(HOURS_OF_TRUST * HOUR_NS)
        await remove(store)
        assert await stored(store) == ["merged with them"] or await stored(store) == []


# --- Retries outlive records. ---


@pytest.mark.usefixtures("in_process")
async def test_used_keys_of_the_last_day_are_honoured_after_their_records_have_expired(
    folder: Path, days: Days
) -> None:
    async with keeping(folder, days, Retention(1)) as (store, metrics):
        days.go_on(12 * HOUR_NS - MINUTE_NS)  # Just before midnight.
        batch = batch_of(Given("a", days.wall() - 23 * HOUR_NS), retry=retry_key())
        first = await store.append(batch)
        await store.settle()
        days.go_on(2 * HOUR_NS)
        await remove(store)
        assert await stored(store) == []
        for hours in (0, 10, 11):
            days.go_on(hours * HOUR_NS)
            await remove(store)
            assert await store.append(batch) == first
            assert await stored(store) == []
        assert removed(metrics, "expired") == 1
        days.go_on(3 * HOUR_NS)
        await remove(store)
        assert not [name for name in names(folder) if name.startswith("2025-06-15")]


# --- Whoever reads meanwhile ends well. ---


@pytest.mark.usefixtures("in_process")
async def test_a_read_under_way_while_its_files_go_ends_well(
    folder: Path, days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun, read = threading.Event(), threading.Event(), Reader.recent

    def held(self: Reader, files: Sequence[DayFile], query: Query, deadline: float) -> Page:
        begun.set()
        assert gate.wait(30)
        return read(self, files, query, deadline)

    async with keeping(folder, days, Retention(3)) as (store, _):
        await fill_days(store, days, 3)
        monkeypatch.setattr(Reader, "recent", held)
        reading = asyncio.create_task(store.recent(Query(since_ns=0, limit=1000)))
        assert await asyncio.to_thread(begun.wait, 10)
        days.go_on(10 * DAY_NS)
        await remove(store)
        assert len({name for name in names(folder) if name.endswith(".logs")}) == 3
        gate.set()
        assert len((await reading).logs) == 30
        assert names(folder) == set()
        assert await stored(store) == []


@pytest.mark.usefixtures("in_process")
async def test_the_helpers_search_under_way_while_its_files_go_ends_well(
    folder: Path, days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told of a file's end once nobody reads it, so that it closes nothing that is being read."""
    gate, begun, read = threading.Event(), threading.Event(), Reader._chunk_runs

    def held(self: Reader, *given: object) -> object:
        for run in read(self, *given):  # type: ignore[arg-type]
            begun.set()
            assert gate.wait(30)
            yield run

    asked = Query(since_ns=0, limit=1000, search=Search(q="day"))
    async with keeping(folder, days, Retention(3)) as (store, _):
        for day in range(2):
            await store.append(batch_of(*(Given(f"day {day} {n}", days.wall() + n) for n in range(10))))
            days.go_on(DAY_NS)
        monkeypatch.setattr(Reader, "_chunk_runs", held)
        reading = asyncio.create_task(store.recent(asked))
        assert await asyncio.to_thread(begun.wait, 10)
        days.go_on(10 * DAY_NS)
        await remove(store)
        gate.set()
        assert len((await reading).logs) == 20
        assert names(folder) == set()
        assert (await store.recent(asked)).logs == []


async def test_the_helper_process_goes_on_after_files_went(folder: Path, days: Days) -> None:
    asked = Query(since_ns=0, limit=1000, search=Search(q="day"))
    async with keeping(folder, days, Retention(3)) as (store, _):
        await fill_days(store, days, 3)
        assert len((await store.recent(asked)).logs) == 30
        process = store._helper._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        searching = asyncio.create_task(store.recent(asked))
        await asyncio.sleep(0)
        days.go_on(10 * DAY_NS)
        await remove(store)
        os.kill(process.pid, signal.SIGCONT)
        assert len((await searching).logs) == 30
        assert names(folder) == set()
        assert (await store.recent(asked)).logs == []
        await store.append(batch_of(Given("day anew", days.wall())))
        await store.settle()
        assert len((await store.recent(asked)).logs) == 1
        assert store._helper._process is process, "it never ended"
