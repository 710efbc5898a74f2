"""OpenSearch and Firehose as places for records: every way in which they may not take one, over real connections."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from simple_log_service.aws.stream import firehose, search_index
from simple_log_service.aws.stream.consumer import Consumer
from simple_log_service.aws.stream.search_documents import INDEX_PREFIX, document_id_of, index_of
from simple_log_service.core.limits import DAY_NS, RECORD_BYTES_MAX
from simple_log_service.core.record import Kind, Record
from support.consuming import Invocation, bring_until_done, consuming, failed_at, no_repeats
from support.stores import NOON, Given
from support.stream_events import change, event, items_of, sequence_number
from support.stub_sinks import StubSinks, is_signed

Sinks = tuple[StubSinks, Consumer]


@pytest.fixture
def search() -> Iterator[Sinks]:
    """A consumer with OpenSearch alone."""
    with consuming(SIMPLE_LOG_SERVICE_FIREHOSE_NAME="") as made:
        yield made


@pytest.fixture
def files() -> Iterator[Sinks]:
    """A consumer with Firehose alone."""
    with consuming(SIMPLE_LOG_SERVICE_SEARCH_URL="") as made:
        yield made


def data_of(*records: Given) -> list[str]:
    """A change for each record."""
    return [
        change(item)
        for number, record in enumerate(records)
        for item in items_of([record], arrival=NOON // 1000 + number * 1000)
        if "body" not in item
    ]


def some(count: int, message: str = "line {}") -> list[str]:
    return data_of(*(Given(message.format(number)) for number in range(count)))


def bring(sinks: Sinks, data: list[str]) -> list[str]:
    """One invocation; the sequence numbers that failed."""
    return failed_at(sinks[1](event(data), Invocation()))


# --- OpenSearch. ---


def test_template_and_expiry_are_put_before_the_first_document_and_once(search: Sinks) -> None:
    stub, _ = search
    bring(search, some(1))
    bring(search, some(1))
    targets = [request.target.partition("?")[0] for request in stub.seen]
    assert targets == [search_index.TEMPLATE_PATH, search_index.EXPIRY_PATH, "/_bulk", "/_bulk"]
    template, policy = (json.loads(request.body) for request in stub.seen[:2])
    properties = template["template"]["mappings"]["properties"]
    assert template["index_patterns"] == [INDEX_PREFIX + "*"]
    assert template["template"]["mappings"]["dynamic"] is False
    assert properties["metadata"] == {"type": "flat_object"}
    assert properties["timestamp"] == {"type": "date_nanos"}
    assert policy["policy"]["states"][0]["transitions"][0]["conditions"] == {"min_index_age": "32d"}


def test_an_index_is_kept_for_the_longest_retention_that_any_record_has() -> None:
    rules = {
        "SIMPLE_LOG_SERVICE_RETENTION_DAYS": "7",
        "SIMPLE_LOG_SERVICE_RETENTION_BY_SERVICE": '{"debug-app": 3}',
        "SIMPLE_LOG_SERVICE_RETENTION_BY_TYPE": '{"audit": 365}',
    }
    with consuming(**rules) as sinks:
        bring(sinks, some(1))
        policy = json.loads(sinks[0].seen[1].body)
    assert policy["policy"]["states"][0]["transitions"][0]["conditions"] == {"min_index_age": "367d"}


def test_every_field_of_a_document_is_in_the_template(search: Sinks) -> None:
    stub, _ = search
    bring(search, data_of(Given("x", metadata='{"a":1}'), Given("y", metadata=json.dumps({"a": "z" * 40_000}))))
    fields = {name for source in stub.documents.values() for name in source}
    assert fields == set(json.loads(stub.seen[0].body)["template"]["mappings"]["properties"])


def test_every_request_is_signed_for_the_service_es(search: Sinks) -> None:
    bring(search, some(3))
    assert all(is_signed(request, "es") for request in search[0].seen)
    assert {request.header("x-amz-security-token") for request in search[0].seen} == {"token"}


def test_an_expiry_policy_that_is_there_already_is_left_alone(search: Sinks) -> None:
    search[0].replies["PUT"] = [200, 409]
    assert bring(search, some(1)) == []


@pytest.mark.parametrize("replies", [[500], [403], [None], [200, 403], [200, None]])
def test_without_template_and_expiry_nothing_is_indexed(search: Sinks, replies: list[int | None]) -> None:
    stub, _ = search
    stub.replies["PUT"] = list(replies)
    assert bring(search, some(2)) == [sequence_number(0)]
    assert not stub.requests("_bulk")
    assert bring(search, some(2)) == []
    assert len(stub.documents) == 2


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, None])
def test_a_busy_cluster_is_asked_again(search: Sinks, status: int | None) -> None:
    search[0].replies["_bulk"] = [status, status]
    assert bring(search, some(3)) == []
    assert len(search[0].documents) == 3


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_that_time_cannot_mend_is_not_repeated_and_not_given_up(search: Sinks, status: int) -> None:
    stub, _ = search
    stub.replies["_bulk"] = [status]
    assert bring(search, some(3)) == [sequence_number(0)]
    assert len(stub.requests("_bulk")) == 1
    assert not stub.letters


def test_documents_that_were_turned_away_are_sent_again_alone(search: Sinks) -> None:
    stub, _ = search
    turned_away: list[str] = []

    def throttled(document_id: str) -> int:
        if document_id not in turned_away and len(turned_away) < 2:
            turned_away.append(document_id)
        return 1 if document_id in turned_away else 0

    stub.throttled = throttled
    assert bring(search, some(5)) == []
    first, second = stub.requests("_bulk")
    assert len(first.body.splitlines()) == 10
    assert [json.loads(line)["index"]["_id"] for line in second.body.splitlines()[::2]] == turned_away


def test_what_stays_too_busy_is_left_to_the_stream() -> None:
    with consuming(patience=no_repeats, SIMPLE_LOG_SERVICE_FIREHOSE_NAME="") as (stub, consumer):
        stub.throttled = lambda document_id: 3
        assert bring((stub, consumer), some(2)) == [sequence_number(0)]
        assert bring_until_done(consumer, some(2)) == 3
        assert len(stub.documents) == 2
        assert not stub.letters


def test_bulks_are_bounded(search: Sinks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "BULK_BYTES_MAX", 5000)
    assert bring(search, some(50)) == []
    sizes = [len(request.body) for request in search[0].requests("_bulk")]
    assert max(sizes) <= 5000
    assert len(sizes) > 2
    assert len(search[0].documents) == 50


def test_what_is_too_large_for_the_cluster_is_halved_until_it_fits(search: Sinks) -> None:
    stub, _ = search
    stub.bulk_bytes_max = 4000
    assert bring(search, some(50)) == []
    assert len(stub.documents) == 50


def test_a_document_that_is_too_large_by_itself_goes_aside_alone(search: Sinks) -> None:
    stub, _ = search
    stub.bulk_bytes_max = 4000
    assert bring(search, data_of(Given("one"), Given("x" * 5000), Given("two"))) == []
    assert sorted(source["message"] for source in stub.documents.values()) == ["one", "two"]
    assert [(letter["reason"], letter["sequence_number"]) for letter in stub.letters] == [
        ("status 413", sequence_number(1))
    ]


def test_a_request_that_the_cluster_cannot_read_is_taken_apart(search: Sinks) -> None:
    stub, _ = search
    stub.replies["_bulk"] = [400, 400]
    assert bring(search, some(4)) == []
    assert len(stub.documents) == 4
    assert not stub.letters


def test_metadata_that_does_not_fit_the_mapping_is_indexed_as_text(search: Sinks) -> None:
    stub, _ = search
    metadata = json.dumps({"stack": "x" * 40_000})
    assert bring(search, data_of(Given("one", metadata='{"a":1}'), Given("two", metadata=metadata))) == []
    by_message = {source["message"]: source for source in stub.documents.values()}
    assert by_message["one"]["metadata"] == {"a": 1}
    assert by_message["two"]["metadata_text"] == metadata
    assert "metadata" not in by_message["two"]
    assert not stub.letters


def test_a_cluster_with_no_room_for_another_index_is_no_fault_of_the_document() -> None:
    with consuming(patience=no_repeats, SIMPLE_LOG_SERVICE_FIREHOSE_NAME="") as (stub, consumer):
        stub.unfit = lambda source: "validation_exception"
        assert bring((stub, consumer), some(1)) == [sequence_number(0)]
        assert not stub.letters


@pytest.mark.parametrize("body", [b"", b"{}", b'{"items":[]}', b'{"items":[{"create":{"status":201}}]}', b"<html>"])
def test_an_answer_that_does_not_tell_is_no_success(
    search: Sinks, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, _ = search
    answers = [body]
    real = stub._bulk
    monkeypatch.setattr(
        stub, "_bulk", lambda request: real(request)._replace(body=answers.pop()) if answers else real(request)
    )
    assert bring(search, some(1)) == []
    assert len(stub.requests("_bulk")) == 2


def test_a_record_keeps_its_index_and_its_id_whenever_it_comes() -> None:
    kind = Kind("s" * 256, "t", "INFO")
    record = Record(kind, NOON, 1, "m", b"{}", "i")
    again = Record(kind, NOON, 99, "m", b"{}", "i")
    assert (index_of(record), document_id_of(record)) == (index_of(again), document_id_of(again))
    others = [
        Record(Kind("other", "t", "INFO"), NOON, 1, "m", b"{}", "i"),
        Record(kind, NOON + 1, 1, "m", b"{}", "i"),
        Record(kind, NOON, 1, "m", b"{}", "j"),
    ]
    assert len({document_id_of(each) for each in (record, *others)}) == 4
    assert index_of(Record(kind, NOON + DAY_NS, 1, "m", b"{}", "i")) == INDEX_PREFIX + "2025-06-16"


# --- Firehose. ---


def test_many_records_share_a_firehose_record(files: Sinks) -> None:
    stub, _ = files
    assert bring(files, some(300)) == []
    assert len(stub.rows) == 300
    (call,) = stub.requests("PutRecordBatch")
    assert len(json.loads(call.body)["Records"]) == 1


def test_a_row_has_the_columns_that_the_table_of_files_has(files: Sinks) -> None:
    bring(files, some(1))
    assert list(files[0].rows[0]) == [name for name, _ in firehose.COLUMNS]


def test_calls_are_bounded_in_records_and_in_bytes(files: Sinks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firehose, "RECORD_BYTES_AIM", 500)
    monkeypatch.setattr(firehose, "CALL_RECORDS_MAX", 7)
    monkeypatch.setattr(firehose, "CALL_BYTES_MAX", 2500)
    assert bring(files, data_of(*(Given("x" * (number % 700)) for number in range(100)))) == []
    calls = [json.loads(call.body)["Records"] for call in files[0].requests("PutRecordBatch")]
    assert max(map(len, calls)) <= 7
    assert len(files[0].rows) == 100


def test_the_largest_records_fit_into_real_bounds(files: Sinks) -> None:
    largest = ["x" * (RECORD_BYTES_MAX - 300)] * 30
    assert bring(files, data_of(*map(Given, largest))) == []
    assert [row["message"] for row in files[0].rows] == largest


def test_a_record_larger_than_firehose_takes_goes_aside(files: Sinks) -> None:
    stub, _ = files
    assert bring(files, data_of(Given("one"), Given("\x00" * (RECORD_BYTES_MAX - 300)), Given("two"))) == []
    assert [row["message"] for row in stub.rows] == ["one", "two"]
    assert [(letter["sink"], letter["sequence_number"]) for letter in stub.letters] == [
        ("analytics", sequence_number(1))
    ]


def test_what_firehose_did_not_take_of_a_call_is_sent_again_alone(
    files: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, _ = files
    monkeypatch.setattr(firehose, "RECORD_BYTES_AIM", 1)
    refused: list[str] = []

    def throttled(blob: str) -> int:
        if blob not in refused and len(refused) < 2:
            refused.append(blob)
        return 2 if blob in refused else 0

    stub.throttled = throttled
    assert bring(files, some(6)) == []
    assert sorted(row["message"] for row in stub.rows) == [f"line {number}" for number in range(6)]
    assert [len(json.loads(call.body)["Records"]) for call in stub.requests("PutRecordBatch")] == [6, 2, 2]


@pytest.mark.parametrize("status", [400, 403, 500, 503, None])
def test_a_call_that_failed_is_repeated(files: Sinks, status: int | None) -> None:
    files[0].replies["PutRecordBatch"] = [status]
    assert bring(files, some(2)) == []
    assert len(files[0].rows) == 2


def test_what_firehose_does_not_take_in_time_is_left_to_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firehose, "RECORD_BYTES_AIM", 1)
    with consuming(patience=no_repeats, SIMPLE_LOG_SERVICE_SEARCH_URL="") as (stub, consumer):
        calls = iter([0, 0, 1])
        stub.throttled = lambda blob: next(calls, 0)
        assert bring((stub, consumer), some(4)) == [sequence_number(2)]
        assert bring_until_done(consumer, some(4)[2:]) == 1
        # At least once: the last one had been taken the first time, too.
        assert [row["message"] for row in stub.rows] == ["line 0", "line 1", "line 3", "line 2", "line 3"]
