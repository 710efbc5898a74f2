"""A disk that is full from any write on: nothing acknowledged is lost, nothing else is stored, and all is well again
as soon as there is room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simple_log_service.api.errors import error_response
from simple_log_service.core.errors import StoreFull
from simple_log_service.core.limits import DAY_NS
from simple_log_service.stores.embedded import writer
from simple_log_service.stores.embedded.store import EmbeddedStore
from support.disk import Disk, disk
from support.stores import NOON, Given, SetClock, batch_of, embedded, messages, open_embedded, retry_key

pytestmark = pytest.mark.asyncio

WRITES_MAX = 60
"""About what it takes to make a day's file and commit a few groups."""


async def append(store: EmbeddedStore, text: str, stored: list[str]) -> bool:
    """Append a record and note it in ``stored``; false where there was no room for it."""
    try:
        await store.append(batch_of(Given(text, NOON + len(stored)), retry=retry_key(text)))
    except StoreFull as full:
        response = error_response(full)
        assert response.status == 507
        assert "Retry-After" in dict(response.headers)
        return False
    stored.insert(0, text)
    return True


async def exhaust(folder: Path, writes_left: int, clock: SetClock, step_ns: int, size: int) -> bool:
    """Let the disk be full after some writes, at a new day or not; whether a record was refused."""
    stored: list[str] = []
    with disk() as made:
        store = await open_embedded(folder, clock, vfs=made.name)
        for n in range(3):
            assert await append(store, f"before {n}", stored)
        clock.advance(step_ns)
        made.writes_left = writes_left
        was_full = [not await append(store, f"{n}-{os.urandom(size).hex()}", stored) for n in range(4)]
        assert await messages(store) == stored
        made.writes_left = None
        await go_on(store, stored, made)
        await store.close()
    async with embedded(folder, clock) as reopened:
        assert await messages(reopened) == stored
    return any(was_full)


async def go_on(store: EmbeddedStore, stored: list[str], made: Disk) -> None:
    assert store.failure is None
    for n in range(3):
        assert await append(store, f"after {n}", stored), "there is room again"
    assert await messages(store) == stored
    assert made.count("sync") > 0


@pytest.mark.parametrize("step_ns", [0, DAY_NS], ids=["the same day", "a new day"])
async def test_full_from_any_write_on(tmp_path: Path, step_ns: int) -> None:
    counts = [*range(WRITES_MAX), 10_000]
    refused = [await exhaust(tmp_path / f"logs-{n}", n, SetClock(), step_ns, 3000) for n in counts]
    assert refused[0]
    assert not refused[-1]


async def test_full_while_the_log_is_folded_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "WAL_BYTES_MAX", 20_000)
    refused = [
        await exhaust(tmp_path / f"logs-{writes}", writes, SetClock(), 0, 9000) for writes in range(0, WRITES_MAX, 2)
    ]
    assert refused[0]


async def test_a_full_disk_at_the_very_first_record(tmp_path: Path) -> None:
    for writes in range(0, WRITES_MAX, 3):
        folder = tmp_path / f"logs-{writes}"
        stored: list[str] = []
        with disk() as made:
            store = await open_embedded(folder, SetClock(), vfs=made.name)
            made.writes_left = writes
            await append(store, "first", stored)
            made.writes_left = None
            await go_on(store, stored, made)
            await store.close()
        async with embedded(folder) as reopened:
            assert await messages(reopened) == stored
