"""The real listener on a free port, with a tiny application behind it, in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import uvloop

from simple_log_service.api.errors import Refused
from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.server.access_log import AccessLog
from simple_log_service.server.http import Attribution, Bounds, Listener
from simple_log_service.server.metrics import PrometheusMetrics

Result = TypeVar("Result")

LARGE_BYTES = 8 * 1024 * 1024


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread brings about."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.001)


class EchoApplication:
    """Says what it got. Its paths each behave in one way that a listener has to live with.

    ``/refused`` and ``/broken-admit`` end at the head; ``/broken`` raises; ``/cancelled`` awaits a cancelled future;
    ``/held`` waits for ``release``; ``/patient`` gives way to the loop a few times; ``/large`` answers a lot;
    anything else is echoed: the body, and what is known of the head as ``x-`` headers.
    """

    def __init__(self) -> None:
        self.heads: list[RequestHead] = []
        self.held: list[asyncio.Future[None]] = []
        self.finished = 0
        self.arrived = threading.Semaphore(0)

    def admit(self, head: RequestHead) -> RequestHead:
        self.heads.append(head)
        if head.path == "/refused":
            raise Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        if head.path == "/broken-admit":
            raise RuntimeError("a defect")
        return head

    def describe(self, ticket: RequestHead) -> Attribution:
        return Attribution(f"{ticket.method} /route", "arn:aws:iam::1:user/ann", "AKIDEXAMPLE")

    async def handle(self, ticket: RequestHead, body: bytes) -> Response:
        if ticket.path == "/broken":
            raise RuntimeError("a defect")
        if ticket.path == "/bad-header":
            return Response(200, b"", (("X-A", "b\r\nX-C: d"),))
        if ticket.path == "/cancelled":
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        if ticket.path == "/held":
            await self._hold()
        if ticket.path == "/patient":
            for _ in range(3):
                await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        if ticket.path == "/large":
            body = b"x" * LARGE_BYTES
        if ticket.path == "/empty":
            return Response(204, b"not to be sent")
        self.finished += 1
        known = {"method": ticket.method, "path": ticket.path, "query": ticket.query, "source": ticket.source_ip}
        headers = (("X-Head", msgspec.json.encode(known).decode()), ("X-Secure", str(ticket.secure)))
        return Response(200, body, headers, "application/octet-stream")

    async def _hold(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.held.append(future)
        self.arrived.release()
        await future

    def release(self) -> None:
        """Let every held request go on."""
        held, self.held = self.held, []
        for future in held:
            future.set_result(None)


class Serving:
    """A running listener, its application and its metrics."""

    def __init__(self, listener: Listener, application: EchoApplication, metrics: PrometheusMetrics) -> None:
        self.listener = listener
        self.application = application
        self.metrics = metrics
        self.address = ("127.0.0.1", 0)
        self.loop_errors: list[dict[str, Any]] = []
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(lambda _loop, error: self.loop_errors.append(error))

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the listener's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def begin(self, work: Coroutine[Any, Any, Result]) -> Callable[[], Result]:
        """Run a coroutine in the listener's loop; what is returned waits for it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return lambda: future.result(timeout=30)

    def release(self) -> None:
        """Let every held request go on."""
        self._loop.call_soon_threadsafe(self.application.release)

    def sample(self, line: str) -> float:
        """The value of one line of the metrics, 0 where it is absent."""
        for found in self.metrics.render().decode().splitlines():
            if found.startswith(line + " "):
                return float(found.rsplit(" ", 1)[1])
        return 0.0

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    @contextmanager
    def running(self) -> Iterator[Serving]:
        thread = threading.Thread(target=self._serve)
        thread.start()
        try:
            self.address = self.run(self.listener.start("127.0.0.1", 0))[0]
            yield self
        finally:
            self.run(self.listener.stop(0))
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
        assert self.loop_errors == []


@contextmanager
def serving(
    *,
    access_log: Callable[[PrometheusMetrics], AccessLog] | None = None,
    tls: ssl.SSLContext | None = None,
    bounds: Bounds | None = None,
) -> Iterator[Serving]:
    """Serve the echo application. Nothing may have reached the loop."""
    application = EchoApplication()
    metrics = PrometheusMetrics()
    log = access_log(metrics) if access_log else None
    listener = Listener(application, metrics, access_log=log, tls=tls, bounds=bounds)
    with Serving(listener, application, metrics).running() as served:
        yield served
