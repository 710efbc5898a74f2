"""What bounds the embedded store from inside: locks held by others, reads that wait, and what it keeps in memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from simple_log_service.core.errors import StoreBusy
from simple_log_service.core.query import Page, Query
from simple_log_service.core.receipts import Rejection
from simple_log_service.stores.embedded import day_file, tail
from simple_log_service.stores.embedded import reader as reader_module
from simple_log_service.stores.embedded import store as store_module
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.reader import Reader
from support.stores import NOON, Given, batch_of, embedded, everything, messages, open_embedded, read_all, retry_key

pytestmark = pytest.mark.asyncio


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Somebody else writes to the day's file meanwhile."""
    (file,) = folder.glob("*.logs")
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


async def test_a_lock_that_another_process_holds_is_said_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_file, "LOCK_MILLISECONDS_MAX", 0)
    async with embedded(tmp_path) as store:
        await store.append(batch_of("before"))
        with locked(tmp_path):
            for _ in range(2):
                with pytest.raises(StoreBusy, match="busy"):
                    await store.append(batch_of("refused", retry=retry_key()))
            assert await messages(store) == ["before"]
        assert store.failure is None
        assert (await store.append(batch_of("after", retry=retry_key(body="other")))).accepted == 1
        assert await messages(store) == ["after", "before"]


async def test_reads_past_the_bound_are_turned_away_and_the_others_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "READS_WAITING_MAX", 3)
    monkeypatch.setattr(tail, "_RUN_RECORDS_MIN", 1)
    monkeypatch.setattr(store_module, "TAIL_BYTES_MAX", 0)
    gate = threading.Event()
    read = Reader.recent

    def held(self: Reader, files: Sequence[DayFile], query: Query, deadline: float) -> Page:
        assert gate.wait(30)
        return read(self, files, query, deadline)

    monkeypatch.setattr(Reader, "recent", held)
    async with embedded(tmp_path) as store:
        for n in range(3):
            await store.append(batch_of(Given(f"{n}", NOON - n)))
        waiting = [asyncio.create_task(store.recent(Query(since_ns=0, until_ns=NOON - 1))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(StoreBusy, match="Too many reads"):
            await store.recent(Query(since_ns=0, until_ns=NOON - 1))
        gate.set()
        assert [len(page.logs) for page in await asyncio.gather(*waiting)] == [1, 1, 1]
        assert len((await store.recent(Query(since_ns=0, until_ns=NOON - 1))).logs) == 1


async def test_opened_chunks_are_kept_up_to_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bytes_max = 200_000
    monkeypatch.setattr(tail, "_RUN_RECORDS_MIN", 1)
    monkeypatch.setattr(reader_module, "CHUNK_CACHE_BYTES_MAX", bytes_max)
    monkeypatch.setattr(store_module, "TAIL_BYTES_MAX", 0)
    async with embedded(tmp_path) as store:
        for chunk in range(20):
            await store.append(batch_of(*(Given("x" * 500, NOON - chunk * 100 - place) for place in range(100))))
        for _ in range(2):
            assert len(await read_all(store, everything(limit=70))) == 2000
            cache = store._reader._chunks
            kept = sum(run.columns.memory_bytes for run, _ in cache._values.values())
            assert 0 < kept == cache._bytes <= bytes_max


async def test_a_receipt_with_ten_thousand_rejections_is_kept_small_and_repeated_as_it_was(tmp_path: Path) -> None:
    reason = "level must be one of many, and is none of them"
    rejected = [Rejection(index, "InvalidField", reason) for index in range(1, 10_000)]
    batch = batch_of("good", rejected=rejected, retry=retry_key())
    async with embedded(tmp_path) as store:
        await store.append(batch_of("makes the file"))
        before = store.size_bytes
        first = await store.append(batch)
        assert len(first.rejected) == 9999
        assert store.size_bytes - before < 100_000
    reopened = await open_embedded(tmp_path, lambda: NOON)
    assert await reopened.append(batch) == first
    await reopened.close()
