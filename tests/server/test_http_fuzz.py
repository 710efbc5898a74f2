"""Whatever bytes come, in whatever pieces: no exception, one answer to each request, and the same answers each time.

The connection is driven without a socket, by a transport that records, so that thousands of conversations take seconds.
"""

from __future__ import annotations

import asyncio
import random
import time
from itertools import pairwise
from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from simple_log_service.api.errors import missing_authentication_token
from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.server.http import Attribution, Bounds
from simple_log_service.server.http.connection import Connection
from simple_log_service.server.http.context import Context
from simple_log_service.server.metrics import PrometheusMetrics
from support.bad_http import BAD_CHUNKS, BAD_HEADS
from support.raw_http import request

BOUNDS = Bounds(head_bytes_max=1000, body_bytes_max=500, buffered_bytes_max=500)
STATUSES = {200, 400, 403, 413, 417, 431}
POST = "POST /echo HTTP/1.1"

GOOD = [
    request(),
    request(POST, body=b"hello"),
    request(POST, "Transfer-Encoding: chunked", body=b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"),
    request(POST, "Expect: 100-continue", body=b"hello"),
    request("POST /refused HTTP/1.1", body=b"hello"),
    request("POST /refused HTTP/1.1", "Expect: 100-continue", body=b"hello"),
    request("GET /a%20b?q=%C3%A9&r=1 HTTP/1.1", "X-A: b", "Accept-Encoding: gzip"),
    request("POST /echo HTTP/1.0", body=b"hello"),
    request(POST, "Connection: close", body=b"hello"),
    request(POST, "Content-Length: 501"),
]
FRAGMENTS = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"/", b"//", b"#", b"?", b"%", b"\\", b"\x80", b"\xff", b"0", b"5",
    b"0\r\n\r\n", b"\r\n\r\n", b"Host: a\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"chunked",
    b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b"HTTP/1.1",
    b"GET / HTTP/1.1\r\n", b"a" * 600, b"X: " + b"y" * 1000 + b"\r\n",
]  # fmt: skip


class Recorder(asyncio.Transport):
    """What is written to a client that never closes."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1234)})
        self.written = b""
        self.paused = False
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "something was written behind the end"
        self.written += data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    abort = close


class Application:
    """Echoes, at once or when it is told to."""

    def __init__(self, *, late: bool) -> None:
        self.late = late
        self.admitted: list[RequestHead] = []
        self.futures: list[asyncio.Future[None]] = []

    def admit(self, head: RequestHead) -> RequestHead:
        self.admitted.append(head)
        if head.path == "/refused":
            raise missing_authentication_token()
        return head

    def describe(self, _ticket: RequestHead) -> Attribution:
        return Attribution("any")

    async def handle(self, _ticket: RequestHead, body: bytes) -> Response:
        if self.late:
            self.futures.append(asyncio.get_running_loop().create_future())
            await self.futures[-1]
        return Response(200, body)


class Conversation(NamedTuple):
    """Statuses and bodies of the final answers, the heads the application saw, and whether the connection ended."""

    answers: list[tuple[int, bytes]]
    targets: list[tuple[str, str, str]]
    ended: bool


async def converse(pieces: list[bytes], *, late: bool) -> Conversation:
    """Send the pieces and hear the answers; ``late`` ones come only when the connection reads no further."""
    application = Application(late=late)
    metrics = PrometheusMetrics()
    context = Context(application, metrics, None, BOUNDS, time.time_ns, secure=False)
    connection = Connection(context)
    transport = Recorder()
    connection.connection_made(transport)
    for piece in pieces:
        while piece:
            while transport.paused:
                assert application.futures, "it waits for nothing"
                application.futures.pop().set_result(None)
                await asyncio.sleep(0)
            room = connection.get_buffer(-1)[: len(piece)]
            room[:] = piece[: len(room)]
            connection.buffer_updated(len(room))
            piece = piece[len(room) :]  # noqa: PLW2901 - what is left of it
    while application.futures:
        application.futures.pop().set_result(None)
        await asyncio.sleep(0)
    assert b"slog_internal_errors_total 0.0" in metrics.render()
    conversation = Conversation(
        answers_in(transport.written, [head.method for head in application.admitted]),
        [(head.method, head.path, head.query) for head in application.admitted],
        transport.ended,
    )
    connection.connection_lost(None)
    assert context.budget.reserved_bytes == 0
    return conversation


def answers_in(written: bytes, methods: list[str]) -> list[tuple[int, bytes]]:
    """Read every final answer, strictly; nothing may be left over."""
    answers: list[tuple[int, bytes]] = []
    while written:
        head, separator, written = written.partition(b"\r\n\r\n")
        assert separator
        status_line, *lines = head.split(b"\r\n")
        status = int(status_line.removeprefix(b"HTTP/1.1 ")[:3])
        if status == 100:
            continue
        fields = {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}
        assert len(fields) == len(lines)
        is_head = methods[len(answers) : len(answers) + 1] == ["HEAD"]
        length = 0 if is_head else int(fields[b"content-length"])
        assert len(written) >= length
        body, written = written[:length], written[length:]
        answers.append((status, body if status == 200 else b""))
        if fields.get(b"connection") == b"close":
            assert not written, "an answer follows the last one"
    return answers


def cut(data: bytes, points: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(point % (len(data) + 1) for point in points)})
    return [data[begin:end] for begin, end in pairwise(at)]


def check(data: bytes, points: list[int]) -> None:
    async def all_ways() -> list[Conversation]:
        return [
            await converse([data], late=False),
            await converse([data], late=True),
            await converse(cut(data, points), late=False),
            await converse(cut(data, points), late=True),
            await converse([data[at : at + 1] for at in range(len(data))], late=False),
        ]

    whole, *others = asyncio.run(all_ways())
    assert {status for status, _ in whole.answers} <= STATUSES
    refused_at_head = len(whole.answers) - len(whole.targets)
    assert refused_at_head in ((0, 1) if whole.ended else (-1, 0)), "each request has one answer"
    for method, path, query in whole.targets:
        assert method.isupper()
        assert path.startswith("/")
        assert "//" not in path
        assert not {"#", " ", "\r", "\n"} & {*path, *query}
    for other in others:
        assert other == whole


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """A few requests in a row, most of them good, with some damage done to them."""
    data = b"".join(draw(st.lists(st.sampled_from(GOOD), min_size=1, max_size=4)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 1, 2, 5, 20]))
        data = data[:at] + draw(st.sampled_from([b"", *FRAGMENTS]) | st.binary(max_size=3)) + data[at + length :]
    return data


@given(conversations(), st.lists(st.integers(0, 10_000), max_size=6))
@example(b"".join(GOOD[:3]), [])
def test_damaged_conversations_are_answered_alike_however_they_are_cut(data: bytes, points: list[int]) -> None:
    check(data, points)


@given(st.binary(max_size=300) | st.lists(st.sampled_from(FRAGMENTS)).map(b"".join), st.lists(st.integers(0, 300)))
def test_noise_is_answered_alike_however_it_is_cut(data: bytes, points: list[int]) -> None:
    check(data, points)


def test_every_known_bad_request_is_answered_alike_however_it_is_cut() -> None:
    chance = random.Random(1)
    for bad in (*BAD_HEADS.values(), *BAD_CHUNKS.values()):
        check(request(POST, body=b"before") + bad, [chance.randrange(1000) for _ in range(5)])
