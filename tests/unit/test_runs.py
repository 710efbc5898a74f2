"""Merging runs and walking through them page by page, held against sorting everything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core import runs as module
from simple_log_service.core.columns import Columns
from simple_log_service.core.cursor import encode_cursor, resume
from simple_log_service.core.limits import KIB, PAGE_BYTES_MAX, RECORD_BYTES_MAX
from simple_log_service.core.query import Page, Query
from simple_log_service.core.record import Kind, Position, Record
from simple_log_service.core.runs import ColumnRun, OutOfTime, Run, collect, newest
from simple_log_service.core.search import Search

FOREVER = float("inf")
LONG_AGO = float("-inf")
"""A deadline that has passed, whatever the time is."""

KINDS = [Kind("api", "audit", "INFO"), Kind("api", "access", "WARN"), Kind("web", "audit", "INFO")]


class Stored(NamedTuple):
    """A record as these tests think of it; its message is its arrival number."""

    arrival: int
    timestamp: int
    kind: Kind

    @property
    def position(self) -> Position:
        return Position(self.timestamp, self.arrival)


def generated_id(arrival: int) -> str:
    return f"generated-{arrival}"


def columns_of(records: Sequence[Stored], log_ids: Mapping[int, str] | None = None, message: str = "") -> Columns:
    kinds = list(dict.fromkeys(record.kind for record in records))
    return Columns(
        kinds,
        [kinds.index(record.kind) for record in records],
        [record.timestamp for record in records],
        [message or str(record.arrival) for record in records],
        [b"{}" for _ in records],
        dict(log_ids or {}),
    )


def run_of(records: Iterable[Stored], message: str = "") -> ColumnRun:
    ordered = sorted(records)
    return ColumnRun(columns_of(ordered, message=message), [record.arrival for record in ordered], generated_id)


def in_turn(runs: Iterable[Run]) -> list[Run]:
    """Runs in the order in which a store gives them."""
    return sorted(runs, key=lambda run: run.time_max, reverse=True)


def arrivals_of(found: Iterable[Record | Position]) -> list[int]:
    return [each.arrival for each in found if isinstance(each, Record)]


def expected(records: Iterable[Stored], query: Query) -> list[int]:
    """The arrival numbers of what a query asks for, by sorting everything."""
    matching = [
        record
        for record in records
        if query.matches(record.kind)
        and query.since_ns <= record.timestamp
        and (query.until_ns is None or record.timestamp < query.until_ns)
        and (query.below is None or record.position < query.below)
    ]
    return [record.arrival for record in sorted(matching, key=lambda record: record.position, reverse=True)]


times = st.integers(0, 12)
"""Few, so that many records share one."""


@st.composite
def stored_records(draw: st.DrawFn, first: int = 1, max_size: int = 25) -> list[Stored]:
    """Records in the order of arrival, late ones among them."""
    drawn = draw(st.lists(st.tuples(times, st.sampled_from(KINDS)), max_size=max_size))
    return [Stored(first + place, timestamp, kind) for place, (timestamp, kind) in enumerate(drawn)]


@st.composite
def split(draw: st.DrawFn, records: list[Stored]) -> list[Run]:
    """The records in some runs: each in any one of them, as after merging, or cut in the order of arrival."""
    homes = draw(st.lists(st.integers(0, 5), min_size=len(records), max_size=len(records)))
    if draw(st.booleans()):
        homes.sort()
    by_home = [[record for record, home in zip(records, homes, strict=True) if home == place] for place in range(6)]
    return [run_of(members) for members in by_home if members]


@st.composite
def queries(draw: st.DrawFn) -> Query:
    return Query(
        since_ns=draw(st.just(0) | times),
        until_ns=draw(st.none() | times),
        service_name=draw(st.none() | st.sampled_from(["api", "web", "nobody"])),
        log_type=draw(st.none() | st.sampled_from(["audit", "access"])),
        level=draw(st.none() | st.sampled_from(["INFO", "WARN"])),
        below=draw(st.none() | st.builds(Position, times, st.integers(0, 30))),
        limit=draw(st.integers(1, 8)),
    )


# --- One run. ---


@given(stored_records().filter(bool), queries())
def test_a_run_gives_its_matching_records_newest_first(records: list[Stored], query: Query) -> None:
    assert arrivals_of(run_of(records).newest(query)) == expected(records, query)


@given(stored_records().filter(bool))
def test_a_record_comes_out_of_a_run_as_it_went_in(records: list[Stored]) -> None:
    found = {record.arrival: record for record in run_of(records).records(Query(0))}
    assert {
        record.arrival: (record.timestamp, record.kind, str(record.arrival), generated_id(record.arrival))
        for record in records
    } == {arrival: (each.timestamp, each.kind, each.message, each.log_id) for arrival, each in found.items()}


def test_a_callers_own_id_stands_before_a_generated_one() -> None:
    records = [Stored(1, 5, KINDS[0]), Stored(2, 5, KINDS[0])]
    run = ColumnRun(columns_of(records, {1: "own"}), [1, 2], generated_id)
    assert [record.log_id for record in run.records(Query(0))] == ["own", "generated-1"]


@given(stored_records().filter(bool))
def test_a_run_says_what_it_holds(records: list[Stored]) -> None:
    run = run_of(records)
    assert run.time_max == max(record.timestamp for record in records)
    assert run.kinds == {kind: sum(record.kind == kind for record in records) for kind in {r.kind for r in records}}


@given(stored_records().filter(bool), st.data())
def test_a_run_followed_by_more_is_the_run_of_them_all(records: list[Stored], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(records)))
    query = data.draw(queries())
    later = records[cut:]
    run = run_of(records[:cut])
    before = list(run.newest(query))
    joined = run.followed_by(columns_of(later, {0: "own"} if later else {}), [record.arrival for record in later])
    assert list(run.newest(query)) == before
    assert arrivals_of(joined.newest(query)) == expected(records, query)
    assert (joined.kinds, joined.time_max) == (run_of(records).kinds, run_of(records).time_max)
    assert {r.arrival: r.log_id for r in joined.records(Query(0))} == {
        record.arrival: "own" if later and record == later[0] else generated_id(record.arrival) for record in records
    }


@pytest.mark.parametrize("step", range(6))
def test_a_run_that_is_being_sorted_for_one_reader_is_whole_for_another(step: int) -> None:
    """Another thread may read at any step of the first one's work; here it does so at one of them."""
    records = [Stored(1, 7, KINDS[0]), Stored(2, 5, KINDS[0]), Stored(3, 9, KINDS[0])]
    query = Query(5, below=Position(9, 4))
    seen: list[list[int]] = []

    class Interrupted(list[int]):
        steps = 0

        def __getitem__(self, place: Any) -> Any:
            self.steps += 1
            if self.steps == step + 1:
                seen.append(arrivals_of(run.newest(query)))
            return super().__getitem__(place)

    columns = columns_of(records)
    columns.timestamps = Interrupted(columns.timestamps)
    run = ColumnRun(columns, [1, 2, 3], generated_id)
    assert arrivals_of(run.newest(query)) == [3, 1, 2]
    assert seen == [[3, 1, 2]]


