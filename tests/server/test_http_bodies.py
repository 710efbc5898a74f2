"""Bodies: how they are delimited, bounded, expected, refused, and what they may hold of the memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from simple_log_service.core.limits import BODY_WIRE_BYTES_MAX
from simple_log_service.server.http import Bounds
from support.raw_http import connected, request
from support.serving import Serving, serving, until

POST = "POST /echo HTTP/1.1"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def served() -> Iterator[Serving]:
    with serving() as running:
        yield running


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


@pytest.mark.parametrize("size", [0, 1, 65_536, 300_000, BODY_WIRE_BYTES_MAX])
def test_a_body_of_known_length_arrives_whole(served: Serving, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with connected(served.address) as client:
        for _ in range(2):
            assert client.ask(request(POST, f"Content-Length: {size}", body=body)).body == body


@pytest.mark.parametrize("part_bytes", [1, 2, 3, 7, 1000])
def test_a_chunked_body_arrives_whole_wherever_it_is_cut(served: Serving, part_bytes: int) -> None:
    chunks = [b"a", b"\r\n0\r\n\r\n", b"0" * 300, b"\r\n", b"b" * 16]
    data = request(POST, CHUNKED, body=chunked(*chunks)) + request(POST, body=b"next")
    with connected(served.address) as client:
        for at in range(0, len(data), part_bytes):
            client.send(data[at : at + part_bytes])
        assert client.answer().body == b"".join(chunks)
        assert client.answer().body == b"next"


def test_chunk_sizes_may_have_leading_zeros_and_letters_of_either_case(served: Serving) -> None:
    body = b"00000003\r\nabc\r\n00a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n"
    with connected(served.address) as client:
        assert client.ask(request(POST, CHUNKED, body=body)).body == b"abc01234567890123456789"


def test_a_chunked_body_of_the_greatest_size_arrives_whole(served: Serving) -> None:
    body = b"x" * BODY_WIRE_BYTES_MAX
    with connected(served.address) as client:
        assert client.ask(request(POST, CHUNKED, body=chunked(body[:65536], body[65536:]))).body == body


def test_a_length_past_the_bound_is_answered_413_before_the_body_is_read(served: Serving) -> None:
    with connected(served.address) as client:
        answer = client.ask(request(POST, f"Content-Length: {BODY_WIRE_BYTES_MAX + 1}"))
        assert (answer.status, answer.body) == (413, b'{"message":"Request Too Long"}')
        assert answer.headers["connection"] == "close"
        assert client.is_closed()


def test_identity_is_looked_at_before_the_length(served: Serving) -> None:
    with connected(served.address) as client:
        answer = client.ask(request("POST /refused HTTP/1.1", f"Content-Length: {BODY_WIRE_BYTES_MAX + 1}"))
        assert answer.status == 403
        assert client.is_closed()


def test_a_chunked_body_past_the_bound_is_answered_413(served: Serving) -> None:
    with connected(served.address) as client:
        client.send(request(POST, CHUNKED, body=b"100000\r\n" + b"x" * 0x100000 + b"\r\n"))
        assert client.ask(b"300001\r\n").status == 413
        assert client.is_closed()


def test_a_flood_of_tiny_chunks_is_answered_400() -> None:
    with serving(bounds=Bounds(chunks_max=100)) as served, connected(served.address) as client:
        assert client.ask(request(POST, CHUNKED, body=chunked(*[b"a"] * 100))).status == 200
        assert client.ask(request(POST, CHUNKED, body=chunked(*[b"a"] * 101))).status == 400


def test_a_client_that_sends_a_large_refused_body_at_once_still_reads_the_answer(served: Serving) -> None:
    body = b"x" * (2 * BODY_WIRE_BYTES_MAX)
    for line in (POST, "POST /refused HTTP/1.1"):
        with connected(served.address) as client:
            answer = client.ask(request(line, body=body))
            assert answer.status in (403, 413)
            assert client.rest() == b""


def test_a_refused_request_keeps_the_connection_where_its_body_can_be_skipped(served: Serving) -> None:
    body = b"GET /echo HTTP/1.1\r\nHost: smuggled\r\n\r\n" * 10_000
    with connected(served.address) as client:
        for _ in range(2):
            assert client.ask(request("POST /refused HTTP/1.1", body=body)).status == 403
        assert client.ask(request(POST, body=b"next")).body == b"next"
    assert all(head.fields[b"host"] != b"smuggled" for head in served.application.heads)


def test_a_refused_request_is_answered_before_its_body_has_come(served: Serving) -> None:
    with connected(served.address) as client:
        answer = client.ask(request("POST /refused HTTP/1.1", "Content-Length: 6"))
        assert answer.status == 403
        assert "connection" not in answer.headers
        assert client.ask(b"abcdef" + request(POST, body=b"next")).body == b"next"


def test_a_refused_chunked_request_ends_the_connection(served: Serving) -> None:
    with connected(served.address) as client:
        answer = client.ask(request("POST /refused HTTP/1.1", CHUNKED, body=chunked(b"abc")) + request())
        assert (answer.status, answer.headers["connection"]) == (403, "close")
        assert client.is_closed()


# --- Expect: 100-continue ---


@pytest.mark.parametrize("length", ["Content-Length: 3", CHUNKED])
def test_an_admitted_client_that_waits_for_100_gets_it(served: Serving, length: str) -> None:
    body = b"abc" if length != CHUNKED else chunked(b"abc")
    with connected(served.address) as client:
        for _ in range(2):
            assert client.ask(request(POST, length, "Expect: 100-Continue")).status == 100
            assert client.ask(body).body == b"abc"


def test_a_client_that_is_refused_gets_no_100_and_its_connection_ends(served: Serving) -> None:
    with connected(served.address) as client:
        answer = client.ask(request("POST /refused HTTP/1.1", "Content-Length: 3", "Expect: 100-continue"))
        assert (answer.status, answer.headers["connection"]) == (403, "close")
        assert client.is_closed()


def test_too_long_a_body_gets_no_100(served: Serving) -> None:
    length = f"Content-Length: {BODY_WIRE_BYTES_MAX + 1}"
    with connected(served.address) as client:
        assert client.ask(request(POST, length, "Expect: 100-continue")).status == 413


def test_a_client_that_did_not_wait_gets_no_100(served: Serving) -> None:
    with connected(served.address) as client:
        assert client.ask(request(POST, "Expect: 100-continue", body=b"abc")).status == 200
        assert client.ask(request("POST /echo HTTP/1.1", "Expect: 100-continue")).status == 200


def test_a_client_whose_body_has_begun_gets_no_100(served: Serving) -> None:
    with connected(served.address) as client:
        client.send(request(POST, "Expect: 100-continue", "Content-Length: 6", body=b"abc"))
        until(lambda: served.listener.reserved_body_bytes == 3)
        assert client.ask(b"def").status == 200


def test_http_1_0_knows_no_100(served: Serving) -> None:
    with connected(served.address) as client:
        client.send(request("POST /echo HTTP/1.0", "Expect: 100-continue", "Content-Length: 3"))
        assert client.ask(b"abc").status == 200


# --- The budget ---


def wait_for_reserved(served: Serving, expected: int) -> None:
    until(lambda: served.listener.reserved_body_bytes == expected)


def test_a_body_that_does_not_fit_waits_until_another_is_answered() -> None:
    with serving(bounds=Bounds(buffered_bytes_max=1000, body_bytes_max=900)) as served:
        with connected(served.address) as first, connected(served.address) as second:
            first.send(request("POST /held HTTP/1.1", body=b"a" * 600))
            assert served.application.arrived.acquire(timeout=10)
            second.send(request(POST, body=b"b" * 600))
            until(lambda: any(each._wire.reading_paused for each in tuple(served.listener._context.connections)))
            second.socket.settimeout(0.1)
            with pytest.raises(TimeoutError):
                second.answer()
            served.release()
            second.socket.settimeout(10)
            assert first.answer().status == 200
            assert second.answer().body == b"b" * 600
        wait_for_reserved(served, 0)


def test_small_bodies_do_not_overtake_a_large_one_that_waits() -> None:
    with serving(bounds=Bounds(buffered_bytes_max=1000, body_bytes_max=900)) as served:
        with (
            connected(served.address) as holder,
            connected(served.address) as large,
            connected(served.address) as small,
        ):
            holder.send(request("POST /held HTTP/1.1", body=b"a" * 600))
            assert served.application.arrived.acquire(timeout=10)
            large.send(request("POST /held HTTP/1.1", body=b"b" * 900))
            small.send(request(POST, body=b"c"))
            small.socket.settimeout(0.1)
            with pytest.raises(TimeoutError):
                small.answer()
            served.release()
            assert served.application.arrived.acquire(timeout=10)
            served.release()
            small.socket.settimeout(10)
            assert [client.answer().status for client in (holder, large, small)] == [200, 200, 200]
        wait_for_reserved(served, 0)


def test_chunked_bodies_give_back_what_their_framing_took() -> None:
    with serving() as served:
        with connected(served.address) as client:
            client.send(request("POST /held HTTP/1.1", CHUNKED, body=b"3\r\nab"))
            wait_for_reserved(served, 5)
            client.send(b"c\r\n0\r\n\r\n")
            wait_for_reserved(served, 3)
            served.release()
            assert client.answer().status == 200
        wait_for_reserved(served, 0)


@pytest.mark.parametrize("length", [f"Content-Length: {BODY_WIRE_BYTES_MAX}", CHUNKED])
def test_a_body_holds_what_has_come_of_it_and_not_what_was_announced(length: str) -> None:
    begun = b"3" if length == CHUNKED else b"x"
    with serving(bounds=Bounds(buffered_bytes_max=BODY_WIRE_BYTES_MAX + 1000)) as served, ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(connected(served.address)).send(request(POST, length) + begun)
        wait_for_reserved(served, 100)
        writer = opened.enter_context(connected(served.address))
        assert writer.ask(request(POST, body=b"a" * 900)).status == 200


def test_half_read_bodies_that_fill_the_memory_still_let_others_through_one_by_one() -> None:
    with serving(bounds=Bounds(buffered_bytes_max=2000, body_bytes_max=1000)) as served, ExitStack() as opened:
        stuck = opened.enter_context(connected(served.address))
        stuck.send(request(POST, "Content-Length: 1000", body=b"a" * 999))
        wait_for_reserved(served, 999)
        writers = [opened.enter_context(connected(served.address)) for _ in range(5)]
        for writer in writers:
            writer.send(request(POST, body=b"b" * 500))
        assert [writer.answer().status for writer in writers] == [200] * 5
        assert stuck.ask(b"a").status == 200
        wait_for_reserved(served, 0)


def test_a_body_must_keep_up_the_least_rate_whatever_it_was_announced_as() -> None:
    brief = Bounds(body_seconds_min=0.05, body_bytes_per_second_min=1000, sweep_seconds=0.02)
    with serving(bounds=brief) as served, connected(served.address) as slow, connected(served.address) as steady:
        steady.send(request(POST, "Content-Length: 50001", body=b"b" * 50_000))
        wait_for_reserved(served, 50_000)
        assert slow.ask(request(POST, "Content-Length: 1000", body=b"a")).status == 408
        assert steady.ask(b"b").status == 200


def test_half_read_bodies_do_not_block_each_other_for_ever() -> None:
    with serving(bounds=Bounds(buffered_bytes_max=1000, body_bytes_max=900)) as served:
        clients = [connected(served.address) for _ in range(8)]
        entered = [client.__enter__() for client in clients]
        for client in entered:
            client.send(request(POST, "Content-Length: 600", body=b"a" * 300))
        for client in entered:
            client.send(b"b" * 300)
        for client in entered:
            assert client.answer().body == b"a" * 300 + b"b" * 300
        for opened in clients:
            opened.__exit__(None, None, None)


def test_a_client_that_leaves_with_its_body_half_sent_gives_the_memory_back() -> None:
    with serving(bounds=Bounds(buffered_bytes_max=1000, body_bytes_max=900)) as served:
        with connected(served.address) as client:
            client.send(request(POST, "Content-Length: 900", body=b"a" * 899))
            wait_for_reserved(served, 899)
            with connected(served.address) as waiting:
                waiting.send(request(POST, "Content-Length: 800", body=b"b" * 799))
                until(lambda: any(each._wire.reading_paused for each in tuple(served.listener._context.connections)))
                client.reset()
                wait_for_reserved(served, 799)
        wait_for_reserved(served, 0)


def test_a_client_that_leaves_while_it_waits_for_memory_lets_the_next_one_in() -> None:
    with serving(bounds=Bounds(buffered_bytes_max=1000, body_bytes_max=900)) as served:
        with (
            connected(served.address) as holder,
            connected(served.address) as leaving,
            connected(served.address) as next_,
        ):
            holder.send(request("POST /held HTTP/1.1", body=b"a" * 600))
            assert served.application.arrived.acquire(timeout=10)
            leaving.send(request(POST, body=b"b" * 900))
            next_.send(request(POST, body=b"c" * 300))
            next_.socket.settimeout(0.1)
            with pytest.raises(TimeoutError):
                next_.answer()
            leaving.reset()
            # Nobody reads from the one that waits: its leaving shows when its turn has come.
            served.release()
            assert holder.answer().status == 200
            next_.socket.settimeout(10)
            assert next_.answer().status == 200
        wait_for_reserved(served, 0)


def test_a_body_that_waits_for_memory_too_long_is_answered_503_and_no_other_is_harmed() -> None:
    with serving(
        bounds=Bounds(buffered_bytes_max=1000, body_bytes_max=900, body_seconds_max=0.05, sweep_seconds=0.02)
    ) as served:
        with connected(served.address) as holder, connected(served.address) as waiting:
            holder.send(request("POST /held HTTP/1.1", body=b"a" * 600))
            assert served.application.arrived.acquire(timeout=10)
            answer = waiting.ask(request(POST, body=b"b" * 900))
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert waiting.is_closed()
            served.release()
            assert holder.answer().status == 200
        wait_for_reserved(served, 0)
