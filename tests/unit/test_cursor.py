"""Cursors: what goes on where a page ended, with the first page's range and the same filters, or is refused."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from simple_log_service.core.cursor import encode_cursor, resume, time_of
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import CURSOR_CHARS_MAX
from simple_log_service.core.query import Query
from simple_log_service.core.record import Position
from simple_log_service.core.search import Search
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from unit.strategies import names

times = st.integers(0, TIMESTAMP_NS_MAX)
positions = st.builds(Position, times, times)
queries = st.builds(
    Query,
    since_ns=times,
    until_ns=st.none() | times,
    service_name=st.none() | names(),
    log_type=st.none() | names(),
    level=st.none() | st.sampled_from(["INFO", "WARN"]),
    below=st.none() | positions,
    limit=st.integers(1, 10_000),
)


@given(queries, queries, positions)
def test_a_cursor_brings_the_position_and_the_range_of_the_first_page(first: Query, later: Query, at: Position) -> None:
    later = replace(later, service_name=first.service_name, log_type=first.log_type, level=first.level)
    resumed = resume(later, encode_cursor(first, at))
    assert resumed == replace(first, below=at, limit=later.limit)


@given(queries, queries, positions)
def test_a_cursor_of_other_filters_is_refused(one: Query, other: Query, at: Position) -> None:
    filters = [(query.service_name, query.log_type, query.level) for query in (one, other)]
    if filters[0] == filters[1]:
        return
    with pytest.raises(InvalidRequest, match="other filters"):
        resume(other, encode_cursor(one, at))


SEARCHES = (
    None,
    Search("a"),
    Search(pattern="a"),
    Search(fields=(("a", "a"),)),
    Search(fields=(("a", "b"),)),
    Search("a", "a"),
    Search("A"),
)


def test_a_cursor_belongs_to_its_search() -> None:
    for one in SEARCHES:
        cursor = encode_cursor(replace(Query(0), search=one), Position(1, 1))
        for other in SEARCHES:
            query = replace(Query(5), search=other)
            if other == one:
                assert resume(query, cursor) == replace(query, since_ns=0, below=Position(1, 1))
            else:
                with pytest.raises(InvalidRequest, match="other filters"):
                    resume(query, cursor)


def test_a_cursor_without_a_search_is_the_one_that_it_was_before_there_were_searches() -> None:
    query = Query(1_700_000_000, None, "shop", "access", "ERROR")
    cursor = "lwHOB1vNFc4AvGFOzmVT8QDAxAbyad64iirA"
    assert encode_cursor(query, Position(123_456_789, 12_345_678)) == cursor


def test_a_cursor_tells_down_to_which_time_it_has_come() -> None:
    assert time_of(encode_cursor(Query(0), Position(7, 1))) == 7
    for other in ("", "x", "AAAA", "é"):
        assert time_of(other) is None


@pytest.mark.parametrize("field", ["service_name", "log_type", "level"])
def test_each_filter_marks_its_own_cursors(field: str) -> None:
    cursor = encode_cursor(replace(Query(0), **{field: "x"}), Position(1, 1))
    for other in {"service_name", "log_type", "level"} - {field}:
        with pytest.raises(InvalidRequest, match="other filters"):
            resume(replace(Query(0), **{other: "x"}), cursor)
    with pytest.raises(InvalidRequest, match="other filters"):
        resume(Query(0), cursor)


@given(queries, positions)
def test_a_cursor_needs_no_escaping_in_a_url_and_is_short(query: Query, at: Position) -> None:
    cursor = encode_cursor(query, at)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert len(cursor) <= CURSOR_CHARS_MAX


def test_the_longest_names_make_no_longer_cursor() -> None:
    query = Query(2**62, 2**62, service_name="\U0001f600" * 256, log_type="\U0001f600" * 128, level="ERROR")
    assert len(encode_cursor(query, Position(2**63 - 1, 2**63 - 1))) < 100


def forged(*content: Any) -> str:
    return urlsafe_b64encode(msgspec.msgpack.encode(content)).rstrip(b"=").decode()


def content_of(query: Query) -> list[Any]:
    """A good cursor's content, to be spoiled."""
    text = encode_cursor(query, Position(5, 6)).encode()
    return list(msgspec.msgpack.decode(urlsafe_b64decode(text + b"=" * (-len(text) % 4))))


GOOD = content_of(Query(1, 2))


def test_the_forgeries_below_differ_from_a_good_cursor_in_one_thing() -> None:
    assert resume(Query(0), forged(*GOOD)) == Query(1, 2, below=Position(5, 6))


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("value", [2**63, 2**64 - 1, -(2**63), "1", 1.5, True, b"x", [], {}, None])
def test_a_forged_cursor_is_refused_or_means_numbers_that_a_store_can_compare_with(place: int, value: Any) -> None:
    content = list(GOOD)
    content[place] = value
    try:
        query = resume(Query(0), forged(*content))
    except InvalidRequest:
        return
    assert query.below is not None
    for number in (*query.below, query.since_ns, query.until_ns):
        assert number is None or (type(number) is int and -(2**63) <= number < 2**63)
    assert encode_cursor(query, query.below)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "AAAA",
        "%",
        "null",
        "é",
        "\x00",
        "=" * 8,
        "A" * CURSOR_CHARS_MAX,
        "A" * (CURSOR_CHARS_MAX + 1),
        forged(),
        forged(*GOOD[:-1]),
        forged(GOOD),
        forged(2, *GOOD[1:]),
        forged(0, *GOOD[1:]),
        urlsafe_b64encode(msgspec.msgpack.encode(GOOD) + b"\x00").decode(),
        urlsafe_b64encode(msgspec.json.encode([1, 2, 3])).decode(),
        urlsafe_b64encode(b"\x91" * 380).decode(),
        urlsafe_b64encode(b"\x97" + msgspec.msgpack.encode(GOOD)[1:] + b"\x91" * 340).decode(),
        urlsafe_b64encode(b"\xdf\xff\xff\xff\xff").decode(),
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^cursor is not one that this service gave\.$"):
        resume(Query(0), text)


@given(st.text() | st.binary().map(lambda raw: urlsafe_b64encode(raw).decode()))
def test_no_text_at_all_is_an_unexpected_error(text: str) -> None:
    with suppress(InvalidRequest):
        resume(Query(0), text)
