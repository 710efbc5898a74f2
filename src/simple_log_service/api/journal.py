"""What both homes tell of each answered request: its line in the access log, and what is counted of it."""

from __future__ import annotations

import msgspec

from simple_log_service.api.messages import Response
from simple_log_service.core import signals
from simple_log_service.core.ports import Metrics

ROUTE_NONE = "none"
"""Stands where a route's name would: for requests that were turned away before one was found."""

_STATUS_TEXTS = tuple(str(status) for status in range(600))


class AccessLine(msgspec.Struct, gc=False, omit_defaults=True):
    """One request: never its query, which may hold what somebody looked for, its headers or its body.

    ``time`` is of receipt, RFC 3339 in UTC; ``bytes_in`` are those of the body on the wire.
    """

    time: str
    request_id: str
    source_ip: str
    method: str
    path: str
    status: int
    bytes_in: int
    bytes_out: int
    duration_ms: float
    error_type: str | None = None
    arn: str | None = None
    access_key_id: str | None = None


def count_answer(
    metrics: Metrics, route_name: str, response: Response, error_type: str | None, seconds: float, body_bytes: int
) -> None:
    """Count one answer. ``seconds`` are from the head of the request, ``body_bytes`` those of its body."""
    status = response.status
    metrics.count(signals.REQUESTS, 1, route_name, _STATUS_TEXTS[status])
    metrics.observe(signals.REQUEST_SECONDS, seconds, route_name)
    if body_bytes:
        metrics.count(signals.BODY_BYTES, body_bytes)
    if status >= 400:
        metrics.count(signals.REFUSALS, 1, error_type or "none")
