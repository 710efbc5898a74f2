"""What a function writes to its log: one JSON line for each request, metrics included, and one for each error.

Errors are told by their kind and place. An unexpected one's own words may quote what a caller sent, so they stay out.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from time import gmtime, strftime

import msgspec

from simple_log_service.api.identity import Principal
from simple_log_service.api.journal import ROUTE_NONE, AccessLine, count_answer
from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.api.routes import Route
from simple_log_service.aws.emf import EmfMetrics, documents
from simple_log_service.core.errors import LogServiceError
from simple_log_service.core.limits import SECOND_NS

_FRAMES_MAX = 12
_TRACE_HEADER = b"x-amzn-trace-id"
_TRACE_CHARS_MAX = 256

WriteLine = Callable[[str], object]


class Visit(msgspec.Struct):
    """One invocation, and what is known of its request so far."""

    lambda_request_id: str
    received_ns: int
    cold_start: bool
    head: RequestHead | None = None
    route: Route | None = None
    principal: Principal | None = None
    body_bytes: int = 0

    @property
    def request_id(self) -> str:
        """The id that the caller sees, or Lambda's own where the event held none."""
        return self.lambda_request_id if self.head is None else self.head.request_id


class Journal:
    """Writes lines; the lines of one invocation hold all the signals that came up since the one before."""

    def __init__(self, metrics: EmfMetrics, *, namespace: str, write: WriteLine) -> None:
        self._metrics = metrics
        self._namespace = namespace
        self._write = write

    def answered(self, visit: Visit, response: Response, seconds: float, remaining_ms: int) -> None:
        """Tell of one answer; ``remaining_ms`` is what Lambda would still have given it."""
        route_name = ROUTE_NONE if visit.route is None else visit.route.name
        error_type = response.error_type if response.status >= 400 else None
        count_answer(self._metrics, route_name, response, error_type, seconds, visit.body_bytes)
        line = msgspec.to_builtins(_access_line(visit, response, error_type, seconds)) | {
            # A dimension has to be text, and it is one under this name.
            "status": str(response.status),
            "route": route_name,
            "lambda_request_id": visit.lambda_request_id,
            "cold_start": visit.cold_start,
            "remaining_ms": remaining_ms,
        }
        trace_id = _trace_id(visit.head)
        if trace_id is not None:
            line["trace_id"] = trace_id
        timestamp_ms = visit.received_ns // 1_000_000
        for document in documents(line, self._metrics.take(), namespace=self._namespace, timestamp_ms=timestamp_ms):
            self._write_line(document)

    def failed(self, visit: Visit, error: BaseException) -> None:
        """Tell of the error behind an answer of 5xx."""
        self._write_line(
            {
                "level": "ERROR",
                "request_id": visit.request_id,
                "lambda_request_id": visit.lambda_request_id,
                "errors": [_described(each) for each in _chain(error)],
                "where": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in _frames(error)],
            }
        )

    def _write_line(self, line: dict[str, object]) -> None:
        self._write(msgspec.json.encode(line).decode())


def _access_line(visit: Visit, response: Response, error_type: str | None, seconds: float) -> AccessLine:
    head, principal = visit.head, visit.principal
    second, rest_ns = divmod(visit.received_ns, SECOND_NS)
    return AccessLine(
        f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(second))}.{rest_ns // 1_000_000:03d}Z",
        visit.request_id,
        "" if head is None else head.source_ip,
        "" if head is None else head.method,
        "" if head is None else head.path,
        response.status,
        visit.body_bytes,
        len(response.body),
        round(seconds * 1000, 3),
        error_type,
        None if principal is None else principal.arn,
        None if principal is None else principal.access_key_id,
    )


def _trace_id(head: RequestHead | None) -> str | None:
    """X-Ray's, which API Gateway passes on in a header."""
    value = None if head is None else head.fields.get(_TRACE_HEADER)
    return None if value is None else value[:_TRACE_CHARS_MAX].decode("ascii", "replace")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _described(error: BaseException) -> str:
    """Its kind, with AWS's code where it has one, or with its text where that is ours."""
    kind = type(error).__name__
    if isinstance(error, LogServiceError):
        return f"{kind}: {error}"
    answer = getattr(error, "response", None)
    code = answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None
    return kind if code is None else f"{kind}: {code}"


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The innermost frames of what came first: where it happened."""
    *_, root = _chain(error)
    # Without the source's lines: they are not in the package, and looking for them takes time.
    return list(traceback.StackSummary.extract(traceback.walk_tb(root.__traceback__), lookup_lines=False))[
        -_FRAMES_MAX:
    ]
