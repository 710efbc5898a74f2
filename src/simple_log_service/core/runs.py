"""Runs: what memory, a fresh chunk and a merged block are to a reader, and the one function that merges them.

A ``Run`` holds records of a time range and says which kinds it holds; asked, it yields its newest matching ones below
a position. Merging takes runs in the order of their newest record and opens one only when its turn has come, so that
a page costs what it shows, not what is stored.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count
from time import monotonic
from types import MappingProxyType
from typing import Protocol

from simple_log_service.core.columns import Columns
from simple_log_service.core.limits import PAGE_BYTES_MAX, SEARCH_STEP_SECONDS
from simple_log_service.core.query import Page, Query
from simple_log_service.core.record import Kind, Position, Record, encode_record
from simple_log_service.core.search import Search
from simple_log_service.core.stats import By, sums

ABOVE_ALL_ARRIVALS = 2**63 - 1


class Run(Protocol):
    """Some records of a store, for reading and counting."""

    @property
    def time_min(self) -> int:
        """The oldest timestamp in it, nanoseconds, or any time before that."""

    @property
    def time_max(self) -> int:
        """The newest timestamp in it, nanoseconds."""

    @property
    def kinds(self) -> Mapping[Kind, int]:
        """How many records of each kind it holds."""

    def holds(self, query: Query) -> bool:
        """Whether it may hold records of the kinds asked for."""

    def newest(self, query: Query) -> Iterator[Record | Position]:
        """Its matching records below the query's ceiling and not before its range, newest first.

        A bare position among them says that nothing matches from there up to what came before: where a search finds
        nothing for long, whoever merges can look at the time.
        """

    def counted(self, query: Query, by: By | None) -> Mapping[str, int]:
        """How many of its records are of the kinds asked for, by group: from counters alone.

        Asked only where the query's range holds the whole run, or of some kinds nothing that is kept.
        """

    def tallied(self, query: Query, bucket_ns: int) -> Mapping[tuple[int, Kind], int]:
        """How many of its records ``newest`` would yield, by bucket number (timestamp // ``bucket_ns``) and kind.

        What texts are searched for has no part in it.
        """


class OutOfTime(Exception):
    """A read's time is over; everything above ``below`` has been yielded."""

    def __init__(self, below: Position) -> None:
        super().__init__(below)
        self.below = below


class ColumnRun:
    """A run whose columns are in memory.

    ``arrivals`` are the records' arrival numbers, rising; ``generated_id`` makes the id of a record that came without.
    """

    def __init__(self, columns: Columns, arrivals: Sequence[int], generated_id: Callable[[int], str]) -> None:
        self.columns = columns
        self.arrivals = arrivals
        self.generated_id = generated_id
        self._in_order: tuple[Sequence[int], Sequence[int]] | None = None

    @classmethod
    def in_reading_order(
        cls, columns: Columns, arrivals: Sequence[int], generated_id: Callable[[int], str]
    ) -> ColumnRun:
        """A run of records that stand in reading order; their arrival numbers need not rise then."""
        run = cls(columns, arrivals, generated_id)
        run._in_order = range(len(columns.timestamps)), columns.timestamps
        return run

    @classmethod
    def of_numbers(
        cls, kinds: list[Kind], kind_places: list[int], timestamps: list[int], arrivals: Sequence[int]
    ) -> ColumnRun:
        """A run without texts, for counting; its records stand in reading order."""
        return cls.in_reading_order(Columns(kinds, kind_places, timestamps, [], [], {}), arrivals, str)

    def __len__(self) -> int:
        return len(self.columns)

    def followed_by(self, columns: Columns, arrivals: Sequence[int]) -> ColumnRun:
        """A run of these records and some that arrived later."""
        own, before = self.columns, len(self)
        places = {kind: place for place, kind in enumerate(own.kinds)}
        moved = [places.setdefault(kind, len(places)) for kind in columns.kinds]
        joined = Columns(
            list(places),
            [*own.kind_places, *(moved[place] for place in columns.kind_places)],
            [*own.timestamps, *columns.timestamps],
            [*own.messages, *columns.messages],
            [*own.metadata, *columns.metadata],
            own.log_ids | {before + place: log_id for place, log_id in columns.log_ids.items()},
        )
        return ColumnRun(joined, [*self.arrivals, *arrivals], self.generated_id)

    def holds(self, query: Query) -> bool:
        """Whether it holds records of the kinds asked for."""
        return any(map(query.matches, self.columns.kinds))

    def newest(self, query: Query, among: Container[int] | None = None) -> Iterator[Record | Position]:
        """Its matching records, with a position wherever a search has found nothing for ``SEARCH_STEP_SECONDS``.

        ``among`` are the places that may match, where somebody knows.
        """
        places = self.places(query)
        if among is not None:
            places = (place for place in places if place in among)
        return map(self._record, places) if query.search is None else self._found(places, query.search)

    def records(self, query: Query) -> Iterator[Record]:
        """Its records of the kinds and times asked for, newest first, whatever their texts hold."""
        return map(self._record, self.places(query))

    def places(self, query: Query) -> Iterator[int]:
        """The places of records whose kinds and times are asked for, newest first."""
        order, times = self._sorted()
        below = range(self._top(query.ceiling, order, times) - 1, bisect_left(times, query.since_ns) - 1, -1)
        return self._matching((order[place] for place in below), query)

    def _found(self, places: Iterator[int], search: Search) -> Iterator[Record | Position]:
        """The records of the places that hold what is searched for."""
        messages, metadata, matches = self.columns.messages, self.columns.metadata, search.matches
        resumed = monotonic()
        for place in places:
            if matches(messages[place], metadata[place]):
                yield self._record(place)
                resumed = monotonic()
            elif monotonic() - resumed > SEARCH_STEP_SECONDS:
                yield Position(self.columns.timestamps[place], self.arrivals[place])
                resumed = monotonic()

    @cached_property
    def kinds(self) -> Mapping[Kind, int]:
        """How many records of each kind it holds."""
        counts = Counter(self.columns.kind_places)
        return {kind: counts[place] for place, kind in enumerate(self.columns.kinds)}

    @cached_property
    def time_max(self) -> int:
        """The newest timestamp in it, nanoseconds."""
        return max(self.columns.timestamps)

    @cached_property
    def time_min(self) -> int:
        """The oldest timestamp in it, nanoseconds."""
        return min(self.columns.timestamps)

    def counted(self, query: Query, by: By | None) -> Mapping[str, int]:
        """How many of its records are of the kinds asked for, by group."""
        return sums(self.kinds, query, by, self.time_max)

    def tallied(self, query: Query, bucket_ns: int) -> Mapping[tuple[int, Kind], int]:
        """How many of its records match, by bucket number and kind."""
        order, times = self._sorted()
        low, top = bisect_left(times, query.since_ns), self._top(query.ceiling, order, times)
        kinds, kind_of = self.columns.kinds, self.columns.kind_places.__getitem__
        found: dict[tuple[int, Kind], int] = {}
        while low < top:
            number = times[low] // bucket_ns
            end = bisect_left(times, (number + 1) * bucket_ns, low, top)
            places: Iterable[int] = order[low:end]
            if query.kept is not None:
                places = self._matching(iter(places), query)
            counts = Counter(map(kind_of, places))
            found |= {(number, kinds[at]): count for at, count in counts.items() if query.matches(kinds[at])}
            low = end
        return found

    def _matching(self, places: Iterator[int], query: Query) -> Iterator[int]:
        """Those of the places whose kinds and times are asked for."""
        columns = self.columns
        since = {place: query.since_of(kind) for place, kind in enumerate(columns.kinds) if query.matches(kind)}
        kind_places, timestamps = columns.kind_places, columns.timestamps
        if len(since) < len(columns.kinds):
            places = (place for place in places if kind_places[place] in since)
        if query.kept is not None:
            places = (place for place in places if timestamps[place] >= since[kind_places[place]])
        return places

    def _record(self, place: int) -> Record:
        columns = self.columns
        arrival = self.arrivals[place]
        return Record(
            columns.kinds[columns.kind_places[place]],
            columns.timestamps[place],
            arrival,
            columns.messages[place],
            columns.metadata[place],
            columns.log_ids.get(place) or self.generated_id(arrival),
        )

    def _sorted(self) -> tuple[Sequence[int], Sequence[int]]:
        """Places in the order of (timestamp, arrival), and the timestamps in that order."""
        # Set in one step: several threads may read one run.
        if self._in_order is None:
            timestamps = self.columns.timestamps
            # The sort is stable and places rise with arrival, so ties stand in the order of arrival.
            order = sorted(range(len(timestamps)), key=timestamps.__getitem__)
            self._in_order = order, [timestamps[place] for place in order]
        return self._in_order

    def _top(self, ceiling: Position | None, order: Sequence[int], times: Sequence[int]) -> int:
        """How many records, in reading order, stand strictly below the ceiling."""
        if ceiling is None:
            return len(order)
        low, high = bisect_left(times, ceiling.timestamp), bisect_right(times, ceiling.timestamp)
        return bisect_left(order, ceiling.arrival, low, high, key=self.arrivals.__getitem__)


class LookedUpTo:
    """A run of nothing: whoever merges looks at the time there, however long nothing came."""

    kinds: Mapping[Kind, int] = MappingProxyType({})

    def __init__(self, time_ns: int) -> None:
        self.time_min = self.time_max = time_ns

    def holds(self, query: Query) -> bool:  # noqa: ARG002 - a run's method
        """It holds nothing."""
        return False

    def newest(self, query: Query) -> Iterator[Record]:  # noqa: ARG002 - the same
        """Nothing."""
        return iter(())

    def counted(self, query: Query, by: By | None) -> Mapping[str, int]:  # noqa: ARG002 - the same
        """Nothing."""
        return {}

    def tallied(self, query: Query, bucket_ns: int) -> Mapping[tuple[int, Kind], int]:  # noqa: ARG002 - the same
        """Nothing."""
        return {}


def newest(runs: Iterable[Run], query: Query, deadline: float) -> Iterator[Record]:
    """The matching records of several runs, newest first.

    ``runs`` come in falling ``time_max`` and are taken one by one; ``deadline`` is a ``time.monotonic()``. Raises
    ``OutOfTime`` once it has passed, between two runs or where a run says how far it has looked, though never before
    the first step down in time: going on from there always gets further.
    """
    heap: list[tuple[int, int, int, Record | Position, Iterator[Record | Position]]] = []
    tiebreak = count()

    def advance(records: Iterator[Record | Position]) -> None:
        found = next(records, None)
        if found is not None:
            heapq.heappush(heap, (-found.timestamp, -found.arrival, next(tiebreak), found, records))

    def pop_above(time: int) -> Iterator[Record]:
        while heap and -heap[0][0] > time:
            _, _, _, found, records = heapq.heappop(heap)
            if isinstance(found, Record):
                yield found
            elif monotonic() > deadline:
                raise OutOfTime(found)
            advance(records)

    ceiling = query.ceiling
    start: int | None = None
    for run in runs:
        # A run that reaches above the ceiling counts from there: time must not run out above where the page began.
        top = run.time_max if ceiling is None else min(run.time_max, ceiling.timestamp)
        yield from pop_above(top)
        start = top if start is None else start
        if top < start and monotonic() > deadline:
            raise OutOfTime(Position(top, ABOVE_ALL_ARRIVALS))
        if run.holds(query):
            advance(run.newest(query))
    yield from pop_above(-1)


def collect(records: Iterator[Record], query: Query) -> Page:
    """A page of encoded records: it ends at the query's limit, early at ``PAGE_BYTES_MAX``, or out of time.

    A full page of a search goes without knowing whether it is the last: the next match may take long to find.
    """
    logs: list[bytes] = []
    size = 0
    last: Position | None = None
    try:
        for record in records:
            text = encode_record(record)
            size += len(text) + 1
            if last is not None and (len(logs) == query.limit or size > PAGE_BYTES_MAX):
                return Page(logs, last)
            logs.append(text)
            last = record.position
            if query.search is not None and len(logs) == query.limit:
                return Page(logs, last)
    except OutOfTime as out:
        return Page(logs, out.below, complete=False)
    return Page(logs)
