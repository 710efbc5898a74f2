"""The load generator, over kept-alive connections with one request under way on each.

In the closed loop a connection sends its next request once the last is answered. In the open loop requests are due at a
rate, whatever becomes of those before: latency counts from the moment a request was due, so that a server which stalls
is charged for all that had to wait.

Plain sockets and epoll. The generator must never be what is measured: its own use of a core is in the result, and where
that comes near to 1 the result says nothing about the server.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Self

from bench.answers import Answer, AnswerReader
from bench.requests import Request

_SILENCE_SECONDS_MAX = 60.0
_READ_BYTES = 256 * 1024
_NEVER_NS = 1 << 62

Address = tuple[str, int]
Check = Callable[[int, Answer], None]
"""Looks at the answer to the request of this index, after the clock has stopped for it."""


class LoadFailed(Exception):
    """The server hung up, said nothing any more, or answered something else than it should."""


class Refused(LoadFailed):
    """The server answered with another status than the expected one."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"The server answered {answer.status}: {answer.body[:500].decode(errors='replace')}")
        self.status = answer.status


class Load(NamedTuple):
    """What was measured; ``generator_cores`` is how much of a core the generator itself took."""

    seconds: float
    latencies_ns: list[int]
    generator_cores: float

    @property
    def requests(self) -> int:
        """How many were answered."""
        return len(self.latencies_ns)

    def latency_ms(self, share: float) -> float:
        """The latency that this share of the requests stayed within."""
        ordered = sorted(self.latencies_ns)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6


def drive(
    address: Address,
    requests: Sequence[Request],
    connections: int,
    *,
    status: int,
    seconds_max: float,
    check: Check | None = None,
    hanging_up_ends: bool = False,
) -> Load:
    """The closed loop: send the requests, or those that go out in time, and wait for every answer.

    Raises ``LoadFailed``; not where ``hanging_up_ends`` the load of a connection.
    """
    with _Loop(address, requests, min(connections, len(requests)), status, check) as loop:
        return loop.closed(seconds_max, hanging_up_ends)


def drive_at_rate(
    address: Address, requests: Sequence[Request], connections: int, *, status: int, per_second: float, check: Check
) -> Load:
    """The open loop. Raises ``LoadFailed``."""
    with _Loop(address, requests, connections, status, check) as loop:
        return loop.open(per_second)


def ask(address: Address, request: Request, status: int) -> Answer:
    """One request alone. Raises ``LoadFailed``."""
    answers: list[Answer] = []
    drive(address, [request], 1, status=status, seconds_max=1, check=lambda _, answer: answers.append(answer))
    return answers[0]


class _Connection:
    """One connection and what it has under way."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.index = 0
        self.began_ns = 0
        self._unsent = memoryview(b"")
        self._reader = AnswerReader()

    def begin(self, index: int, request: Request, began_ns: int) -> None:
        """Send a request, as much of it as the kernel takes."""
        self.index, self.began_ns = index, began_ns
        self._unsent = memoryview(request.head + request.body)
        self.send()

    def send(self) -> None:
        """Send more of it."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            pass

    def receive(self) -> Answer | None:
        """The whole answer, or ``None`` once nothing more is there to read. Raises ``ConnectionError``."""
        try:
            while True:
                piece = self.socket.recv(_READ_BYTES)
                if not piece:
                    raise ConnectionResetError("the server closed it")
                answer = self._reader.feed(piece)
                if answer is not None:
                    return answer
        except BlockingIOError:
            return None


class Conversation:
    """One connection on which each request is made of the answer before; ``latencies_ns`` has one for each."""

    def __init__(self, address: Address) -> None:
        self._connection = _Connection(address)
        self.latencies_ns: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.socket.close()

    def ask(self, request: Request) -> bytes:
        """The body of its answer, whose status must be 200. Raises ``LoadFailed``."""
        connection, answer = self._connection, None
        began_ns = time.perf_counter_ns()
        try:
            connection.begin(0, request, began_ns)
            while answer is None:
                ready, _, _ = select.select([connection.socket], [], [], _SILENCE_SECONDS_MAX)
                if not ready:
                    raise LoadFailed(f"The server was silent for {_SILENCE_SECONDS_MAX:.0f} s.")
                answer = connection.receive()
        except OSError as error:
            raise LoadFailed(f"A connection broke: {error}.") from error
        self.latencies_ns.append(time.perf_counter_ns() - began_ns)
        if answer.status != 200:
            raise Refused(answer)
        return answer.body


