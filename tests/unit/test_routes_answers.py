"""What each route answers, over a store in memory: receipts, pages, retries."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from simple_log_service.api.identity import Principal
from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.api.routes import Api, Call, find_route
from simple_log_service.core.errors import IdempotencyMismatch, InvalidRequest, LogServiceError, UnsupportedEncoding
from simple_log_service.core.ids import log_id_after
from simple_log_service.core.limits import DECODE_OFF_LOOP_BYTES_MIN, SECOND_NS
from simple_log_service.core.retention import Retention
from simple_log_service.core.service import LogService
from simple_log_service.core.signals import Signal
from simple_log_service.stores.memory import MemoryStore
from unit.strategies import NOW_NS


class NoMetrics:
    """Where signals go that no test asks for."""

    def count(self, signal: Signal, amount: float = 1, *dimensions: str) -> None: ...
    def observe(self, signal: Signal, value: float, *dimensions: str) -> None: ...
    def gauge(self, signal: Signal, value: float, *dimensions: str) -> None: ...


class Home:
    """The API over a store in memory, with what was done elsewhere than on the caller's thread."""

    def __init__(self) -> None:
        self.now_ns = NOW_NS
        self.offloaded: list[str] = []
        service = LogService(MemoryStore(lambda: self.now_ns), lambda: self.now_ns, NoMetrics(), retention=Retention())
        self._api = Api(
            service,
            offload=self._offload,
            status=lambda: Response(200, b'{"status":"ok"}'),
            metrics_page=lambda: Response(200, b"# metrics", content_type="text/plain"),
        )

    def _offload(self, function: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
        self.offloaded.append(function.__name__)
        return asyncio.to_thread(function, *arguments)

    def answer(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        owner: str = "arn:aws:iam::000000000000:user/a",
        **headers: str,
    ) -> Response:
        path, _, query = target.partition("?")
        found = find_route(method, path)
        assert found is not None
        fields = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
        head = RequestHead(method, path, query, fields, dict(fields), "192.0.2.1", True, "request-id", self.now_ns)
        principal = Principal("AKIDEXAMPLE", owner + "/session", owner)
        digest = hashlib.sha256(body).hexdigest()
        return asyncio.run(self._answer(Call(found[0], found[1], head, body, digest, principal)))

    async def _answer(self, call: Call) -> Response:
        return await self._api.answer(call)


@pytest.fixture
def home() -> Home:
    return Home()


def record(message: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"service_name": "shop", "log_type": "application", "message": message, **fields}


def sent(content: Any) -> bytes:
    return json.dumps(content).encode()


def read(response: Response) -> Any:
    assert response.content_type == "application/json"
    return json.loads(response.body)


def messages(home: Home, target: str = "/logs/recent") -> list[str]:
    return [log["message"] for log in read(home.answer("GET", target))["logs"]]


def test_one_record_is_answered_with_its_id_and_is_in_the_next_read(home: Home) -> None:
    response = home.answer("POST", "/logs", sent(record(metadata={"a": 1.50}, host="h")))
    receipt = read(response)
    assert (response.status, receipt["message"]) == (201, "Log ingested successfully")
    page = read(home.answer("GET", "/logs/recent"))
    assert page == {
        "count": 1,
        "logs": [
            {
                "service_name": "shop",
                "log_type": "application",
                "timestamp": "2026-02-02T02:40:00Z",
                "level": "INFO",
                "message": "hello",
                "metadata": {"a": 1.5, "host": "h"},
                "log_id": receipt["log_id"],
            }
        ],
        "next_cursor": None,
        "complete": True,
    }


def test_a_callers_own_id_is_answered_however_it_is_spelled(home: Home) -> None:
    assert read(home.answer("POST", "/logs", sent(record(log_id='ü"\n\x00'))))["log_id"] == 'ü"\n\x00'


def test_a_batch_is_answered_with_a_receipt_and_generated_ids_in_runs(home: Home) -> None:
    response = home.answer(
        "POST", "/logs", sent([record(), record(level="loud"), record(log_id="own"), record(), record()])
    )
    receipt = read(response)
    assert response.status == 201
    assert (receipt["accepted"], receipt["duplicates"]) == (4, 0)
    assert [(each["index"], each["code"]) for each in receipt["rejected"]] == [(1, "InvalidField")]
    runs = receipt["log_ids"]
    assert [(run["index"], run["count"]) for run in runs] == [(0, 1), (3, 2)]
    stored = {log["log_id"] for log in read(home.answer("GET", "/logs/recent"))["logs"]}
    assert stored == {runs[0]["first"], "own", runs[1]["first"], log_id_after(runs[1]["first"], 1)}


@pytest.mark.parametrize("content", [record(level="loud"), [record(level="loud")], {"logs": [{}, {}]}])
def test_where_every_record_is_rejected_the_receipt_comes_with_400(home: Home, content: Any) -> None:
    response = home.answer("POST", "/logs", sent(content))
    assert response.status == 400
    assert read(response)["accepted"] == 0
    assert len(read(response)["rejected"]) in (1, 2)
    assert messages(home) == []


def test_a_repeated_id_is_a_duplicate_and_the_first_write_wins(home: Home) -> None:
    home.answer("POST", "/logs", sent([record("first", log_id="x")]))
    response = home.answer("POST", "/logs", sent([record("second", log_id="x")]))
    assert (response.status, read(response)["accepted"], read(response)["duplicates"]) == (201, 1, 1)
    single = home.answer("POST", "/logs", sent(record("third", log_id="x")))
    assert (single.status, read(single)["log_id"]) == (201, "x")
    assert messages(home) == ["first"]


def test_lines_are_taken_by_their_content_type(home: Home) -> None:
    lines = sent(record("1")) + b"\n" + sent(record("2"))
    response = home.answer("POST", "/logs", lines, content_type="application/x-ndjson")
    assert (response.status, read(response)["accepted"]) == (201, 2)
    with pytest.raises(InvalidRequest, match="application/x-ndjson"):
        home.answer("POST", "/logs", lines, content_type="application/json")


def test_packed_bodies_are_unpacked_and_unknown_encodings_refused(home: Home) -> None:
    assert home.answer("POST", "/logs", gzip.compress(sent(record())), content_encoding="gzip").status == 201
    with pytest.raises(UnsupportedEncoding):
        home.answer("POST", "/logs", sent(record()), content_encoding="br")


def test_a_large_body_is_decoded_elsewhere_and_a_small_one_at_once(home: Home) -> None:
    home.answer("POST", "/logs", sent(record()))
    assert home.offloaded == []
    padding = b" " * DECODE_OFF_LOOP_BYTES_MIN
    assert read(home.answer("POST", "/logs", sent(record()) + padding))["log_id"]
    assert len(home.offloaded) == 1


def test_ingesting_takes_no_parameters(home: Home) -> None:
    for target in ("/logs?limit=1", "/services/shop/logs?service_name=shop", "/health?x=1", "/metrics?x"):
        with pytest.raises(InvalidRequest, match="Unknown parameter"):
            home.answer("GET" if target[1] in "hm" else "POST", target, sent(record()))


def test_the_service_of_the_path_takes_and_gives_its_own_records_only(home: Home) -> None:
    absent = {"log_type": "application", "message": "filled in"}
    response = home.answer(
        "POST", "/services/shop/logs", sent([absent, record("other", service_name="web"), record("own")])
    )
    assert [each["code"] for each in read(response)["rejected"]] == ["WrongService"]
    home.answer("POST", "/services/web/logs", sent(absent))
    assert messages(home, "/services/shop/logs") == ["own", "filled in"]
    assert messages(home, "/services/web/logs") == ["filled in"]
    assert messages(home, "/services/none/logs") == []


def test_a_longer_name_than_a_path_can_hold_is_read_by_parameter(home: Home) -> None:
    name = "long/" + "x" * 251
    home.answer("POST", "/logs", sent(record(service_name=name)))
    assert messages(home, f"/logs/recent?service_name=long%2F{'x' * 251}") == ["hello"]


def test_pages_are_walked_by_their_cursors(home: Home) -> None:
    home.answer("POST", "/logs", sent([record(str(number), timestamp=1_769_999_990) for number in range(7)]))
    found: list[str] = []
    target = "/services/shop/logs?limit=3"
    while True:
        page = read(home.answer("GET", target))
        assert page["count"] == len(page["logs"])
        found += [log["message"] for log in page["logs"]]
        if page["next_cursor"] is None:
            break
        home.now_ns += 3600 * SECOND_NS
        home.answer("POST", "/logs", sent(record("later")))
        target = f"/services/shop/logs?limit=3&cursor={page['next_cursor']}"
    assert found == ["6", "5", "4", "3", "2", "1", "0"]


def test_a_range_to_the_end_of_time_has_a_cursor_too(home: Home) -> None:
    home.answer("POST", "/logs", sent([record("1"), record("2")]))
    target = "/logs/recent?limit=1&since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z"
    page = read(home.answer("GET", target))
    assert messages(home, f"/logs/recent?limit=1&cursor={page['next_cursor']}") == ["1"]


# --- Retries. ---


@pytest.mark.parametrize(
    "content", [record(), record(log_id="own"), [record(), record(level="loud"), record(log_id="x")]]
)
def test_the_same_key_and_body_is_stored_once_and_answered_alike(home: Home, content: Any) -> None:
    first = home.answer("POST", "/logs", sent(content), idempotency_key="k")
    stored = messages(home)
    home.now_ns += 5 * SECOND_NS
    assert home.answer("POST", "/logs", sent(content), idempotency_key="k") == first
    assert messages(home) == stored


@pytest.mark.parametrize("content", [record(timestamp=1_767_408_001), record(timestamp=1_767_408_001, log_id="own")])
def test_a_retry_is_answered_like_the_first_though_its_record_is_too_old_by_now(home: Home, content: Any) -> None:
    first = home.answer("POST", "/logs", sent(content), idempotency_key="k")
    assert first.status == 201
    home.now_ns += 3600 * SECOND_NS
    assert home.answer("POST", "/logs", sent(content), idempotency_key="k") == first


@pytest.mark.parametrize(
    ("target", "spaces", "headers"),
    [
        ("/logs", b" ", {}),
        ("/services/shop/logs", b"", {}),
        ("/logs", b"", {"content_type": "application/x-ndjson"}),
        ("/logs", b"", {"content_encoding": "identity"}),
    ],
)
def test_another_meaning_under_the_same_key_is_refused(
    home: Home, target: str, spaces: bytes, headers: dict[str, str]
) -> None:
    home.answer("POST", "/logs", sent(record()), idempotency_key="k")
    with pytest.raises(IdempotencyMismatch):
        home.answer("POST", target, sent(record()) + spaces, idempotency_key="k", **headers)
    assert messages(home) == ["hello"]


def test_another_callers_key_is_another_key(home: Home) -> None:
    home.answer("POST", "/logs", sent(record("1")), idempotency_key="k")
    home.answer("POST", "/logs", sent(record("2")), idempotency_key="k", owner="arn:aws:iam::000000000000:user/b")
    assert messages(home) == ["2", "1"]


def test_a_rejected_record_leaves_its_key_free(home: Home) -> None:
    ahead = sent(record(timestamp=1_770_000_301))
    assert home.answer("POST", "/logs", ahead, idempotency_key="k").status == 400
    home.now_ns += SECOND_NS
    assert home.answer("POST", "/logs", ahead, idempotency_key="k").status == 201


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_out_of_bounds_is_refused(home: Home, key: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 255 characters"):
        home.answer("POST", "/logs", sent(record()), idempotency_key=key)
    assert messages(home) == []


@pytest.mark.parametrize("key", ["x", "x" * 255, "ü\xff", "a b"])
def test_any_other_key_is_good(home: Home, key: str) -> None:
    assert home.answer("POST", "/logs", sent(record()), idempotency_key=key).status == 201


def test_a_body_that_is_refused_stores_nothing_and_leaves_its_key_free(home: Home) -> None:
    with pytest.raises(LogServiceError):
        home.answer("POST", "/logs", b"[" + sent(record()), idempotency_key="k")
    assert messages(home) == []
    assert home.answer("POST", "/logs", sent(record()), idempotency_key="k").status == 201


def test_open_pages_are_the_homes_own(home: Home) -> None:
    assert home.answer("GET", "/health").body == b'{"status":"ok"}'
    assert home.answer("GET", "/metrics").content_type == "text/plain"
