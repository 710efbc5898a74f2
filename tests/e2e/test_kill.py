"""A server that is killed at any moment (SIGKILL) loses nothing that it acknowledged and stores nothing twice.

``KILL_ROUNDS`` in the environment asks for another number of rounds.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
import urllib3

from e2e.server_process import NotStarted, ServerProcess

ROUNDS = int(os.environ.get("KILL_ROUNDS", "20"))
WRITERS = 4
LOAD_SECONDS_MAX = 0.6
START_SECONDS_TYPICAL = 0.5


class Sent(msgspec.Struct):
    """A request that was sent: its records' messages, and its receipt, if one came."""

    body: bytes
    messages: list[str]
    key: str | None
    receipt: dict[str, Any] | None = None

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [("Idempotency-Key", self.key)] if self.key else []


class Writer(threading.Thread):
    """Sends requests, each unlike any other, until the server is gone."""

    def __init__(self, server: ServerProcess, service_name: str, name: str) -> None:
        super().__init__()
        self._server = server
        self._service_name = service_name
        self._label = f"{service_name}/{name}"
        self._chance = random.Random(self._label)
        self.sent: list[Sent] = []
        self.refused: list[object] = []

    def run(self) -> None:
        while True:
            request = self._next()
            self.sent.append(request)
            try:
                answer = self._server.request("POST", "/logs", request.body, headers=request.headers)
            except urllib3.exceptions.HTTPError:
                return
            if answer.status != 201:
                self.refused.append(answer)
                return
            request.receipt = json.loads(answer.body)

    def _next(self) -> Sent:
        number = len(self.sent)
        size = self._chance.choice([0, 0, 20, 500, 40_000])
        texts = [f"{self._label}-{number}-{n}-{self._chance.randbytes(size).hex()}" for n in range(number % 7 + 1)]
        messages = [f"{text} {_checksum(text)}" for text in texts]
        base = {"service_name": self._service_name, "log_type": "kill"}
        body = json.dumps([{**base, "message": message} for message in messages])
        return Sent(body.encode(), messages, f"key {self._label} {number}" if number % 2 else None)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.timeout(60 + 15 * ROUNDS)
def test_a_killed_server_keeps_every_acknowledged_record_once_and_whole(tmp_path: Path) -> None:
    expected: list[str] = []
    chance = random.Random()
    with ServerProcess(tmp_path / "data", "--throttle-rate", "0") as server:
        for number in range(ROUNDS):
            sent = load_and_kill(server, f"round-{number}", chance)
            if number % 3 == 2:
                kill_while_starting(server, chance)
            server.start()
            expected += check_round(server, f"round-{number}", sent)
        found = [record["message"] for record in server.logs()]
    assert len(found) == len(expected)
    assert set(found) == set(expected)
    assert len(expected) > ROUNDS * WRITERS, "the load was too small to prove anything"


