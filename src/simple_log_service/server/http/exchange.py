"""One request and its answer, as the application sees them: no sockets, no order, no time limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

from simple_log_service.api.errors import body_too_large, error_response
from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.core.errors import LogServiceError
from simple_log_service.server.http.context import Context
from simple_log_service.server.http.driving import advance
from simple_log_service.server.http.head import Framing
from simple_log_service.server.http.journal import UNROUTED

_NOT_ADMITTED = object()


class Exchange:
    """Takes a request through the application; whatever that raises comes back as the answer to it.

    ``body_complete`` says whether the body was read to its end, ``reserved_bytes`` what it holds of the budget.
    """

    __slots__ = (
        "_began",
        "_body_bytes",
        "_context",
        "_coroutine",
        "_ticket",
        "body_complete",
        "framing",
        "head",
        "reserved_bytes",
    )

    def __init__(self, context: Context, head: RequestHead, framing: Framing) -> None:
        self.head = head
        self.framing = framing
        self.body_complete = False
        self.reserved_bytes = 0
        self._context = context
        self._began = perf_counter()
        self._ticket: Any = _NOT_ADMITTED
        self._body_bytes = 0
        self._coroutine: Coroutine[Any, Any, Response] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the application is at work on it."""
        return self._coroutine is not None

    def admit(self) -> Response | None:
        """Ask the application, then the bound on bodies: ``None``, or the answer that turns the request away.

        In this order, so that nobody without credentials learns anything else.
        """
        try:
            self._ticket = self._context.application.admit(self.head)
        except LogServiceError as error:
            return error_response(error)
        except Exception:  # noqa: BLE001 - reported there; no defect may take the connection down
            return self._context.internal_error(self.head)
        if (self.framing.body_bytes or 0) > self._context.bounds.body_bytes_max:
            return error_response(body_too_large())
        return None

    def handle(self, body: bytes, wake: Callable[[object], object]) -> Response | None:
        """Hand the complete request over; ``None`` where its answer takes time: then ``wake`` calls for ``resume``."""
        self.body_complete = True
        self._body_bytes = len(body)
        try:
            self._coroutine = self._context.application.handle(self._ticket, body)
        except LogServiceError as error:
            return error_response(error)
        except Exception:  # noqa: BLE001 - as above
            return self._context.internal_error(self.head)
        return self.resume(wake)

    def resume(self, wake: Callable[[object], object]) -> Response | None:
        """Let the application go on; as ``handle``."""
        assert self._coroutine is not None
        try:
            response = advance(self._coroutine, wake)
            if response is None:
                return None
        except LogServiceError as error:
            # Without its traceback, whose frames hold the body and the future that holds the error.
            response = error_response(error.with_traceback(None))
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - as above
            # A future that somebody cancelled is a defect like any other; nobody cancels a request.
            response = self._context.internal_error(self.head)
        self._coroutine = None
        return response

    def finish(self, response: Response, answer_bytes: int) -> None:
        """The answer was written: give the memory back and take note."""
        self.release()
        context = self._context
        by = UNROUTED if self._ticket is _NOT_ADMITTED else context.application.describe(self._ticket)
        context.journal.answered(self.head, by, response, self._began, self._body_bytes, answer_bytes)

    def release(self) -> None:
        """Give back what the body holds of the budget, and its place in the queue for more."""
        self._context.budget.withdraw(self)
        self._context.budget.release(self)

    def abandon(self) -> None:
        """Nobody waits for the answer any more and the server ends: drop the work and the memory."""
        self.release()
        if self._coroutine is not None:
            try:
                self._coroutine.close()
            except Exception:  # noqa: BLE001 - as above
                self._context.internal_error(self.head)
            self._coroutine = None
