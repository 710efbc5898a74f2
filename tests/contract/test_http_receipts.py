"""Writing, end to end: what each form of a body is answered, and what can be read back of it."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from contract.http_caller import NDJSON, expanded_ids, refusal, said
from contract.http_home import AnyHome, fresh_name, record
from simple_log_service.core import limits, validation
from simple_log_service.core.ids import log_id_after

pytestmark = pytest.mark.xdist_group("http receipts")


@pytest.fixture
def service() -> str:
    return fresh_name()


def as_lines(records: list[Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in records)


# --- Forms of a body. ---


def test_one_record_gets_the_short_receipt_and_is_in_the_next_read(home: AnyHome, service: str) -> None:
    answer = home.admin.post(record(service))
    assert answer.status == 201
    receipt = said(answer)
    assert receipt == {"message": "Log ingested successfully", "log_id": receipt["log_id"]}
    (stored,) = home.admin.logs(service_name=service)
    assert stored["log_id"] == receipt["log_id"]
    assert stored["message"] == "hello"


def array(records: list[Any]) -> tuple[bytes, list[tuple[str, str]]]:
    return json.dumps(records).encode(), []


def wrapper(records: list[Any]) -> tuple[bytes, list[tuple[str, str]]]:
    return json.dumps({"logs": records}).encode(), []


def lines(records: list[Any]) -> tuple[bytes, list[tuple[str, str]]]:
    return as_lines(records), [NDJSON]


BATCHES = [array, wrapper, lines]
Form = Callable[[list[Any]], tuple[bytes, list[tuple[str, str]]]]


@pytest.mark.parametrize("form", BATCHES)
def test_a_batch_gets_a_receipt_that_counts_and_names_its_ids(home: AnyHome, service: str, form: Form) -> None:
    body, headers = form([record(service, message=str(number)) for number in range(3)])
    answer = home.admin.post(body, *headers)
    assert answer.status == 201
    receipt = said(answer)
    assert (receipt["accepted"], receipt["duplicates"], receipt["rejected"]) == (3, 0, [])
    stored = home.admin.logs(service_name=service)
    assert [each["message"] for each in stored] == ["2", "1", "0"], "newest first, in the order of the batch"
    assert {int(each["message"]): each["log_id"] for each in stored} == expanded_ids(receipt)


@pytest.mark.parametrize("form", BATCHES)
def test_a_batch_of_one_is_still_a_batch(home: AnyHome, service: str, form: Form) -> None:
    body, headers = form([record(service)])
    assert said(home.admin.post(body, *headers))["accepted"] == 1


@pytest.mark.parametrize(
    "content_type", ["application/x-ndjson", "application/ndjson; charset=utf-8", "APPLICATION/JSONL"]
)
def test_ndjson_goes_by_several_names(home: AnyHome, service: str, content_type: str) -> None:
    body = b"\n" + as_lines([record(service)]) + b"\r\n \n" + as_lines([record(service)]).rstrip()
    assert said(home.admin.post(body, ("Content-Type", content_type)))["accepted"] == 2


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_any_other_content_type_is_read_as_json(home: AnyHome, service: str, content_type: str) -> None:
    body = json.dumps(record(service)).encode()
    assert home.admin.post(body, ("Content-Type", content_type)).status == 201


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("zstd", zstandard.compress),
        ("identity", bytes),
    ],
)
@pytest.mark.parametrize("records", [1, 2_000])
def test_a_packed_body_is_unpacked(
    home: AnyHome, service: str, encoding: str, pack: Callable[[bytes], bytes], records: int
) -> None:
    body = pack(as_lines([record(service, message=f"{number}" * 20) for number in range(records)]))
    answer = home.admin.post(body, NDJSON, ("Content-Encoding", encoding))
    assert said(answer)["accepted"] == records
    assert len(home.admin.logs(service_name=service, limit=limits.PAGE_RECORDS_MAX)) == records


def test_as_many_records_as_a_request_may_hold_get_rising_ids(home: AnyHome, service: str) -> None:
    answer = home.admin.post([record(service, message="")] * limits.REQUEST_RECORDS_MAX)
    ids = expanded_ids(said(answer))
    assert list(ids) == list(range(limits.REQUEST_RECORDS_MAX))
    stored = home.admin.logs(service_name=service, limit=limits.PAGE_RECORDS_MAX)
    assert [each["log_id"] for each in reversed(stored)] == list(ids.values())


def test_the_documents_example_of_an_expanded_id_is_right() -> None:
    run = {"index": 0, "count": 2, "first": "01a20408-cccd-73e7-b9ca-19a5e1c0856e"}
    ids = list(expanded_ids({"log_ids": [run]}).values())
    assert ids == ["01a20408-cccd-73e7-b9ca-19a5e1c0856e", "01a20408-ccce-7000-b9ca-19a5e1c0856e"]
    assert ids[1] == log_id_after(ids[0], 1)


# --- Rejections. ---


@pytest.mark.parametrize("form", BATCHES)
def test_bad_records_are_named_and_block_none_of_the_good_ones(home: AnyHome, service: str, form: Form) -> None:
    now = time.time()
    bad = {
        1: (validation.MISSING_FIELD, {"service_name": service, "log_type": "a"}),
        2: (validation.INVALID_FIELD, record(service, level="loud")),
        3: (validation.TOO_LARGE, record(service, message="x" * limits.RECORD_BYTES_MAX)),
        5: (validation.TOO_OLD, record(service, timestamp=now - (limits.RETENTION_DAYS_DEFAULT + 1) * 86_400)),
        6: (validation.TOO_NEW, record(service, timestamp=now + 330)),
        7: (validation.INVALID_FIELD, 7),
    }
    sent = [bad[index][1] if index in bad else record(service, message=str(index)) for index in range(9)]
    body, headers = form(sent)
    answer = home.admin.post(body, *headers)
    assert answer.status == 201
    receipt = said(answer)
    assert receipt["accepted"] == 3
    assert {each["index"]: each["code"] for each in receipt["rejected"]} == {i: code for i, (code, _) in bad.items()}
    assert all(each["reason"] for each in receipt["rejected"])
    stored = {each["message"]: each["log_id"] for each in home.admin.logs(service_name=service)}
    assert stored == {str(index): log_id for index, log_id in expanded_ids(receipt).items()}
    assert stored.keys() == {"0", "4", "8"}


def test_a_line_that_is_not_json_is_rejected_alone(home: AnyHome, service: str) -> None:
    good = as_lines([record(service)])
    receipt = said(home.admin.post(good + b'{"service_name": \n' + b"nonsense\n" + good, NDJSON))
    assert receipt["accepted"] == 2
    assert [(each["index"], each["code"]) for each in receipt["rejected"]] == [
        (1, validation.MALFORMED),
        (2, validation.MALFORMED),
    ]


@pytest.mark.parametrize("form", BATCHES)
def test_where_every_record_is_rejected_the_same_receipt_comes_with_400(
    home: AnyHome, service: str, form: Form
) -> None:
    body, headers = form([record(service, level="loud"), {"message": 1}])
    answer = home.admin.post(body, *headers)
    assert answer.status == 400
    receipt = said(answer)
    assert (receipt["accepted"], receipt["duplicates"], receipt["log_ids"]) == (0, 0, [])
    assert [each["index"] for each in receipt["rejected"]] == [0, 1]
    assert home.admin.logs(service_name=service) == []


def test_one_bad_record_sent_alone_gets_the_counting_receipt_with_400(home: AnyHome, service: str) -> None:
    answer = home.admin.post(record(service, log_type=""))
    assert answer.status == 400
    (rejected,) = said(answer)["rejected"]
    assert rejected == {
        "index": 0,
        "code": validation.INVALID_FIELD,
        "reason": "log_type must have 1 to 128 characters",
    }


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b"[]", [], "The body holds no records."),
        (b'{"logs": []}', [], "The body holds no records."),
        (b"\n \n", [NDJSON], "The body holds no records."),
        (b'{"logs": [{}], "level": "INFO"}', [], 'The body must hold nothing beside "logs".'),
        (b'{"logs": {}}', [], '"logs" must be an array of records.'),
        (b'"a"', [], 'The body must be a record, an array of records or {"logs": [...]}.'),
        (b"[" + b"{}," * limits.REQUEST_RECORDS_MAX + b"{}]", [], "A request holds at most 10000 records."),
    ],
    ids=["empty array", "empty wrapper", "empty lines", "not only logs", "no array", "a string", "one too many"],
)
def test_a_body_that_is_no_batch_is_refused_whole(
    home: AnyHome, body: bytes, headers: list[tuple[str, str]], message: str
) -> None:
    assert refusal(home.admin.post(body, *headers)) == (400, "BadRequestException", {"message": message})
