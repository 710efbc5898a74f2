"""The benchmark's load generator, over real sockets: what counts as latency, and what it refuses to overlook."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench import settle
from bench.answers import Answer
from bench.load import Address, Conversation, LoadFailed, Refused, ask, drive, drive_at_rate
from bench.processes import PeakMemory, Server, family
from bench.requests import Request, plain_request
from bench.targets import VictoriaLogs
from bench.workers import loading, made_ahead

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmark needs epoll and /proc")

Reply = Callable[[str, bytes], tuple[int, bytes]]


@contextmanager
def server(reply: Reply) -> Iterator[Address]:
    """Answers each request with what ``reply`` says of its target and body; hangs up where the status is 0."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            status, answer = reply(self.path, self.rfile.read(int(self.headers.get("Content-Length", 0))))
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield "127.0.0.1", http.server_address[1]
        finally:
            http.shutdown()
            thread.join()


def _numbered(count: int) -> list[Request]:
    return [plain_request("POST", f"/{number}", "host", b"x" * number, "text/plain") for number in range(count)]


def _echo(target: str, body: bytes) -> tuple[int, bytes]:
    return 200, f"{target} {len(body)}".encode()


def test_every_request_is_sent_once_and_its_answer_looked_at() -> None:
    answers: dict[int, Answer] = {}
    with server(_echo) as address:
        load = drive(address, _numbered(50), 7, status=200, seconds_max=60, check=answers.__setitem__)
    assert load.requests == 50
    assert answers == {number: Answer(200, f"/{number} {number}".encode()) for number in range(50)}


def test_bodies_larger_than_any_buffer_go_out_whole() -> None:
    body = os.urandom(8_000_000)
    with server(lambda _, got: (200, b"same" if got == body else b"other")) as address:
        assert ask(address, plain_request("POST", "/", "host", body, "text/plain"), 200).body == b"same"


def test_in_the_closed_loop_latency_counts_from_sending() -> None:
    with server(_echo) as address:
        load = drive(address, _numbered(40), 1, status=200, seconds_max=60)
    assert sum(load.latencies_ns) <= load.seconds * 1e9


def test_in_the_open_loop_requests_that_had_to_wait_are_charged_for_it() -> None:
    """All are due at once and share one connection: each has waited for all before it."""
    with server(_echo) as address:
        load = drive_at_rate(address, _numbered(40), 1, status=200, per_second=1e9, check=lambda *_: None)
    assert load.latencies_ns == sorted(load.latencies_ns)
    assert sum(load.latencies_ns) > 5 * load.seconds * 1e9


def test_the_open_loop_sends_no_sooner_than_due() -> None:
    with server(_echo) as address:
        load = drive_at_rate(address, _numbered(21), 4, status=200, per_second=200, check=lambda *_: None)
    assert load.seconds >= 20 / 200


def test_a_load_ends_in_time_with_every_answer_in() -> None:
    with server(_echo) as address:
        load = drive(address, _numbered(5000), 3, status=200, seconds_max=0.0)
    assert load.requests == 3


def test_another_status_is_told_and_not_counted() -> None:
    with server(lambda *_: (403, b"denied")) as address, pytest.raises(Refused, match="403: denied") as caught:
        drive(address, _numbered(1), 1, status=200, seconds_max=1)
    assert caught.value.status == 403


def test_hanging_up_ends_the_load_only_where_that_is_expected() -> None:
    def reply(target: str, body: bytes) -> tuple[int, bytes]:
        return (0, b"") if int(target[1:]) >= 20 else _echo(target, body)

    answered: list[int] = []
    with server(reply) as address:
        with pytest.raises(LoadFailed, match="broke"):
            drive(address, _numbered(60), 4, status=200, seconds_max=60)
        drive(
            address,
            _numbered(60),
            4,
            status=200,
            seconds_max=60,
            check=lambda index, _: answered.append(index),
            hanging_up_ends=True,
        )
    assert sorted(answered) == list(range(20))


