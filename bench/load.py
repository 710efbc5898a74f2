"""The load generator: a closed loop over kept-alive connections, each with one request under way at a time.

Plain sockets and epoll; of an answer it reads status and length. It must never be what is measured: its own use of a
core is in the result, and where that comes near to 1 the result says nothing about the server.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from collections.abc import Iterator, Sequence

import msgspec

from bench.requests import Request

_SILENCE_SECONDS_MAX = 30.0
_READ_BYTES = 256 * 1024


class LoadFailed(Exception):
    """The server answered something else than it should, hung up, or said nothing any more."""


class Load(msgspec.Struct):
    """What was measured; ``generator_cores`` is how much of a core the generator itself took."""

    seconds: float
    latencies_ns: list[int]
    generator_cores: float
    last_answer: bytes

    @property
    def requests(self) -> int:
        """How many were answered."""
        return len(self.latencies_ns)

    def latency_ms(self, share: float) -> float:
        """The latency that this share of the requests stayed within."""
        ordered = sorted(self.latencies_ns)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6


class _Connection:
    """One connection and what it has under way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.began_ns = 0
        self._unsent = memoryview(b"")
        self._received = b""

    def begin(self, wire: bytes) -> None:
        """Send a request, as much of it as the kernel takes."""
        self.began_ns = time.perf_counter_ns()
        self._unsent = memoryview(wire)
        self.send()

    def send(self) -> None:
        """Send more of it."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            pass

    def receive(self, status_line: bytes) -> bytes | None:
        """Read what is there; the whole answer once it has come. Raises ``LoadFailed``."""
        piece = self.socket.recv(_READ_BYTES)
        if not piece:
            raise LoadFailed("The server closed a connection.")
        received = self._received + piece
        head_end = received.find(b"\r\n\r\n") + 4
        if head_end >= 4:
            if not received.startswith(status_line):
                raise LoadFailed(f"The server answered {received[:2000].decode('latin-1')}")
            length_at = received.find(b"Content-Length: ", 0, head_end) + 16
            if len(received) - head_end == int(received[length_at : received.find(b"\r", length_at)]):
                self._received = b""
                return received
        self._received = received
        return None


def drive(
    address: tuple[str, int], requests: Sequence[Request], connections: int, *, status: int, seconds_max: float
) -> Load:
    """Send the requests, or those that go out within ``seconds_max``, and wait for every answer.

    Raises ``LoadFailed``.
    """
    # Joined here, so that neither copying nor garbage collection falls into the measurement.
    wires = [head + body for head, body in requests]
    opened = [_Connection(address) for _ in range(min(connections, len(wires)))]
    gc.collect()
    gc.disable()
    try:
        return _loop(opened, iter(wires), b"HTTP/1.1 %d " % status, seconds_max)
    except OSError as error:
        raise LoadFailed(f"A connection broke: {error}.") from error
    finally:
        gc.enable()
        for connection in opened:
            connection.socket.close()


def _loop(opened: list[_Connection], wires: Iterator[bytes], status_line: bytes, seconds_max: float) -> Load:
    latencies_ns: list[int] = []
    answer = b""
    with select.epoll() as poll:
        by_descriptor = {connection.socket.fileno(): connection for connection in opened}
        for descriptor in by_descriptor:
            # Edge-triggered: a connection is heard of as writable only where a send was cut short.
            poll.register(descriptor, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        began, cpu_began = time.perf_counter_ns(), time.process_time()
        ends_at_ns = began + int(seconds_max * 1e9)
        for connection in opened:
            connection.begin(next(wires))
        busy = len(opened)
        while busy:
            events = poll.poll(_SILENCE_SECONDS_MAX)
            if not events:
                raise LoadFailed(f"The server was silent for {_SILENCE_SECONDS_MAX:.0f} s.")
            for descriptor, event in events:
                connection = by_descriptor[descriptor]
                if event & select.EPOLLOUT:
                    connection.send()
                if event & ~select.EPOLLOUT:
                    whole = _drain(connection, status_line)
                    if whole is None:
                        continue
                    answer = whole
                    now = time.perf_counter_ns()
                    latencies_ns.append(now - connection.began_ns)
                    wire = next(wires, None) if now < ends_at_ns else None
                    if wire is None:
                        busy -= 1
                    else:
                        connection.begin(wire)
        seconds = (time.perf_counter_ns() - began) / 1e9
        cpu_seconds = time.process_time() - cpu_began
    return Load(seconds, latencies_ns, cpu_seconds / seconds, answer)


def _drain(connection: _Connection, status_line: bytes) -> bytes | None:
    """The whole answer, or ``None`` once nothing more is there to read."""
    try:
        while True:
            answer = connection.receive(status_line)
            if answer is not None:
                return answer
    except BlockingIOError:
        return None
