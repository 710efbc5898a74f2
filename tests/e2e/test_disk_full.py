"""A full disk, for real: writers are told 507, readers notice nothing, and writing goes on once there is room."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from e2e.server_process import Answer, ServerProcess
from e2e.small_disk import SmallDisk, small_disk

MIB = 1024 * 1024
WRITERS = 3
REFUSALS_EACH = 5


class Sent(msgspec.Struct):
    """A request, under a key or not, and its last answer's status."""

    message: str
    key: str | None
    status: int = 0

    def send(self, server: ServerProcess) -> Answer:
        record = {"service_name": "full", "log_type": "disk", "message": self.message}
        headers = [("Idempotency-Key", self.key)] if self.key else []
        answer = server.request("POST", "/logs", json.dumps(record).encode(), headers=headers)
        self.status = answer.status
        return answer


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path, 24 * MIB) as mounted:
        yield mounted


def assert_full(answer: Answer) -> None:
    assert answer.status == 507
    assert answer.headers["x-amzn-ErrorType"] == "InsufficientStorageException"
    assert int(answer.headers["Retry-After"]) > 0
    assert json.loads(answer.body) == {"message": "The disk is full; nothing of this request was stored."}


def write_until_full(server: ServerProcess, name: str, sent: list[Sent]) -> None:
    """Write records of many sizes until the disk was full a few times."""
    chance = random.Random(name)
    refusals = 0
    while refusals < REFUSALS_EACH:
        number = len(sent)
        size = chance.choice([10, 1000, 60_000])
        key = f"{name} {number}" if number % 2 else None
        sent.append(Sent(f"{name} {number} {chance.randbytes(size).hex()}", key))
        answer = sent[-1].send(server)
        if answer.status != 201:
            assert_full(answer)
            refusals += 1


def fill_under_load(server: ServerProcess) -> list[Sent]:
    sent: list[list[Sent]] = [[] for _ in range(WRITERS)]
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            write_until_full(server, f"writer-{writer}", sent[writer])
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    return [request for requests in sent for request in requests]


def stored(server: ServerProcess) -> list[str]:
    return sorted(record["message"] for record in server.logs())


def acknowledged(sent: list[Sent]) -> list[str]:
    return sorted(request.message for request in sent if request.status == 201)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_that_fills_up_under_load_loses_nothing_and_recovers_without_a_restart(disk: SmallDisk) -> None:
    with disk.server("--throttle-rate", "0") as server:
        disk.fill("reserve", leave_bytes=14 * MIB)
        sent = fill_under_load(server)
        assert len(acknowledged(sent)) > 50
        assert stored(server) == acknowledged(sent)
        disk.fill()
        assert disk.free_bytes == 0
        # What was merged meanwhile may have left room in the file; it ends, and each refusal is a full disk's.
        for turn in range(3):
            write_until_full(server, f"too late {turn}", sent)
            assert stored(server) == acknowledged(sent)
        assert server.request("GET", "/health").status == 200
        disk.free("reserve")
        pid = server.pid
        for request in sent:
            if request.status == 507 and request.key is not None:
                assert request.send(server).status == 201
                assert request.send(server).status == 201
        sent.append(Sent("room again", None))
        assert sent[-1].send(server).status == 201
        assert stored(server) == acknowledged(sent)
        assert (server.is_running, server.pid) == (True, pid)
        server.kill()
        server.restart()
        assert stored(server) == acknowledged(sent)


def test_a_server_killed_on_a_full_disk_has_everything_once_there_is_room(disk: SmallDisk) -> None:
    with disk.server("--throttle-rate", "0") as server:
        disk.fill("reserve", leave_bytes=4 * MIB)
        sent = fill_under_load(server)
        disk.fill()
        # A small record may still find room in the write-ahead log, where that was just folded in.
        sent += [Sent("late", None)]
        answer = sent[-1].send(server)
        if answer.status != 201:
            assert_full(answer)
        server.kill()
        disk.free("reserve")
        server.restart()
        assert stored(server) == acknowledged(sent)
        sent += [Sent("room again", "room again")]
        assert sent[-1].send(server).status == 201
        assert stored(server) == acknowledged(sent)


@pytest.mark.parametrize("leave_kib", [0, 4, 8, 12, 16, 24, 32, 40, 48, 56, 64, 72, 80, 96])
def test_a_days_file_that_finds_no_room_is_made_once_there_is_some(tmp_path: Path, leave_kib: int) -> None:
    with small_disk(tmp_path, 2 * MIB) as disk, disk.server() as server:
        disk.fill(leave_bytes=leave_kib * 1024)
        sent = [Sent(f"{number}", f"{number}") for number in range(3)]
        for request in sent:
            answer = request.send(server)
            if answer.status != 201:
                assert_full(answer)
        assert stored(server) == acknowledged(sent)
        disk.free()
        for request in sent:
            assert request.send(server).status == 201
        assert stored(server) == ["0", "1", "2"]
        assert server.is_running
        server.kill()
        server.restart()
        assert stored(server) == ["0", "1", "2"]


@pytest.mark.parametrize("leave_kib", [0, 40, 60, 72, 80, 88, 96])
def test_a_server_killed_while_it_found_no_room_for_a_days_file_starts_again(tmp_path: Path, leave_kib: int) -> None:
    with small_disk(tmp_path, 2 * MIB) as disk, disk.server() as server:
        disk.fill(leave_bytes=leave_kib * 1024)
        sent = [Sent(f"{number}", f"{number}") for number in range(3)]
        for request in sent:
            request.send(server)
        before = acknowledged(sent)
        server.kill()
        disk.free()
        server.restart()
        assert stored(server) == before
        for request in sent:
            assert request.send(server).status == 201
        assert stored(server) == ["0", "1", "2"]
