"""The stores that the contract suite runs over: each test takes ``store`` and so runs once for each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from simple_log_service.core.ports import LogStore
from simple_log_service.stores.memory import MemoryStore
from support.stores import SetClock, open_embedded

STORES = ("memory", "embedded")


@pytest.fixture
def clock() -> SetClock:
    """The store's clock."""
    return SetClock()


@pytest_asyncio.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, clock: SetClock, tmp_path: Path) -> AsyncIterator[LogStore]:
    """An empty store."""
    opened: LogStore
    opened = MemoryStore(clock) if request.param == "memory" else await open_embedded(tmp_path / "logs", clock)
    yield opened
    await opened.close()
