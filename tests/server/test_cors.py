"""CORS: a page of another origin can ask, and can read what it is told, refusals included."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from contract.http_caller import refusal
from contract.http_home import Home, record, running_home
from simple_log_service.api.routes import ROUTES
from simple_log_service.core.limits import HEAD_BYTES_MAX
from support.raw_http import connected

pytestmark = pytest.mark.xdist_group("cors")

PATHS = sorted({route.path.replace("{service_name}", "shop") for route in ROUTES})
ORIGIN = [("Origin", "https://dashboard.example")]


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running_home() as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_names_the_methods_of_its_path(home: Home, path: str) -> None:
    asked = [*ORIGIN, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")]
    answer = home.stranger.ask("OPTIONS", path, "", asked)
    assert (answer.status, answer.body) == (204, b"")
    assert "content-type" not in answer.headers
    methods = {route.method for route in ROUTES if route.path.replace("{service_name}", "shop") == path}
    assert set(answer.headers["access-control-allow-methods"].split(",")) == methods | {"OPTIONS"}
    assert answer.headers["access-control-allow-origin"] == "*"
    assert int(answer.headers["access-control-max-age"]) > 0


def test_a_preflight_allows_every_header_that_a_signed_request_carries(home: Home) -> None:
    temporary = home.caller(home.key(expires_in_seconds=60))
    extra = [("Content-Type", "application/json"), ("Content-Encoding", "gzip"), ("Idempotency-Key", "a")]
    request = temporary.signed("POST", "/logs", "", extra)
    answer = home.stranger.ask("OPTIONS", "/logs", "", ORIGIN)
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    # A browser sets these itself.
    assert {name.decode().lower() for name, _ in request.headers} - {"host", "user-agent", "accept"} <= allowed


def test_a_preflight_grants_nothing(home: Home) -> None:
    home.stranger.ask("OPTIONS", "/logs", "", ORIGIN, json.dumps(record("a")).encode())
    assert home.stranger.ask("POST", "/logs", "", ORIGIN, json.dumps(record("a")).encode()).status == 403
    home.assert_lives_and_holds_nothing()


def test_a_path_that_does_not_exist_has_no_preflight(home: Home) -> None:
    for path in ("/", "/nowhere", "/services/a%20b/logs"):
        assert refusal(home.stranger.ask("OPTIONS", path, "", ORIGIN))[:2] == (
            403,
            "MissingAuthenticationTokenException",
        )


REFUSALS: dict[str, tuple[bytes, int]] = {
    "a stranger": (b"GET /logs/recent HTTP/1.1\r\nHost: a\r\n\r\n", 403),
    "no HTTP": (b"nonsense\r\n\r\n", 400),
    "two framings": (
        b"POST /logs HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "an unknown expectation": (b"POST /logs HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417),
    "headers too large": (b"GET /logs HTTP/1.1\r\nHost: a\r\nX: " + b"x" * HEAD_BYTES_MAX + b"\r\n\r\n", 431),
    "a body on an open route": (b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_can_be_read_by_a_page_too(home: Home, name: str) -> None:
    data, status = REFUSALS[name]
    with connected(home.address) as client:
        answer = client.ask(data)
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-expose-headers"] == "x-amzn-RequestId,x-amzn-ErrorType,Retry-After"
    assert answer.headers["x-amzn-requestid"]
    assert answer.headers["x-amzn-errortype"]


def test_every_request_id_is_another(home: Home) -> None:
    answers = [home.admin.get() for _ in range(20)] + [home.stranger.get() for _ in range(20)]
    assert len({answer.headers["x-amzn-requestid"] for answer in answers}) == 40


def test_answers_are_not_to_be_kept_or_guessed_at(home: Home) -> None:
    for answer in (home.admin.get(), home.stranger.get(), home.stranger.ask("GET", "/health")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
