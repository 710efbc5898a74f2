"""The stores that the contract suite runs over: each test takes ``store`` and so runs once for each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from simple_log_service.core.ports import LogStore
from simple_log_service.stores.embedded import store as embedded_store
from simple_log_service.stores.embedded import tail
from simple_log_service.stores.memory import MemoryStore
from support.dynamodb_tables import dynamodb_store
from support.stores import SetClock, open_embedded

STORES = ("memory", "embedded", "embedded without a tail", "dynamodb")


@pytest.fixture
def clock() -> SetClock:
    """The store's clock."""
    return SetClock()


@pytest_asyncio.fixture(params=STORES)
async def store(
    request: pytest.FixtureRequest, clock: SetClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LogStore]:
    """An empty store. The third keeps but one commit in memory, so that it reads from its files."""
    if request.param == "dynamodb":
        endpoint_url = request.getfixturevalue("dynamodb_url")
        async with dynamodb_store(endpoint_url, clock) as opened_table:
            yield opened_table
        return
    if request.param == "embedded without a tail":
        monkeypatch.setattr(embedded_store, "TAIL_BYTES_MAX", 0)
        monkeypatch.setattr(tail, "_RUN_RECORDS_MIN", 1)
    opened: LogStore
    opened = MemoryStore(clock) if request.param == "memory" else await open_embedded(tmp_path / "logs", clock)
    yield opened
    await opened.close()
