"""Counting: runs added up by their counters, looked into only where an edge of the range or of a bucket cuts them.

Three things end an answer before the range does: its time, its size, and what it takes in memory. Going on must then
count what is left and nothing twice, so an answer always ends at a *cut*: all that stands at or above it is counted,
nothing below. The best cut is where a bucket begins, since then nothing has to be looked into for it. Within a bucket
it is the newest time of the next run, and those runs that reach below it are opened.

Where texts are searched, and where a single moment has more groups than an answer holds, records are read one by one,
as pages are, and the cut may be at any of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from time import monotonic

import msgspec
from msgspec.structs import replace

from simple_log_service.core.limits import PAGE_BYTES_MAX, PAGE_RECORDS_MAX, STATS_BYTES_MAX, STATS_COUNTS_MAX
from simple_log_service.core.query import Query
from simple_log_service.core.record import Kind, Position, Record
from simple_log_service.core.runs import ABOVE_ALL_ARRIVALS, OutOfTime, Run, newest
from simple_log_service.core.stats import Bucket, Stats, StatsQuery

_BUCKET_BYTES = 96
"""A bucket of an answer without its groups, at most."""
_COUNT_BYTES = 12
"""A group's number, of ten digits, with what stands around it."""
_BYTES_WANTED = STATS_BYTES_MAX * 4 // 5
"""Where the walk ends; the rest of the room is for what its last run added."""
_EDGES_AT_ONCE = 16
"""Runs are opened so many together, for stores to which each is a call over the network."""

Reading = Callable[[Iterable[Run], Query, float], Iterator[Record]]
"""The matching records of runs, newest first, until a deadline: ``core.runs.newest``, or a store's own way."""


def _nothing_to_fetch(_: Sequence[Run]) -> None:
    """Runs of files are opened one by one."""


def count_runs(
    runs: Callable[[Query], Iterable[Run]],
    asked: StatsQuery,
    deadline: float,
    *,
    reading: Reading = newest,
    ahead: Callable[[Sequence[Run]], None] = _nothing_to_fetch,
) -> Stats:
    """How many records match, counted by the deadline, a ``time.monotonic()``.

    ``runs`` gives a query's runs in falling ``time_max``; ``ahead`` is told which will be opened next.
    """
    if asked.query.search is None:
        stats = _Walk(asked, ahead).stats(runs(asked.query), deadline)
        if stats is not None:
            return stats
    return _count_records(runs, asked, deadline, reading)


