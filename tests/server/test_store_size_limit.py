"""Where the store takes more than it may, its oldest records go, and no others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simple_log_service.core.limits import DAY_NS, HOUR_NS
from simple_log_service.stores.embedded import store as embedded_store
from simple_log_service.stores.embedded.store import EmbeddedStore
from support.in_process_helper import InProcessHelper
from support.keeping import Days, keeping, remove, removed, stored
from support.merging import files
from support.stores import NOON, Given, batch_of, read_from_files_only

pytestmark = pytest.mark.asyncio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> Days:
    made = Days()
    monkeypatch.setattr(embedded_store, "monotonic", made.monotonic)
    read_from_files_only(monkeypatch)
    return made


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_store, "HelperProcess", InProcessHelper)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def fill_blocks(store: EmbeddedStore, number: int) -> None:
    """Blocks of about 60 KB, each an hour after the one before."""
    for block in range(number):
        lines = (Given(f"{block} {n} {os.urandom(250).hex()}", NOON + block * HOUR_NS + n) for n in range(200))
        await store.append(batch_of(*lines))
        await store.settle()


async def test_the_oldest_records_go_where_the_store_takes_too_much(folder: Path, days: Days) -> None:
    async with keeping(folder, days) as (store, _):
        await fill_blocks(store, 7)
    blocks = sorted(path.stat().st_size for path in files(folder, "*.block"))
    bytes_max = size_of(folder) - blocks[0] // 2
    async with keeping(folder, days, bytes_max=bytes_max) as (store, metrics):
        await remove(store)
        left = [int(text.split()[0]) for text in await stored(store)]
        assert store.size_bytes <= bytes_max
        assert 0 < min(left) <= 3, "no more than it takes"
        assert sorted(set(left)) == list(range(min(left), 7)), "the oldest, and nothing between"
        assert len(left) == 200 * len(set(left))
        assert removed(metrics, "size") == 200 * min(left)
        assert removed(metrics, "expired") == 0
        await remove(store)
        assert len(await stored(store)) == len(left), "one removal is enough"
        await store.append(batch_of(Given("goes on", NOON + DAY_NS)))
        assert store.failure is None


async def test_a_store_within_its_bound_keeps_everything(folder: Path, days: Days) -> None:
    async with keeping(folder, days, bytes_max=10_000_000) as (store, metrics):
        await fill_blocks(store, 3)
        await remove(store)
        assert len(await stored(store)) == 600
        assert removed(metrics, "size") == 0


async def test_the_oldest_go_first_whatever_file_they_are_in(folder: Path, days: Days) -> None:
    async with keeping(folder, days) as (store, _):
        for day in range(3):
            noise = [Given(f"{day} {n} {os.urandom(250).hex()}", days.wall() + n) for n in range(200)]
            late = [Given(f"late {n} {os.urandom(250).hex()}", NOON - 5 * DAY_NS + n) for n in range(200)]
            await store.append(batch_of(*noise, *(late if day == 2 else [])))
            await store.settle()
            days.go_on(DAY_NS)
    async with keeping(folder, days, bytes_max=size_of(folder) - 1000) as (store, metrics):
        await remove(store)
        left = {text.split()[0] for text in await stored(store)}
        assert left == {"0", "1", "2"}
        assert removed(metrics, "size") == 200
