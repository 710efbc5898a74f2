"""A Lambda function's handler: one event in, one answer out, whatever happens.

The runtime never sees an exception: it would become a 502 without a word, and a failure that nobody counts. Python's
``SystemExit`` would even end the container. Only running out of time or memory is beyond this module's power.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from time import perf_counter
from typing import Any, Protocol

from simple_log_service.api.errors import error_response, internal_error_response, missing_authentication_token
from simple_log_service.api.messages import Response
from simple_log_service.api.routes import Api, Call, Route
from simple_log_service.aws.deadline import Deadline
from simple_log_service.aws.emf import EmfMetrics
from simple_log_service.aws.events import answer_of, body_of, head_of, principal_of, read_event, route_of
from simple_log_service.aws.journal import Journal, Visit
from simple_log_service.core import signals
from simple_log_service.core.errors import LogServiceError
from simple_log_service.core.ports import Clock


class Context(Protocol):
    """What is used of the object that Lambda gives to a handler beside the event."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """How long Lambda lets the invocation go on."""


class Handler:
    """Answers the routes in ``serves``; every other one is unknown here. One invocation at a time, as Lambda has it."""

    def __init__(
        self,
        api: Api,
        *serves: Route,
        metrics: EmfMetrics,
        journal: Journal,
        deadline: Deadline,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._api = api
        self._serves = frozenset(serves)
        self._metrics = metrics
        self._journal = journal
        self._deadline = deadline
        self._clock = clock
        self._loop = loop
        self._cold = True

    def __call__(self, event: object, context: Context) -> dict[str, Any]:
        """The answer to a proxy event."""
        began = perf_counter()
        self._deadline.begin(context.get_remaining_time_in_millis() / 1000)
        visit = Visit(context.aws_request_id, self._clock(), self._cold)
        self._cold = False
        try:
            response = self._loop.run_until_complete(self._answer(event, visit))
        except LogServiceError as error:
            response = error_response(error)
            if response.status >= 500:
                self._journal.failed(visit, error)
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - no defect may reach the runtime
            response = internal_error_response()
            self._metrics.count(signals.INTERNAL_ERRORS)
            self._journal.failed(visit, error)
        self._journal.answered(visit, response, perf_counter() - began, context.get_remaining_time_in_millis())
        return answer_of(response)

    async def _answer(self, event: object, visit: Visit) -> Response:
        """In the order of the embedded home's gate: route, caller, body, and only then what it means."""
        proxied = read_event(event)
        head = visit.head = head_of(proxied, visit.received_ns)
        route, service_name = route_of(proxied, head)
        if route not in self._serves:
            raise missing_authentication_token()
        visit.route = route
        visit.principal = principal_of(proxied.request_context.identity)
        body = body_of(proxied)
        visit.body_bytes = len(body)
        call = Call(route, service_name, head, body, sha256(body).hexdigest(), visit.principal)
        return await self._api.answer(call)
