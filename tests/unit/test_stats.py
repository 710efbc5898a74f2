"""Counting runs, held against counting what reading them gives; and the words in which an interval is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from unittest import mock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simple_log_service.core import counting
from simple_log_service.core.counting import count_runs
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import (
    DAY_NS,
    HOUR_NS,
    SECOND_NS,
    STATS_BUCKETS_MAX,
    STATS_INTERVAL_NS_MAX,
)
from simple_log_service.core.query import Query
from simple_log_service.core.record import Kind, Record
from simple_log_service.core.retention import Kept, Retention
from simple_log_service.core.runs import Run, newest
from simple_log_service.core.search import Search
from simple_log_service.core.stats import (
    GROUPINGS,
    Bucket,
    By,
    Stats,
    StatsQuery,
    format_interval,
    interval_for,
    parse_interval,
)
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from unit.test_runs import KINDS, Stored, in_turn, queries, run_of, split, stored_records

FOREVER = float("inf")
LONG_AGO = float("-inf")
MANY = settings(max_examples=400)

Counts = Mapping[tuple[int, str], int]

BY = st.none() | st.sampled_from(GROUPINGS)
INTERVALS = st.none() | st.integers(1, 5)
KEPT = st.builds(
    lambda days, now: Kept(Retention(9, {"web": days}, {"access": 9 - days}), now * DAY_NS),
    st.integers(1, 8),
    st.integers(5, 21),
)


@st.composite
def stats_queries(draw: st.DrawFn) -> StatsQuery:
    return StatsQuery(draw(queries()), draw(BY), draw(INTERVALS))


def in_days(records: Iterable[Stored]) -> list[Stored]:
    """The same records, a nanosecond made a day: rules of retention are in days."""
    return [record._replace(timestamp=record.timestamp * DAY_NS) for record in records]


def read(runs: Iterable[Run], asked: StatsQuery) -> Counts:
    """What there is to count, by reading all of it."""
    records = newest(in_turn(runs), asked.query, FOREVER)
    return Counter((record.timestamp // asked.bucket_ns, asked.group(record.kind)) for record in records)


def counts_in(stats: Stats) -> Counter[tuple[int, str]]:
    assert [bucket.number for bucket in stats.buckets] == sorted({b.number for b in stats.buckets}, reverse=True)
    for bucket in stats.buckets:
        assert list(bucket.counts.values()) == sorted(bucket.counts.values(), reverse=True)
        assert min(bucket.counts.values()) > 0
    return Counter({(bucket.number, group): n for bucket in stats.buckets for group, n in bucket.counts.items()})


def pages(
    runs: Iterable[Run], asked: StatsQuery, deadline: float = FOREVER, *, is_told_reach: bool = False
) -> Iterator[Stats]:
    """Answers until there is no more to count; a store may leave out runs that a page's ``reach_ns`` says are done."""
    in_order = in_turn(runs)

    def given_runs(_: Query) -> list[Run]:
        return in_order

    while True:
        stats = count_runs(given_runs, asked, deadline)
        yield stats
        if stats.below is None:
            return
        before = asked.query.ceiling
        assert before is None or stats.below < before
        query = msgspec.structs.replace(asked.query, below=stats.below, reach_ns=stats.reach_ns)
        asked = msgspec.structs.replace(asked, query=query)
        if is_told_reach and stats.reach_ns is not None:
            in_order = [run for run in in_turn(runs) if run.time_max <= stats.reach_ns]


def added_up(answers: Iterable[Stats]) -> Counts:
    return sum((counts_in(stats) for stats in answers), Counter())


# --- Counting is what reading would count. ---


@MANY
@given(st.data(), stored_records(), stats_queries())
def test_counting_equals_reading(data: st.DataObject, records: list[Stored], asked: StatsQuery) -> None:
    runs = data.draw(split(records))
    (stats,) = pages(runs, asked)
    assert counts_in(stats) == read(runs, asked)
    assert stats.complete