def load_and_kill(server: ServerProcess, service_name: str, chance: random.Random) -> list[Sent]:
    """Write from several threads, and kill the server in the midst of it."""
    writers = [Writer(server, service_name, f"writer-{n}") for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    threading.Event().wait(chance.uniform(0, LOAD_SECONDS_MAX))  # The moment is to be random: nothing is awaited.
    server.kill()
    for writer in writers:
        writer.join()
    assert [writer.refused for writer in writers] == [[]] * WRITERS
    return [request for writer in writers for request in writer.sent]


def kill_while_starting(server: ServerProcess, chance: random.Random) -> None:
    """Start the server, which has a log to recover, and kill it before it can be done."""
    process = subprocess.Popen(server.command, env=server.environ, stderr=subprocess.DEVNULL)
    try:
        process.wait(chance.uniform(0, START_SECONDS_TYPICAL))
    except subprocess.TimeoutExpired:
        process.kill()
    assert process.wait() != 0


def check_round(server: ServerProcess, service_name: str, sent: list[Sent]) -> list[str]:
    """Hold the store against what was sent, repeat what may be repeated; gives what has to be there from now on."""
    stored = stored_messages(server, service_name)
    for request in sent:
        present = [message in stored for message in request.messages]
        assert all(present) or (request.receipt is None and not any(present)), "a batch is stored whole or not at all"
    repeat = [request for request in sent if request.key is not None]
    for request in repeat:
        answer = server.request("POST", "/logs", request.body, headers=request.headers)
        assert answer.status == 201
        assert request.receipt in (None, json.loads(answer.body)), "a repeat gets the first receipt"
    expected = [m for request in sent for m in request.messages if request in repeat or m in stored]
    assert sorted(stored_messages(server, service_name)) == sorted(expected)
    return expected


def stored_messages(server: ServerProcess, service_name: str) -> set[str]:
    """The messages of a service, each there once and whole."""
    found = [record["message"] for record in server.logs("limit=10000", f"/services/{service_name}/logs")]
    assert len(set(found)) == len(found), "a record is stored twice"
    for message in found:
        text, _, checksum = message.rpartition(" ")
        assert _checksum(text) == checksum, "a record is torn"
    return set(found)


def test_a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        with pytest.raises(NotStarted) as refused, ServerProcess(tmp_path / "data"):
            pass
        assert f"{tmp_path / 'data'} is in use by another server: process {server.pid}." in str(refused.value)
        assert "Stop that one first" in str(refused.value)
        body = b'{"service_name":"shop","log_type":"application","message":"goes on"}'
        assert server.request("POST", "/logs", body).status == 201
        assert [record["message"] for record in server.logs()] == ["goes on"]


def put_a_note(data_dir: Path) -> str:
    (data_dir / "logs" / "notes.logs").write_text("mine")
    return "notes.logs is not a file of this store; move it elsewhere."


def make_a_file_newer(data_dir: Path) -> str:
    (path,) = (data_dir / "logs").glob("*.logs")
    with closing(apsw.Connection(os.fspath(path))) as connection:
        connection.pragma("user_version", 9)
    return f"{path.name} has format version 9; this program reads 2."


def put_text_in_a_files_place(data_dir: Path) -> str:
    (data_dir / "logs" / "2025-01-01.logs").write_text("a text of somebody's\n" * 500)
    return "2025-01-01.logs is damaged, or not a file of this store; restore it, or move it elsewhere."


def lose_the_encryption_key(data_dir: Path) -> str:
    (data_dir / "encryption-key").unlink()
    return "every log and every access key here is lost"


@pytest.mark.parametrize("spoil", [put_a_note, make_a_file_newer, put_text_in_a_files_place, lose_the_encryption_key])
def test_a_folder_that_cannot_be_served_is_refused_in_a_sentence(tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    with ServerProcess(tmp_path / "data") as server:
        body = b'{"service_name":"shop","log_type":"application","message":"a"}'
        assert server.request("POST", "/logs", body).status == 201
        server.stop()
        sentence = spoil(server.data_dir)
        with pytest.raises(NotStarted) as refused:
            server.start()
    assert sentence in str(refused.value)
    assert str(refused.value).startswith("Error: ")
    assert "Traceback" not in str(refused.value)


def test_a_killed_servers_folder_can_be_had_at_once(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        server.kill()
        with ServerProcess(tmp_path / "data") as second:
            assert second.request("GET", "/logs/recent").status == 200


def test_a_stop_answers_what_was_accepted(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--throttle-rate", "0") as server:
        writers = [Writer(server, "stopping", f"writer-{n}") for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        threading.Event().wait(0.2)
        assert server.stop() == 0
        for writer in writers:
            writer.join()
        server.restart()
        stored = stored_messages(server, "stopping")
    for request in (request for writer in writers for request in writer.sent):
        if request.receipt is not None:
            assert set(request.messages) <= stored