class _Loop:
    """Connections that share the requests of a load."""

    def __init__(
        self, address: Address, requests: Sequence[Request], connections: int, status: int, check: Check | None
    ) -> None:
        self._address, self._connections = address, connections
        self._requests, self._status, self._check = requests, status, check
        self._opened: list[_Connection] = []
        self._by_descriptor: dict[int, _Connection] = {}
        self._poll = select.epoll()
        self._latencies_ns: list[int] = []

    def __enter__(self) -> Self:
        try:
            for _ in range(self._connections):
                connection = _Connection(self._address)
                self._opened.append(connection)
                self._by_descriptor[connection.socket.fileno()] = connection
                # Edge-triggered: a connection is heard of as writable only where a send was cut short.
                self._poll.register(connection.socket, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        except OSError as error:
            self.__exit__()
            raise LoadFailed(f"No connection to {self._address}: {error}.") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()
        for connection in self._opened:
            connection.socket.close()

    def closed(self, seconds_max: float, hanging_up_ends: bool) -> Load:
        with _measuring() as clock:
            ends_at_ns = clock.began_ns + int(seconds_max * 1e9)
            indexes = iter(range(len(self._requests)))
            for connection in self._opened:
                index = next(indexes)
                connection.begin(index, self._requests[index], time.perf_counter_ns())
            busy = len(self._opened)
            while busy:
                for connection in self._answered(_SILENCE_SECONDS_MAX, hanging_up_ends):
                    now = time.perf_counter_ns()
                    following = next(indexes, None) if now < ends_at_ns and connection.socket.fileno() >= 0 else None
                    if following is None:
                        busy -= 1
                        continue
                    try:
                        connection.begin(following, self._requests[following], now)
                    except ConnectionError:
                        if not hanging_up_ends:
                            raise
                        connection.socket.close()
                        busy -= 1
        return clock.load(self._latencies_ns)

    def open(self, per_second: float) -> Load:
        free, step_ns = deque(self._opened), 1e9 / per_second
        with _measuring() as clock:
            begun, last = 0, len(self._requests)
            while len(self._latencies_ns) < last:
                now = time.perf_counter_ns()
                due_ns = clock.began_ns + int(begun * step_ns) if begun < last else _NEVER_NS
                if free and due_ns <= now:
                    free.popleft().begin(begun, self._requests[begun], due_ns)
                    begun += 1
                    continue
                waiting_ns = due_ns - now if free and begun < last else _SILENCE_SECONDS_MAX * 1e9
                free.extend(self._answered(waiting_ns / 1e9, False, may_be_silent=bool(free) and begun < last))
        return clock.load(self._latencies_ns)

    def _answered(
        self, seconds_max: float, hanging_up_ends: bool, *, may_be_silent: bool = False
    ) -> Iterator[_Connection]:
        """The connections whose request is answered, or that were hung up, as soon as there is any news."""
        # The wait is select's, which knows microseconds; epoll's rounds up to milliseconds.
        ready, _, _ = select.select([self._poll], [], [], seconds_max)
        if not ready and not may_be_silent:
            raise LoadFailed(f"The server was silent for {_SILENCE_SECONDS_MAX:.0f} s.")
        for descriptor, event in self._poll.poll(0) if ready else ():
            connection = self._by_descriptor[descriptor]
            try:
                if event & select.EPOLLOUT:
                    connection.send()
                answer = connection.receive() if event & ~select.EPOLLOUT else None
            except ConnectionError as error:
                if not hanging_up_ends:
                    raise LoadFailed(f"A connection broke: {error}.") from error
                connection.socket.close()
                yield connection
                continue
            if answer is not None:
                self._latencies_ns.append(time.perf_counter_ns() - connection.began_ns)
                if answer.status != self._status:
                    raise Refused(answer)
                if self._check is not None:
                    self._check(connection.index, answer)
                yield connection


class _Clock:
    """Since when, by the wall and by the processor."""

    def __init__(self) -> None:
        self.began_ns = time.perf_counter_ns()
        self._cpu_began = time.process_time()

    def load(self, latencies_ns: list[int]) -> Load:
        seconds = (time.perf_counter_ns() - self.began_ns) / 1e9
        return Load(seconds, latencies_ns, (time.process_time() - self._cpu_began) / seconds)


@contextmanager
def _measuring() -> Iterator[_Clock]:
    """Keep garbage collection out of it, and give broken connections their name."""
    gc.collect()
    gc.disable()
    try:
        yield _Clock()
    except OSError as error:
        raise LoadFailed(f"A connection broke: {error}.") from error
    finally:
        gc.enable()
