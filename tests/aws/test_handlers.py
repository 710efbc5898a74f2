"""A function's handler answers every event, whatever happens, and tells of it in one line."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.api.messages import Response
from simple_log_service.api.routes import INGEST, INGEST_SERVICE, RECENT, RECENT_SERVICE, STATS, Route
from simple_log_service.aws.deadline import MARGIN_SECONDS, Deadline
from simple_log_service.aws.emf import EmfMetrics
from simple_log_service.aws.home import home_over
from simple_log_service.aws.settings import Settings
from simple_log_service.core.batch import Batch
from simple_log_service.core.errors import StoreThrottled, StoreUnavailable
from simple_log_service.core.ports import LogStore
from simple_log_service.core.query import Page, Query
from simple_log_service.core.receipts import Receipt
from simple_log_service.stores.memory import MemoryStore
from support.proxy_events import (
    ACCESS_KEY_ID,
    ARN,
    IDENTITY,
    REQUEST_ID,
    TRACE_ID,
    StandingContext,
    asked,
    posted,
    proxy_event,
    response_of,
)

SETTINGS = Settings(region="us-east-1", table_name="logs", index_name="TimestampIndex")
RECORD = {"service_name": "shop", "log_type": "application", "message": "hello"}
SECRET = "hunter2"
EVERY_ROUTE = (INGEST, INGEST_SERVICE, RECENT, RECENT_SERVICE, STATS)

texts = st.text(st.characters(exclude_categories=[]), max_size=12)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
"""Of JSON, lone surrogates included."""


class Function:
    """A handler, wired as the home wires it but over any store, and what it has written."""

    def __init__(self, store: LogStore, loop: asyncio.AbstractEventLoop, *serves: Route) -> None:
        self.lines: list[dict[str, Any]] = []
        self.deadline = Deadline()

        def open_store(settings: Settings, metrics: EmfMetrics, deadline: Deadline) -> LogStore:
            self.deadline = deadline
            return store

        self.handler = home_over(open_store, SETTINGS, *serves, loop=loop, write=self._keep)

    def invoke(self, event: object, context: StandingContext | None = None) -> Response:
        """One event, one answer."""
        return response_of(self.handler(event, context or StandingContext()))

    def _keep(self, line: str) -> None:
        self.lines.append(json.loads(line))


class FailingStore:
    """A store that raises the same error whatever is asked of it."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def append(self, batch: Batch) -> Receipt:
        """Raise it."""
        raise self._error

    async def recent(self, query: Query) -> Page:
        """Raise it."""
        raise self._error

    async def close(self) -> None:
        """Nothing."""


Open = Callable[..., Function]


@pytest.fixture
def open_function() -> Iterator[Open]:
    """Makes functions, over an empty store unless told otherwise."""
    with closing(asyncio.new_event_loop()) as loop:
        yield lambda store=None, *serves: Function(store or MemoryStore(time.time_ns), loop, *(serves or EVERY_ROUTE))


def test_a_record_that_was_taken_is_in_the_next_read(open_function: Open) -> None:
    function = open_function()

    receipt = function.invoke(posted(RECORD))
    page = json.loads(function.invoke(asked(service_name="shop")).body)

    assert receipt.status == 201
    assert [log["log_id"] for log in page["logs"]] == [json.loads(receipt.body)["log_id"]]


def test_a_service_of_the_path_is_filled_in(open_function: Open) -> None:
    function = open_function()
    record = json.dumps({"log_type": "audit", "message": "m"}).encode()
    names = {"service_name": "till"}

    assert function.invoke(proxy_event("POST", INGEST_SERVICE.path, path_parameters=names, body=record)).status == 201
    page = function.invoke(proxy_event("GET", RECENT_SERVICE.path, path_parameters=names))

    assert [log["service_name"] for log in json.loads(page.body)["logs"]] == ["till"]


