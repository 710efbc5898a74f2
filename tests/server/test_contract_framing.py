"""What is no HTTP, sent to the whole server: refused before it is anybody's request, and nothing of it is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from contract.http_caller import checked, refusal, said, send_on, wire
from contract.http_home import Home, fresh_name, record, running_home
from simple_log_service.core.limits import BODY_WIRE_BYTES_MAX, BUFFERED_BYTES_MAX, HEAD_BYTES_MAX
from support.bad_http import BAD_CHUNKS, BAD_HEADS
from support.raw_http import connected

pytestmark = pytest.mark.xdist_group("contract framing")


@pytest.fixture(scope="module")
def running() -> Iterator[Home]:
    with running_home() as home:
        yield home


@pytest.fixture
def home(running: Home) -> Iterator[Home]:
    yield running
    running.assert_lives_and_holds_nothing()


def signed_post(home: Home, service: str = "victim") -> bytes:
    return wire(home.admin.signed("POST", "/logs", body=json.dumps(record(service)).encode()))


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_bad_head_is_answered_400_and_what_follows_it_is_never_read(home: Home, name: str) -> None:
    """A good request rides behind each: whoever smuggles must not get it through."""
    with connected(home.address) as client:
        answer = client.ask(BAD_HEADS[name].replace(b"/echo", b"/logs") + signed_post(home))
        assert refusal(checked(answer))[:2] == (400, "BadRequestException")
        assert answer.headers["connection"] == "close"
        assert client.is_closed()


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_bad_chunked_body_is_answered_400_though_its_head_is_signed(home: Home, name: str) -> None:
    request = home.admin.signed("POST", "/logs", "", [("Transfer-Encoding", "chunked")])
    chunks = BAD_CHUNKS[name].partition(b"\r\n\r\n")[2]
    with connected(home.address) as client:
        answer = send_on(client, request._replace(body=chunks + signed_post(home)))
        assert refusal(answer)[:2] == (400, "BadRequestException")
        assert client.is_closed()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_headers_past_their_bound_are_answered_431(home: Home, method: str) -> None:
    request = home.admin.signed(method, "/logs/recent", "", [("X-Long", "x" * HEAD_BYTES_MAX)])
    with connected(home.address) as client:
        answer = send_on(client, request)
        assert (answer.status, answer.headers["connection"]) == (431, "close")
        assert client.is_closed()


@pytest.mark.parametrize(
    "path",
    ["/services/a%2Fb/logs", "/services/a%5cb/logs", "/services/a\\b/logs", "/services/../logs", "/services/./logs",
     "//logs/recent", "/logs//recent", "/logs/./recent", "/services/a/../b/logs", "/logs/recent%00"],
)  # fmt: skip
def test_a_path_that_could_be_read_in_two_ways_is_refused_though_it_is_signed(home: Home, path: str) -> None:
    answer = home.admin.ask("GET", path)
    assert answer.status in {400, 403}


def test_a_chunked_body_is_one_like_any_other() -> None:
    """The signature is over what the chunks hold."""
    body = json.dumps(record("chunked")).encode()
    with running_home() as home:
        request = home.admin.signed("POST", "/logs", "", [("Transfer-Encoding", "chunked")], body)
        chunks = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])
        assert home.stranger.send(request._replace(body=chunks)).status == 201


def test_pipelined_requests_are_answered_in_their_order_and_each_for_itself() -> None:
    services = [fresh_name() for _ in range(20)]
    with running_home() as home, connected(home.address) as client:
        requests = [signed_post(home, service) for service in services]
        requests.insert(10, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        requests.insert(5, wire(home.stranger.signed("POST", "/logs", body=b"[]")))
        client.send(b"".join(requests))
        answers = [checked(client.answer()) for _ in requests]
        assert [answer.status for answer in answers] == [403 if n == 5 else 200 if n == 11 else 201 for n in range(22)]
        ids = [said(answer)["log_id"] for answer in answers if answer.status == 201]
        stored = [each for service in services for each in home.admin.logs(service_name=service)]
        assert [each["log_id"] for each in stored] == ids
        assert len({answer.headers["x-amzn-requestid"] for answer in answers}) == len(answers)


def test_a_connection_serves_on_after_a_refusal(running: Home) -> None:
    service = fresh_name()
    with running_home() as home, connected(home.address) as client:
        for request in (
            home.stranger.signed("POST", "/logs", body=b"x" * 100_000),
            home.admin.signed("POST", "/logs", body=b"nonsense"),
            home.admin.signed("POST", "/nowhere", body=b"x"),
        ):
            assert send_on(client, request).status in {400, 403}
        client.send(signed_post(home, service))
        assert client.answer().status == 201
        assert len(home.admin.logs(service_name=service)) == 1


def test_a_client_that_waits_for_100_gets_it_once_it_is_known() -> None:
    body = json.dumps(record("patient")).encode()
    expect = [("Expect", "100-continue"), ("Content-Length", str(len(body)))]
    with running_home() as home:
        head = wire(home.admin.signed("POST", "/logs", "", expect, body)).removesuffix(body)
        with connected(home.address) as client:
            assert client.ask(head).status == 100
            assert client.ask(body).status == 201
        with connected(home.address) as client:
            assert client.ask(head.replace(b"Credential=AKIA", b"Credential=AKIX")).status == 403


@pytest.mark.parametrize("framing", [b"Content-Length: 4194304\r\n\r\nx", b"Transfer-Encoding: chunked\r\n\r\n"])
@pytest.mark.parametrize("line", [b"GET /health HTTP/1.1", b"OPTIONS /logs HTTP/1.1"])
def test_who_needs_no_credentials_may_send_no_body(home: Home, line: bytes, framing: bytes) -> None:
    with connected(home.address) as client:
        answer = client.ask(line + b"\r\nHost: a\r\n" + framing)
        assert refusal(checked(answer))[:2] == (400, "BadRequestException")


def test_bodies_of_which_one_byte_came_keep_nobody_from_writing(home: Home) -> None:
    """A key's id is no secret: whoever knows one passes the head's checks, and is found out by the body only."""
    announced = home.admin.signed("POST", "/logs", "", [("Content-Length", str(BODY_WIRE_BYTES_MAX))])
    with ExitStack() as opened:
        for _ in range(BUFFERED_BYTES_MAX // BODY_WIRE_BYTES_MAX + 1):
            opened.enter_context(connected(home.address)).send(wire(announced) + b"x")
        bad_json = home.admin.signed("POST", "/logs", body=b"no JSON")
        answer = opened.enter_context(connected(home.address)).ask(wire(bad_json))
        assert answer.status == 400, "it was read, and waited for nobody"
