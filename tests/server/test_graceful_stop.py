"""SIGTERM: what was accepted is answered, what was acknowledged is there afterwards, and the exit code is 0."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.http_caller import said, wire
from contract.http_home import Home, fresh_name, record, running_home
from e2e.server_process import ServerProcess
from support.raw_http import connected

pytestmark = pytest.mark.xdist_group("graceful stop")

DEADLINE_SECONDS = 20


@pytest.fixture
def home() -> Iterator[Home]:
    with running_home() as running:
        yield running


def terminate(home: Home, number: int = signal.SIGTERM) -> None:
    """Send the signal and wait until the server has taken note of it."""
    os.kill(home.server.pid, number)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while "stopping" not in home.server.stderr:
        assert time.monotonic() < deadline


def exit_code(home: Home) -> int:
    """Of a server that has been told to stop."""
    return home.server.wait()


class Poster(threading.Thread):
    """Posts one record after the other on a connection of its own, and notes the ids that it was told."""

    def __init__(self, home: Home, service: str) -> None:
        super().__init__()
        self._home = home
        self._service = service
        self.acknowledged: list[str] = []
        self.statuses: set[int] = set()

    def run(self) -> None:
        caller = self._home.admin
        body = json.dumps(record(self._service)).encode()
        try:
            with connected(self._home.address) as client:
                while True:
                    answer = client.ask(wire(caller.signed("POST", "/logs", body=body)))
                    self.statuses.add(answer.status)
                    if answer.status == 201:
                        self.acknowledged.append(said(answer)["log_id"])
        except ConnectionError:
            return


def test_under_load_what_was_answered_is_exactly_what_is_stored(home: Home) -> None:
    """An accepted request is answered, and one that was not accepted leaves no trace."""
    service = fresh_name()
    posters = [Poster(home, service) for _ in range(8)]
    for poster in posters:
        poster.start()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while min(len(poster.acknowledged) for poster in posters) < 20:
        assert time.monotonic() < deadline
    assert home.server.stop() == 0
    for poster in posters:
        poster.join(DEADLINE_SECONDS)
        assert not poster.is_alive()
    home.server.start()
    acknowledged = [log_id for poster in posters for log_id in poster.acknowledged]
    stored = [each["log_id"] for each in home.admin.logs(service_name=service, limit=10_000)]
    assert sorted(stored) == sorted(acknowledged)
    assert set().union(*(poster.statuses for poster in posters)) == {201}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_whose_body_is_still_coming_is_answered(home: Home, number: int) -> None:
    service = fresh_name()
    body = json.dumps(record(service)).encode()
    expect = [("Expect", "100-continue"), ("Content-Length", str(len(body)))]
    head = wire(home.admin.signed("POST", "/logs", "", expect, body)).removesuffix(body)
    with connected(home.address) as client:
        assert client.ask(head).status == 100, "accepted"
        terminate(home, number)
        answer = client.ask(body)
        assert (answer.status, answer.headers["connection"]) == (201, "close")
        assert client.is_closed()
    assert exit_code(home) == 0
    home.server.start()
    (stored,) = home.admin.logs(service_name=service)
    assert stored["log_id"] == said(answer)["log_id"]


def test_whoever_has_nothing_under_way_is_let_go_and_nobody_new_comes_in(home: Home) -> None:
    with connected(home.address) as idle, connected(home.address) as busy:
        assert idle.ask(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
        assert (
            busy.ask(
                wire(home.admin.signed("POST", "/logs", "", [("Expect", "100-continue"), ("Content-Length", "1")]))
            ).status
            == 100
        )
        terminate(home)
        assert idle.is_closed()
        with pytest.raises(ConnectionError), connected(home.address) as late:
            late.ask(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert busy.ask(b"x").status in {400, 403}
    assert exit_code(home) == 0


def test_a_stop_waits_no_longer_than_its_grace(tmp_path: Path) -> None:
    environ = {"SIMPLE_LOG_SERVICE_GRACE_SECONDS": "0.2"}
    with ServerProcess(tmp_path / "data", environ=environ) as server:
        home = Home(server)
        with connected(home.address) as client:
            expect = [("Expect", "100-continue"), ("Content-Length", "100")]
            assert client.ask(wire(home.admin.signed("POST", "/logs", "", expect))).status == 100
            assert server.stop() == 0
            assert client.is_closed()


def test_what_it_says_of_its_end(home: Home) -> None:
    assert home.server.stop() == 0
    assert home.server.stderr.splitlines()[-2:] == [
        "simple-log-service: stopping: answering what was accepted",
        "simple-log-service: stopped",
    ]
