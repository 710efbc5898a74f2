"""Stores with limits, and clocks that tests set: what is removed when, and what is left."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from simple_log_service.core.limits import SECOND_NS
from simple_log_service.core.query import Query
from simple_log_service.core.retention import Retention
from simple_log_service.server.metrics import PrometheusMetrics
from simple_log_service.stores.embedded.store import EmbeddedStore, StoreLimits
from support.stores import KEYS, SetClock, messages


class Days:
    """Both clocks, which go on alike unless a test lets the wall clock jump."""

    def __init__(self) -> None:
        self.wall = SetClock()
        self._ahead = 0.0

    def monotonic(self) -> float:
        """What a store has for its monotonic clock."""
        return monotonic() + self._ahead

    def go_on(self, nanoseconds: int) -> None:
        """Let so much time pass."""
        self.wall.advance(nanoseconds)
        self._ahead += nanoseconds / SECOND_NS


@asynccontextmanager
async def keeping(
    folder: Path, days: Days, retention: Retention | None = None, bytes_max: int | None = None
) -> AsyncIterator[tuple[EmbeddedStore, PrometheusMetrics]]:
    """A store with these limits, and its metrics."""
    metrics = PrometheusMetrics()
    limits = StoreLimits(retention or Retention(30), bytes_max)
    store = await EmbeddedStore.open(folder, keys=KEYS, clock=days.wall, metrics=metrics, limits=limits)
    try:
        yield store, metrics
    finally:
        await store.close()


async def remove(store: EmbeddedStore) -> None:
    """What the keeper does every minute."""
    async with store._keeper.resting():
        await store._keeper._expiry.remove()


def removed(metrics: PrometheusMetrics, reason: str) -> int:
    """How many records were removed for a reason, as the metrics say."""
    name = f'slog_records_removed_total{{reason="{reason}"}} '
    lines = metrics.render().decode().splitlines()
    return int(sum(float(line.removeprefix(name)) for line in lines if line.startswith(name)))


def names(folder: Path) -> set[str]:
    """Everything on disk, but for what SQLite makes as it goes."""
    return {
        os.fspath(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm"))
    }


async def stored(store: EmbeddedStore, query: Query | None = None) -> list[str]:
    """The messages in the files, newest first; memory, which readers see but for what is not kept, is emptied."""
    store._tail.drop()
    return await messages(store, query)