def test_a_conversation_has_one_latency_for_each_answer_on_one_connection() -> None:
    with server(_echo) as address, Conversation(address) as conversation:
        assert [conversation.ask(request) for request in _numbered(3)] == [b"/0 0", b"/1 1", b"/2 2"]
        assert len(conversation.latencies_ns) == 3
    with server(lambda *_: (404, b"")) as address, Conversation(address) as conversation, pytest.raises(Refused):
        conversation.ask(_numbered(1)[0])


def test_nobody_there_is_a_failed_load() -> None:
    with server(_echo) as address:
        pass
    with pytest.raises(LoadFailed, match="No connection"):
        ask(address, _numbered(1)[0], 200)


def test_bodies_made_ahead_are_the_same_and_their_maker_ends() -> None:
    assert list(made_ahead(lambda: (b"%d" % number for number in range(1000)))) == [b"%d" % n for n in range(1000)]
    endless = made_ahead(lambda: iter(lambda: b"again", b""))
    assert next(endless) == b"again"
    endless.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


def test_a_load_beside_goes_on_and_tells_of_itself() -> None:
    with server(_echo) as address:
        with loading(lambda: drive(address, _numbered(30), 2, status=200, seconds_max=60)) as ended:
            assert ask(address, _numbered(1)[0], 200).body == b"/0 0"
            assert ended().requests == 30
        assert multiprocessing.active_children() == []


def test_children_count_with_their_server() -> None:
    child = "import sys; held = bytearray(30_000_000); print(sum(i * i for i in range(3_000_000)), flush=True); input()"
    parent = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdin=0, stdout=1); p.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, child], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        server = Server("host:1", process.pid)
        with PeakMemory(server) as memory:
            process.stdout.readline()
            assert len(family(process.pid)) == 2
            cpu_seconds = server.cpu_seconds
        assert cpu_seconds is not None
        assert cpu_seconds > _own_cpu_seconds(process.pid)
        assert memory.bytes_max is not None
        assert memory.bytes_max > 30_000_000
        process.communicate(b"\n")


def _own_cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Merging(VictoriaLogs):
    def metrics(self) -> Request:  # type: ignore[override]
        return plain_request("GET", "/metrics", "host")


def _settled(samples: Sequence[tuple[int | None, int]], seconds_max: float = 60.0) -> tuple[settle.Settled, int]:
    """How settling ends where the server says (merging, unmerged), one sample after the other; and what is left."""
    left = list(samples)

    def reply(*_: object) -> tuple[int, bytes]:
        merging, unmerged = left.pop(0) if len(left) > 1 else left[0]
        gauges = f"slog_unmerged_records {unmerged}.0\nslog_tail_records 5\n"
        return 200, (gauges if merging is None else f"slog_merging {merging}.0\n{gauges}").encode()

    with server(reply) as (host, port):
        return settle.settle(Server(f"{host}:{port}"), _Merging(f"{host}:{port}"), seconds_max), len(left)


@pytest.fixture
def quick_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "_SAMPLE_SECONDS", 0.0)


@pytest.mark.usefixtures("quick_samples")
def test_settled_is_what_neither_merges_nor_has_a_backlog_three_times_in_a_row() -> None:
    samples = [
        (None, 900_000),
        (1, 900_000),
        (0, 900_000),
        (1, 900),
        (0, 4000),
        (0, 3000),
        (0, 5000),
        (0, 5000),
        (0, 5000),
    ]
    calm = [(0, 2000)] * 3
    settled, left = _settled([*samples, *calm, (0, 1)])
    assert settled.note is None
    assert left == 1


@pytest.mark.usefixtures("quick_samples")
def test_what_does_not_settle_is_said() -> None:
    settled, _ = _settled([(0, 900_000)], 0.1)
    assert settled.note is not None
    assert "900,000 records unmerged" in settled.note


@pytest.mark.usefixtures("quick_samples")
def test_a_server_that_has_nothing_to_merge_never_says_that_it_merges() -> None:
    settled, left = _settled([(None, 0)] * 3 + [(None, 1)])
    assert (settled.note, left) == (None, 1)


def test_a_server_that_says_nothing_of_merging_has_settled() -> None:
    with server(lambda *_: (200, b"slog_tail_records 5\n")) as (host, port):
        assert settle.settle(Server(f"{host}:{port}"), _Merging(f"{host}:{port}"), 60.0) == (0.0, None)