class _Tally:
    """Counts by bucket and group, and what an answer with them would take."""

    def __init__(self, asked: StatsQuery) -> None:
        self._asked = asked
        self._names: dict[str, int] = {}
        self.buckets: dict[int, dict[str, int]] = {}
        self.bytes: dict[int, int] = {}
        self.bytes_all = 0
        self.counts = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be added."""
        return self.counts > STATS_COUNTS_MAX or self.bytes_all > _BYTES_WANTED

    def add(self, number: int, counts: Mapping[str, int]) -> None:
        """Add to a bucket."""
        if not counts:
            return
        bucket = self.buckets.setdefault(number, {})
        before = size = self.bytes.get(number, 0)
        for group, amount in counts.items():
            if group in bucket:
                bucket[group] += amount
            else:
                bucket[group] = amount
                self.counts += 1
                size += self._name_bytes(group)
        if size > before:
            self.bytes[number] = size = size + (0 if before else _BUCKET_BYTES)
            self.bytes_all += size - before

    def add_tallied(self, tallied: Mapping[tuple[int, Kind], int], sign: int = 1) -> None:
        """Add, or take away, what a run says when it is looked into."""
        for (number, kind), amount in tallied.items():
            self.add(number, {self._asked.group(kind): sign * amount})

    def bytes_from(self, number: int) -> int:
        """What an answer with this bucket and the newer ones would take."""
        return sum(size for each, size in self.bytes.items() if each >= number)

    def newest_fitting(self, numbers: Iterable[int]) -> list[Bucket]:
        """The buckets of these numbers, newest first, as far as an answer can hold them."""
        fitting, size = [], 0
        for number in sorted(numbers, reverse=True):
            size += self.bytes[number]
            if size > STATS_BYTES_MAX:
                break
            fitting.append(self.bucket(number))
        return fitting

    def bucket(self, number: int) -> Bucket:
        """The bucket of this number, its largest groups first."""
        counts = [(group, amount) for group, amount in self.buckets.get(number, {}).items() if amount]
        return Bucket(number, dict(sorted(counts, key=lambda item: (-item[1], item[0]))))

    def _name_bytes(self, group: str) -> int:
        if group not in self._names:
            self._names[group] = len(msgspec.json.encode(group)) + _COUNT_BYTES
        return self._names[group]


class _Walk:
    """Adds up runs in falling ``time_max``. Where it stands all runs with anything newer have been seen."""

    def __init__(self, asked: StatsQuery, ahead: Callable[[Sequence[Run]], None]) -> None:
        self._asked = asked
        self._query = asked.query
        self._ceiling = asked.query.ceiling
        self._ahead = ahead
        self._tally = _Tally(asked)
        self._edges: list[Run] = []
        self._reaching: list[tuple[int, int, Run]] = []
        self._reach_ns: dict[int, int] = {}
        self._tiebreak = count()

    def stats(self, runs: Iterable[Run], deadline: float) -> Stats | None:
        """The answer, or ``None`` where no cut between runs leaves one that is small enough."""
        start: int | None = None
        for run in runs:
            top = run.time_max if self._ceiling is None else min(run.time_max, self._ceiling.timestamp)
            start = top if start is None else start
            if top < start:
                while self._reaching and -self._reaching[0][0] > top:
                    heapq.heappop(self._reaching)
                out_of_time = monotonic() > deadline
                if out_of_time or self._is_full(top):
                    return self._cut(top, start, complete=not out_of_time)
            elif self._tally.counts > STATS_COUNTS_MAX:
                return None
            self._add(run)
        self._look_into_edges()
        return self._whole_buckets(None)

    def _add(self, run: Run) -> None:
        if self._ceiling is not None and run.time_min > self._ceiling.timestamp:
            return
        if self._is_whole(run):
            counts = run.counted(self._query, self._asked.by)
            if not counts:
                return
            self._tally.add(run.time_max // self._asked.bucket_ns, counts)
        elif run.holds(self._query):
            self._edges.append(run)
        else:
            return
        heapq.heappush(self._reaching, (-run.time_min, next(self._tiebreak), run))
        # The first run that reaches down into a bucket is the newest that does.
        self._reach_ns.setdefault(run.time_min // self._asked.bucket_ns, run.time_max)
        if len(self._edges) == _EDGES_AT_ONCE:
            self._look_into_edges()

    def _is_whole(self, run: Run) -> bool:
        """Whether the run lies in one bucket and, of each kind that is asked for, all or nothing is in the range."""
        query, bucket_ns = self._query, self._asked.bucket_ns
        if run.time_min // bucket_ns != run.time_max // bucket_ns or run.time_min < query.since_ns:
            return False
        if self._ceiling is not None and Position(run.time_max, ABOVE_ALL_ARRIVALS) > self._ceiling:
            return False
        if query.kept is None:
            return True
        return not any(run.time_min < query.since_of(kind) <= run.time_max for kind in run.kinds if query.matches(kind))

    def _look_into_edges(self) -> None:
        self._ahead(self._edges)
        for run in self._edges:
            self._tally.add_tallied(run.tallied(self._query, self._asked.bucket_ns))
        self._edges = []

    def _is_full(self, top: int) -> bool:
        """Whether the answer is, with all that stands above here: what wide runs hold below may still be dropped."""
        tally = self._tally
        if not tally.is_full or tally.counts > STATS_COUNTS_MAX:
            return tally.is_full
        return tally.bytes_from(top // self._asked.bucket_ns) > _BYTES_WANTED

    def _cut(self, top: int, start: int, *, complete: bool) -> Stats | None:
        """The answer where the walk stands: at the newest time of what comes next."""
        self._look_into_edges()
        bucket_ns = self._asked.bucket_ns
        number = top // bucket_ns
        end = (number + 1) * bucket_ns
        if end <= start:
            return self._whole_buckets(number, complete=complete)
        # All that was seen lies in this bucket or below it.
        cut = Position(top, ABOVE_ALL_ARRIVALS)
        self._take_away(cut, number)
        if self._tally.bytes.get(number, 0) > STATS_BYTES_MAX:
            return None
        bucket = self._tally.bucket(number)
        reach_ns = max((run.time_max for _, _, run in self._reaching), default=top)
        return Stats([bucket] if bucket.counts else [], cut, complete, reach_ns)

    def _take_away(self, cut: Position, number: int) -> None:
        """Of a bucket that is cut, take away what stands below."""
        reaching = [run for _, _, run in self._reaching]
        since_ns = max(self._query.since_ns, number * self._asked.bucket_ns)
        below = replace(self._query, below=cut, since_ns=since_ns)
        for at in range(0, len(reaching), _EDGES_AT_ONCE):
            together = reaching[at : at + _EDGES_AT_ONCE]
            self._ahead(together)
            for run in together:
                self._tally.add_tallied(run.tallied(below, self._asked.bucket_ns), -1)

    def _whole_buckets(self, above: int | None, *, complete: bool = True) -> Stats | None:
        """The answer with the buckets above a number, or with all, cut where the last one begins that fits."""
        counted = [number for number in self._tally.buckets if above is None or number > above]
        buckets = self._tally.newest_fitting(counted)
        if len(buckets) < len(counted):
            if not buckets:
                return None
            above = buckets[-1].number - 1
        if above is None:
            return Stats(buckets)
        cut = Position((above + 1) * self._asked.bucket_ns - 1, ABOVE_ALL_ARRIVALS)
        reach_ns = max((newest_ns for number, newest_ns in self._reach_ns.items() if number <= above), default=None)
        return Stats(buckets, cut, complete, cut.timestamp if reach_ns is None else reach_ns)


def _count_records(
    runs: Callable[[Query], Iterable[Run]], asked: StatsQuery, deadline: float, reading: Reading
) -> Stats:
    """The same by reading records in falling order, in portions as large as a page: a store may hand out no more."""
    tally = _Tally(asked)
    query = replace(asked.query, limit=PAGE_RECORDS_MAX)
    while True:
        last: Position | None = None
        records, size = 0, 0
        try:
            for record in reading(runs(query), query, deadline):
                tally.add(record.timestamp // asked.bucket_ns, {asked.group(record.kind): 1})
                last = record.position
                records += 1
                size += len(record.message) + len(record.metadata)
                if records == PAGE_RECORDS_MAX or size > PAGE_BYTES_MAX or tally.is_full:
                    break
            else:
                return _read(tally, None)
        except OutOfTime as out:
            return _read(tally, out.below, complete=False)
        if tally.is_full:
            return _read(tally, last)
        if monotonic() > deadline:
            return _read(tally, last, complete=False)
        query = replace(query, below=last)


def _read(tally: _Tally, below: Position | None, *, complete: bool = True) -> Stats:
    return Stats([tally.bucket(number) for number in sorted(tally.buckets, reverse=True)], below, complete)