def test_a_retry_under_renewed_credentials_stores_nothing_twice(open_function: Open) -> None:
    function = open_function()
    key = {"headers": {"Idempotency-Key": ["once"]}}

    first = function.invoke(posted(RECORD, **key))
    renewed = {**IDENTITY, "accessKey": "ASIARENEWED000000000", "caller": str(IDENTITY["caller"]) + "-2"}
    again = function.invoke(posted(RECORD, **key, identity=renewed))

    assert again.body == first.body
    assert json.loads(function.invoke(asked()).body)["count"] == 1


@pytest.mark.parametrize(
    ("serves", "event"),
    [(INGEST, asked()), (RECENT, posted(RECORD)), (RECENT, proxy_event("GET", "/metrics"))],
)
def test_a_function_answers_its_own_routes_alone(open_function: Open, serves: Route, event: Any) -> None:
    answer = open_function(None, serves).invoke(event)

    assert (answer.status, answer.error_type) == (403, "MissingAuthenticationTokenException")


@pytest.mark.parametrize("route", ["/health", "/metrics"])
def test_what_the_gateway_answers_itself_is_unknown_here(open_function: Open, route: str) -> None:
    assert open_function().invoke(proxy_event("GET", route)).status == 403


def test_the_caller_is_checked_before_the_body_is_read(open_function: Open) -> None:
    event = proxy_event("POST", "/logs", identity={**IDENTITY, "accessKey": "AKIALONGLIVED0000000"})

    answer = open_function().invoke(event | {"body": "not base64!", "isBase64Encoded": True})

    assert (answer.status, answer.error_type) == (403, "UnrecognizedClientException")


def test_a_malformed_event_is_answered_400(open_function: Open) -> None:
    function = open_function()

    events: list[object] = [{}, None, [], "text", {"Records": []}, posted(RECORD) | {"body": 5}]
    for event in events:
        answer = function.invoke(event)
        assert (answer.status, answer.error_type) == (400, "BadRequestException")

    assert [line["status"] for line in function.lines] == ["400"] * 6
    assert {line["request_id"] for line in function.lines} == {StandingContext().aws_request_id}


@given(st.data())
def test_an_event_with_anything_anywhere_is_answered_and_told_of(data: st.DataObject) -> None:
    event = posted(RECORD, headers={"Idempotency-Key": ["once"]})
    context = event["requestContext"]
    context["identity"] = dict(IDENTITY)
    part: dict[str, Any] = data.draw(st.sampled_from([event, context, context["identity"], event["multiValueHeaders"]]))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(anything | st.lists(texts, max_size=3))
    with closing(asyncio.new_event_loop()) as loop:
        function = Function(MemoryStore(time.time_ns), loop, *EVERY_ROUTE)

        answer = function.invoke(event)

    assert answer.status in (201, 400, 403, 415)
    assert [line["status"] for line in function.lines] == [str(answer.status)]


def test_one_line_tells_of_a_request(open_function: Open) -> None:
    function = open_function()

    function.invoke(posted([RECORD, RECORD]))

    (line,) = function.lines
    assert line.pop("_aws")["CloudWatchMetrics"]
    assert line.pop("time").startswith("20")
    assert line.pop("duration_ms") > 0
    assert line.pop("slog_request_seconds") > 0
    assert line == {
        "request_id": REQUEST_ID,
        "source_ip": "203.0.113.7",
        "method": "POST",
        "path": "/logs",
        "status": "201",
        "bytes_in": len(json.dumps([RECORD, RECORD])),
        "bytes_out": line["bytes_out"],
        "arn": ARN,
        "access_key_id": ACCESS_KEY_ID,
        "route": "ingest",
        "lambda_request_id": StandingContext().aws_request_id,
        "cold_start": True,
        "remaining_ms": 30_000,
        "trace_id": TRACE_ID,
        "slog_requests_total": 1,
        "slog_records_accepted_total": 2,
        "slog_body_bytes_total": line["bytes_in"],
    }


def test_only_the_first_invocation_of_a_container_is_cold(open_function: Open) -> None:
    function = open_function()

    for _ in range(3):
        function.invoke(asked())

    assert [line["cold_start"] for line in function.lines] == [True, False, False]


