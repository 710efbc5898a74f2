"""Killed under load, again and again: what was acknowledged is there, once and whole; a repeat stores nothing twice."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import urllib3

from e2e.server_process import ServerProcess

ROUNDS = int(os.environ.get("KILL_ROUNDS", "20"))
_THREADS = 4


class Sent(msgspec.Struct):
    """One request, as it was sent: its key, its records' texts, and whether it was acknowledged."""

    key: str | None
    texts: list[str]
    acknowledged: bool = False

    @property
    def body(self) -> bytes:
        """The records as JSON."""
        return msgspec.json.encode(
            [{"service_name": "kill", "log_type": "test", "message": text} for text in self.texts]
        )


class Load:
    """Threads that send distinct batches until the server is gone."""

    def __init__(self, server: ServerProcess, round_number: int, seed: int) -> None:
        self.sent: list[Sent] = []
        self._server = server
        self._round = round_number
        self._random = random.Random(seed)
        self._threads = [threading.Thread(target=self._run, args=(place,)) for place in range(_THREADS)]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until every thread has seen that the server is gone."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _run(self, place: int) -> None:
        dice = random.Random(self._random.random() + place)
        for number in range(100_000):
            name = f"{self._round}-{place}-{number}"
            texts = [f"{name}-{index} {'é' * dice.randrange(40)}" for index in range(dice.choice((1, 7, 60)))]
            sent = Sent(name if dice.random() < 0.5 else None, texts)
            self.sent.append(sent)
            try:
                sent.acknowledged = send(self._server, sent)
            except urllib3.exceptions.HTTPError:
                return


def send(server: ServerProcess, sent: Sent) -> bool:
    """Send the request; whether it was acknowledged."""
    headers = [] if sent.key is None else [("Idempotency-Key", sent.key)]
    answer = server.request("POST", "/logs", sent.body, headers=headers)
    assert answer.status == 201, answer.body
    return True


def stored(server: ServerProcess) -> Iterator[str]:
    """Every message in the store."""
    with server.client() as client:
        for record in client.iter_recent(service_name="kill", limit=10_000_000):
            yield record.message


@pytest.mark.timeout(280)
def test_whatever_was_acknowledged_survives_being_killed(tmp_path: Path) -> None:
    dice = random.Random(20_260_131)
    history: list[Sent] = []
    with ServerProcess(tmp_path / "data", "--throttle-rate", "0") as server:
        for round_number in range(ROUNDS):
            load = Load(server, round_number, dice.randrange(2**32))
            load.start()
            threading.Event().wait(dice.uniform(0.02, 0.6))
            server.kill()
            load.join()
            server.restart()
            for sent in load.sent:
                # A repeat under its key tells what became of a request that nobody answered.
                if sent.key is not None and (not sent.acknowledged or dice.random() < 0.1):
                    sent.acknowledged = send(server, sent)
            history += load.sent
        messages = Counter(stored(server))
    assert sum(sent.acknowledged for sent in history) > ROUNDS, "too little was sent for the test to mean anything"
    assert max(messages.values()) == 1, "stored twice"
    assert set(messages) <= {text for sent in history for text in sent.texts}, "something that nobody sent"
    for sent in history:
        found = sum(text in messages for text in sent.texts)
        assert found == len(sent.texts) if sent.acknowledged else found in {0, len(sent.texts)}, sent
