"""Bodies that are no JSON, or JSON that nobody should have to hold: each is refused, and none costs much."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import pytest

from simple_log_service.core.decode import decode_batch
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import BODY_UNPACKED_BYTES_MAX, MIB
from unit.strategies import RULES

GOOD = b'{"service_name":"api","log_type":"application","message":"good"}'

Place = Callable[[bytes], bytes]
"""Puts a JSON value into one place of a record."""


def _field(name: bytes) -> Place:
    return lambda value: b'{"service_name":"api","log_type":"application","message":"m","%b":%b}' % (name, value)


PLACES: dict[str, Place] = {
    "service_name": _field(b"service_name"),
    "log_type": _field(b"log_type"),
    "message": _field(b"message"),
    "level": _field(b"level"),
    "timestamp": _field(b"timestamp"),
    "log_id": _field(b"log_id"),
    "metadata": _field(b"metadata"),
    "a value in metadata": lambda value: _field(b"metadata")(b'{"a":%b}' % value),
    "an array in metadata": lambda value: _field(b"metadata")(b'{"a":[1,%b,2]}' % value),
    "an unknown field": _field(b"host"),
    "an array in an unknown field": lambda value: _field(b"host")(b"[1,%b]" % value),
}

in_any_place = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


def stored(body: bytes, *, ndjson: bool = False) -> int:
    """How many records of a body are stored; each of the others was rejected with a reason."""
    try:
        batch = decode_batch(body, RULES, ndjson=ndjson)
        count, reasons = len(batch), [rejected.reason for rejected in batch.rejected]
    except InvalidRequest as refused:
        count, reasons = 0, [str(refused)]
    assert all(0 < len(reason) < 300 for reason in reasons)
    return count


def forms_of(record: bytes) -> list[bytes]:
    return [record, b"[%b]" % record, b'{"logs":[%b]}' % record]


def assert_refused(record: bytes) -> None:
    """Nothing of it is stored in any form of body, and as a line it does not block the good lines around it."""
    for body in forms_of(record):
        assert stored(body) == 0
    assert stored(record, ndjson=True) == 0
    assert stored(b"\n".join([GOOD, record.replace(b"\n", b" "), GOOD]), ndjson=True) == 2


DEEP = 100_000


@pytest.mark.parametrize(
    "value",
    [b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP + b"1" + b"}" * DEEP, b'[{"a":' * DEEP + b"1" + b"}]" * DEEP],
    ids=["arrays", "objects", "both"],
)
@in_any_place
def test_json_nested_100_000_deep_is_refused_in_any_field(value: bytes, place: Place) -> None:
    assert_refused(place(value))


@pytest.mark.parametrize("body", [b"[" * DEEP, b'{"a":' * DEEP, b'{"logs":[' * DEEP, b"[" * DEEP + b"]" * DEEP])
def test_a_body_of_nothing_but_openings_is_refused(body: bytes) -> None:
    assert stored(body) == stored(body, ndjson=True) == 0


@pytest.mark.parametrize("levels", [32, 100, 500, 900, 1000, 1100, 2000])
@in_any_place
def test_nesting_past_the_bound_is_refused_at_any_depth(levels: int, place: Place) -> None:
    assert_refused(place(b"[" * levels + b"]" * levels))


@pytest.mark.parametrize("number", [b"9" * 39, b"-" + b"9" * 39, b"1" + b"0" * 38, b"9" * 400, b"9" * 100_000])
@in_any_place
def test_an_integer_of_more_than_38_digits_is_refused_in_any_field(number: bytes, place: Place) -> None:
    assert_refused(place(number))


@pytest.mark.parametrize(
    "number", [b"NaN", b"Infinity", b"-Infinity", b"-NaN", b"nan", b"inf", b"1e400", b"-1e400", b"1e999999999"]
)
@in_any_place
def test_a_number_that_is_none_or_endless_is_refused_in_any_field(number: bytes, place: Place) -> None:
    assert_refused(place(number))


@pytest.mark.parametrize(
    "number", [b"01", b"-01", b"1.", b".5", b"+1", b"1e", b"1e+", b"-", b"0x10", b"1_000", b"1 5", b"--1", b"1.2.3"]
)
@in_any_place
def test_a_number_outside_the_grammar_is_refused_in_any_field(number: bytes, place: Place) -> None:
    assert_refused(place(number))


NOT_UTF8 = {
    "a lone continuation": b"\x80",
    "a start without its end": b"\xc3",
    "an overlong slash": b"\xc0\xaf",
    "an overlong NUL": b"\xc0\x80",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "past U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "Latin-1": b"\xe9t\xe9",
    "0xFF": b"\xff",
}


@pytest.mark.parametrize("bad", NOT_UTF8.values(), ids=NOT_UTF8)
@in_any_place
def test_bytes_that_are_no_utf_8_are_refused_in_any_field(bad: bytes, place: Place) -> None:
    for value in (b'"%b"' % bad, b'"ab%b"' % bad, b'{"%b":1}' % bad):
        for body in forms_of(place(value)):
            assert stored(body) == 0
        assert stored(GOOD + b"\n" + place(value), ndjson=True) <= 1


@pytest.mark.parametrize("bad", NOT_UTF8.values(), ids=NOT_UTF8)
def test_bytes_that_are_no_utf_8_are_refused_anywhere_in_a_body(bad: bytes) -> None:
    for body in (bad, bad + GOOD, GOOD + bad, b"[%b,%b]" % (GOOD, bad), GOOD[:-1] + b',"%b":1}' % bad):
        with pytest.raises(InvalidRequest, match=r"^The body is not UTF-8\.$"):
            decode_batch(body, RULES)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_another_encoding_than_utf_8_is_refused(encoding: str) -> None:
    text = GOOD.decode().replace("good", "gut \u00fc")
    assert stored(text.encode(encoding)) == 0
    assert stored(text.encode(encoding), ndjson=True) == 0


LONE_SURROGATES = [
    r"\ud800",
    r"\udc00",
    r"\ud800abcdefghij",
    r"\ud800abcdefghijklmnopqrstuvwxyz0123456789",
    r"abcdefghijklmnopqrstuvwxyz0123456789\ud800",
    r"\ud800\u0041",
    r"\ud800\ud800",
    r"\udc00\ud800",
    r"\ud800\n",
    r"\ud800\\dc00",
    r"\ud800\\udc00",
    r"\ud800\ue000",
    r"\ud83d\ude00\ud83d",
    r"\uDBFF\uDBFF\uDFFF",
    "\\ud800\u00e9\u00e9\u00e9",
]


@pytest.mark.parametrize("text", LONE_SURROGATES)
@in_any_place
def test_a_lone_surrogate_is_refused_in_any_field(text: str, place: Place) -> None:
    assert_refused(place(f'"{text}"'.encode()))


@pytest.mark.parametrize("text", LONE_SURROGATES)
def test_a_lone_surrogate_is_refused_in_any_name_of_a_field(text: str) -> None:
    assert_refused(_field(text.encode())(b"1"))
    assert_refused(PLACES["metadata"](f'{{"{text}":1}}'.encode()))
    assert_refused(PLACES["an unknown field"](f'{{"{text}":1}}'.encode()))


@pytest.mark.parametrize("text", [r"\ud83d\ude00", r"\uD83D\uDE00", r"\udbff\udfff", "\U0001f600"])
def test_a_pair_of_surrogates_is_one_character(text: str) -> None:
    spelled = f'"{text}"'
    (message,) = decode_batch(PLACES["message"](spelled.encode()), RULES).messages
    assert message == json.loads(spelled)


@pytest.mark.parametrize(
    "text", [r"\x41", r"\u12", r"\u123g", r"\U0001f600", r"\'", "\\", "\\\n", "\n", "\t", "\x00", "\x1f", '"', "a\rb"]
)
@in_any_place
def test_a_bad_escape_or_a_raw_control_is_refused_in_any_field(text: str, place: Place) -> None:
    for body in forms_of(place(f'"{text}"'.encode())):
        assert stored(body) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\n\r\t ",
        b"{",
        b"[",
        b'"',
        b"}",
        b"]",
        b",",
        b":",
        b"\x00",
        GOOD[:-1],
        GOOD + b"\x00",
        b"\x00" + GOOD,
        b"\x0b" + GOOD,
        b"\xc2\xa0" + GOOD,
        GOOD + b",",
        GOOD + b"}",
        b"[" + GOOD + b",]",
        b"[," + GOOD + b"]",
        b"[" + GOOD + b" " + GOOD + b"]",
        b"[" + GOOD,
        b"[" + GOOD + b"}",
        GOOD[:-1] + b",}",
        GOOD.replace(b'"', b"'"),
        b"// comment\n" + GOOD,
        b"/* comment */" + GOOD,
        b"level=info msg=hello",
        b"<xml/>",
        b"tru",
        b"nul",
        b"truefalse",
        b"None",
        b'{"logs":[' + GOOD + b"]",
        b'{"logs":' + GOOD + b"]}",
        b'{"logs" [' + GOOD + b"]}",
    ],
)
def test_a_body_that_is_no_json_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^The body (is not valid JSON|must be)"):
        decode_batch(body, RULES)


def test_a_byte_order_mark_is_refused() -> None:
    # RFC 8259, section 8.1: senders must not add one.
    assert stored(b"\xef\xbb\xbf" + GOOD) == 0
    assert stored(b"\xef\xbb\xbf" + GOOD + b"\n" + GOOD, ndjson=True) == 1


@pytest.mark.parametrize("body", [GOOD + b"\n" + GOOD, GOOD + GOOD, GOOD + b"\r\n\r\n" + GOOD])
def test_several_lines_sent_as_json_are_told_what_type_they_need(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="application/x-ndjson"):
        decode_batch(body, RULES)


def test_a_trailing_comma_is_not_taken_for_several_lines() -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_batch(b"[" + GOOD + b",]", RULES)
    assert "ndjson" not in str(refused.value)


@pytest.mark.parametrize("doubled", ["message", "level", "timestamp", "metadata", "host"])
def test_of_a_doubled_field_only_the_later_counts(doubled: str) -> None:
    earlier, later = {"timestamp": (b"5", b"1770000000"), "metadata": (b"[]", b"{}")}.get(doubled, (b"5", b'"INFO"'))
    both = b'{"service_name":"api","log_type":"application","message":"m","%b":%b,"%b":%b}'
    name = doubled.encode()
    for body in forms_of(both % (name, earlier, name, later)):
        assert stored(body) == 1
    if doubled != "host":
        for body in forms_of(both % (name, later, name, earlier)):
            assert stored(body) == 0


# --- What costs memory: bodies of the largest size whose parse would take many times their room. ---


def _filled(start: bytes, unit: bytes, end: bytes) -> bytes:
    return start + unit * ((BODY_UNPACKED_BYTES_MAX - len(start) - len(end)) // len(unit)) + end


LARGE: dict[str, Callable[[], tuple[bytes, bool]]] = {
    "empty records": lambda: (_filled(b"[", b"{},", b"{}]"), False),
    "numbers": lambda: (_filled(b"[", b"1,", b"1]"), False),
    "empty arrays": lambda: (_filled(b'{"logs":[', b"[],", b"[]]}"), False),
    "arrays in metadata": lambda: (PLACES["metadata"](_filled(b'{"a":[', b"[],", b"1]}")[: -4 * MIB] + b"1]}"), False),
    "arrays in an unknown field": lambda: (
        PLACES["an unknown field"](_filled(b"[", b"[],", b"1]")[:-200] + b"1]"),
        False,
    ),
    "lines of numbers": lambda: (_filled(b"", b"12\n", b""), True),
    "lines of empty records": lambda: (_filled(b"", b"{}\n", b""), True),
    "empty records in one line": lambda: (_filled(b"", b"{}", b""), True),
    "blank lines": lambda: (_filled(b"", b"\n", b""), True),
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_a_body_of_millions_of_tiny_values_takes_no_more_room_than_its_text(
    body: Callable[[], tuple[bytes, bool]],
) -> None:
    text, ndjson = body()
    tracemalloc.start()
    try:
        assert stored(text, ndjson=ndjson) == 0
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 3 * BODY_UNPACKED_BYTES_MAX
