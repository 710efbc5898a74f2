"""A disk that does not keep what it is given: writers are told, readers go on, and nobody asks the disk twice.

A failed fsync must not be repeated: the kernel may have dropped the pages that it could not write, and a second fsync
would then report success for what is lost.
"""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from simple_log_service.api.errors import error_response
from simple_log_service.core.errors import StoreFull, StoreUnavailable
from simple_log_service.core.receipts import Receipt
from simple_log_service.stores.embedded import store as embedded_store
from simple_log_service.stores.embedded import tail, writer
from simple_log_service.stores.embedded.store import EmbeddedStore
from support.disk import disk
from support.stores import NOON, Given, SetClock, batch_of, embedded, messages, open_embedded, retry_key

pytestmark = pytest.mark.asyncio


async def refused(store: EmbeddedStore, message: str) -> None:
    """An append must end in what callers see as 503 with Retry-After."""
    with pytest.raises(StoreUnavailable) as caught:
        await asyncio.wait_for(store.append(batch_of(message)), 20)
    response = error_response(caught.value)
    assert response.status == 503
    assert "Retry-After" in dict(response.headers)


async def fill(store: EmbeddedStore, records: int = 20) -> list[str]:
    """Acknowledged records, newest first, each in a commit of its own."""
    for n in range(records):
        await store.append(batch_of(Given(f"stored {n}", NOON + n), retry=retry_key(f"stored {n}")))
    return [f"stored {n}" for n in range(records - 1, -1, -1)]


@pytest.mark.parametrize("kind", ["sync", "write"])
@pytest.mark.parametrize("has_tail", [True, False], ids=["read from memory", "read from files"])
async def test_a_failed_commit_makes_the_store_read_only_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, has_tail: bool
) -> None:
    if not has_tail:
        monkeypatch.setattr(embedded_store, "TAIL_BYTES_MAX", 0)
        monkeypatch.setattr(tail, "_RUN_RECORDS_MIN", 1)
    with disk() as failing:
        store = await open_embedded(tmp_path / "logs", SetClock(), vfs=failing.name)
        stored = await fill(store)
        assert await messages(store) == stored
        failing.failing, failing.failing_suffix = kind, "-wal"
        await refused(store, "never acknowledged")
        failing.failing = ""
        events = len(failing.events)
        for n in range(5):
            await refused(store, f"too late {n}")
        assert isinstance(store.failure, StoreUnavailable)
        assert await messages(store) == stored
        await store.close()
        assert failing.events[events:] == [], "a store that failed touches the disk no more"
    async with embedded(tmp_path / "logs") as reopened:
        found = await messages(reopened)
        assert [text for text in found if text != "never acknowledged"] == stored
        for n in range(20):
            await reopened.append(batch_of(Given(f"stored {n}", NOON + n), retry=retry_key(f"stored {n}")))
        assert await messages(reopened) == found
        await reopened.append(batch_of(Given("goes on", NOON + 99)))
        assert (await messages(reopened))[0] == "goes on"


async def test_a_failed_fsync_is_not_repeated(tmp_path: Path) -> None:
    with disk() as failing:
        store = await open_embedded(tmp_path / "logs", SetClock(), vfs=failing.name)
        await fill(store)
        syncs = failing.count("sync")
        failing.failing = "sync"
        await refused(store, "a")
        assert failing.count("sync") == syncs + 1
        await refused(store, "b")
        await asyncio.gather(*(refused(store, str(n)) for n in range(10)))
        await messages(store)
        await store.close()
        assert failing.count("sync") == syncs + 1


async def test_everybody_in_the_failed_group_and_behind_it_is_told(tmp_path: Path) -> None:
    with disk() as failing:
        store = await open_embedded(tmp_path / "logs", SetClock(), vfs=failing.name)
        stored = await fill(store)
        failing.hold()
        group = [asyncio.create_task(store.append(batch_of(f"group {n}"))) for n in range(20)]
        assert await asyncio.to_thread(failing.waiting.wait, 10)
        queued = [asyncio.create_task(store.append(batch_of(f"queued {n}"))) for n in range(20)]
        repeats = [asyncio.create_task(store.append(batch_of("repeat", retry=retry_key()))) for _ in range(5)]
        await asyncio.sleep(0)
        failing.failing = "sync"
        failing.release()
        answers = await asyncio.wait_for(asyncio.gather(*group, *queued, *repeats, return_exceptions=True), 20)
        assert [type(answer) for answer in answers] == [StoreUnavailable] * 45
        assert await messages(store) == stored
        await store.close()


