"""The requests that ``slog erase`` leaves: carried out once, or again after an interruption, and audited each time."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from simple_log_service.core.erasure import Erasure
from simple_log_service.core.errors import StoreFull
from simple_log_service.server import erasures as erasures_module
from simple_log_service.server.audit import append_line
from simple_log_service.server.erasure_requests import (
    Counted,
    CountRequest,
    Erased,
    EraseRequest,
    Erasing,
    PutOff,
    Refused,
    RequestFolder,
)
from simple_log_service.server.erasures import Erasures, erasures_on_request
from simple_log_service.stores.embedded import store as embedded_store
from simple_log_service.stores.embedded.store import EmbeddedStore
from simple_log_service.stores.embedded.writer import Writer
from simple_log_service.stores.memory import MemoryStore
from support.in_process_helper import InProcessHelper
from support.stores import Given, SetClock, batch_of, embedded, messages

pytestmark = pytest.mark.asyncio

SHOP = Erasure("shop")


@pytest_asyncio.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedStore]:
    monkeypatch.setattr(embedded_store, "HelperProcess", InProcessHelper)
    async with embedded(tmp_path / "logs") as opened:
        await opened.append(batch_of("a", "b", Given("c", service_name="other")))
        yield opened


def erase_request(erasure: Erasure = SHOP) -> EraseRequest:
    return EraseRequest(erasure, 2, "ann", 1000, "2026-03-01T08:00:00Z", "typed")


def audit(folder: Path) -> list[dict[str, Any]]:
    path = folder / "audit.ndjson"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def events(folder: Path) -> list[str]:
    return [line["event"] for line in audit(folder)]


async def test_a_request_is_answered_and_removed_once_it_is_carried_out(tmp_path: Path, store: EmbeddedStore) -> None:
    erasures, requests = Erasures(tmp_path, store), RequestFolder(tmp_path)
    counting = requests.leave(CountRequest(SHOP))
    assert await erasures.work_off()
    counted = requests.answer_to(counting)
    assert counted == Counted(2, store.arrival_last)
    await store.append(batch_of("later"))

    number = requests.leave(erase_request(msgspec.structs.replace(SHOP, arrival_last=counted.arrival_last)))
    assert await erasures.work_off()
    assert requests.answer_to(number) == Erased(2, 0)
    assert sorted(await messages(store)) == ["c", "later"]
    assert requests.waiting() == []
    begun, ended = audit(tmp_path)
    assert begun == {
        "time": begun["time"],
        "event": "erasure begun",
        "request": number,
        "user": "ann",
        "user_id": 1000,
        "asked_at": "2026-03-01T08:00:00Z",
        "confirmed": "typed",
        "service_name": "shop",
        "arrival_last": counted.arrival_last,
        "records_counted": 2,
    }
    later = {"time": ended["time"], "event": "erasure ended", "records_erased": 2, "records_unreadable": 0}
    assert ended == begun | later


async def test_nothing_is_erased_before_the_audit_file_says_so(
    tmp_path: Path, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    erasures, requests = Erasures(tmp_path, store), RequestFolder(tmp_path)
    number = requests.leave(erase_request())
    (tmp_path / "audit.ndjson").mkdir()
    assert not await erasures.work_off()
    assert isinstance(requests.answer_to(number), PutOff)
    assert len(await messages(store)) == 3
    (tmp_path / "audit.ndjson").rmdir()
    assert await erasures.work_off()
    assert requests.answer_to(number) == Erased(2, 0)
    assert events(tmp_path) == ["erasure begun", "erasure ended"]


@pytest.mark.parametrize("step", ["swap", "give_back", "empty_log"])
async def test_an_erasure_that_is_put_off_is_carried_out_later_and_counted_whole(
    tmp_path: Path, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise StoreFull("The disk is full.")

    erasures, requests = Erasures(tmp_path, store), RequestFolder(tmp_path)
    number = requests.leave(erase_request())
    with monkeypatch.context() as patched:
        patched.setattr(Writer, step, full)
        assert not await erasures.work_off()
    assert requests.answer_to(number) == PutOff("The disk is full.")
    assert events(tmp_path) == ["erasure begun"]
    assert await erasures.work_off()
    assert requests.answer_to(number) == Erased(2, 0)
    assert events(tmp_path) == ["erasure begun", "erasure ended"]
    assert audit(tmp_path)[1]["records_erased"] == 2
    assert await messages(store) == ["c"]


async def test_what_another_process_began_is_begun_again(
    tmp_path: Path, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = RequestFolder(tmp_path)
    number = requests.leave(erase_request())
    with monkeypatch.context() as patched:
        patched.setattr(EmbeddedStore, "erase", _never)
        dying = asyncio.create_task(Erasures(tmp_path, store).work_off())
        while not events(tmp_path):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        dying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dying
    assert requests.waiting() == [f"{number}.request"]
    assert await Erasures(tmp_path, store).work_off()
    assert events(tmp_path) == ["erasure begun", "erasure begun", "erasure ended"]
    assert requests.answer_to(number) == Erased(2, 0)


async def _never(*_: object) -> None:
    await asyncio.Event().wait()


async def test_somebody_who_waits_is_told_how_far_it_is(
    tmp_path: Path, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasures_module, "ERASURE_POLL_SECONDS", 0)
    requests = RequestFolder(tmp_path)
    number = requests.leave(erase_request())
    told = asyncio.Event()

    async def erase(self: EmbeddedStore, erasure: Erasure, on_progress: Any) -> tuple[int, int]:
        on_progress(7)
        await told.wait()
        return await real(self, erasure, on_progress)

    real = EmbeddedStore.erase
    monkeypatch.setattr(EmbeddedStore, "erase", erase)
    working = asyncio.create_task(Erasures(tmp_path, store).work_off())
    while requests.answer_to(number) != Erasing(7):  # noqa: ASYNC110 - the answer is a file
        await asyncio.sleep(0)
    told.set()
    await working
    assert isinstance(requests.answer_to(number), Erased)


async def test_records_in_a_table_are_refused(tmp_path: Path) -> None:
    requests = RequestFolder(tmp_path)
    async with erasures_on_request(tmp_path, MemoryStore(SetClock())):
        number = requests.leave(erase_request())
        while not isinstance(answer := requests.answer_to(number), Refused):  # noqa: ASYNC110 - the answer is a file
            await asyncio.sleep(0.01)
    assert "DynamoDB table" in answer.reason
    assert events(tmp_path) == ["erasure refused"]


async def test_a_folder_that_cannot_be_read_ends_nothing(
    tmp_path: Path, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasures_module, "ERASURE_PAUSE_SECONDS", 0)
    monkeypatch.setattr(erasures_module, "ERASURE_POLL_SECONDS", 0)
    requests = RequestFolder(tmp_path)
    async with erasures_on_request(tmp_path, store):
        (tmp_path / "erasures").rename(tmp_path / "elsewhere")
        for _ in range(20):
            await asyncio.sleep(0)
        (tmp_path / "elsewhere").rename(tmp_path / "erasures")
        number = requests.leave(CountRequest(SHOP))
        while requests.answer_to(number) is None:  # noqa: ASYNC110 - the answer is a file
            await asyncio.sleep(0.01)
    assert requests.answer_to(number) == Counted(2, store.arrival_last)


async def test_the_audit_file_takes_a_line_after_one_that_was_cut(tmp_path: Path) -> None:
    class Line(msgspec.Struct):
        number: int

    path = tmp_path / "audit.ndjson"
    append_line(tmp_path, Line(1))
    path.write_bytes(path.read_bytes() + b'{"numb')
    path.chmod(0o644)
    append_line(tmp_path, Line(2))
    assert path.read_text().splitlines() == ['{"number":1}', '{"numb', '{"number":2}']
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_the_audit_file_is_never_a_link_to_somewhere_else(tmp_path: Path) -> None:
    (tmp_path / "audit.ndjson").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        append_line(tmp_path, Erasing(1))
    assert not (tmp_path / "elsewhere").exists()


async def test_requests_and_answers_are_private_and_forgotten(tmp_path: Path) -> None:
    requests = RequestFolder(tmp_path)
    number = requests.leave(erase_request())
    requests.answer(number, Erasing(1))
    folder = tmp_path / "erasures"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    requests.clear_answers()
    assert requests.answer_to(number) == Erasing(1)
    requests.forget(number)
    assert list(folder.iterdir()) == []
