"""What the contract suite runs over. Tests that take ``store`` run once for each store,
those that take ``home`` once for each home.

A test that a home is not asked, for a difference that the contract names, is left out (``http_differences``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from contract.aws_home import running_aws_home
from contract.http_differences import difference_of
from contract.http_home import AnyHome, running_home
from simple_log_service.core.ports import LogStore
from simple_log_service.stores.embedded import store as embedded_store
from simple_log_service.stores.embedded import tail
from simple_log_service.stores.embedded.store import EmbeddedStore
from simple_log_service.stores.memory import MemoryStore
from support.dynamodb_tables import dynamodb_store
from support.in_process_helper import InProcessHelper
from support.stores import SetClock, merging, open_embedded

STORES = ("memory", "embedded", "embedded without a tail", "embedded and merged", "dynamodb")


@pytest.fixture
def clock() -> SetClock:
    """The store's clock."""
    return SetClock()


@pytest_asyncio.fixture(params=STORES)
async def store(
    request: pytest.FixtureRequest, clock: SetClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LogStore]:
    """An empty store.

    The third keeps but one commit in memory, so that it reads from its files; the fourth merges after each commit.
    """
    if request.param == "dynamodb":
        endpoint_url = request.getfixturevalue("dynamodb_url")
        async with dynamodb_store(endpoint_url, clock) as opened_table:
            yield opened_table
        return
    monkeypatch.setattr(embedded_store, "HelperProcess", InProcessHelper)
    if request.param in ("embedded without a tail", "embedded and merged"):
        monkeypatch.setattr(embedded_store, "TAIL_BYTES_MAX", 0)
        monkeypatch.setattr(tail, "_RUN_RECORDS_MIN", 1)
    opened = MemoryStore(clock) if request.param == "memory" else await open_embedded(tmp_path / "logs", clock)
    if isinstance(opened, EmbeddedStore) and request.param == "embedded and merged":
        monkeypatch.setattr(opened, "append", merging(opened))
    yield opened
    await opened.close()


HOMES = ("embedded", "aws")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a home is not asked, and let the AWS home's tests of a module run beside the embedded home's."""
    left_out = []
    for item in items:
        home = item.callspec.params.get("home_kind") if hasattr(item, "callspec") else None
        if home is None:
            continue
        if difference_of(home, item.nodeid) is not None:
            left_out.append(item)
        group = item.get_closest_marker("xdist_group")
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(f"{group.args[0]} {home}"), append=False)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="module", params=HOMES)
def home_kind(request: pytest.FixtureRequest) -> str:
    """Which of the homes is asked."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="module")
def home(home_kind: str, request: pytest.FixtureRequest) -> Iterator[AnyHome]:
    """A home for all tests of a module."""
    with opened(home_kind, request) as running:
        yield running


@pytest.fixture
def home_of_its_own(home_kind: str, request: pytest.FixtureRequest) -> Iterator[AnyHome]:
    """A home for one test."""
    with opened(home_kind, request) as running:
        yield running


def opened(home_kind: str, request: pytest.FixtureRequest) -> AbstractContextManager[AnyHome]:
    """An empty home of that kind."""
    return running_home() if home_kind == "embedded" else running_aws_home(request.getfixturevalue("dynamodb_url"))
