"""A service that is broken or means harm: whatever it answers, a caller meets one ClientError, within bounds."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from simple_log_service import Client, RequestRefused, UnexpectedAnswer, Unreachable
from simple_log_service.client.answers import EMPTY_PAGES_MAX
from simple_log_service.client.connections import ANSWER_BYTES_MAX
from simple_log_service.core.limits import CURSOR_CHARS_MAX, MIB
from support.stub_service import CREDENTIALS, REGION, Scripted, Seen, StubService

RECORD = {"service_name": "s", "log_type": "t", "message": "hello"}
STORED = RECORD | {"timestamp": "2026-01-01T00:00:00Z", "level": "INFO", "metadata": {}, "log_id": "i"}
DEEP = b"[" * 200_000
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def stub() -> Iterator[StubService]:
    with StubService().running() as running:
        yield running


@pytest.fixture
def client(stub: StubService) -> Iterator[Client]:
    with Client(stub.url, region=REGION, credentials=CREDENTIALS) as opened:
        yield opened


def _page(*logs: Any, cursor: str | None = None, complete: bool = True) -> Scripted:
    return Scripted(200, {"count": len(logs), "logs": logs, "next_cursor": cursor, "complete": complete})


def _receipt(**fields: Any) -> Scripted:
    return Scripted(201, {"accepted": 0, "duplicates": 0, "rejected": [], "log_ids": []} | fields)


@contextmanager
def _raw_server(answer: Callable[[], Iterator[bytes]]) -> Iterator[tuple[str, list[int]]]:
    """Sends these pieces to whoever asks; yields its URL, and how many bytes each request was sent."""
    sent: list[int] = []

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            sent.append(0)
            with connection:
                try:
                    connection.recv(64 * 1024)
                    for piece in answer():
                        connection.sendall(piece)
                        sent[-1] += len(piece)
                except OSError:
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", sent
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


# --- Headers and JSON ---


def test_a_retry_after_of_thousands_of_digits_is_not_waited_for(client: Client, stub: StubService) -> None:
    stub.script = [Scripted(503, {"message": "later"}, {"Retry-After": "9" * 5000})]
    with pytest.raises(RequestRefused, match="503 later") as refusal:
        client.recent()
    assert refusal.value.retry_after_seconds is not None
    assert refusal.value.retry_after_seconds > 10**8
    assert len(stub.seen) == 1


@pytest.mark.parametrize("body", [DEEP, b'{"x":' + DEEP, b'{"accepted":' + DEEP, b'{"message":"\xff"}'])
@pytest.mark.parametrize("status", [400, 403])
def test_an_error_whose_body_is_nested_without_end_is_still_that_error(
    status: int, body: bytes, client: Client, stub: StubService
) -> None:
    stub.script = [Scripted(status, body)] * 2
    for call in (client.recent, lambda: client.send([RECORD])):
        with pytest.raises(RequestRefused) as refusal:
            call()
        assert refusal.value.status == status
    assert len(stub.seen) == 2


@pytest.mark.parametrize(
    "start", [b"", b'{"zzz":', b'{"count":1,"logs":[', b'{"accepted":1,"rejected":', b'{"status":']
)
def test_an_answer_that_is_nested_without_end_is_unexpected(start: bytes, client: Client, stub: StubService) -> None:
    stub.script = [Scripted(200, start + DEEP)] * 3
    for call in (client.recent, lambda: client.send([RECORD]), client.health):
        with pytest.raises(UnexpectedAnswer, match="is the endpoint right"):
            call()
    assert len(stub.seen) == 3


def test_headers_in_an_error_are_shown_in_part(client: Client, stub: StubService) -> None:
    stub.script = [Scripted(400, b"", {"x-amzn-ErrorType": "x" * 9000, "x-amzn-RequestId": "y" * 9000})]
    with pytest.raises(RequestRefused) as refusal:
        client.recent()
    assert len(str(refusal.value)) < 300


# --- Pages ---


@pytest.mark.parametrize("record", [1, None, [], "text", {}, STORED | {"message": 5}])
def test_a_page_of_something_else_than_records_is_unexpected(record: Any, client: Client, stub: StubService) -> None:
    stub.script = [_page(STORED, record)]
    with pytest.raises(UnexpectedAnswer, match="is the endpoint right"):
        client.recent()


def test_a_record_that_is_not_utf8_is_unexpected_wherever_that_stands(client: Client, stub: StubService) -> None:
    page = json.dumps({"count": 1, "logs": [STORED | {"unknown": "?"}]}).encode()
    stub.script = [Scripted(200, page.replace(b"?", b"\xff"))]
    with pytest.raises(UnexpectedAnswer, match="is the endpoint right"):
        client.recent()


def test_metadata_that_python_cannot_hold_is_unexpected_and_its_text_stays_readable(
    client: Client, stub: StubService
) -> None:
    page = json.dumps({"count": 1, "logs": [STORED | {"metadata": 1}]}).encode()
    stub.script = [Scripted(200, page)]
    answered = client.recent()
    assert b'"metadata": 1' in bytes(answered.raw_logs[0])
    with pytest.raises(UnexpectedAnswer, match="cannot be read"):
        _ = answered.logs


def test_more_records_than_were_asked_for_are_unexpected(client: Client, stub: StubService) -> None:
    stub.script = [_page(STORED, STORED, STORED, cursor="c")]
    with pytest.raises(UnexpectedAnswer, match="more records"):
        list(client.iter_recent(limit=2))


# --- Cursors ---


@pytest.mark.parametrize("complete", [True, False])
def test_endless_fresh_cursors_of_empty_pages_end_the_walk(
    complete: bool, client: Client, stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simple_log_service.client.answers.EMPTY_PAGES_MAX", {complete: 5})
    numbers = itertools.count()

    def answer(_request: Seen) -> Scripted:
        assert len(stub.seen) < 50, "the walk goes on"
        return _page(cursor=f"c{next(numbers)}", complete=complete)

    monkeypatch.setattr(stub, "answer", answer)
    with pytest.raises(UnexpectedAnswer, match="one empty page after another"):
        list(client.iter_recent())
    assert len(stub.seen) == 6


def test_a_service_that_runs_out_of_time_may_give_many_more_empty_pages() -> None:
    assert EMPTY_PAGES_MAX[False] > 10 * EMPTY_PAGES_MAX[True] > 100


def test_cursors_that_lead_in_a_circle_end_the_walk(client: Client, stub: StubService) -> None:
    stub.script = [_page(STORED, cursor=cursor) for cursor in ("a", "b", "c", "a")]
    with pytest.raises(UnexpectedAnswer, match="a cursor that it gave before"):
        list(client.iter_recent())
    assert len(stub.seen) == 4


def test_a_cursor_too_long_to_send_back_ends_the_walk(client: Client, stub: StubService) -> None:
    stub.script = [_page(STORED, cursor="c" * (CURSOR_CHARS_MAX + 1))]
    with pytest.raises(UnexpectedAnswer, match="too long"):
        list(client.iter_recent())
    assert len(stub.seen) == 1


# --- Receipts ---

ID = "01a20402-05f4-71a1-850d-ce52e0bd9058"
REJECTED = {"code": "Malformed", "reason": "no"}


@pytest.mark.parametrize(
    "receipt",
    [
        _receipt(accepted=1, rejected=[REJECTED | {"index": 999}]),
        _receipt(accepted=1, rejected=[REJECTED | {"index": 2}]),
        _receipt(accepted=1, rejected=[REJECTED | {"index": -1}]),
        _receipt(accepted=1),
        _receipt(accepted=3),
        _receipt(accepted=10**18),
        _receipt(accepted=-1, rejected=[REJECTED | {"index": 0}] * 3),
        _receipt(accepted=2, duplicates=3),
        _receipt(accepted=2, duplicates=-1),
        _receipt(accepted=2, log_ids=[{"index": 0, "count": 10**15, "first": ID}]),
        _receipt(accepted=2, log_ids=[{"index": -1, "count": 1, "first": ID}]),
        _receipt(accepted=2, log_ids=[{"index": 0, "count": 0, "first": ID}]),
        _receipt(accepted=2, log_ids=[{"index": 0, "count": 2, "first": ID}] * 2),
        _receipt(accepted=2, log_ids=[{"index": 0, "count": 2, "first": "nonsense"}]),
        _receipt(accepted=0, rejected=[REJECTED | {"index": 999}] * 2)._replace(status=400),
    ],
)
def test_a_receipt_that_is_not_for_these_records_is_unexpected_and_nothing_is_sent_again(
    receipt: Scripted, client: Client, stub: StubService
) -> None:
    stub.script = [receipt]
    with pytest.raises(UnexpectedAnswer, match="not for the records that were sent"):
        client.send([RECORD, RECORD])
    assert len(stub.seen) == 1


# --- Bodies ---


def test_an_endless_body_is_read_within_bounds_and_not_asked_for_again() -> None:
    def answer() -> Iterator[bytes]:
        yield OK + b"Transfer-Encoding: chunked\r\n\r\n"
        for _ in range(4 * ANSWER_BYTES_MAX // MIB):
            yield b"100000\r\n" + b"a" * MIB + b"\r\n"

    with _raw_server(answer) as (url, sent), Client(url, region=REGION, credentials=CREDENTIALS) as client:
        with pytest.raises(UnexpectedAnswer, match="longer than"):
            client.send([RECORD])
        assert len(sent) == 1
    # What is beyond the bound stands in the sockets' own buffers.
    assert sent[0] < 2 * ANSWER_BYTES_MAX


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 1000000000000000\r\n\r\nshort",
        b"Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\nshort",
    ],
)
def test_a_length_that_is_only_announced_takes_no_memory(head: bytes) -> None:
    with (
        _raw_server(lambda: iter([OK + head])) as (url, _),
        Client(url, region=REGION, credentials=CREDENTIALS, attempts_max=1) as client,
        pytest.raises(Unreachable, match="broke the connection"),
    ):
        client.recent()


@pytest.mark.parametrize("size", [b"-1", b"-5", b"x", b"", b"f" * 100_000])
def test_a_chunk_of_an_impossible_size_is_a_client_error(size: bytes) -> None:
    with (
        _raw_server(lambda: iter([OK + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nabc\r\n"])) as (url, _),
        Client(url, region=REGION, credentials=CREDENTIALS, attempts_max=1) as client,
        pytest.raises((Unreachable, UnexpectedAnswer)),
    ):
        client.recent()


@pytest.mark.parametrize("start", [b"", OK + b"Content-Length: 1000\r\n\r\n", OK + b"X: "])
def test_an_answer_that_comes_byte_by_byte_is_over_when_its_time_is(start: bytes) -> None:
    over = threading.Event()

    def answer() -> Iterator[bytes]:
        yield start
        for _ in range(900):
            if over.wait(0.02):
                return
            yield b"H"

    with (
        _raw_server(answer) as (url, sent),
        Client(url, region=REGION, credentials=CREDENTIALS, attempts_max=1, timeout_seconds=0.3) as client,
    ):
        with pytest.raises(Unreachable, match="did not answer in time"):
            client.recent()
        over.set()
        assert len(sent) == 1


def test_a_packed_answer_that_nobody_asked_for_is_not_unpacked(client: Client, stub: StubService) -> None:
    bomb = gzip.compress(b" " * (8 * MIB) + b'{"status":"ok"}')
    stub.script = [Scripted(200, bomb, {"Content-Encoding": "gzip"})]
    with pytest.raises(UnexpectedAnswer, match="is the endpoint right"):
        client.health()


def test_connections_are_kept_for_the_next_request() -> None:
    connections: list[socket.socket] = []

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connections.append(connection)
        for _ in range(3):
            connection.recv(64 * 1024)
            connection.sendall(OK + b'Content-Length: 15\r\n\r\n{"status":"ok"}')

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with Client(url, region=REGION, credentials=CREDENTIALS, attempts_max=1, timeout_seconds=5) as client:
            assert [client.health() for _ in range(3)] == ["ok"] * 3
        thread.join()
        connections[0].close()
