"""Power cuts at any moment: what was acknowledged is on disk, whatever became of everything that was not synced.

The disk remembers each write and sync. From a prefix of those, with any part of the unsynced writes lost or torn, the
files are put together that a machine might wake up with; a store opened on them must have every acknowledged record.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simple_log_service.core.batch import Batch
from simple_log_service.stores.embedded import writer
from simple_log_service.stores.embedded.store import EmbeddedStore
from support.disk import Disk, after_power_cut, disk, files_of, put_files
from support.stores import NOON, Given, SetClock, batch_of, embedded, messages, open_embedded, retry_key

pytestmark = pytest.mark.asyncio

CUTS = 60
WRITERS = 4


def batch_with(text: str) -> Batch:
    """Its record; some have an id of their own, some a key, some both."""
    name, place, _ = text.split("-")
    log_id = f"id-{name}-{place}" if int(place) % 3 == 0 else None
    retry = retry_key(f"key-{name}-{place}") if int(place) % 2 else None
    return batch_of(Given(text, NOON + int(place), log_id=log_id), retry=retry)


async def work(folder: Path, seed: int, made: Disk) -> tuple[dict[str, bytes], list[tuple[int, str]]]:
    """Write from several sides; gives the files at the start, and for each acknowledged text the events before it."""
    chance = random.Random(seed)
    acknowledged: list[tuple[int, str]] = []
    store = await open_embedded(folder, SetClock(), vfs=made.name)
    try:
        await store.append(batch_of("first"))
        before = files_of(folder)
        made.events.clear()

        async def write(name: int) -> None:
            for place in range(25):
                size = chance.choice([10, 10, 500, 20_000])
                text = f"{name}-{place}-{chance.randbytes(size).hex()}"
                await store.append(batch_with(text))
                acknowledged.append((len(made.events), text))
                if place % 8 == 0:
                    await asyncio.sleep(0.001)

        await asyncio.gather(*map(write, range(WRITERS)))
        if chance.randrange(2):
            await store.close()
    finally:
        await store.close()
    return before, acknowledged


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_was_acknowledged_is_there_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(writer, "WAL_BYTES_MAX", 128 * 1024)  # so that the log is folded in and begun anew often
    chance = random.Random(seed)
    with disk() as made:
        before, acknowledged = await work(tmp_path / "logs", seed, made)
        events = list(made.events)
    assert len(acknowledged) == 25 * WRITERS
    assert {event.name.rpartition(".")[2] for event in events if event.kind == "sync"} == {"logs", "logs-wal"}
    cuts = [*chance.sample(range(len(events) + 1), CUTS), len(events)]
    for number, cut in enumerate(cuts):
        promised = {text for place, text in acknowledged if place <= cut}
        folder = tmp_path / f"cut-{number}"
        put_files(folder, after_power_cut(before, events[:cut], chance))
        async with embedded(folder) as recovered:
            found = await messages(recovered)
            assert len(found) == len(set(found))
            assert promised | {"first"} <= set(found)
            assert set(found) <= {text for _, text in acknowledged} | {"first"}
            await repeat_everything(recovered, [text for _, text in acknowledged])
            assert sorted(await messages(recovered)) == sorted(["first", *(text for _, text in acknowledged)])


async def repeat_everything(store: EmbeddedStore, texts: list[str]) -> None:
    """Callers send again what they can send safely, and what is not there."""
    found = set(await messages(store))
    for text in texts:
        batch = batch_with(text)
        if text not in found or batch.retry is not None or batch.log_ids is not None:
            await store.append(batch)


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """The calls that make new files and folders durable, in order, each with the name that it is about."""
    calls: list[tuple[str, str]] = []
    real_fsync, real_rename, real_mkdir = os.fsync, Path.rename, Path.mkdir

    def fsync(descriptor: int) -> None:
        calls.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        real_fsync(descriptor)

    def rename(path: Path, target: Path) -> Path:
        calls.append(("rename", target.name))
        return real_rename(path, target)

    def mkdir(path: Path, mode: int = 0o777) -> None:
        calls.append(("mkdir", path.name))
        real_mkdir(path, mode)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        patched.setattr(Path, "rename", rename)
        patched.setattr(Path, "mkdir", mkdir)
        yield calls


async def test_a_new_folder_and_a_new_days_file_are_durable_before_the_first_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with recorded(monkeypatch) as calls:
        store = await open_embedded(home / "logs", SetClock())
        await store.append(batch_of("a"))
        seen = list(calls)
        await store.close()
    assert seen == [
        ("mkdir", "logs"),
        ("fsync", "home"),
        ("fsync", "2025-06-15.new"),
        ("rename", "2025-06-15.logs"),
        ("fsync", "logs"),
    ]