def test_a_line_holds_neither_query_nor_headers_nor_body(open_function: Open) -> None:
    function = open_function()
    headers = {"Authorization": [SECRET], "X-Amz-Security-Token": [SECRET], "Idempotency-Key": [SECRET]}

    function.invoke(posted({**RECORD, "message": SECRET}, headers=headers))
    function.invoke(asked(service_name=SECRET))

    assert SECRET not in json.dumps(function.lines)


def test_a_line_holds_the_path_and_so_the_service_that_it_names(open_function: Open) -> None:
    function = open_function()

    function.invoke(proxy_event("GET", RECENT_SERVICE.path, path_parameters={"service_name": "shop"}))

    (line,) = function.lines
    assert line["path"] == "/services/shop/logs"


def test_a_refusal_is_counted_by_its_kind(open_function: Open) -> None:
    function = open_function()

    function.invoke(asked(limit="0"))

    (line,) = function.lines
    assert (line["error_type"], line["slog_refusals_total"]) == ("BadRequestException", 1)


@pytest.mark.parametrize(
    "error", [ValueError(SECRET), MemoryError(), SystemExit(1), asyncio.CancelledError(), RecursionError()], ids=repr
)
def test_a_defect_is_answered_503_told_of_once_and_counted(open_function: Open, error: BaseException) -> None:
    function = open_function(FailingStore(error))

    answer = function.invoke(posted({**RECORD, "message": SECRET}))

    assert (answer.status, answer.error_type) == (503, "ServiceUnavailableException")
    assert ("Access-Control-Allow-Origin", "*") in answer.headers
    told, line = function.lines
    assert told["level"] == "ERROR"
    assert told["errors"] == [type(error).__name__]
    assert told["request_id"] == line["request_id"] == REQUEST_ID
    assert any("test_handlers.py" in place for place in told["where"])
    assert line["slog_internal_errors_total"] == 1
    assert SECRET not in json.dumps(function.lines)


@pytest.mark.parametrize("error", [ValueError(), SystemExit(1), asyncio.CancelledError()], ids=repr)
def test_the_container_goes_on_after_a_defect(open_function: Open, error: BaseException) -> None:
    function = open_function(FailingStore(error))

    assert [function.invoke(asked()).status for _ in range(3)] == [503, 503, 503]
    assert function.invoke(asked(limit="0")).status == 400


def test_an_unavailable_store_is_told_of_with_what_led_to_it(open_function: Open) -> None:
    cause = ConnectionError(SECRET)
    cause.response = {"Error": {"Code": "AccessDeniedException", "Message": SECRET}}  # type: ignore[attr-defined] # as botocore's
    error = StoreUnavailable("DynamoDB does not answer")
    error.__cause__ = cause
    function = open_function(FailingStore(error))

    answer = function.invoke(asked())

    assert (answer.status, json.loads(answer.body)) == (503, {"message": "DynamoDB does not answer"})
    told, line = function.lines
    assert told["errors"] == ["StoreUnavailable: DynamoDB does not answer", "ConnectionError: AccessDeniedException"]
    assert "slog_internal_errors_total" not in line
    assert SECRET not in json.dumps(function.lines)


def test_a_throttled_store_is_429_and_no_error(open_function: Open) -> None:
    function = open_function(FailingStore(StoreThrottled("Too many requests for the table's capacity.")))

    answer = function.invoke(asked())

    assert (answer.status, answer.error_type) == (429, "TooManyRequestsException")
    assert "Retry-After" in dict(answer.headers)
    assert len(function.lines) == 1


def test_work_has_to_be_done_before_lambda_ends_it(open_function: Open) -> None:
    function = open_function()
    function.invoke(asked(), StandingContext(remaining_ms=10_000))

    left = function.deadline() - time.monotonic()

    assert 0 < left <= 10 - MARGIN_SECONDS


def test_a_deadline_may_have_passed_from_the_start() -> None:
    deadline = Deadline()
    deadline.begin(remaining_seconds=0.1)

    assert deadline() < time.monotonic()
