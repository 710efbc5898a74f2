"""The forms of a body: one record, an array, an envelope, lines; and how many records each may hold."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from simple_log_service.core import limits
from simple_log_service.core.decode import decode_batch
from unit.decoding import NDJSON_LINE, decoded, record, refusal, rejection
from unit.strategies import RULES

# --- Bodies. ---


@pytest.mark.parametrize(
    ("body", "single"),
    [
        (json.dumps(record()).encode(), True),
        (b" \r\n\t" + json.dumps(record()).encode() + b" \r\n\t", True),
        (json.dumps(record(), indent=2).encode(), True),
        (json.dumps([record()]).encode(), False),
        (b" \n[ " + json.dumps(record()).encode() + b" ]\n", False),
        (json.dumps({"logs": [record()]}).encode(), False),
        (b' {"logs" :\n[ ' + json.dumps(record()).encode() + b" ] } ", False),
        (b'{"lo\\u0067s":[' + json.dumps(record()).encode() + b"]}", False),
    ],
)
def test_one_record_is_taken_in_each_form_of_body(body: bytes, single: bool) -> None:
    batch = decoded(body)
    assert (batch.messages, batch.single) == (["hello"], single)


@pytest.mark.parametrize("body", [b"[]", b" [ ] ", b'{"logs":[]}'])
def test_a_body_without_records_is_refused(body: bytes) -> None:
    assert refusal(body) == "The body holds no records."


@pytest.mark.parametrize("body", [b"null", b"true", b"1", b"1.5", b'"x"', b" 1e400 "])
def test_a_body_that_is_a_scalar_is_refused(body: bytes) -> None:
    assert refusal(body) == 'The body must be a record, an array of records or {"logs": [...]}.'


@pytest.mark.parametrize("logs", ["{}", "null", '"x"', "1", json.dumps(record())])
def test_logs_that_are_no_array_are_refused(logs: str) -> None:
    assert refusal(f'{{"logs":{logs}}}'.encode()) == '"logs" must be an array of records.'


@pytest.mark.parametrize("beside", [{"service_name": "api"}, {"level": "INFO"}, {"x": 1}])
def test_members_beside_logs_are_refused_and_never_dropped(beside: dict[str, Any]) -> None:
    for body in ({"logs": [record()]} | beside, beside | {"logs": [record()]}):
        assert refusal(json.dumps(body).encode()) == 'The body must hold nothing beside "logs".'


def test_elements_that_are_no_records_are_rejected_and_do_not_block_the_others() -> None:
    batch = decoded([1, record(), None, "x", [record()], record(message="last"), {}])
    assert (batch.messages, list(batch.indexes)) == (["hello", "last"], [1, 5])
    assert [(rejected.index, rejected.code) for rejected in batch.rejected] == [
        (0, "InvalidField"),
        (2, "InvalidField"),
        (3, "InvalidField"),
        (4, "InvalidField"),
        (6, "MissingField"),
    ]


def test_one_bad_record_of_each_kind_does_not_block_the_good_one_beside_it() -> None:
    bad = [
        record(service_name=""),
        record(log_type=5),
        record(message=None),
        record(level="loud"),
        record(timestamp="soon"),
        record(metadata=[]),
        record(log_id=""),
        record(timestamp=0),
        record(timestamp=4e9),
    ]
    for each in bad:
        batch = decoded([each, record()])
        assert (list(batch.indexes), [rejected.index for rejected in batch.rejected]) == ([1], [0])


# --- NDJSON. ---


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \n", b"\n\n", b"\n \t\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_may_end_in_any_way_and_blank_ones_do_not_count(end: bytes, last: bool) -> None:
    body = end.join(NDJSON_LINE % number for number in range(3)) + (end if last else b"")
    batch = decoded(body, ndjson=True)
    assert (batch.messages, list(batch.indexes), batch.single) == (["0", "1", "2"], [0, 1, 2], False)


@pytest.mark.parametrize("bad", [b"x", b"{", b"}", b"[]", b"null", b'{"a":1', b"\x0b", b'"', NDJSON_LINE % 5 + b","])
def test_a_bad_line_is_rejected_alone(bad: bytes) -> None:
    batch = decoded(b"\n".join([NDJSON_LINE % 0, bad, NDJSON_LINE % 2]), ndjson=True)
    assert (batch.messages, list(batch.indexes)) == (["0", "2"], [0, 2])
    assert [rejected.index for rejected in batch.rejected] == [1]


@pytest.mark.parametrize("between", [b"", b" ", b"\r", b"\t", b","])
def test_two_values_on_a_line_are_rejected_together(between: bytes) -> None:
    two = NDJSON_LINE % 1 + between + NDJSON_LINE % 2
    for body in (two, NDJSON_LINE % 0 + b"\n" + two, two + b"\n" + NDJSON_LINE % 3):
        batch = decoded(body, ndjson=True)
        assert not {"1", "2"} & set(batch.messages)
        assert [rejected.code for rejected in batch.rejected] == ["Malformed"]


def test_a_value_that_spans_lines_is_rejected_line_by_line() -> None:
    spread = json.dumps(record(), indent=1).encode()
    batch = decoded(spread + b"\n" + NDJSON_LINE % 1, ndjson=True)
    assert batch.messages == ["1"]
    assert len(batch.rejected) == spread.count(b"\n") + 1


def test_two_values_on_a_line_and_one_over_two_lines_do_not_make_up_for_each_other() -> None:
    spread = NDJSON_LINE.replace(b",", b",\n", 1)
    batch = decoded(NDJSON_LINE % 1 + spread % 2, ndjson=True)
    assert (len(batch), [rejected.index for rejected in batch.rejected]) == (0, [0, 1])


def test_a_value_cut_where_a_brace_closes_and_another_opens_is_no_record() -> None:
    body = b'{"service_name":"api","log_type":"t","message":"m","metadata":{}\n}'
    assert [rejected.code for rejected in decoded(body, ndjson=True).rejected] == ["Malformed", "Malformed"]


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n\t\n"])
def test_lines_of_nothing_are_refused(body: bytes) -> None:
    assert refusal(body, ndjson=True) == "The body holds no records."


def test_an_envelope_in_a_line_is_a_record_that_lacks_its_fields() -> None:
    body = b'{"logs":[%b]}' % (NDJSON_LINE % 1)
    assert rejection(decoded(body, ndjson=True)).code == "MissingField"


def test_a_single_line_is_still_a_batch() -> None:
    assert not decoded(NDJSON_LINE % 1, ndjson=True).single


# --- A service in the path. ---

OF_SERVICE = msgspec.structs.replace(RULES, service_name="shop")


@pytest.mark.parametrize("unknown", [{}, {"host": "h"}])
def test_the_service_of_the_path_is_filled_in_and_another_is_rejected(unknown: dict[str, str]) -> None:
    absent = {"log_type": "t", "message": "m"} | unknown
    same, other = absent | {"service_name": "shop"}, absent | {"service_name": "Shop"}
    batch = decode_batch(json.dumps([absent, same]).encode(), OF_SERVICE)
    assert batch.service_names == ["shop", "shop"]
    batch = decode_batch(json.dumps([absent, other, same]).encode(), OF_SERVICE)
    assert (batch.service_names, [rejected.code for rejected in batch.rejected]) == (["shop", "shop"], ["WrongService"])


@pytest.mark.parametrize("name", [None, 5, ["shop"]])
def test_a_service_name_that_is_no_text_is_rejected_though_the_path_names_one(name: Any) -> None:
    body = json.dumps({"service_name": name, "log_type": "t", "message": "m"}).encode()
    assert rejection(decode_batch(body, OF_SERVICE)).code == "InvalidField"


# --- How many. ---


def lines_of(count: int) -> bytes:
    return b"\n".join(NDJSON_LINE % number for number in range(count))


@pytest.mark.parametrize("extra", [b"", b',{"service_name":"api","log_type":"t","message":"m","host":"h"}'])
def test_10_000_records_are_taken_and_10_001_refused_whole(extra: bytes) -> None:
    count = limits.REQUEST_RECORDS_MAX - (1 if extra else 0)
    most = b"[" + lines_of(count).replace(b"\n", b",") + extra + b"]"
    assert len(decoded(most)) == len(decoded(b'{"logs":%b}' % most)) == limits.REQUEST_RECORDS_MAX
    over = most[:-1] + b"," + NDJSON_LINE % 0 + b"]"
    for body in (over, b'{"logs":%b}' % over, over + b" " * limits.MIB):
        assert "at most 10000" in refusal(body)


def test_10_000_lines_are_taken_and_10_001_refused_whole() -> None:
    most = lines_of(limits.REQUEST_RECORDS_MAX)
    assert len(decoded(most + b"\n" * 1000, ndjson=True)) == limits.REQUEST_RECORDS_MAX
    assert "at most 10000" in refusal(most + b"\n" + NDJSON_LINE % 0, ndjson=True)
    assert "at most 10000" in refusal(most + b"\nx", ndjson=True)