# --- Several runs. ---


@given(st.data(), stored_records(), queries())
def test_merging_any_split_of_records_equals_sorting_them_all(
    data: st.DataObject, records: list[Stored], query: Query
) -> None:
    runs = data.draw(split(records))
    assert arrivals_of(newest(in_turn(runs), query, FOREVER)) == expected(records, query)


class Watched:
    """A run that notes when it is opened."""

    def __init__(self, run: ColumnRun, opened: list[int]) -> None:
        self.time_min, self.time_max = run.time_min, run.time_max
        self.kinds = run.kinds
        self.holds, self.counted, self.tallied = run.holds, run.counted, run.tallied
        self._run = run
        self._opened = opened

    def newest(self, query: Query) -> Iterator[Record | Position]:
        self._opened.append(self.time_max)
        return self._run.newest(query)


def test_a_run_is_opened_only_when_its_turn_has_come() -> None:
    opened: list[int] = []
    runs = in_turn(Watched(run_of([Stored(time, time, KINDS[0])]), opened) for time in range(1, 10))
    walk = newest(runs, Query(0), FOREVER)
    assert [next(walk).timestamp for _ in range(3)] == [9, 8, 7]
    assert opened == [9, 8, 7]


def test_a_run_that_holds_nothing_asked_for_is_never_opened() -> None:
    opened: list[int] = []
    runs = in_turn(Watched(run_of([Stored(place, place, kind)]), opened) for place, kind in enumerate(KINDS))
    assert arrivals_of(newest(runs, Query(0, service_name="api", level="WARN"), FOREVER)) == [1]
    assert opened == [1]


# --- Pages. ---


def arrivals_on(page: Page) -> list[int]:
    return [int(json.loads(log)["message"]) for log in page.logs]


