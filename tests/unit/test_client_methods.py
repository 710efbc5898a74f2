"""The client as a program uses it, against a stub that verifies every signature."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import simple_log_service
from simple_log_service import Client, RequestRefused, UnexpectedAnswer
from simple_log_service.core.limits import PAGE_RECORDS_MAX, REQUEST_RECORDS_MAX
from simple_log_service.core.receipts import Receipt, Rejection
from support.stub_service import CREDENTIALS, REGION, Scripted, StubService


@pytest.fixture
def stub() -> Iterator[StubService]:
    with StubService().running() as running:
        yield running


@pytest.fixture
def client(stub: StubService) -> Iterator[Client]:
    with Client(stub.url, region=REGION, credentials=CREDENTIALS) as opened:
        yield opened


RECORD = {"service_name": "s", "log_type": "t", "message": "hello"}


def _log(number: int, **fields: Any) -> dict[str, Any]:
    log = {"timestamp": "2026-01-01T00:00:00Z", "level": "INFO", "metadata": {}, "log_id": str(number)}
    return RECORD | log | fields


def _page(numbers: range, cursor: str | None) -> Scripted:
    logs = [_log(number) for number in numbers]
    return Scripted(200, {"count": len(logs), "logs": logs, "next_cursor": cursor, "complete": cursor is None})


def test_records_arrive_as_they_were_given_and_the_receipt_comes_back(client: Client, stub: StubService) -> None:
    rejection = {"index": 1, "code": "MissingField", "reason": "message is missing"}
    runs = [{"index": 0, "count": 1, "first": "01a20402-05f4-71a1-850d-ce52e0bd9058"}]
    stub.script = [Scripted(201, {"accepted": 1, "duplicates": 0, "rejected": [rejection], "log_ids": runs})]
    receipt = client.send([RECORD, {"service_name": "s"}])
    assert stub.seen[0].records == [RECORD, {"service_name": "s"}]
    assert receipt.accepted == 1
    assert receipt.rejected == [Rejection(1, "MissingField", "message is missing")]
    assert list(receipt.log_ids[0]) == [(0, "01a20402-05f4-71a1-850d-ce52e0bd9058")]


def test_each_request_has_a_key_of_its_own(client: Client, stub: StubService) -> None:
    client.send([RECORD])
    client.send([RECORD])
    assert len({request.headers["idempotency-key"] for request in stub.seen}) == 2


def test_nothing_to_send_is_no_request(client: Client, stub: StubService) -> None:
    assert client.send([]) == Receipt(0)
    assert list(client.send_all([None, None])) == []
    assert stub.seen == []


def test_a_batch_that_is_rejected_whole_is_a_receipt_and_no_error(client: Client, stub: StubService) -> None:
    rejected = [{"index": 0, "code": "MissingField", "reason": "message is missing"}]
    stub.script = [Scripted(400, {"accepted": 0, "duplicates": 0, "rejected": rejected, "log_ids": []})]
    assert client.send([{"a": 1}]).rejected == [Rejection(0, "MissingField", "message is missing")]


def test_a_request_that_is_not_valid_is_an_error(client: Client, stub: StubService) -> None:
    stub.script = [Scripted(400, {"message": "The body is not valid JSON."})]
    with pytest.raises(RequestRefused, match="not valid JSON"):
        client.send([RECORD])


def test_what_stays_throttled_is_in_the_receipt_of_the_last_attempt(stub: StubService) -> None:
    rejected = [{"index": 1, "code": "Throttled", "reason": "over the table's capacity"}]
    answer = Scripted(429, {"accepted": 1, "duplicates": 0, "rejected": rejected}, {"Retry-After": "0"})
    stub.script = [answer, answer]
    with Client(stub.url, region=REGION, credentials=CREDENTIALS, attempts_max=2) as client:
        receipt = client.send([RECORD, RECORD])
    assert (receipt.accepted, receipt.rejected[0].code) == (1, "Throttled")
    assert len(stub.seen) == 2


def test_more_than_one_request_holds_is_for_send_all(client: Client, stub: StubService) -> None:
    with pytest.raises(ValueError, match="send_all"):
        client.send([RECORD] * (REQUEST_RECORDS_MAX + 1))
    assert stub.seen == []


def test_any_number_of_records_goes_out_in_order_and_each_receipt_knows_its_records(
    client: Client, stub: StubService
) -> None:
    records = ({"message": str(number)} for number in range(25))
    sent = list(client.send_all(records, batch_records_max=10))
    assert [batch.origins for batch in sent] == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert [batch.receipt.accepted for batch in sent] == [10, 10, 5]
    assert [each["message"] for request in stub.seen for each in request.records] == list(map(str, range(25)))


def test_a_service_s_own_address_is_one_that_a_policy_can_name(client: Client, stub: StubService) -> None:
    client.send([{"log_type": "t", "message": "x"}], service_name="my-service_1.0~b")
    list(client.send_all([{"log_type": "t", "message": "x"}], service_name="other"))
    assert [request.target for request in stub.seen] == ["/services/my-service_1.0~b/logs", "/services/other/logs"]
    for name in ("a b", "a/b", "..", "", "é"):
        with pytest.raises(ValueError, match="address"):
            client.send([RECORD], service_name=name)


def test_filters_are_written_so_that_signature_and_service_read_the_same(client: Client, stub: StubService) -> None:
    moment = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    client.recent(service_name="a b+c/d&e=é", level=None, since="10m", until=moment, limit=5)
    assert stub.seen[0].target == (
        "/logs/recent?service_name=a%20b%2Bc%2Fd%26e%3D%C3%A9&since=10m&until=2026-01-01T10%3A00%3A00%2B00%3A00&limit=5"
    )


def test_a_moment_without_a_time_zone_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="time zone"):
        client.recent(since=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_searches_are_parameters_and_go_from_page_to_page(stub: StubService, client: Client) -> None:
    stub.script = [_page(range(1), "c")]
    metadata = {"user.id": "4711", "k&=": "a b"}
    list(client.iter_recent(q='"disk full" -test', pattern="a+|b", metadata=metadata, limit=2))
    asked = "q=%22disk%20full%22%20-test&pattern=a%2B%7Cb&metadata.user.id=4711&metadata.k%26%3D=a%20b"
    assert [seen.target for seen in stub.seen] == [
        f"/logs/recent?{asked}&limit=2",
        f"/logs/recent?{asked}&limit=1&cursor=c",
    ]
    client.recent(q=None, pattern=None, metadata=None)
    client.recent(metadata={})
    assert [seen.target for seen in stub.seen[2:]] == ["/logs/recent"] * 2


def test_records_come_as_objects_and_as_the_text_they_were(client: Client, stub: StubService) -> None:
    text = (
        b'{"count":1,"logs":[{"service_name":"s","log_type":"t","timestamp":"2026-01-01T00:00:00.123456789Z",'
        b'"level":"WARN","message":"m","metadata":{"n":1.1000000000000000001},"log_id":"i"}],"next_cursor":null,'
        b'"complete":true,"new":1}'
    )
    stub.script = [Scripted(200, text)]
    page = client.recent()
    (record,) = page.logs
    assert (record.level, record.message, record.metadata) == ("WARN", "m", {"n": 1.1})
    assert record.time == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert b"1.1000000000000000001" in bytes(page.raw_logs[0])


def test_walking_follows_cursors_to_the_end(client: Client, stub: StubService) -> None:
    stub.script = [_page(range(3), "c1"), _page(range(0), "c2"), _page(range(3, 5), None)]
    assert [record.log_id for record in client.iter_recent(service_name="s")] == list("01234")
    assert [request.target.partition("cursor=")[2] for request in stub.seen] == ["", "c1", "c2"]
    assert all("service_name=s" in request.target for request in stub.seen)


def test_walking_stops_at_the_limit_and_asks_for_no_more(client: Client, stub: StubService) -> None:
    stub.script = [_page(range(3), "c1"), _page(range(3, 5), "c2")]
    assert len(list(client.iter_recent(limit=5))) == 5
    assert ["limit=5" in stub.seen[0].target, "limit=2" in stub.seen[1].target, len(stub.seen)] == [True, True, 2]
    list(client.iter_recent(limit=10**6))
    assert f"limit={PAGE_RECORDS_MAX}" in stub.seen[2].target


def test_a_cursor_that_leads_nowhere_ends_the_walk(client: Client, stub: StubService) -> None:
    stub.script = [_page(range(1), "c"), _page(range(1), "c")]
    with pytest.raises(UnexpectedAnswer, match="cursor"):
        list(client.iter_recent())


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'{"accepted":"many"}', b"\xff"])
def test_what_does_not_speak_as_the_service_is_named_so(body: bytes, client: Client, stub: StubService) -> None:
    stub.script = [Scripted(200, body)] * 3
    for call in (lambda: client.send([RECORD]), client.recent, client.health):
        with pytest.raises(UnexpectedAnswer, match="is the endpoint right"):
            call()


def test_health_is_its_status(client: Client, stub: StubService) -> None:
    stub.script = [Scripted(200, {"status": "ok"})]
    assert client.health() == "ok"


def test_threads_may_share_a_client(client: Client, stub: StubService) -> None:
    receipts: list[Receipt] = []

    def send() -> None:
        receipts.extend(client.send([RECORD]) for _ in range(10))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(receipt.accepted for receipt in receipts) == 40
    assert len({request.headers["idempotency-key"] for request in stub.seen}) == 40


def test_no_representation_shows_a_secret(client: Client) -> None:
    assert "secret" not in repr(client)
    assert "secret" not in repr(CREDENTIALS)


def test_the_package_offers_its_names_without_loading_them() -> None:
    code = (
        "import sys, simple_log_service\n"
        "assert 'urllib3' not in sys.modules and 'msgspec' not in sys.modules\n"
        "for name in simple_log_service.__all__:\n"
        "    assert getattr(simple_log_service, name) is not None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = simple_log_service.Nonsense
