"""Connections: kept alive, in order, in time, and each on its own, whatever becomes of its client."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from simple_log_service.core.limits import CONNECTIONS_MAX
from simple_log_service.server.http import Bounds, affordable_connections
from support.raw_http import connected, request
from support.serving import LARGE_BYTES, Serving, serving, until

POST = "POST /echo HTTP/1.1"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def served() -> Iterator[Serving]:
    with serving() as running:
        yield running


# --- Keeping alive ---


def test_a_connection_is_kept_for_the_next_request(served: Serving) -> None:
    with connected(served.address) as client:
        for number in range(50):
            answer = client.ask(request(POST, body=b"%d" % number))
            assert answer.body == b"%d" % number
            assert "connection" not in answer.headers


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        (POST, ["Connection: close"]),
        (POST, ["Connection: CLOSE"]),
        (POST, ["Connection: keep-alive, close"]),
        (POST, ["Connection: keep-alive", "Connection: close"]),
        (POST, ["Connection: close", "Connection: keep-alive"]),
        ("POST /echo HTTP/1.0", []),
        ("POST /echo HTTP/1.0", ["Connection: keep-alive"]),
        ("POST /refused HTTP/1.1", ["Connection: close"]),
        ("POST /broken HTTP/1.1", ["Connection: close"]),
    ],
)
def test_a_connection_ends_where_the_client_asks_for_it(served: Serving, line: str, headers: list[str]) -> None:
    with connected(served.address) as client:
        answer = client.ask(request(line, *headers, body=b"abc"))
        assert answer.headers["connection"] == "close"
        assert client.is_closed()


def test_what_follows_a_last_request_is_not_looked_at(served: Serving) -> None:
    with connected(served.address) as client:
        assert client.ask(request(POST, "Connection: close", body=b"abc") + request()).status == 200
        assert client.is_closed()


# --- In order ---


def test_pipelined_requests_are_answered_one_by_one_in_order(served: Serving) -> None:
    lines = [
        request(POST, body=b"first"),
        request("POST /patient HTTP/1.1", body=b"second"),
        request("POST /refused HTTP/1.1", body=b"third"),
        request("POST /patient HTTP/1.1", CHUNKED, body=b"6\r\nfourth\r\n0\r\n\r\n"),
        request("GET /empty HTTP/1.1"),
        request(POST, body=b"sixth"),
    ]
    with connected(served.address) as client:
        client.send(b"".join(lines * 20))
        for _ in range(20):
            answers = [client.answer() for _ in lines]
            assert [answer.status for answer in answers] == [200, 200, 403, 200, 204, 200]
            assert [answer.body for answer in answers if answer.status == 200] == [
                b"first", b"second", b"fourth", b"sixth"
            ]  # fmt: skip


def test_the_next_request_is_not_begun_before_this_one_is_answered() -> None:
    with serving() as served, connected(served.address) as client:
        client.send(request("POST /held HTTP/1.1", body=b"a") + request("POST /held HTTP/1.1", body=b"b"))
        assert served.application.arrived.acquire(timeout=10)
        assert not served.application.arrived.acquire(timeout=0.05)
        assert len(served.application.heads) == 1
        served.release()
        assert client.answer().body == b"a"
        assert served.application.arrived.acquire(timeout=10)
        served.release()
        assert client.answer().body == b"b"


def test_pipelined_input_is_left_to_the_kernel_while_a_request_is_answered() -> None:
    with serving() as served, connected(served.address) as client:
        client.send(request("POST /held HTTP/1.1", body=b"a"))
        assert served.application.arrived.acquire(timeout=10)
        client.socket.setblocking(False)
        data = request(POST, body=b"b" * 4000) * 10_000
        with pytest.raises(BlockingIOError):
            client.socket.sendall(data)


def test_a_large_answer_comes_whole_and_the_next_one_behind_it(served: Serving) -> None:
    with connected(served.address) as client:
        client.send(request("GET /large HTTP/1.1") + request(POST, body=b"next"))
        assert len(client.answer().body) == LARGE_BYTES
        assert client.answer().body == b"next"


# --- In time ---


def test_a_head_that_takes_too_long_is_answered_408() -> None:
    with (
        serving(bounds=Bounds(head_seconds_max=0.05, sweep_seconds=0.02)) as served,
        connected(served.address) as client,
    ):
        answer = client.ask(b"GET /echo HTTP/1.1\r\nHost:")
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert client.is_closed()


def test_a_trickle_of_bytes_does_not_extend_the_time_for_a_head() -> None:
    with (
        serving(bounds=Bounds(head_seconds_max=0.1, sweep_seconds=0.02)) as served,
        connected(served.address) as client,
    ):
        client.socket.settimeout(0.01)
        client.send(b"GET /echo HTTP/1.1\r\nX-A: ")
        for _ in range(1000):
            client.send(b"b")
            try:
                assert client.answer().status == 408
                break
            except TimeoutError:
                continue
        else:
            raise AssertionError("it was extended")


@pytest.mark.parametrize(
    "begun",
    [request(POST, "Content-Length: 4") + b"abc", request(POST, CHUNKED), request(POST, CHUNKED) + b"4\r\nabc"],
)
def test_a_body_that_takes_too_long_is_answered_408(begun: bytes) -> None:
    with serving(bounds=Bounds(body_seconds_max=0.05, sweep_seconds=0.02)) as served:
        with connected(served.address) as client:
            answer = client.ask(begun)
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert client.is_closed()
        until(lambda: served.listener.reserved_body_bytes == 0)


def test_a_refused_body_that_takes_too_long_gets_no_second_answer() -> None:
    with (
        serving(bounds=Bounds(body_seconds_max=0.05, sweep_seconds=0.02)) as served,
        connected(served.address) as client,
    ):
        assert client.ask(request("POST /refused HTTP/1.1", "Content-Length: 9")).status == 403
        assert client.is_closed()


@pytest.mark.parametrize("before", [b"", request()])
def test_an_idle_connection_is_closed_silently(before: bytes) -> None:
    with (
        serving(bounds=Bounds(idle_seconds_max=0.05, sweep_seconds=0.02)) as served,
        connected(served.address) as client,
    ):
        if before:
            client.ask(before)
        assert client.is_closed()


def test_each_request_has_its_own_time_for_its_head() -> None:
    with (
        serving(bounds=Bounds(head_seconds_max=0.05, sweep_seconds=0.02)) as served,
        connected(served.address) as client,
    ):
        client.send(b"GET /echo HTTP/1.1\r\n")
        assert client.ask(b"Host: localhost\r\n\r\n").status == 200
        answer = client.ask(b"GET /echo HTTP/1.1\r\n")
        assert (answer.status, answer.headers["connection"]) == (408, "close")


def test_a_head_in_two_parts_leaves_no_trace_on_the_idle_connection() -> None:
    with (
        serving(bounds=Bounds(idle_seconds_max=0.05, sweep_seconds=0.02)) as served,
        connected(served.address) as client,
    ):
        client.send(b"GET /echo HTTP/1.1\r\n")
        until(lambda: any(connection._head_begun for connection in tuple(served.listener._context.connections)))
        assert client.ask(b"Host: localhost\r\n\r\n").status == 200
        assert client.is_closed()


def test_an_answer_may_take_longer_than_anything_the_client_does() -> None:
    brief = Bounds(head_seconds_max=0.02, body_seconds_max=0.02, idle_seconds_max=0.02, sweep_seconds=0.01)
    with serving(bounds=brief) as served, connected(served.address) as client:
        client.send(request("POST /held HTTP/1.1", body=b"abc"))
        assert served.application.arrived.acquire(timeout=10)
        client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.answer()
        served.release()
        assert client.answer().body == b"abc"


def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    with serving(bounds=Bounds(drain_seconds_max=0.1, sweep_seconds=0.02)) as served, ExitStack() as opened:
        slow, other = (opened.enter_context(connected(served.address)) for _ in range(2))
        slow.send(request("GET /large HTTP/1.1") * 3)
        until(lambda: served.application.finished == 1)
        assert other.ask(request(POST, body=b"abc")).body == b"abc"
        until(lambda: served.listener.open_connections == 1)
        assert served.application.finished == 2, "nothing more was done for the slow one"


def test_answers_that_nobody_takes_are_bounded_together_and_the_oldest_is_given_up() -> None:
    bytes_max = LARGE_BYTES
    with serving(bounds=Bounds(unsent_bytes_max=bytes_max)) as served, ExitStack() as opened:
        unsent = served.listener._context.unsent
        slow = [opened.enter_context(connected(served.address)) for _ in range(8)]
        for client in slow:
            client.send(request("GET /large HTTP/1.1") * 4)
        until(lambda: served.application.finished == len(slow))
        until(lambda: served.listener.open_connections < len(slow))
        assert 0 < unsent.held_bytes <= bytes_max
        slow[-1].reset()
        reader = opened.enter_context(connected(served.address))
        assert reader.ask(request(POST, body=b"abc")).body == b"abc"
        assert served.application.finished == len(slow) + 1, "nothing more was done for the slow ones"
    assert unsent.held_bytes == 0


def test_a_client_that_neither_reads_nor_closes_after_its_last_answer_is_cut_off() -> None:
    brief = Bounds(linger_seconds_max=0.05, drain_seconds_max=0.05, sweep_seconds=0.02)
    with serving(bounds=brief) as served, connected(served.address) as client:
        assert client.ask(b"nonsense\r\n\r\n").status == 400
        until(lambda: served.listener.open_connections == 0)


def test_a_client_that_sends_without_end_after_its_last_answer_is_cut_off() -> None:
    with (
        serving(bounds=Bounds(linger_bytes_max=100_000, linger_seconds_max=60)) as served,
        connected(served.address) as client,
    ):
        assert client.ask(b"nonsense\r\n\r\n").status == 400
        with pytest.raises(ConnectionError):
            client.send(b"x" * 100_000_000)


# --- Clients that leave ---


def test_a_half_closed_client_still_gets_its_answer(served: Serving) -> None:
    for path in ("/echo", "/patient"):
        with connected(served.address) as client:
            client.send(request(f"POST {path} HTTP/1.1", body=b"abc"))
            client.socket.shutdown(socket.SHUT_WR)
            assert client.answer().body == b"abc"
            assert client.is_closed()


@pytest.mark.parametrize("data", [b"", b"GET /ec", request(POST, "Content-Length: 4") + b"abc"])
def test_a_client_that_ends_before_its_request_is_complete_gets_nothing(served: Serving, data: bytes) -> None:
    with connected(served.address) as client:
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.is_closed()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET /ec",
        request(POST, "Content-Length: 100000") + b"abc",
        request(POST, CHUNKED) + b"3\r\na",
        request("POST /refused HTTP/1.1", "Content-Length: 1000"),
        request("POST /patient HTTP/1.1", body=b"abc"),
        request("GET /large HTTP/1.1") * 2,
        b"nonsense\r\n\r\n",
    ],
)
def test_a_client_that_resets_at_any_point_disturbs_nobody(served: Serving, data: bytes) -> None:
    with connected(served.address) as other:
        for _ in range(20):
            with connected(served.address) as client:
                client.send(data)
                client.reset()
            assert other.ask(request(POST, body=b"abc")).body == b"abc"


def test_work_goes_on_for_a_client_that_has_left_and_its_memory_comes_back() -> None:
    with serving() as served:
        with connected(served.address) as leaving, connected(served.address) as staying:
            for client in (leaving, staying):
                client.send(request("POST /held HTTP/1.1", body=b"abc"))
                assert served.application.arrived.acquire(timeout=10)
            leaving.reset()
            served.release()
            assert staying.answer().body == b"abc"
        until(lambda: served.listener.open_connections == 0)
        assert served.application.finished == 2
        assert served.listener.reserved_body_bytes == 0


# --- How many, and until when ---


def test_connections_past_the_bound_are_closed_at_once_and_the_others_live() -> None:
    with serving(bounds=Bounds(connections_max=2)) as served, ExitStack() as opened:
        clients = [opened.enter_context(connected(served.address)) for _ in range(2)]
        assert [client.ask(request()).status for client in clients] == [200, 200]
        assert opened.enter_context(connected(served.address)).is_closed()
        assert [client.ask(request()).status for client in clients] == [200, 200]
        clients[0].reset()
        until(lambda: served.listener.open_connections == 1)
        assert opened.enter_context(connected(served.address)).ask(request()).status == 200


@pytest.mark.parametrize(
    ("descriptors", "connections"),
    [(128, 64), (1024, 768), (4096, 3840), (1_048_576, CONNECTIONS_MAX), (resource.RLIM_INFINITY, CONNECTIONS_MAX)],
)
def test_connections_leave_descriptors_to_the_store(descriptors: int, connections: int) -> None:
    assert affordable_connections(descriptors) == connections


def test_answers_are_not_held_back_by_nagles_algorithm() -> None:
    with serving() as served, connected(served.address) as client:
        client.ask(request())
        (connection,) = served.listener._context.connections
        accepted = connection._wire._transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_stopping_answers_what_was_accepted_and_closes_what_is_idle() -> None:
    with serving() as served, ExitStack() as opened:
        idle, half, held, sending = (opened.enter_context(connected(served.address)) for _ in range(4))
        idle.ask(request())
        half.send(b"GET /echo HTTP/1.1\r\n")
        held.send(request("POST /held HTTP/1.1", body=b"abc"))
        assert served.application.arrived.acquire(timeout=10)
        sending.send(request(POST, "Content-Length: 3", body=b"a"))
        until(lambda: served.listener.reserved_body_bytes == 4)
        stopped = served.begin(served.listener.stop(30))
        assert idle.is_closed()
        assert half.is_closed()
        with pytest.raises(ConnectionError), connected(served.address) as late:
            late.ask(request())
        sending.send(b"bc")
        served.release()
        for client in (held, sending):
            answer = client.answer()
            assert (answer.status, answer.body, answer.headers["connection"]) == (200, b"abc", "close")
            assert client.is_closed()
        stopped()


def test_stopping_does_not_destroy_the_answer_to_a_request_whose_body_is_being_skipped() -> None:
    with serving() as served, connected(served.address) as client:
        client.send(request("POST /refused HTTP/1.1", "Content-Length: 4000000"))
        until(lambda: bool(served.application.heads))
        stopped = served.begin(served.listener.stop(30))
        client.send(b"x" * 4_000_000)
        assert client.answer().status == 403
        assert client.is_closed()
        client.socket.close()
        stopped()


def test_stopping_aborts_what_is_not_answered_in_time() -> None:
    with serving() as served, connected(served.address) as held, connected(served.address) as sending:
        held.send(request("POST /held HTTP/1.1", body=b"abc"))
        assert served.application.arrived.acquire(timeout=10)
        sending.send(request(POST, "Content-Length: 3", body=b"a"))
        until(lambda: served.listener.reserved_body_bytes == 4)
        served.run(served.listener.stop(0.05))
        assert held.is_closed()
        assert sending.is_closed()
        assert (served.listener.open_connections, served.listener.reserved_body_bytes) == (0, 0)
        served.release()


def test_stopping_drops_those_who_still_wait_for_memory() -> None:
    with serving(bounds=Bounds(buffered_bytes_max=10)) as served, ExitStack() as opened:
        clients = [opened.enter_context(connected(served.address)) for _ in range(4)]
        for client in clients:
            client.send(request("POST /held HTTP/1.1", body=b"abcdefgh"))
        assert served.application.arrived.acquire(timeout=10)
        until(lambda: len(served.application.heads) == 4)
        served.run(served.listener.stop(0.05))
        assert all(client.is_closed() for client in clients)
        assert (served.listener.open_connections, served.listener.reserved_body_bytes) == (0, 0)
        assert served.sample("slog_internal_errors_total") == 0
