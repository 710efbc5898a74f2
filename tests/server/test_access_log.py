"""The access log: one line for each answer, and never a reason to wait."""

from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import Iterator
from typing import IO, Any

import msgspec
import pytest
from structlog.testing import capture_logs

from simple_log_service.server.access_log import AccessLog, Entry
from simple_log_service.server.metrics import PrometheusMetrics
from support.raw_http import connected, request
from support.serving import serving, until

POST = "POST /echo HTTP/1.1"


def entry(number: int = 0, path: str = "/logs") -> Entry:
    return Entry(
        1_763_824_620_123_456_789, f"id-{number}", "127.0.0.1", "POST", path, 201, None, "arn", "AKID", 5, 7, 0.0012345
    )


def written(read_end: IO[bytes]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in read_end]


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    read_fd, write_fd = os.pipe()
    with os.fdopen(read_fd, "rb") as read_end, os.fdopen(write_fd, "wb", buffering=0) as write_end:
        yield read_end, write_end


def test_a_line_says_who_asked_for_what_and_what_became_of_it() -> None:
    stream = io.BytesIO()
    log = AccessLog(stream, PrometheusMetrics())
    log.append(entry())
    log.close()
    assert msgspec.json.decode(stream.getvalue()) == {
        "time": "2025-11-22T15:17:00.123Z",
        "request_id": "id-0",
        "source_ip": "127.0.0.1",
        "method": "POST",
        "path": "/logs",
        "status": 201,
        "bytes_in": 5,
        "bytes_out": 7,
        "duration_ms": 1.234,
        "arn": "arn",
        "access_key_id": "AKID",
    }


def test_every_answer_of_the_listener_is_one_line(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    read_end, write_end = pipe
    logs: list[AccessLog] = []

    def access_log(metrics: PrometheusMetrics) -> AccessLog:
        logs.append(AccessLog(write_end, metrics, interval_seconds=0.01))
        return logs[0]

    with serving(access_log=access_log) as served, connected(served.address) as client:
        answers = [
            client.ask(request("POST /echo?q=secret HTTP/1.1", "Authorization: secret", body=b"secret")),
            client.ask(request("GET /refused HTTP/1.1")),
            client.ask(request("POST /broken HTTP/1.1", body=b"secret")),
            client.ask(b"nonsense secret\r\n\r\n"),
        ]
    logs[0].close()
    write_end.close()
    text = read_end.read()
    assert b"secret" not in text
    lines = [msgspec.json.decode(line) for line in text.splitlines()]
    assert [line["request_id"] for line in lines] == [answer.headers["x-amzn-requestid"] for answer in answers]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("POST", "/echo", 200),
        ("GET", "/refused", 403),
        ("POST", "/broken", 503),
        ("", "", 400),
    ]
    assert [line.get("error_type") for line in lines] == [
        None,
        "MissingAuthenticationTokenException",
        "ServiceUnavailableException",
        "BadRequestException",
    ]
    assert [line.get("access_key_id") for line in lines] == ["AKIDEXAMPLE", None, "AKIDEXAMPLE", None]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
    assert [line["bytes_in"] for line in lines] == [6, 0, 6, 0]
    assert all(line["bytes_out"] > 100 and line["source_ip"] == "127.0.0.1" for line in lines)


def test_controls_in_a_path_cannot_break_a_line_or_reach_a_terminal() -> None:
    stream = io.BytesIO()
    log = AccessLog(stream, PrometheusMetrics())
    log.append(entry(path='/a\n\x1b[31m"b'))
    log.close()
    text = stream.getvalue()
    assert text.count(b"\n") == 1
    assert b"\x1b" not in text
    assert msgspec.json.decode(text)["path"] == '/a\n\x1b[31m"b'


def test_lines_keep_their_order_and_none_is_lost(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    read_end, write_end = pipe
    log = AccessLog(write_end, PrometheusMetrics(), interval_seconds=0.001)
    found: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: found.extend(written(read_end)))
    reader.start()
    for number in range(5000):
        log.append(entry(number))
    log.close()
    write_end.close()
    reader.join()
    assert [line["request_id"] for line in found] == [f"id-{number}" for number in range(5000)]


def test_a_blocked_reader_costs_lines_that_are_counted_and_blocks_nobody(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    read_end, write_end = pipe
    metrics = PrometheusMetrics()
    log = AccessLog(write_end, metrics, interval_seconds=0.001, lines_max=100)
    for number in range(20_000):
        log.append(entry(number))
    dropped = metrics.render()
    log.close(timeout_seconds=0.01)
    match = re.search(rb"^slog_access_log_dropped_total ([\d.]+)$", dropped, re.MULTILINE)
    assert match is not None
    assert 15_000 < float(match[1]) < 20_000
    reader = threading.Thread(target=read_end.read)
    reader.start()
    log.close()
    write_end.close()
    reader.join()


def test_a_full_reader_that_does_not_block_gets_the_rest_later(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    read_end, write_end = pipe
    os.set_blocking(write_end.fileno(), False)
    log = AccessLog(write_end, PrometheusMetrics(), interval_seconds=0.001)
    for number in range(2000):
        log.append(entry(number))
    found = [msgspec.json.decode(read_end.readline()) for _ in range(2000)]
    log.close()
    assert [line["request_id"] for line in found] == [f"id-{number}" for number in range(2000)]


def test_a_reader_that_is_gone_turns_the_log_off_with_one_warning() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    with os.fdopen(write_fd, "wb", buffering=0) as write_end, capture_logs() as told:
        log = AccessLog(write_end, PrometheusMetrics(), interval_seconds=0.001)
        log.append(entry())
        until(lambda: bool(told))
        for number in range(1000):
            log.append(entry(number))
        log.close()
    assert [line["event"] for line in told] == ["access_log_off"]


def test_the_buffers_above_a_stream_are_bypassed(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    read_end, write_end = pipe
    with os.fdopen(os.dup(write_end.fileno()), "w") as text_stream:
        log = AccessLog(text_stream, PrometheusMetrics(), interval_seconds=0.001)
        log.append(entry())
        assert msgspec.json.decode(read_end.readline())["request_id"] == "id-0"
        log.close()
