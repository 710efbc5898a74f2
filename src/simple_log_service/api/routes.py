"""The route table and what each route does: the same code behind the embedded listener and behind API Gateway."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from simple_log_service.api.bodies import is_ndjson, unpack
from simple_log_service.api.errors import THROTTLED_ERROR_TYPE, THROTTLED_RETRY_SECONDS
from simple_log_service.api.identity import Principal
from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.api.parameters import parse_parameters, recent_query
from simple_log_service.api.stats import stats_query, stats_response
from simple_log_service.core.batch import Batch, RetryKey
from simple_log_service.core.cursor import encode_cursor
from simple_log_service.core.decode import decode_batch
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import (
    DECODE_OFF_LOOP_BYTES_MIN,
    IDEMPOTENCY_KEY_CHARS_MAX,
    PATH_SERVICE_NAME_CHARS_MAX,
)
from simple_log_service.core.ports import Offload
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.service import LogService
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from simple_log_service.core.validation import Rules


class Route(NamedTuple):
    """One route: its name (the label in metrics), method and path; ``needs_identity`` is false for the open ones."""

    name: str
    method: str
    path: str
    needs_identity: bool = True


INGEST = Route("ingest", "POST", "/logs")
INGEST_SERVICE = Route("ingest_service", "POST", "/services/{service_name}/logs")
RECENT = Route("recent", "GET", "/logs/recent")
RECENT_SERVICE = Route("recent_service", "GET", "/services/{service_name}/logs")
HEALTH = Route("health", "GET", "/health", needs_identity=False)
STATS = Route("stats", "GET", "/logs/stats")
METRICS = Route("metrics", "GET", "/metrics")

ROUTES: tuple[Route, ...] = (INGEST, INGEST_SERVICE, RECENT, RECENT_SERVICE, STATS, HEALTH, METRICS)

_STATIC = {(route.method, route.path): route for route in ROUTES if "{" not in route.path}
_OF_SERVICE = {route.method: route for route in ROUTES if "{" in route.path}
# Only characters that need no percent-encoding: a policy's resource then names exactly one service.
_SERVICE_PATH = re.compile(rf"/services/(?!\.{{1,2}}/)([A-Za-z0-9._~-]{{1,{PATH_SERVICE_NAME_CHARS_MAX}}})/logs")

_SINGLE_RECEIPT = b'{"message":"Log ingested successfully","log_id":%b}'


def find_route(method: str, path: str) -> tuple[Route, str | None] | None:
    """The route of a raw path and the service that it names; ``None`` where there is no such route."""
    route = _STATIC.get((method, path))
    if route is not None:
        return route, None
    match = _SERVICE_PATH.fullmatch(path)
    if match is None or method not in _OF_SERVICE:
        return None
    return _OF_SERVICE[method], match[1]


def methods_of(path: str) -> list[str]:
    """The methods that a raw path answers to, none for an unknown path."""
    return sorted({route.method for route in ROUTES if find_route(route.method, path) is not None})


class Call(NamedTuple):
    """A request that has been let in. ``principal`` is ``None`` on open routes; ``body_sha256`` is of the wire."""

    route: Route
    service_name: str | None
    head: RequestHead
    body: bytes
    body_sha256: str
    principal: Principal | None


class Api:
    """Answers calls. ``status`` and ``metrics_page`` are the home's own answers to /health and /metrics."""

    def __init__(
        self,
        service: LogService,
        *,
        offload: Offload,
        status: Callable[[], Response],
        metrics_page: Callable[[], Response],
    ) -> None:
        self._service = service
        self._offload = offload
        self._handlers: dict[Route, Callable[[Call], Awaitable[Response]]] = {
            INGEST: self._ingest,
            INGEST_SERVICE: self._ingest,
            RECENT: self._recent,
            RECENT_SERVICE: self._recent,
            STATS: self._stats,
            HEALTH: _constantly(status),
            METRICS: _constantly(metrics_page),
        }

    async def answer(self, call: Call) -> Response:
        """The response to a call; raises ``LogServiceError`` for ``api.errors`` to put into words."""
        return await self._handlers[call.route](call)

    async def _ingest(self, call: Call) -> Response:
        parse_parameters(call.head.query, frozenset())
        head = call.head
        rules = self._service.rules(head.received_ns, call.service_name)
        retry = _retry_key(call)
        encoding, content_type = head.text(b"content-encoding"), head.text(b"content-type")
        # What a packed body unpacks to cannot be told from its size: a few hundred bytes may stand for megabytes.
        if encoding is not None or len(call.body) > DECODE_OFF_LOOP_BYTES_MIN:
            batch = await self._offload(_decode, call.body, encoding, content_type, rules)
        else:
            batch = _decode(call.body, encoding, content_type, rules)
        batch.retry, batch.received_ns = retry, head.received_ns
        batch.as_of = lambda received_ns: _decode(
            call.body, encoding, content_type, self._service.rules(received_ns, call.service_name)
        )
        receipt = await self._service.ingest(batch)
        if batch.single and receipt.accepted > len(batch):
            # A retry of what was stored while it was young enough: its own id now stands in the body alone.
            timeless = msgspec.structs.replace(rules, oldest_ns=0, newest_ns=TIMESTAMP_NS_MAX)
            batch = _decode(call.body, encoding, content_type, timeless)
        return _receipt_response(batch, receipt)

    async def _recent(self, call: Call) -> Response:
        query = recent_query(call.head.query, call.service_name, call.head.received_ns)
        page = await self._service.recent(query)
        cursor = "null" if page.below is None else f'"{encode_cursor(query, page.below, page.reach_ns)}"'
        complete = "true" if page.complete else "false"
        tail = f'],"next_cursor":{cursor},"complete":{complete}}}'.encode()
        return Response(200, b'{"count":%d,"logs":[%b%b' % (len(page.logs), b",".join(page.logs), tail))

    async def _stats(self, call: Call) -> Response:
        asked = stats_query(call.head.query, call.head.received_ns)
        return stats_response(asked, await self._service.stats(asked))


def _decode(body: bytes, content_encoding: str | None, content_type: str | None, rules: Rules) -> Batch:
    return decode_batch(unpack(body, content_encoding), rules, ndjson=is_ndjson(content_type))


def _retry_key(call: Call) -> RetryKey | None:
    key = call.head.text(b"idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= IDEMPOTENCY_KEY_CHARS_MAX:
        raise InvalidRequest(f"Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters.")
    assert call.principal is not None
    meaning = (call.head.path, call.head.text(b"content-type"), call.head.text(b"content-encoding"))
    return RetryKey.of(call.principal.owner, key, call.body_sha256, *(part or "" for part in meaning))


def _receipt_response(batch: Batch, receipt: Receipt) -> Response:
    if receipt.is_throttled:
        wait = ("Retry-After", str(THROTTLED_RETRY_SECONDS))
        return Response(429, msgspec.json.encode(receipt), (("x-amzn-ErrorType", THROTTLED_ERROR_TYPE), wait))
    status = 400 if receipt.rejected and not receipt.accepted else 201
    if batch.single and status == 201:
        given = batch.log_ids[0] if batch.log_ids else None
        log_id = given if given is not None else receipt.log_ids[0].first
        return Response(status, _SINGLE_RECEIPT % msgspec.json.encode(log_id))
    return Response(status, msgspec.json.encode(receipt))


def _constantly(answer: Callable[[], Response]) -> Callable[[Call], Awaitable[Response]]:
    async def handler(call: Call) -> Response:
        parse_parameters(call.head.query, frozenset())
        return answer()

    return handler
