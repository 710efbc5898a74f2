"""What the listener asks of the application behind it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, NamedTuple, Protocol, TypeVar

from simple_log_service.api.messages import RequestHead, Response

Ticket = TypeVar("Ticket")


class Attribution(NamedTuple):
    """Whose request it was, for metrics and the access log. ``route`` is a metrics dimension: a small, fixed set."""

    route: str
    arn: str | None = None
    access_key_id: str | None = None


class Application(Protocol[Ticket]):
    """Gives requests their meaning. ``Ticket`` is whatever it wants to remember of a request it admitted.

    Every method may raise ``LogServiceError`` (``Refused`` among them), which becomes the answer; any other
    exception is counted as an internal error and answered 503.
    """

    def admit(self, head: RequestHead) -> Ticket:
        """Decide by the head alone whether the body is worth keeping; called before any of it is kept."""

    def handle(self, ticket: Ticket, body: bytes) -> Coroutine[Any, Any, Response]:
        """Answer the complete request.

        The coroutine awaits plain asyncio futures: it runs outside a Task, so nothing in it may ask for the
        current one (``asyncio.timeout`` does). It runs to its end even where its client is gone.
        """

    def describe(self, ticket: Ticket) -> Attribution:
        """Say whose request it was; called once, when it is answered."""