@MANY
@given(st.data(), stored_records(), KEPT, BY, INTERVALS, st.sampled_from([FOREVER, LONG_AGO]))
def test_what_is_past_its_own_retention_is_not_counted(
    data: st.DataObject, records: list[Stored], kept: Kept, by: By | None, days: int | None, deadline: float
) -> None:
    runs = data.draw(split(in_days(records)))
    asked = StatsQuery(Query(data.draw(st.integers(0, 9)) * DAY_NS, kept=kept), by, days and days * DAY_NS)
    assert added_up(pages(runs, asked, deadline)) == read(runs, asked)


@MANY
@given(st.data(), stored_records(), stats_queries(), st.booleans())
def test_answers_cut_short_by_time_add_up_to_the_same(
    data: st.DataObject, records: list[Stored], asked: StatsQuery, is_told_reach: bool
) -> None:
    runs = data.draw(split(records))
    answers = list(pages(runs, asked, LONG_AGO, is_told_reach=is_told_reach))
    assert added_up(answers) == read(runs, asked)
    assert [stats.complete for stats in answers] == [False] * (len(answers) - 1) + [True]


@MANY
@given(st.data(), stored_records(), stats_queries(), st.integers(0, 400), st.integers(0, 6), st.booleans())
def test_answers_cut_short_by_size_add_up_to_the_same(
    data: st.DataObject, records: list[Stored], asked: StatsQuery, room: int, counts_max: int, is_late: bool
) -> None:
    runs = data.draw(split(records))
    with (
        mock.patch.object(counting, "STATS_BYTES_MAX", 130 + room),
        mock.patch.object(counting, "_BYTES_WANTED", 100 + room // 2),
        mock.patch.object(counting, "STATS_COUNTS_MAX", counts_max),
        mock.patch.object(counting, "PAGE_RECORDS_MAX", 3),
    ):
        answers = list(pages(runs, asked, LONG_AGO if is_late else FOREVER))
    assert added_up(answers) == read(runs, asked)
    assert is_late or all(stats.complete for stats in answers)


@MANY
@given(st.data(), stored_records(), stats_queries(), st.sampled_from([FOREVER, LONG_AGO]))
def test_a_search_is_counted_by_reading(
    data: st.DataObject, records: list[Stored], asked: StatsQuery, deadline: float
) -> None:
    query = msgspec.structs.replace(asked.query, search=Search(pattern="[135]$"))
    asked = msgspec.structs.replace(asked, query=query)
    runs = data.draw(split(records))
    assert added_up(pages(runs, asked, deadline)) == read(runs, asked)


@given(st.data(), stored_records(max_size=40), stats_queries(), st.integers(130, 500))
def test_no_answer_is_larger_than_its_bound(
    data: st.DataObject, records: list[Stored], asked: StatsQuery, bytes_max: int
) -> None:
    runs = data.draw(split(records))
    with (
        mock.patch.object(counting, "STATS_BYTES_MAX", bytes_max),
        mock.patch.object(counting, "_BYTES_WANTED", bytes_max * 3 // 4),
    ):
        for stats in pages(runs, asked):
            assert len(msgspec.json.encode([bucket.counts for bucket in stats.buckets])) <= bytes_max


# --- What is opened, and what an answer holds. ---


class Shut:
    """A run that must not be looked into."""

    def __init__(self, run: Run) -> None:
        self.kinds, self.time_min, self.time_max = run.kinds, run.time_min, run.time_max
        self.holds, self.counted = run.holds, run.counted

    def newest(self, query: Query) -> Iterator[Record]:
        raise AssertionError("read")

    def tallied(self, query: Query, bucket_ns: int) -> Mapping[tuple[int, Kind], int]:
        raise AssertionError("looked into")


def test_a_run_within_one_bucket_and_the_range_is_counted_unopened() -> None:
    runs = [Shut(run_of([Stored(1, 10, KINDS[0]), Stored(2, 19, KINDS[1])])), Shut(run_of([Stored(3, 29, KINDS[0])]))]
    for query in (Query(10), Query(0, 30), Query(10, 30, level="INFO")):
        (stats,) = pages(runs, StatsQuery(query, "level", 10))
        assert stats.buckets[0] == Bucket(2, {"INFO": 1})


@pytest.mark.parametrize("query", [Query(11), Query(0, 29), Query(0, 20)])
def test_a_run_that_an_edge_cuts_is_looked_into(query: Query) -> None:
    runs = [Shut(run_of([Stored(1, 10, KINDS[0]), Stored(2, 29, KINDS[1])]))]
    with pytest.raises(AssertionError, match="looked into"):
        list(pages(runs, StatsQuery(query, None, 100)))


def test_where_buckets_end_an_answer_nothing_is_opened_however_late_it_is() -> None:
    runs = [Shut(run_of([Stored(n, n * 10 + d, KINDS[0]) for d in (0, 5, 9)])) for n in range(1, 50)]
    answers = list(pages(runs, StatsQuery(Query(0), None, 10), LONG_AGO))
    assert [bucket.count for stats in answers for bucket in stats.buckets] == [3] * 49
    assert len(answers) == 49


def test_runs_to_be_opened_are_told_of_together() -> None:
    told: list[int] = []
    runs = in_turn([run_of([Stored(n, n, KINDS[0]), Stored(100 + n, n + 5, KINDS[0])]) for n in range(40)])
    count_runs(lambda _: runs, StatsQuery(Query(0), None, 2), FOREVER, ahead=lambda runs: told.append(len(runs)))
    assert told == [16, 16, 8]


def test_a_hundred_thousand_services_fit_into_one_answer() -> None:
    kinds = {Kind(f"service-{n:06}", "application", "INFO"): 12_345 for n in range(100_000)}
    run = Shut(run_of([Stored(1, 10, KINDS[0])]))
    run.counted = lambda query, by: {kind.service_name: count for kind, count in kinds.items()}
    (stats,) = pages([run], StatsQuery(Query(0), "service_name"))
    assert stats.buckets[0].count == 12_345 * 100_000


# --- Intervals. ---


@pytest.mark.parametrize(
    ("text", "interval_ns"),
    [
        ("1s", SECOND_NS),
        ("90s", 90 * SECOND_NS),
        ("5m", 300 * SECOND_NS),
        ("2h", 2 * HOUR_NS),
        ("3650d", 3650 * DAY_NS),
    ],
)
def test_an_interval_is_a_whole_number_of_a_unit(text: str, interval_ns: int) -> None:
    assert parse_interval(text) == interval_ns


@pytest.mark.parametrize(
    "text",
    ["", "0s", "s", "1", "-1s", "+1s", "1.5h", "1w", "1S", "1 s", " 1s", "1s\n", "01s", "\u0661s", "1ms", "3651d",
     "999999999d", "1000000000s", "1e3s", "1h30m"],
)  # fmt: skip
def test_any_other_interval_is_refused_with_what_it_may_be(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"interval must be like 10s, 5m, 1h or 1d, from 1s to 3650d\."):
        parse_interval(text)


@given(st.integers(1, STATS_INTERVAL_NS_MAX // SECOND_NS))
def test_an_interval_is_written_as_it_is_read(seconds: int) -> None:
    text = format_interval(seconds * SECOND_NS)
    if len(text) <= 10:
        assert parse_interval(text) == seconds * SECOND_NS


@given(st.integers(0, TIMESTAMP_NS_MAX), st.integers(1, 3650 * DAY_NS), st.integers(24, 1500))
def test_the_interval_for_a_range_makes_no_more_buckets_than_asked_and_is_one_that_can_be_asked_for(
    since_ns: int, length_ns: int, buckets_max: int
) -> None:
    interval_ns = interval_for(since_ns, since_ns + length_ns, buckets_max)
    assert (since_ns + length_ns - 1) // interval_ns - since_ns // interval_ns < buckets_max
    assert parse_interval(format_interval(interval_ns)) == interval_ns


def test_a_range_of_too_many_buckets_is_refused_with_an_interval_that_would_do() -> None:
    whole = STATS_BUCKETS_MAX * SECOND_NS
    StatsQuery(Query(0, whole), None, SECOND_NS).check(10 * whole)
    StatsQuery(Query(0), None, SECOND_NS).check(whole)
    StatsQuery(Query(0, 10 * whole), None, None).check(10 * whole)
    for query in (Query(0, whole + 1), Query(0, 10 * whole)):
        with pytest.raises(InvalidRequest, match=r"into more than 1500 buckets: \d+[smhd] would do\."):
            StatsQuery(query, None, SECOND_NS).check(10 * whole)
