"""Query parameters: each within its bounds, none unknown or doubled, and read as signatures read them."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.api.parameters import FILTERS, RECENT, filters_query, parse_parameters, recent_query
from simple_log_service.core.cursor import encode_cursor
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import CURSOR_CHARS_MAX, DAY_NS, HOUR_NS, SECOND_NS
from simple_log_service.core.query import Query
from simple_log_service.core.record import Position
from simple_log_service.core.search import Search
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from unit.strategies import NOW_NS, names

DAY_AGO_NS = NOW_NS - DAY_NS


def asked(query: str, service_name: str | None = None) -> Query:
    return recent_query(query, service_name, NOW_NS)


def refusal(query: str, service_name: str | None = None) -> str:
    with pytest.raises(InvalidRequest) as refused:
        recent_query(query, service_name, NOW_NS)
    return str(refused.value)


# --- The text of a query. ---


@pytest.mark.parametrize("query", ["", "&", "&&&"])
def test_without_parameters_the_last_24_hours_and_100_records_are_asked_for(query: str) -> None:
    assert asked(query) == Query(DAY_AGO_NS, limit=100)


@given(st.dictionaries(st.sampled_from(sorted(RECENT)), st.text(), max_size=4))
def test_percent_encoded_parameters_are_read_back_exactly(given_as: dict[str, str]) -> None:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in given_as.items())
    assert parse_parameters(query, RECENT) == given_as


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("a%2bb", "a+b"),
        ("a%20b", "a b"),
        ("a=b==", "a=b=="),
        ("a%26b%3Dc", "a&b=c"),
        ("%C3%A9", "é"),
        ("%F0%9F%98%80", "\U0001f600"),
        ("%2525", "%25"),
        ("50%", "50%"),
        ("%zz", "%zz"),
        ("", ""),
    ],
)
def test_a_plus_sign_is_itself_and_what_is_encoded_is_decoded_once(text: str, value: str) -> None:
    assert parse_parameters(f"service_name={text}", RECENT) == {"service_name": value}


def test_a_parameter_without_an_equals_sign_is_empty() -> None:
    assert parse_parameters("limit&hours=1", RECENT) == {"limit": "", "hours": "1"}


def test_names_may_be_encoded_too() -> None:
    assert asked("%6c%69mit=5") == asked("limit=5")


@pytest.mark.parametrize(
    "query", ["service_name=%ff", "service_name=%C3", "%ff=1", "service_name=%ED%A0%80", "level=\udcff"]
)
def test_what_is_not_utf_8_is_refused(query: str) -> None:
    assert refusal(query) == "The query string is not UTF-8."


@pytest.mark.parametrize(
    "name", ["service", "Limit", "limit ", "Q", "metadata", "Metadata.a", "", "limit[]", "x" * 1000]
)
def test_an_unknown_parameter_is_refused_by_its_name(name: str) -> None:
    reason = refusal(f"{quote(name)}=1")
    assert reason.startswith("Unknown parameter: ")
    assert name[:64] in reason
    assert len(reason) < 100


@pytest.mark.parametrize("name", sorted(RECENT))
def test_a_parameter_given_twice_is_refused_even_with_one_value(name: str) -> None:
    assert refusal(f"{name}=1&{name}=1") == f"{name} is given twice."
    assert refusal(f"{name}=1&%{ord(name[0]):02x}{name[1:]}=1") == f"{name} is given twice."


@given(
    st.text(st.characters(codec="latin-1"))
    | st.lists(st.sampled_from([*sorted(RECENT), "metadata.", *'=&%2h+"*('])).map("".join)
)
def test_no_query_at_all_is_an_unexpected_error(query: str) -> None:
    with suppress(InvalidRequest):
        asked(query)


# --- Filters. ---


@given(names(), names())
def test_names_are_filters(service_name: str, log_type: str) -> None:
    query = asked(f"service_name={quote(service_name, safe='')}&log_type={quote(log_type, safe='')}")
    assert (query.service_name, query.log_type) == (service_name, log_type)


@pytest.mark.parametrize(("name", "chars_max"), [("service_name", 256), ("log_type", 128)])
def test_a_name_is_held_to_the_bounds_of_a_records(name: str, chars_max: int) -> None:
    longest = "x" * chars_max
    query = asked(f"{name}={longest}")
    assert longest in (query.service_name, query.log_type)
    for bad in ("", "x" * (chars_max + 1), "%0A", "a%00", "%20a", "a%20"):
        assert refusal(f"{name}={bad}").startswith(f"{name} must ")


@pytest.mark.parametrize(
    ("text", "level"), [("INFO", "INFO"), ("warning", "WARN"), ("Crit", "FATAL"), ("%65rr", "ERROR")]
)
def test_a_level_may_be_asked_for_by_any_of_its_names(text: str, level: str) -> None:
    assert asked(f"level={text}").level == level


@pytest.mark.parametrize("text", ["", "loud", "INFO,WARN", "%20INFO"])
def test_an_unknown_level_is_refused(text: str) -> None:
    assert "TRACE, DEBUG, INFO, WARN, ERROR, FATAL" in refusal(f"level={text}")


def test_the_service_of_the_path_is_the_filter_and_no_other_may_be_given() -> None:
    assert asked("", "shop").service_name == "shop"
    assert refusal("service_name=shop", "shop") == "Unknown parameter: service_name"


# --- Searching. ---


def test_words_a_pattern_and_fields_are_searched_for() -> None:
    assert asked("q=%22disk%20full%22").search == Search('"disk full"')
    assert asked("pattern=a%2B").search == Search(pattern="a+")
    assert asked("metadata.user.id=4711").search == Search(fields=(("user.id", "4711"),))
    assert asked("metadata.k%26=%3D%20x").search == Search(fields=(("k&", "= x"),))
    assert asked("metadata.metadata.=1").search == Search(fields=(("metadata.", "1"),))
    assert asked("level=ERROR").search is None


def test_fields_mean_the_same_in_any_order() -> None:
    assert asked("metadata.b=2&metadata.a=1") == asked("metadata.a=1&metadata.b=2")


def test_the_shared_filters_are_read_without_the_ones_of_a_page() -> None:
    query = filters_query({"q": "disk", "level": "err", "metadata.a": "1", "since": "10"}, "shop", NOW_NS)
    assert query == Query(10 * SECOND_NS, None, "shop", None, "ERROR", search=Search("disk", None, (("a", "1"),)))
    assert {"limit", "cursor"} == RECENT - FILTERS


def test_where_a_route_takes_no_filters_fields_are_unknown() -> None:
    with pytest.raises(InvalidRequest, match=r"^Unknown parameter: metadata\.a$"):
        parse_parameters("metadata.a=1", frozenset({"limit"}))


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("q=", "q must have 1 to 1024 characters."),
        ("q", "q must have 1 to 1024 characters."),
        ("q=%20", "q must hold a word."),
        (f"q={'x' * 1025}", "q must have 1 to 1024 characters."),
        ("q=%22a", "q has a quotation mark that is not closed."),
        ("q=a+b*c", "In q, * stands only right after the beginning of a word, not as in a+b*c"),
        ("pattern=", "pattern must have 1 to 1024 characters."),
        ("pattern=%28", "pattern is not a regular expression of RE2: missing ): (."),
        (f"pattern={'x' * 1025}", "pattern must have 1 to 1024 characters."),
        ("metadata.=1", "After metadata. must come a key of 1 to 256 characters."),
        (f"metadata.{'k' * 257}=1", "After metadata. must come a key of 1 to 256 characters."),
        ("metadata.a=", "metadata.a must have 1 to 1024 characters."),
        ("metadata.a", "metadata.a must have 1 to 1024 characters."),
        (f"metadata.a={'v' * 1025}", "metadata.a must have 1 to 1024 characters."),
        ("metadata.a=1&metadata.a=1", "metadata.a is given twice."),
        ("metadata.a=1&metadata.%61=2", "metadata.a is given twice."),
        ("&".join(f"metadata.{n}=1" for n in range(9)), "At most 8 fields of the metadata may be asked for."),
        ("q=a&q=b", "q is given twice."),
        ("q=%ff", "The query string is not UTF-8."),
        ("pattern=%ed%a0%80", "The query string is not UTF-8."),
        ("metadata.%ff=1", "The query string is not UTF-8."),
        ("metadata=1", "Unknown parameter: metadata"),
        ("metadata%5Ba%5D=1", "Unknown parameter: metadata[a]"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_by_its_name(query: str, reason: str) -> None:
    assert refusal(query) == reason


# --- Numbers. ---


@pytest.mark.parametrize(("name", "most"), [("limit", 10_000), ("hours", 168)])
def test_a_number_is_whole_and_within_its_bounds(name: str, most: int) -> None:
    for good in ("1", str(most), "07"):
        query = asked(f"{name}={good}")
        assert int(good) in (query.limit, (NOW_NS - query.since_ns) // HOUR_NS)
    for bad in (
        "",
        "0",
        str(most + 1),
        "-1",
        "+1",
        "1.0",
        "1e2",
        "0x10",
        "%201",
        "1%0A",
        "1_0",
        "9" * 10,
        "9" * 5000,
        "%D9%A1",
    ):
        assert refusal(f"{name}={bad}") == f"{name} must be a whole number from 1 to {most}."


def test_limit_and_hours_are_what_was_given() -> None:
    assert asked("limit=7&hours=168") == Query(NOW_NS - 168 * HOUR_NS, limit=7)


# --- The range. ---


@pytest.mark.parametrize(
    ("text", "moment_ns"),
    [
        ("10s", NOW_NS - 10 * SECOND_NS),
        ("10m", NOW_NS - 600 * SECOND_NS),
        ("2h", NOW_NS - 2 * HOUR_NS),
        ("3d", NOW_NS - 3 * DAY_NS),
        ("0s", NOW_NS),
        ("999999999d", 0),
        ("2026-02-01T02:40:00Z", DAY_AGO_NS),
        ("2026-02-01t02:40:00z", DAY_AGO_NS),
        ("2026-02-01T04:40:00%2B02:00", DAY_AGO_NS),
        ("2026-02-01T04:40:00+02:00", DAY_AGO_NS),
        ("2026-01-31T21:10:00-05:30", DAY_AGO_NS),
        ("2026-02-01%2002:40:00Z", DAY_AGO_NS),
        ("2026-02-01T02:40:00.000000001Z", DAY_AGO_NS + 1),
        ("1769913600", DAY_AGO_NS),
        ("1769913600.000000001", DAY_AGO_NS + 1),
        ("1769913600000", DAY_AGO_NS),
        ("1769913600000000", DAY_AGO_NS),
        ("1769913600000000001", DAY_AGO_NS + 1),
        ("1.7699136e9", DAY_AGO_NS),
        ("1.7699136e+9", DAY_AGO_NS),
        ("0", 0),
    ],
)
def test_since_and_until_are_rfc_3339_epoch_or_ago(text: str, moment_ns: int) -> None:
    assert asked(f"since={text}").since_ns == moment_ns
    if moment_ns > 0:
        assert asked(f"since=0&until={text}").until_ns == moment_ns


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2026-02-01", "2026-02-01T02:40:00", "10M", "10%20m", "1.5h", "-1h", "%2B1h", "h", "1w",
        "1h1m", "9999999999s", "-1", "1e-3", "NaN", "inf", "1_000", "%D9%A1h", "now", "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00%2B10:00", "9999-12-31T23:59:59-10:00",
    ],
)  # fmt: skip
def test_any_other_moment_is_refused(text: str) -> None:
    for name in ("since", "until"):
        assert refusal(f"{name}={text}").startswith(f"{name} must be RFC 3339 with an offset")


@pytest.mark.parametrize(
    ("text", "moment_ns"),
    [
        ("0001-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59Z", 0),
        ("9999-12-31T23:59:59Z", TIMESTAMP_NS_MAX),
        ("99999999999", TIMESTAMP_NS_MAX),
        ("99999999999999", TIMESTAMP_NS_MAX),
        ("9223372036854775807", TIMESTAMP_NS_MAX),
    ],
)
def test_a_moment_far_off_is_as_good_as_the_first_or_last_there_can_be(text: str, moment_ns: int) -> None:
    assert asked(f"since={text}").since_ns == moment_ns
    query = asked("since=0&until=" + (text if moment_ns else "1"))
    # The cursor of such a page must hold it, too.
    assert asked("cursor=" + encode_cursor(query, Position(1, 1))).until_ns == query.until_ns


def test_hours_and_since_exclude_each_other() -> None:
    assert refusal("hours=1&since=1h") == "Give either hours or since, not both."


@pytest.mark.parametrize(
    "query", ["since=1h&until=1h", "since=1h&until=2h", "until=2d", "hours=1&until=3h", "since=0s&until=0s"]
)
def test_a_range_without_a_moment_in_it_is_refused(query: str) -> None:
    assert refusal(query) == "since must be before until."


def test_a_range_of_one_nanosecond_is_a_range() -> None:
    query = asked("since=1769913600000000000&until=1769913600000000001")
    assert (query.since_ns, query.until_ns) == (DAY_AGO_NS, DAY_AGO_NS + 1)


# --- Cursors. ---


def test_a_cursor_goes_on_in_the_range_of_its_first_page_with_the_limit_of_this_one() -> None:
    first = asked("service_name=a&hours=2&limit=10")
    cursor = encode_cursor(first, Position(NOW_NS, 7))
    later = recent_query(f"service_name=a&limit=20&cursor={cursor}", None, NOW_NS + HOUR_NS)
    assert later == Query(first.since_ns, service_name="a", below=Position(NOW_NS, 7), limit=20)


def test_a_cursor_of_one_service_by_path_fits_the_same_service_by_parameter() -> None:
    cursor = encode_cursor(asked("", "a"), Position(5, 5))
    assert asked(f"service_name=a&cursor={cursor}").below == Position(5, 5)
    assert "other filters" in refusal(f"cursor={cursor}", "b")


@pytest.mark.parametrize("cursor", ["", "x", "%00", "A" * (CURSOR_CHARS_MAX + 1), "%C3%A9"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    assert refusal(f"cursor={cursor}") == "cursor is not one that this service gave."
