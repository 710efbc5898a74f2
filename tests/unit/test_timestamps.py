"""Timestamps in both directions, held against datetime and Decimal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core.limits import SECOND_NS
from simple_log_service.core.timestamps import (
    TIMESTAMP_NS_MAX,
    format_timestamp,
    parse_column,
    parse_epoch,
    parse_rfc3339,
    parse_timestamp,
)
from unit.strategies import timestamps

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DATETIME_NS_MIN = (datetime.min.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000
DATETIME_NS_MAX = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000

moments_ns = st.integers(DATETIME_NS_MIN, DATETIME_NS_MAX)


def nanoseconds_of(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


@given(moments_ns)
def test_what_is_formatted_is_read_back_exactly(nanoseconds: int) -> None:
    assert parse_rfc3339(format_timestamp(nanoseconds)) == nanoseconds


@given(moments_ns)
def test_what_is_formatted_is_what_datetime_reads(nanoseconds: int) -> None:
    whole, fraction = divmod(nanoseconds, 1000)
    text = format_timestamp(nanoseconds - fraction)
    assert nanoseconds_of(datetime.fromisoformat(text)) == whole * 1000


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), st.integers(-1439, 1439))  # noqa: DTZ001 - zoned below
def test_what_datetime_writes_with_an_offset_is_read_as_that_instant(wall: datetime, offset_minutes: int) -> None:
    moment = wall.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    assert parse_rfc3339(moment.isoformat()) == nanoseconds_of(moment)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_000, "1970-01-01T00:00:00.000001Z"),
        (1_000_000, "1970-01-01T00:00:00.001Z"),
        (100_000_000, "1970-01-01T00:00:00.100Z"),
        (1_001_000, "1970-01-01T00:00:00.001001Z"),
        (1_001_001, "1970-01-01T00:00:00.001001001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (951_782_400 * SECOND_NS, "2000-02-29T00:00:00Z"),
        (TIMESTAMP_NS_MAX, "2262-04-11T23:47:16.854775807Z"),
        (-62_135_596_800 * SECOND_NS, "0001-01-01T00:00:00Z"),
    ],
)
def test_a_timestamp_is_written_with_0_3_6_or_9_digits_as_few_as_say_it(nanoseconds: int, text: str) -> None:
    assert format_timestamp(nanoseconds) == text


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2026-02-02T02:40:00Z", 1_770_000_000_000_000_000),
        ("2026-02-02t02:40:00z", 1_770_000_000_000_000_000),
        ("2026-02-02 02:40:00Z", 1_770_000_000_000_000_000),
        ("2026-02-02T04:40:00+02:00", 1_770_000_000_000_000_000),
        ("2026-02-01T21:10:00-05:30", 1_770_000_000_000_000_000),
        ("2026-02-02T02:40:00-00:00", 1_770_000_000_000_000_000),
        ("2026-02-03T02:39:00+23:59", 1_770_000_000_000_000_000),
        ("2026-02-02T02:40:00.5Z", 1_770_000_000_500_000_000),
        ("2026-02-02T02:40:00.000000001Z", 1_770_000_000_000_000_001),
        ("2026-02-02T02:40:00.1234567890000Z", 1_770_000_000_123_456_789),
        ("1969-12-31T23:59:59.999999999Z", -1),
    ],
)
def test_rfc_3339_is_read_with_any_offset_case_and_number_of_digits(text: str, nanoseconds: int) -> None:
    assert parse_rfc3339(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-02-02",
        "2026-02-02T02:40:00",
        "2026-02-02T02:40Z",
        "2026-02-02T02:40:00.Z",
        "2026-02-02T02:40:00,5Z",
        "2026-02-02T02:40:00+0200",
        "2026-02-02T02:40:00+02",
        "2026-02-02T02:40:00+24:00",
        "2026-02-02T02:40:00+02:60",
        "2026-02-02T02:40:00 +02:00",
        "2026-02-02T02:40:00ZZ",
        "2026-02-02T02:40:00Z\n",
        " 2026-02-02T02:40:00Z",
        "2026-02-30T02:40:00Z",
        "2025-02-29T02:40:00Z",
        "2026-13-01T02:40:00Z",
        "2026-02-02T24:00:00Z",
        "2026-02-02T02:60:00Z",
        "0000-01-01T00:00:00Z",
        "12026-02-02T02:40:00Z",
        "-2026-02-02T02:40:00Z",
        "\u0662026-02-02T02:40:00Z",
        "\uff12026-02-02T02:40:00Z",
        "20260202T024000Z",
        "2026-W06-1T02:40:00Z",
    ],
)
def test_what_is_not_rfc_3339_with_an_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^timestamp "):
        parse_rfc3339(text)


def test_a_leap_second_is_refused_since_no_clock_of_ours_can_hold_it() -> None:
    with pytest.raises(ValueError, match="second must be in"):
        parse_rfc3339("2016-12-31T23:59:60Z")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"])
def test_an_offset_that_leads_out_of_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^timestamp is not a date and time"):
        parse_rfc3339(text)


@pytest.mark.parametrize("digits", ["0000000001", "1234567891", "0" * 30 + "1"])
def test_more_than_nanoseconds_are_refused_and_never_rounded(digits: str) -> None:
    with pytest.raises(ValueError, match="finer than a nanosecond"):
        parse_rfc3339(f"2026-02-02T02:40:00.{digits}Z")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("-0.0", 0),
        ("0e5", 0),
        ("0e-400", 0),
        ("1", SECOND_NS),
        ("1e3", 1000 * SECOND_NS),
        ("1.77E+9", 1_770_000_000 * SECOND_NS),
        ("1770000000.123456789", 1_770_000_000_123_456_789),
        ("1770000000.1234567890000", 1_770_000_000_123_456_789),
        ("17700000000000000000e-1", 1_770_000_000_000_000_000),
        ("1770000000.123456789e9", 1_770_000_000_123_456_789),
        ("0.000000001", 1),
        ("1e-9", 1),
        # The borders between the units.
        ("99999999999", 99_999_999_999 * SECOND_NS),
        ("99999999999.999999999", 99_999_999_999_999_999_999),
        ("100000000000", 100_000_000_000 * 10**6),
        ("1e11", 100_000_000_000 * 10**6),
        ("99999999999999", 99_999_999_999_999 * 10**6),
        ("99999999999999.999999", 99_999_999_999_999_999_999),
        ("100000000000000", 10**14 * 10**3),
        ("99999999999999999", (10**17 - 1) * 10**3),
        ("99999999999999999.999", 99_999_999_999_999_999_999),
        ("100000000000000000", 10**17),
        ("9223372036854775807", TIMESTAMP_NS_MAX),
    ],
)
def test_a_number_is_read_as_decimal_text_in_the_unit_that_its_size_tells(text: str, nanoseconds: int) -> None:
    assert parse_epoch(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-1", "before 1970"),
        ("-1e-300", "before 1970"),
        ("9223372036854775808", "after 2262"),
        ("1e19", "after 2262"),
        ("1e999", "after 2262"),
        ("1e-10", "finer"),
        ("1770000000.1234567891", "finer"),
        ("1770000000000.1234567", "finer"),
        ("1770000000000000.1234", "finer"),
        ("1770000000000000000.5", "finer"),
        ("0." + "0" * 39 + "1", "finer"),
        ("1770000000." + "0" * 39 + "1", "finer"),
        ("1" * 41, "nor a number"),
        ("1e9999", "nor a number"),
        ("", "nor a number"),
        ("+1", "nor a number"),
        ("1_000", "nor a number"),
        (" 1", "nor a number"),
        ("1\n", "nor a number"),
        ("0x10", "nor a number"),
        ("NaN", "nor a number"),
        ("Infinity", "nor a number"),
        ("\u0661", "nor a number"),
        ("true", "nor a number"),
        ("null", "nor a number"),
        ("[1]", "nor a number"),
    ],
)
def test_a_number_that_is_no_moment_or_too_fine_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^timestamp .*{reason}"):
        parse_epoch(text)


@given(st.decimals(min_value=0, max_value=TIMESTAMP_NS_MAX, places=3, allow_nan=False), st.integers(-25, 25))
def test_a_number_means_the_same_however_its_exponent_is_written(number: Decimal, shift: int) -> None:
    with localcontext(prec=100):
        units = ((10**11, SECOND_NS), (10**14, 10**6), (10**17, 10**3), (10**30, 1))
        exact = number * next(unit_ns for bound, unit_ns in units if number < bound)
        text = f"{number.scaleb(-shift):f}e{shift}"
    if len(text) > 40:
        return
    if exact == int(exact):
        assert parse_epoch(text) == exact
    else:
        with pytest.raises(ValueError, match="finer"):
            parse_epoch(text)


def test_a_json_string_is_read_with_its_escapes_as_some_encoders_write_an_offset() -> None:
    assert parse_timestamp('"2026-02-02T04:40:00\\u002b02:00"') == parse_rfc3339("2026-02-02T04:40:00+02:00")


def test_a_number_in_quotes_is_no_timestamp() -> None:
    with pytest.raises(ValueError, match="not RFC 3339"):
        parse_timestamp('"1770000000"')


def parsed_one_by_one(column: list[bytes]) -> list[int]:
    return [parse_timestamp(text.decode()) for text in column]


ODD_TIMESTAMPS = st.sampled_from(
    [
        '"2026-02-30T00:00:00Z"',
        '"2026-02-02T24:00:00Z"',
        '"2026-02-02T02:40:60Z"',
        '"2026-02-02T02:40:00.1234567891Z"',
        '"2026-02-02T02:40:00.Z"',
        '"2026-02-02t02:40:00z"',
        '"0000-01-01T00:00:00Z"',
        '"0001-01-01T00:00:00Z"',
        '"9999-12-31T23:59:59.999999999Z"',
        "99999999999",
        "100000000000",
        "9223372036854775807",
        "9223372036854775808",
        "-0",
        "0",
        "00",
        "null",
        '""',
        '","',
        "",
    ]
)


@given(
    st.lists(timestamps() | ODD_TIMESTAMPS, min_size=1, max_size=4)
    | st.lists(ODD_TIMESTAMPS, min_size=1, max_size=2)
    | st.lists(st.integers(0, 2**64).map(str), min_size=1, max_size=4)
    | st.lists(moments_ns.map(format_timestamp).map('"{}"'.format), min_size=1, max_size=4)
)
def test_a_column_is_read_as_each_of_its_timestamps_alone_or_not_at_all(texts: list[str]) -> None:
    column = [text.encode() for text in texts]
    read = parse_column(column)
    if read is not None:
        assert read == parsed_one_by_one(column)


@pytest.mark.parametrize(
    "column",
    [
        [b'"2026-02-02T02:40:00Z"', b'"2026-02-02T02:40:00.1Z"', b'"2026-02-02T02:40:59.123456789Z"'],
        [b"1770000000", b"0", b"99999999999"],
        [b"1770000000000", b"100000000000"],
        [b"1770000000000000"],
        [b"1770000000000000000", b"9223372036854775807"],
    ],
)
def test_a_column_of_one_plain_kind_is_read_at_once(column: list[bytes]) -> None:
    assert parse_column(column) == parsed_one_by_one(column)


@pytest.mark.parametrize(
    "column",
    [
        [b"1770000000", b"1770000000000"],
        [b'"2026-02-02T02:40:00Z"', b"1770000000"],
        [b"1770000000", b'"2026-02-02T02:40:00Z"'],
        [b"1770000000.5"],
        [b'"2026-02-02T02:40:00+00:00"'],
        [b'"2026-02-30T02:40:00Z"'],
        [b"9223372036854775808"],
        [b"-1"],
    ],
)
def test_a_column_that_is_not_of_one_plain_kind_is_left_to_the_careful_way(column: list[bytes]) -> None:
    assert parse_column(column) is None


def test_far_off_minutes_by_the_ten_thousand_do_not_pile_up() -> None:
    from simple_log_service.core import timestamps as module

    day = 24 * 60
    for start in range(0, 50 * day, day):
        minutes = [EPOCH + timedelta(minutes=start + minute) for minute in range(day)]
        assert parse_column([f'"{minute:%Y-%m-%dT%H:%M}:00Z"'.encode() for minute in minutes]) is not None
    assert len(module._MINUTES) <= 65_536
