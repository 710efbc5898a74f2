"""Answers: what every one of them carries, and what is counted of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest

from simple_log_service.server.http import Bounds
from support.raw_http import connected, request
from support.serving import Serving, serving, until

POST = "POST /echo HTTP/1.1"
KINDS = {
    200: request(POST, body=b"abc"),
    204: request("GET /empty HTTP/1.1"),
    400: b"nonsense\r\n\r\n",
    403: request("GET /refused HTTP/1.1"),
    413: request(POST, "Content-Length: 99999999"),
    417: request(POST, "Expect: nothing"),
    431: b"GET /" + b"a" * 11_000,
    503: request("POST /broken HTTP/1.1", body=b"abc"),
}


@pytest.fixture
def served() -> Iterator[Serving]:
    with serving() as running:
        yield running


@pytest.mark.parametrize("status", KINDS)
def test_every_answer_carries_the_common_headers(served: Serving, status: int) -> None:
    with connected(served.address) as client:
        answer = client.ask(KINDS[status])
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == "*"
    exposed = "x-amzn-RequestId,x-amzn-ErrorType,Retry-After"
    assert answer.headers["access-control-expose-headers"] == exposed
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert parsedate_to_datetime(answer.headers["date"]).year >= 2025
    assert uuid.UUID(answer.headers["x-amzn-requestid"]).version == 4
    if status >= 400:
        assert answer.headers["content-type"] == "application/json"
        assert re.fullmatch(r"[A-Z]\w+Exception", answer.headers["x-amzn-errortype"])


def test_a_status_without_a_body_says_nothing_of_one(served: Serving) -> None:
    with connected(served.address) as client:
        answer = client.ask(request("GET /empty HTTP/1.1"))
        assert not {"content-length", "content-type"} & answer.headers.keys()
        assert client.ask(request()).status == 200


def test_request_ids_are_never_repeated(served: Serving) -> None:
    ids = set()
    for _ in range(3):
        with connected(served.address) as client:
            client.send(request() * 100)
            ids |= {client.answer().headers["x-amzn-requestid"] for _ in range(100)}
    assert len(ids) == 300
    assert served.application.heads[0].request_id in ids


@pytest.mark.parametrize("path", ["/echo", "/refused", "/broken", "/\\"])
def test_head_is_answered_without_a_body(served: Serving, path: str) -> None:
    with connected(served.address) as client:
        client.send(request(f"HEAD {path} HTTP/1.1", body=b"abc"))
        answer = client.answer(has_body=False)
        assert int(answer.headers["content-length"]) > 0
        if path == "/\\":
            assert client.is_closed()
        else:
            assert client.ask(request()).status == 200


@pytest.mark.parametrize("path", ["/broken", "/broken-admit", "/cancelled"])
def test_a_defect_is_answered_503_in_neutral_words_and_counted(served: Serving, path: str) -> None:
    with connected(served.address) as client:
        answer = client.ask(request(f"POST {path} HTTP/1.1", body=b"abc"))
        assert answer.status == 503
        assert b"defect" not in answer.body
        assert answer.headers["retry-after"] == "5"
        assert client.ask(request(POST, body=b"next")).body == b"next"
    assert served.sample("slog_internal_errors_total") == 1


def test_an_answer_never_lets_a_line_break_into_a_header(served: Serving) -> None:
    with connected(served.address) as client:
        client.send(request("GET /bad-header HTTP/1.1"))
        assert client.is_closed()
    assert served.sample("slog_internal_errors_total") == 1


def test_requests_are_counted_by_route_and_status(served: Serving) -> None:
    with connected(served.address) as client:
        for line in (POST, POST, "POST /broken HTTP/1.1", "POST /refused HTTP/1.1"):
            client.ask(request(line, body=b"abc"))
        client.ask(b"nonsense\r\n\r\n")
        assert client.is_closed()
    assert served.sample('slog_requests_total{route="POST /route",status="200"}') == 2
    assert served.sample('slog_requests_total{route="POST /route",status="503"}') == 1
    assert served.sample('slog_requests_total{route="none",status="403"}') == 1
    assert served.sample('slog_requests_total{route="none",status="400"}') == 1
    assert served.sample('slog_request_seconds_count{route="POST /route"}') == 3
    assert served.sample('slog_refusals_total{error_type="MissingAuthenticationTokenException"}') == 1
    assert served.sample('slog_refusals_total{error_type="BadRequestException"}') == 1
    assert served.sample("slog_body_bytes_total") == 9


def test_open_connections_and_buffered_bytes_are_gauges() -> None:
    with serving(bounds=Bounds(sweep_seconds=0.01)) as served, connected(served.address) as client:
        client.send(request("POST /held HTTP/1.1", body=b"abc"))
        until(lambda: (served.sample("slog_connections"), served.sample("slog_buffered_bytes")) == (1, 3))
        served.release()
        assert client.answer().status == 200
        until(lambda: served.sample("slog_buffered_bytes") == 0)