async def test_whoever_repeats_with_the_key_after_the_restart_is_stored_once(tmp_path: Path) -> None:
    """After a 503 nobody knows whether the request is stored; a repeat with its key is safe either way."""
    batches = [batch_of(f"unknown {n}", retry=retry_key(f"{n}")) for n in range(10)]
    with disk() as failing:
        store = await open_embedded(tmp_path / "logs", SetClock(), vfs=failing.name)
        stored = await fill(store)
        failing.failing = "sync"
        answers = await asyncio.gather(*map(store.append, batches), return_exceptions=True)
        assert [type(answer) for answer in answers] == [StoreUnavailable] * 10
        await store.close()
    async with embedded(tmp_path / "logs") as reopened:
        for _ in range(2):
            receipts = await asyncio.gather(*map(reopened.append, batches))
            assert [receipt.accepted for receipt in receipts] == [1] * 10
        assert sorted(await messages(reopened)) == sorted([*stored, *(f"unknown {n}" for n in range(10))])


@pytest.mark.parametrize("suffix", [".logs", ".logs-wal"])
async def test_a_fold_of_the_log_that_fails_ends_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """It happens after its group was answered: those records are in the log and stay there."""
    monkeypatch.setattr(writer, "WAL_BYTES_MAX", 64 * 1024)
    with disk() as failing:
        store = await open_embedded(tmp_path / "logs", SetClock(), vfs=failing.name)
        stored = await fill(store, 3)
        answered: list[str] = []
        failing.failing, failing.failing_suffix = ("sync", suffix) if suffix == ".logs" else ("", "")
        for n in range(100):
            try:
                receipt = await store.append(batch_of(Given(os.urandom(4000).hex(), NOON + 100 + n)))
            except StoreUnavailable:
                break
            assert isinstance(receipt, Receipt)
            answered.append(str(n))
            if suffix == ".logs-wal" and n == 20:
                failing.failing, failing.failing_suffix = "sync", suffix
        assert store.failure is not None
        events = len(failing.events)
        await refused(store, "too late")
        assert len(await messages(store)) == len(stored) + len(answered)
        await store.close()
        assert failing.events[events:] == []
    async with embedded(tmp_path / "logs") as reopened:
        found = await messages(reopened)
        assert len(found) in {len(stored) + len(answered), len(stored) + len(answered) + 1}
        assert found[-3:] == stored


@pytest.mark.parametrize("suffix", [".new", ".new-journal"])
async def test_a_days_file_that_cannot_be_synced_is_never_written_to(tmp_path: Path, suffix: str) -> None:
    clock = SetClock()
    with disk() as failing:
        store = await open_embedded(tmp_path / "logs", clock, vfs=failing.name)
        stored = await fill(store)
        clock.advance(86_400 * 10**9)
        failing.failing, failing.failing_suffix = "sync", suffix
        await refused(store, "next day")
        failing.failing = ""
        await refused(store, "still the next day")
        assert await messages(store) == stored
        await store.close()
    assert len(list((tmp_path / "logs").glob("*.logs"))) == 1
    async with embedded(tmp_path / "logs", clock) as reopened:
        await reopened.append(batch_of(Given("after", NOON + 99)))
        assert await messages(reopened) == ["after", *stored]


@pytest.mark.parametrize("target", ["file", "folder"])
async def test_a_days_file_counts_once_it_and_its_folder_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    clock = SetClock()
    store = await open_embedded(tmp_path / "logs", clock)
    stored = await fill(store)
    clock.advance(86_400 * 10**9)
    real_fsync = os.fsync

    def failing_fsync(descriptor: int) -> None:
        is_folder = Path(f"/proc/self/fd/{descriptor}").readlink().name == "logs"
        if is_folder == (target == "folder"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing_fsync)
    await refused(store, "next day")
    monkeypatch.setattr(os, "fsync", real_fsync)
    await refused(store, "still the next day")
    assert await messages(store) == stored
    await store.close()
    async with embedded(tmp_path / "logs", clock) as reopened:
        await reopened.append(batch_of(Given("after", NOON + 99)))
        assert await messages(reopened) == ["after", *stored]


async def test_a_disk_too_full_to_sync_a_days_file_is_only_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SetClock()
    async with embedded(tmp_path / "logs", clock) as store:
        stored = await fill(store)
        clock.advance(86_400 * 10**9)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(StoreFull):
                await store.append(batch_of("next day"))
        await store.append(batch_of(Given("room again", NOON + 99)))
        assert await messages(store) == ["room again", *stored]
