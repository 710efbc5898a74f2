"""What is not HTTP as this server reads it: 400, once, and the connection ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.bad_http import BAD_CHUNKS, BAD_HEADS
from support.raw_http import connected, request
from support.serving import Serving, serving


@pytest.fixture(scope="module")
def served() -> Iterator[Serving]:
    with serving() as running:
        yield running


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_bad_head_is_answered_400_once_and_the_connection_ends(served: Serving, name: str) -> None:
    seen = len(served.application.heads)
    with connected(served.address) as client:
        answer = client.ask(BAD_HEADS[name] + request())
        assert answer.status == 400
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-amzn-errortype"] == "BadRequestException"
        assert client.is_closed()
    assert len(served.application.heads) == seen, "the application never hears of it"


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_bad_head_is_refused_wherever_it_is_cut(served: Serving, name: str) -> None:
    bad = BAD_HEADS[name]
    with connected(served.address) as client:
        try:
            for at in range(len(bad)):
                client.send(bad[at : at + 1])
        except ConnectionError:
            pass  # The verdict was clear before the end.
        answer = client.answer()
        assert answer.status == 400
        assert client.is_closed()


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_bad_chunked_body_is_answered_400_and_the_connection_ends(served: Serving, name: str) -> None:
    finished = served.application.finished
    with connected(served.address) as client:
        answer = client.ask(BAD_CHUNKS[name])
        assert answer.status == 400
        assert answer.headers["connection"] == "close"
        assert client.is_closed()
    assert served.application.finished == finished


@pytest.mark.parametrize(
    "bad",
    [
        b"GET /echo HTTP/1.1\nHost: localhost\n\n",
        b"GET /echo\r\n",
        b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03\r\n",
        b"GET http://localhost/ HTTP/1.1\r\n",
    ],
)
def test_a_head_that_cannot_become_good_is_refused_before_it_is_complete(served: Serving, bad: bytes) -> None:
    with connected(served.address) as client:
        assert client.ask(bad).status == 400
        assert client.is_closed()


def test_a_head_of_the_greatest_size_is_read(served: Serving) -> None:
    frame = request("GET /echo HTTP/1.1", "X-A: ")
    with connected(served.address) as client:
        fitting = request("GET /echo HTTP/1.1", "X-A: " + "b" * (10 * 1024 - len(frame)))
        assert len(fitting) == 10 * 1024
        assert client.ask(fitting).status == 200


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("part_bytes", [1 << 20, 1000])
def test_a_head_past_its_bound_is_answered_431(served: Serving, ends: bool, part_bytes: int) -> None:
    frame = request("GET /echo HTTP/1.1", "X-A: ")
    over = request("GET /echo HTTP/1.1", "X-A: " + "b" * (10 * 1024 - len(frame) + 1))
    data = over if ends else over[:-4] + b"b" * 10
    with connected(served.address) as client:
        for at in range(0, len(data), part_bytes):
            client.send(data[at : at + part_bytes])
        answer = client.answer()
        assert answer.status == 431
        assert answer.headers["connection"] == "close"
        assert client.is_closed()


def test_a_request_line_past_the_bound_is_answered_431(served: Serving) -> None:
    with connected(served.address) as client:
        assert client.ask(b"GET /" + b"a" * 20_000).status == 431
        assert client.is_closed()


def test_an_unknown_expectation_is_answered_417(served: Serving) -> None:
    with connected(served.address) as client:
        answer = client.ask(request("POST /echo HTTP/1.1", "Expect: a-miracle", body=b"abc"))
        assert answer.status == 417
        assert client.is_closed()


def test_an_offer_to_upgrade_is_ignored(served: Serving) -> None:
    with connected(served.address) as client:
        upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
        for body in (b"", b"abc"):
            answer = client.ask(request("POST /echo HTTP/1.1", *upgrade, body=body))
            assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/echo?", "/echo", ""),
        ("/echo/", "/echo/", ""),
        ("/a.b/..c/...", "/a.b/..c/...", ""),
        ("/a%20b/%C3%A9%25", "/a%20b/%C3%A9%25", ""),
        ("/a:b@c!$&'()*+,;=~-_", "/a:b@c!$&'()*+,;=~-_", ""),
        ("/echo?a=//../%2f\\&b=?", "/echo", "a=//../%2f\\&b=?"),
    ],
)
def test_path_and_query_come_through_as_they_were_sent(served: Serving, target: str, path: str, query: str) -> None:
    with connected(served.address) as client:
        assert client.ask(request(f"GET {target} HTTP/1.1")).status == 200
    head = served.application.heads[-1]
    assert (head.path, head.query) == (path, query)


def test_header_names_come_lower_case_and_values_trimmed_in_their_order(served: Serving) -> None:
    sent = ("X-One:  \t one two \t ", "x-none:", "X-ONE: again", "X-Latin: \xe4\xff")
    with connected(served.address) as client:
        assert client.ask(request("GET /echo HTTP/1.1", *sent)).status == 200
    head = served.application.heads[-1]
    assert head.headers == [
        (b"host", b"localhost"),
        (b"x-one", b"one two"),
        (b"x-none", b""),
        (b"x-one", b"again"),
        (b"x-latin", b"\xe4\xff"),
    ]
    assert head.fields[b"x-one"] == b"again"
    assert (head.source_ip, head.secure) == ("127.0.0.1", False)
