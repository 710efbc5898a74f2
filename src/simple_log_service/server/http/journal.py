"""What is told about each answered request, to the metrics and to the access log."""

from __future__ import annotations

from time import perf_counter

from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.core import signals
from simple_log_service.core.ports import Metrics
from simple_log_service.server.access_log import AccessLog, Entry
from simple_log_service.server.http.application import Attribution

UNROUTED = Attribution("none")
"""Stands for requests that were turned away before a route was chosen."""

_STATUS_TEXTS = tuple(str(status) for status in range(600))


class Journal:
    """Counts and notes answers."""

    def __init__(self, metrics: Metrics, access_log: AccessLog | None) -> None:
        self._metrics = metrics
        self._access_log = access_log

    def answered(
        self, head: RequestHead, by: Attribution, response: Response, began: float, bytes_in: int, bytes_out: int
    ) -> None:
        """Take note of one answer.

        ``began`` is ``perf_counter`` at the end of the head; bytes are those of the body and of the whole answer.
        """
        metrics = self._metrics
        seconds = perf_counter() - began
        status = response.status
        metrics.count(signals.REQUESTS, 1, by.route, _STATUS_TEXTS[status])
        metrics.observe(signals.REQUEST_SECONDS, seconds, by.route)
        if bytes_in:
            metrics.count(signals.BODY_BYTES, bytes_in)
        error_type = None
        if status >= 400:
            error_type = _error_type(response)
            metrics.count(signals.REFUSALS, 1, error_type or "none")
        if self._access_log is not None:
            self._access_log.append(
                Entry(
                    head.received_ns,
                    head.request_id,
                    head.source_ip,
                    head.method,
                    head.path,
                    status,
                    error_type,
                    by.arn,
                    by.access_key_id,
                    bytes_in,
                    bytes_out,
                    seconds,
                )
            )


def _error_type(response: Response) -> str | None:
    for name, value in response.headers:
        if name == "x-amzn-ErrorType":
            return value
    return None
