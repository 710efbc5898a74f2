"""The listening sockets: from ``start`` to a graceful ``stop``, with the one timer that all connections share."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Any

import structlog

from simple_log_service.core import signals
from simple_log_service.core.ports import Metrics
from simple_log_service.server.access_log import AccessLog
from simple_log_service.server.http.application import Application
from simple_log_service.server.http.bounds import Bounds
from simple_log_service.server.http.connection import Connection
from simple_log_service.server.http.context import Context

_LOG = structlog.get_logger(__name__)
_BACKLOG = 1024


class Listener:
    """Serves one application on one address. ``clock`` gives nanoseconds since the epoch.

    Made for uvloop (whose sockets have TCP_NODELAY and SO_REUSEADDR, as asyncio's have), but asks nothing of it.
    """

    def __init__(
        self,
        application: Application[Any],
        metrics: Metrics,
        *,
        access_log: AccessLog | None = None,
        tls: ssl.SSLContext | None = None,
        bounds: Bounds | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._tls = tls
        self._metrics = metrics
        self._bounds = bounds or Bounds()
        self._context = Context(application, metrics, access_log, self._bounds, clock, secure=tls is not None)
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def reserved_body_bytes(self) -> int:
        """What bodies hold of the memory budget at this moment."""
        return self._context.budget.reserved_bytes

    @property
    def open_connections(self) -> int:
        """How many connections are open, or have left work behind that is not done yet."""
        return len(self._context.connections)

    async def start(self, host: str, port: int) -> list[tuple[str, int]]:
        """Listen, on a free port where ``port`` is 0; returns the addresses. Raises ``OSError``."""
        loop = asyncio.get_running_loop()
        self._context.now = loop.time()
        self._server = await loop.create_server(
            lambda: Connection(self._context),
            host,
            port,
            backlog=_BACKLOG,
            reuse_address=True,
            ssl=self._tls,
            ssl_handshake_timeout=self._bounds.head_seconds_max if self._tls else None,
        )
        self._timer = loop.call_later(self._bounds.sweep_seconds, self._sweep)
        return [socket.getsockname()[:2] for socket in self._server.sockets]

    async def stop(self, grace_seconds: float) -> None:
        """Accept no more, answer the requests that were accepted, then end every connection.

        A request counts as accepted once its head has arrived. What is not answered within ``grace_seconds`` is
        aborted.
        """
        context = self._context
        context.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(context.connections):
            connection.wind_down()
        if context.connections:
            try:
                await asyncio.wait_for(context.all_gone.wait(), grace_seconds)
            except TimeoutError:
                await self._abort_all()
        if self._timer is not None:
            self._timer.cancel()

    async def _abort_all(self) -> None:
        if self._context.connections:
            _LOG.warning("connections_aborted", connections=len(self._context.connections))
        for connection in tuple(self._context.connections):
            connection.abort()
        # Aborted sockets are closed in the loop's next turns.
        await self._context.all_gone.wait()

    def _sweep(self) -> None:
        context = self._context
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._bounds.sweep_seconds, self._sweep)
        context.now = loop.time()
        context.answers.refresh()
        self._metrics.gauge(signals.CONNECTIONS, len(context.connections))
        self._metrics.gauge(signals.BUFFERED_BYTES, context.budget.reserved_bytes)
        for connection in tuple(context.connections):
            connection.expire(context.now)
