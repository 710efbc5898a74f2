"""What becomes of a record, field by field and bound by bound."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core import limits
from simple_log_service.core.limits import SECOND_NS
from simple_log_service.core.receipts import Rejection
from unit.decoding import decoded, record, rejection, with_raw
from unit.strategies import NOW_NS, RULES, metadata_texts, numbers, objects, strings, texts

# --- The fields. ---


def test_a_record_of_the_required_fields_has_the_defaults_for_the_others() -> None:
    batch = decoded(record())
    assert (batch.service_names, batch.log_types, batch.messages) == (["api"], ["application"], ["hello"])
    assert (batch.levels, batch.timestamps, batch.metadata) == (["INFO"], [NOW_NS], [b"{}"])
    assert (batch.log_ids, list(batch.indexes), batch.rejected, batch.single) == (None, [0], [], True)


def test_a_record_of_all_fields_keeps_each() -> None:
    metadata = {"request": {"id": 7}}
    sent = record(level="fatal", timestamp=1_769_999_999.5, metadata=metadata, log_id="order-17")
    batch = decoded(sent)
    assert (batch.levels, batch.timestamps) == (["FATAL"], [NOW_NS - SECOND_NS // 2])
    assert (json.loads(batch.metadata[0]), batch.log_ids) == (metadata, ["order-17"])


@pytest.mark.parametrize("field", ["service_name", "log_type", "message"])
def test_a_required_field_that_is_missing_is_named(field: str) -> None:
    incomplete = record()
    del incomplete[field]
    assert rejection(decoded(incomplete)) == Rejection(0, "MissingField", f"{field} is missing")


@pytest.mark.parametrize("field", ["service_name", "log_type", "message", "level", "log_id"])
@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}, ["x"]])
def test_a_text_field_of_another_kind_is_rejected(field: str, value: Any) -> None:
    rejected = rejection(decoded(record(**{field: value})))
    assert (rejected.code, rejected.reason) == ("InvalidField", f"{field} must be a string")


@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], "x", [{}], "{}"])
@pytest.mark.parametrize("unknown", [{}, {"host": "a"}])
def test_metadata_of_another_kind_is_rejected(value: Any, unknown: dict[str, str]) -> None:
    rejected = rejection(decoded(record(metadata=value) | unknown))
    assert (rejected.code, rejected.reason) == ("InvalidField", "metadata must be a JSON object")


@pytest.mark.parametrize("value", [None, True, [], {}, "", "yesterday", "1770000000", "2026-02-02T02:40:00"])
def test_a_timestamp_of_another_kind_is_rejected(value: Any) -> None:
    rejected = rejection(decoded(record(timestamp=value)))
    assert rejected.code == "InvalidField"
    assert rejected.reason.startswith("timestamp ")


@pytest.mark.parametrize(("field", "chars_max"), [("service_name", 256), ("log_type", 128)])
@pytest.mark.parametrize("character", ["x", "é", "界", "\U0001f600"])
def test_a_name_of_the_most_characters_is_kept_and_one_more_is_rejected(
    field: str, chars_max: int, character: str
) -> None:
    assert len(decoded(record(**{field: character * chars_max}))) == 1
    rejected = rejection(decoded(record(**{field: character * (chars_max + 1)})))
    assert (rejected.code, rejected.reason) == ("InvalidField", f"{field} must have 1 to {chars_max} characters")


@pytest.mark.parametrize("field", ["service_name", "log_type"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "must have 1 to"),
        ("a\nb", "must not hold control characters"),
        ("a\x00b", "must not hold control characters"),
        ("a\x7fb", "must not hold control characters"),
        ("a\x85b", "must not hold control characters"),
        ("\x1b[31m", "must not hold control characters"),
        ("\n", "must not hold control characters"),
        (" a", "must not begin or end with white space"),
        ("a ", "must not begin or end with white space"),
        ("\u3000a", "must not begin or end with white space"),
        ("a\u00a0", "must not begin or end with white space"),
        (" ", "must not begin or end with white space"),
    ],
)
def test_a_name_with_controls_or_white_space_around_it_is_rejected(field: str, name: str, reason: str) -> None:
    rejected = rejection(decoded(record(**{field: name})))
    assert rejected.code == "InvalidField"
    assert rejected.reason.startswith(f"{field} {reason}")


@pytest.mark.parametrize("name", ["a b", "Zahlungen/Übersicht", "日本語", "a\u2028b", ".", "..", "a,b;c=d", '"', "\\"])
def test_any_other_name_is_kept(name: str) -> None:
    assert decoded(record(service_name=name, log_type=name)).service_names == [name]


def test_names_far_past_the_bound_are_not_remembered() -> None:
    from simple_log_service.core.validation import _characters_error, name_error

    before = _characters_error.cache_info().currsize
    assert name_error("x" * 10_000, 256) is not None
    assert _characters_error.cache_info().currsize == before


@pytest.mark.parametrize(
    "message",
    [
        "",
        "\x00",
        "a\x00b",
        "line\nline\r\nline\u2028line\u0085",
        "\x1b[31mred\x07",
        "</script><script>",
        '"quoted" \\ back',
        "\ufeffbom",
        "\ufffd\uffff\U0010ffff",
        "العربية עברית हिन्दी ไทย 日本語 한국어 ქართული Ελληνικά Кириллица 👩‍👩‍👧 e\u0301",
        "\u202eevil\u2066",
        " \t spaces \n ",
    ],
)
def test_a_message_is_kept_character_by_character(message: str) -> None:
    for spelled in (json.dumps(message), json.dumps(message, ensure_ascii=False)):
        assert decoded(with_raw("message", spelled)).messages == [message]


@given(texts(max_size=200))
def test_any_message_is_kept_in_every_form_of_body(message: str) -> None:
    one = json.dumps(record(message=message), ensure_ascii=False).encode()
    for body in (one, b"[%b]" % one, b'{"logs":[%b]}' % one):
        assert decoded(body).messages == [message]
    assert decoded(one + b"\n" + one, ndjson=True).messages == [message] * 2


def test_a_level_is_taken_by_any_of_its_names() -> None:
    batch = decoded([record(level=name) for name in ("warning", "Warn", "CRITICAL", "notice", "err", "emerg", "trace")])
    assert batch.levels == ["WARN", "WARN", "FATAL", "INFO", "ERROR", "FATAL", "TRACE"]


@pytest.mark.parametrize("level", ["", "loud", "INFO ", "7"])
def test_an_unknown_level_is_rejected_with_the_known_ones(level: str) -> None:
    assert "TRACE, DEBUG, INFO, WARN, ERROR, FATAL" in rejection(decoded(record(level=level))).reason


@pytest.mark.parametrize("log_id", ["x", "x" * 64, "界" * 64, " ", "a\nb"])
def test_an_id_of_up_to_64_characters_is_kept(log_id: str) -> None:
    assert decoded(record(log_id=log_id)).log_ids == [log_id]


@pytest.mark.parametrize("log_id", ["", "x" * 65, "界" * 65])
def test_an_id_of_none_or_more_characters_is_rejected(log_id: str) -> None:
    assert rejection(decoded(record(log_id=log_id))).reason == "log_id must have 1 to 64 characters"


def test_ids_are_given_record_by_record() -> None:
    assert decoded([record(log_id="a"), record(), record(log_id="b")]).log_ids == ["a", None, "b"]


# --- Time. ---


def test_records_without_a_timestamp_get_the_time_of_receipt_in_their_order() -> None:
    assert decoded([record(), record(), record()]).timestamps == [NOW_NS, NOW_NS + 1, NOW_NS + 2]


def test_records_with_and_without_a_timestamp_stand_side_by_side() -> None:
    assert decoded([record(timestamp=1_769_999_999), record()]).timestamps == [NOW_NS - SECOND_NS, NOW_NS + 1]


@pytest.mark.parametrize("unit_ns", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("unknown", [{}, {"host": "h"}])
def test_the_time_range_is_kept_to_the_nanosecond(unit_ns: int, unknown: dict[str, str]) -> None:
    for border, step, code in ((RULES.oldest_ns, -1, "TimestampTooOld"), (RULES.newest_ns, 1, "TimestampTooNew")):
        inside, outside = record(timestamp=border // unit_ns), record(timestamp=border // unit_ns + step)
        assert decoded(inside | unknown).timestamps == [border]
        assert rejection(decoded(outside | unknown)).code == code
        assert rejection(decoded([outside | unknown])).code == code


@pytest.mark.parametrize(
    ("timestamp", "code"),
    [
        ("0001-01-01T00:00:00Z", "TimestampTooOld"),
        ("0001-01-01T00:00:00-23:59", "TimestampTooOld"),
        ("1969-12-31T23:59:59Z", "TimestampTooOld"),
        (0, "TimestampTooOld"),
        ("9999-12-31T23:59:59.999999999Z", "TimestampTooNew"),
        ("9999-12-31T23:59:59+23:59", "TimestampTooNew"),
        (99_999_999_999, "TimestampTooNew"),
        (2**63 - 1, "TimestampTooNew"),
    ],
)
def test_a_moment_far_outside_is_rejected_with_that_reason(timestamp: str | int, code: str) -> None:
    assert rejection(decoded(record(timestamp=timestamp))).code == code
    assert rejection(decoded([record(timestamp=timestamp)])).code == code


@pytest.mark.parametrize(
    "timestamp", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z"]
)
def test_a_moment_outside_the_calendar_is_rejected(timestamp: str) -> None:
    assert rejection(decoded(record(timestamp=timestamp))).code == "InvalidField"


@pytest.mark.parametrize(
    "text",
    [
        "1769999999.123456789",
        "1769999999123.456789",
        "1769999999123456.789",
        "1769999999123456789",
        "1.769999999123456789e9",
        '"2026-02-02T02:39:59.123456789Z"',
        '"2026-02-02T04:39:59.123456789\\u002b02:00"',
        ' "2026-02-02T02:39:59.123456789Z" ',
    ],
)
def test_no_nanosecond_is_lost_on_the_way_in(text: str) -> None:
    assert decoded(with_raw("timestamp", text)).timestamps == [1_769_999_999_123_456_789]


@pytest.mark.parametrize(
    "text", ["1769999999.1234567891", "1769999999123456789.5", '"2026-02-02T02:39:59.1234567891Z"']
)
def test_more_than_nanoseconds_is_rejected(text: str) -> None:
    assert rejection(decoded(with_raw("timestamp", text))).reason == "timestamp is finer than a nanosecond"


# --- Metadata. ---


def as_decimals(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


@given(objects(st.lists(st.tuples(strings(texts(5)), numbers() | strings(texts())), max_size=4)))
def test_metadata_comes_back_with_the_same_meaning_or_the_record_is_rejected(text: str) -> None:
    batch = decoded(with_raw("metadata", text))
    if batch.rejected:
        assert "out of range" in batch.rejected[0].reason or "38 digits" in batch.rejected[0].reason
    else:
        assert as_decimals(batch.metadata[0]) == as_decimals(text)


@pytest.mark.parametrize(
    "number",
    ["0.1000000000000000055511151231257827", "1.10", "-0", "-0.0", "1e300", "1e-400", "9" * 38, "-" + "9" * 38, "1E+2"],
)
def test_a_number_comes_back_equal_as_a_decimal(number: str) -> None:
    (metadata,) = decoded(with_raw("metadata", f'{{"n":{number}}}')).metadata
    assert as_decimals(metadata)["n"] == Decimal(number)


def test_metadata_is_kept_in_one_line() -> None:
    batch = decoded(with_raw("metadata", '{\n  "a": [1,\n 2],\r\n "b": "x\\ny"\n}'))
    assert json.loads(batch.metadata[0]) == {"a": [1, 2], "b": "x\ny"}
    assert b"\n" not in batch.metadata[0]


def test_the_later_of_a_doubled_key_is_kept() -> None:
    assert json.loads(decoded(with_raw("metadata", '{"a":1,"a":2}')).metadata[0]) == {"a": 2}
    assert decoded(b'{"service_name":"api","log_type":"t","message":"1","message":"2"}').messages == ["2"]


def nested(depth: int, opening: str) -> str:
    return {"[": '{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}", "{": '{"a":' * depth + "1" + "}" * depth}[
        opening
    ]


@pytest.mark.parametrize("opening", ["[", "{"])
def test_metadata_nests_at_most_31_deep(opening: str) -> None:
    assert len(decoded(with_raw("metadata", nested(31, opening)))) == 1
    assert (
        rejection(decoded(with_raw("metadata", nested(32, opening)))).reason == "metadata is nested more than 31 deep"
    )


@pytest.mark.parametrize("opening", ["[", "{"])
def test_an_unknown_field_counts_as_a_level_of_metadata(opening: str) -> None:
    assert len(decoded(with_raw("x", nested(30, opening)))) == 1
    assert "31 deep" in rejection(decoded(with_raw("x", nested(31, opening)))).reason


def test_brackets_in_strings_are_no_nesting() -> None:
    assert len(decoded(with_raw("metadata", json.dumps({"a": "[{" * 100})))) == 1
    assert len(decoded([record(metadata={"a": "[{" * 100}), record(metadata={"a": "[" * 31})])) == 2


def test_one_record_nested_too_deep_is_found_among_flat_ones() -> None:
    bodies = [with_raw("metadata", "{}"), with_raw("metadata", nested(32, "[")), with_raw("metadata", '{"a":1}')]
    batch = decoded(b"[" + b",".join(bodies) + b"]")
    assert (list(batch.indexes), [rejected.index for rejected in batch.rejected]) == ([0, 2], [1])


@pytest.mark.parametrize("text", ['{"n":%s}', '{"n":[[%s]]}', '{"n":{"m":-%s}}'])
def test_an_integer_of_more_than_38_digits_is_rejected_wherever_it_stands(text: str) -> None:
    assert len(decoded(with_raw("metadata", text % ("9" * 38)))) == 1
    for digits in (39, 400, 5000):
        assert rejection(decoded(with_raw("metadata", text % ("9" * digits)))).code == "InvalidField"


def test_many_digits_are_no_integer_in_text_or_behind_a_point() -> None:
    text = json.dumps({"9" * 50: "8" * 50})[:-1] + ', "c": 0.' + "7" * 50 + "}"
    assert as_decimals(decoded(with_raw("metadata", text)).metadata[0]) == as_decimals(text)


def test_unknown_fields_are_kept_under_metadata() -> None:
    sent = record(host="a", pid=17, tags=["x", {"y": None}], metadata={"user": "u"})
    (metadata,) = decoded(sent).metadata
    assert json.loads(metadata) == {"host": "a", "pid": 17, "tags": ["x", {"y": None}], "user": "u"}


def test_a_field_already_in_metadata_wins_over_an_unknown_one() -> None:
    assert json.loads(decoded(record(a=1, metadata={"a": 2, "b": 3})).metadata[0]) == {"a": 2, "b": 3}


def test_a_field_named_metadata_within_metadata_stays_there() -> None:
    sent = record(metadata={"metadata": 1, "message": "inner", "service_name": 5})
    batch = decoded(sent)
    assert (json.loads(batch.metadata[0]), batch.messages) == (sent["metadata"], ["hello"])


@given(metadata_texts(), st.dictionaries(st.sampled_from("abcdef"), st.integers(), max_size=3))
def test_unknown_fields_and_metadata_are_merged_without_change(text: str, unknown: dict[str, int]) -> None:
    whole = with_raw("metadata", text)[:-1] + b"".join(b',"%b":%d' % (k.encode(), v) for k, v in unknown.items()) + b"}"
    batch = decoded(whole)
    if not batch.rejected:
        assert as_decimals(batch.metadata[0]) == as_decimals(json.dumps(unknown)) | as_decimals(text)


def test_a_field_of_another_case_is_another_field() -> None:
    assert json.loads(decoded(record(Level="ERROR", Message="x")).metadata[0]) == {"Level": "ERROR", "Message": "x"}


def test_a_record_may_carry_a_field_named_logs() -> None:
    assert json.loads(decoded(record(logs=[1])).metadata[0]) == {"logs": [1]}


# --- Sizes. ---

NAMES_BYTES = len("api") + len("application")


@pytest.mark.parametrize("log_id", [None, "x" * 64])
@pytest.mark.parametrize("metadata", ["{}", '{"a":"' + "b" * 1000 + '"}'])
@pytest.mark.parametrize("character", ["x", "é", "界", "\U0001f600", "\x00"])
def test_a_record_of_256_kib_is_kept_and_of_one_byte_more_rejected(
    character: str, metadata: str, log_id: str | None
) -> None:
    room = limits.RECORD_BYTES_MAX - NAMES_BYTES - len(metadata) - len(log_id or "")
    width = len(character.encode())
    message = character * (room // width) + "x" * (room % width)
    given = {} if log_id is None else {"log_id": log_id}
    fits = json.dumps(record(message=message, **given))[:-1] + f',"metadata":{metadata}}}'
    over = json.dumps(record(message=message + "x", **given))[:-1] + f',"metadata":{metadata}}}'
    for body in (fits, f"[{fits}]"):
        assert decoded(body.encode()).messages == [message]
    for body in (over, f"[{over}]"):
        rejected = rejection(decoded(body.encode()))
        assert (rejected.code, str(limits.RECORD_BYTES_MAX + 1) in rejected.reason) == ("TooLarge", True)


def test_metadata_of_the_most_bytes_is_kept_and_of_one_more_rejected() -> None:
    room = limits.RECORD_BYTES_MAX - NAMES_BYTES - len("hello") - len('{"a":""}')
    for fold in ({"metadata": {"a": "b" * room}}, {"a": "b" * room}):
        body = json.dumps(record(**fold), separators=(",", ":")).encode()
        assert len(decoded(body)) == 1
        assert rejection(decoded(body.replace(b'"b', b'"bb', 1))).code == "TooLarge"


def test_a_record_too_large_does_not_block_the_others() -> None:
    batch = decoded([record(), record(message="x" * limits.RECORD_BYTES_MAX), record(message="last")])
    assert (batch.messages, [rejected.code for rejected in batch.rejected]) == (["hello", "last"], ["TooLarge"])


def test_a_record_of_too_much_json_is_refused_before_anything_looks_into_it() -> None:
    """Its text may be small: what it takes to find that out is what the bound is for."""
    names = ",".join(f'"{n}":0' for n in range(limits.RECORD_JSON_BYTES_MAX // 8))
    body = f'[{{"service_name":"a","log_type":"b","message":"c",{names}}}]'.encode()
    assert len(body) > limits.RECORD_JSON_BYTES_MAX
    rejected = rejection(decoded(body))
    assert rejected.code == "TooLarge"
    assert f"more than {limits.RECORD_JSON_BYTES_MAX} bytes" in rejected.reason
