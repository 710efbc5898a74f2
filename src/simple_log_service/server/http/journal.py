"""What is told about each answered request, to the metrics and to the access log."""

from __future__ import annotations

from time import perf_counter

from simple_log_service.api.journal import ROUTE_NONE, count_answer
from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.core.ports import Metrics
from simple_log_service.server.access_log import AccessLog, Entry
from simple_log_service.server.http.application import Attribution

UNROUTED = Attribution(ROUTE_NONE)


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
        seconds = perf_counter() - began
        status = response.status
        error_type = response.error_type if status >= 400 else None
        count_answer(self._metrics, by.route, response, error_type, seconds, bytes_in)
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
