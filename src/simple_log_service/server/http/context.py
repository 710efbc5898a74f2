"""What all connections of one listener share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from simple_log_service.api.errors import internal_error_response
from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.core import signals
from simple_log_service.core.limits import KIB
from simple_log_service.core.ports import Metrics
from simple_log_service.server.access_log import AccessLog
from simple_log_service.server.http.answers import Answers, RequestIds
from simple_log_service.server.http.application import Application
from simple_log_service.server.http.bounds import Bounds
from simple_log_service.server.http.budget import Budget
from simple_log_service.server.http.journal import Journal
from simple_log_service.server.http.unsent import Unsent

if TYPE_CHECKING:
    from simple_log_service.server.http.connection import Connection

_LOG = structlog.get_logger(__name__)
_READ_BYTES = 64 * KIB


class Context:
    """The listener's state as its connections see it. ``now`` is the loop's time at the last sweep."""

    def __init__(
        self,
        application: Application[Any],
        metrics: Metrics,
        access_log: AccessLog | None,
        bounds: Bounds,
        clock: Callable[[], int],
        *,
        secure: bool,
    ) -> None:
        self.application = application
        self.metrics = metrics
        self.bounds = bounds
        self.clock = clock
        self.secure = secure
        self.journal = Journal(metrics, access_log)
        self.budget = Budget(bounds.buffered_bytes_max, bounds.body_bytes_max)
        self.unsent = Unsent(bounds.unsent_bytes_max)
        self.answers = Answers()
        self.request_ids = RequestIds()
        self.now = 0.0
        self.stopping = False
        self.connections: set[Connection] = set()
        self.all_gone = asyncio.Event()
        # One for all: the loop reads into it and hands it over before it reads anything else. It also bounds what
        # a connection holds besides what it has reserved.
        self.read_buffer = memoryview(bytearray(_READ_BYTES))

    def forget(self, connection: Connection) -> None:
        """A connection is closed and has no request left."""
        self.connections.discard(connection)
        if self.stopping and not self.connections:
            self.all_gone.set()

    def internal_error(self, head: RequestHead | None) -> Response:
        """Report the exception being handled, which is a defect of ours, and make the neutral answer to it."""
        self.metrics.count(signals.INTERNAL_ERRORS)
        request = {} if head is None else {"request_id": head.request_id, "method": head.method, "path": head.path}
        _LOG.error("internal_error", exc_info=True, **request)
        return internal_error_response()