class Shelf:
    """Runs that grow in number while someone walks through them; the walk goes from cursor to cursor."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = list(runs)

    def page(self, query: Query, deadline: float = FOREVER) -> tuple[Page, Query | None]:
        """A page, and the query that a caller would make of its cursor."""
        page = collect(newest(in_turn(self.runs), query, deadline), query)
        if page.below is None:
            return page, None
        later = msgspec.structs.replace(query, since_ns=0, until_ns=None, below=None)
        return page, resume(later, encode_cursor(query, page.below))


@given(st.data(), stored_records(), queries())
def test_pages_of_any_size_give_each_record_exactly_once_and_in_order(
    data: st.DataObject, records: list[Stored], query: Query
) -> None:
    shelf = Shelf(data.draw(split(records)))
    found: list[int] = []
    going_on: Query | None = query
    while going_on is not None:
        page, going_on = shelf.page(going_on)
        assert page.complete
        assert len(page.logs) == query.limit or going_on is None
        found += arrivals_on(page)
    assert found == expected(records, query)


def test_a_page_that_takes_the_last_record_is_the_last_page() -> None:
    shelf = Shelf([run_of([Stored(1, 1, KINDS[0]), Stored(2, 2, KINDS[0])])])
    page, going_on = shelf.page(Query(0, limit=2))
    assert (arrivals_on(page), going_on) == ([2, 1], None)


@given(st.data(), stored_records(), queries())
def test_what_was_there_at_the_first_page_comes_exactly_once_whatever_arrives_meanwhile(
    data: st.DataObject, records: list[Stored], query: Query
) -> None:
    shelf = Shelf(data.draw(split(records)))
    arrived = len(records)
    found: list[int] = []
    going_on: Query | None = query
    while going_on is not None:
        # A reader that never finds time for more than one step, at times.
        page, going_on = shelf.page(going_on, data.draw(st.sampled_from([FOREVER, LONG_AGO])))
        found += arrivals_on(page)
        if arrived < 60:
            late = data.draw(stored_records(first=arrived + 1, max_size=3))
            shelf.runs += [run_of(late)] if late else []
            arrived += len(late)
    assert [arrival for arrival in found if arrival <= len(records)] == expected(records, query)
    assert len(found) == len(set(found))


# --- Out of time. ---


@given(st.data(), stored_records(), queries())
def test_a_reader_who_is_always_out_of_time_still_finds_everything_in_few_steps(
    data: st.DataObject, records: list[Stored], query: Query
) -> None:
    shelf = Shelf(data.draw(split(records)))
    found: list[int] = []
    steps = 0
    going_on: Query | None = query
    while going_on is not None:
        page, later = shelf.page(going_on, LONG_AGO)
        found += arrivals_on(page)
        steps += 1
        if later is not None:
            assert later.below is not None
            assert going_on.ceiling is None or later.below < going_on.ceiling
        going_on = later
    assert found == expected(records, query)
    assert steps <= len(shelf.runs) + len(found) + 1


@given(st.data(), stored_records(), queries(), st.integers(0, 8))
def test_time_may_run_out_at_any_step(data: st.DataObject, records: list[Stored], query: Query, calls: int) -> None:
    runs = data.draw(split(records))
    clock = mock.Mock(side_effect=[0.0] * calls + [2.0] * 100)
    found: list[int] = []
    below: Position | None = None
    with mock.patch.object(module, "monotonic", clock):
        try:
            # What came before the exception stays in the list.
            found.extend(record.arrival for record in newest(in_turn(runs), query, 1.0))
        except OutOfTime as out:
            below = out.below
    if below is not None:
        found += arrivals_of(newest(in_turn(runs), msgspec.structs.replace(query, below=below), FOREVER))
    assert found == expected(records, query)


def test_a_page_cut_by_time_says_so_and_goes_on_where_it_stood() -> None:
    shelf = Shelf([run_of([Stored(1, 1, KINDS[0])]), run_of([Stored(2, 2, KINDS[0])])])
    page, going_on = shelf.page(Query(0), LONG_AGO)
    assert (arrivals_on(page), page.complete) == ([2], False)
    assert going_on is not None
    page, going_on = shelf.page(going_on, LONG_AGO)
    assert (arrivals_on(page), page.complete, going_on) == ([1], True, None)


def test_time_never_runs_out_above_where_the_page_began() -> None:
    # Both runs reach far above the position, and would each end a page again and again.
    runs = [run_of([Stored(1, 1, KINDS[0]), Stored(2, time, KINDS[0])]) for time in (9, 8)]
    walk = newest(in_turn(runs), Query(0, below=Position(2, 0)), LONG_AGO)
    assert arrivals_of(walk) == [1, 1]


# --- Searching. ---


class Looks:
    """A search whose every look is counted; even arrival numbers are found."""

    def __init__(self) -> None:
        self.count = 0

    def matches(self, message: str, _metadata: bytes) -> bool:
        self.count += 1
        return int(message) % 2 == 0


def searching(query: Query, looks: Looks | None = None) -> Query:
    search = Search(pattern="[02468]$")
    if looks is not None:
        search.__dict__["matches"] = looks.matches
    return msgspec.structs.replace(query, search=search)


@given(st.data(), stored_records(), queries())
def test_a_search_yields_what_is_asked_for_and_found(data: st.DataObject, records: list[Stored], query: Query) -> None:
    runs = data.draw(split(records))
    found = [arrival for arrival in expected(records, query) if arrival % 2 == 0]
    assert arrivals_of(newest(in_turn(runs), searching(query), FOREVER)) == found
    for run in runs:
        assert isinstance(run, ColumnRun)
        of_run = arrivals_of(run.newest(query))
        assert arrivals_of(run.newest(searching(query))) == [arrival for arrival in of_run if arrival % 2 == 0]


@given(st.data(), stored_records(), queries())
def test_a_search_that_is_always_out_of_time_finds_everything_once_and_looks_at_little_twice(
    data: st.DataObject, records: list[Stored], query: Query
) -> None:
    shelf = Shelf(data.draw(split(records)))
    looks = Looks()
    found: list[int] = []
    pages = 0
    going_on: Query | None = query
    with mock.patch.object(module, "SEARCH_STEP_SECONDS", -1.0):
        while going_on is not None:
            asked = searching(going_on, looks)
            page, later = shelf.page(asked, LONG_AGO)
            found += arrivals_on(page)
            pages += 1
            if later is not None:
                assert later.below is not None
                assert going_on.ceiling is None or later.below < going_on.ceiling
            going_on = later
    assert found == [arrival for arrival in expected(records, query) if arrival % 2 == 0]
    # Each page opens the runs that reach its beginning, and looks at one record of each.
    assert looks.count <= len(records) + pages * len(shelf.runs)


def test_runs_that_overlap_are_searched_side_by_side() -> None:
    # Were each searched to its end in turn, a page that runs out of time would do it all again.
    runs = [run_of(Stored(10 * n + place, 10 * n + place, KINDS[0]) for n in range(50)) for place in (1, 3, 5)]
    looks = Looks()
    query = searching(Query(0), looks)
    clock = mock.Mock(side_effect=[0.0] * 120 + [2.0] * 1000)
    with mock.patch.object(module, "SEARCH_STEP_SECONDS", -1.0), mock.patch.object(module, "monotonic", clock):
        page = collect(newest(in_turn(runs), query, 1.0), query)
    assert page.below is not None
    assert not page.complete
    above = sum(timestamp > page.below.timestamp for run in runs for timestamp in run.columns.timestamps)
    assert above > 10
    assert looks.count <= above + 1 + len(runs)


def test_a_page_of_a_search_is_full_without_a_look_for_more() -> None:
    looks = Looks()
    query = searching(Query(0, limit=2), looks)
    page = collect(newest([run_of(Stored(n, n, KINDS[0]) for n in range(1, 101))], query, FOREVER), query)
    assert (arrivals_on(page), page.below, page.complete) == ([100, 98], Position(98, 98), True)
    assert looks.count == 3


# --- The bytes of a page. ---


@pytest.mark.parametrize("size_bytes", [64 * KIB, 200 * KIB, PAGE_BYTES_MAX // 10, RECORD_BYTES_MAX - 100])
def test_a_page_ends_early_where_its_bytes_would_pass_the_bound(size_bytes: int) -> None:
    records = [Stored(arrival, arrival, KINDS[0]) for arrival in range(1, 100)]
    run = run_of(records, message="x" * size_bytes)
    query = Query(0, limit=1000)
    positions: list[int] = []
    while True:
        page = collect(newest([run], query, FOREVER), query)
        positions += [int(json.loads(log)["log_id"].removeprefix("generated-")) for log in page.logs]
        assert len(b",".join(page.logs)) <= PAGE_BYTES_MAX
        if page.below is None:
            break
        assert len(b",".join([*page.logs, page.logs[0]])) > PAGE_BYTES_MAX - 100
        query = msgspec.structs.replace(query, below=page.below)
    assert positions == list(range(99, 0, -1))


def test_the_largest_record_that_there_can_be_is_a_page_of_its_own() -> None:
    records = [Stored(1, 1, KINDS[0]), Stored(2, 2, KINDS[0])]
    run = run_of(records, message="\x00" * RECORD_BYTES_MAX)
    query = Query(0)
    page = collect(newest([run], query, FOREVER), query)
    assert len(page.logs) == 1
    assert len(page.logs[0]) > 6 * RECORD_BYTES_MAX
    assert page.below == Position(2, 2)
