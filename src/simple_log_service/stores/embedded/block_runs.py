"""Merged blocks as runs: a block for counting, its leaves for reading, each opened only when its turn has come."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from math import inf

from simple_log_service.core.limits import (
    BLOCK_CACHE_BYTES_MAX,
    COUNTS_CACHE_BYTES_MAX,
    FILTER_CACHE_BYTES_MAX,
    LEAF_CACHE_BYTES_MAX,
)
from simple_log_service.core.query import Query
from simple_log_service.core.record import Kind, Position, Record
from simple_log_service.core.runs import ColumnRun, LookedUpTo, newest
from simple_log_service.core.stats import By, sums
from simple_log_service.stores.embedded.blocks import BlockFile, BlockRow, Index, LeafEntry
from simple_log_service.stores.embedded.cache import Cache
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.leaves import Leaf
from simple_log_service.stores.embedded.token_filter import may_hold, probes

Place = tuple[DayFile, int]
"""A file and the number of a block in it."""

_COUNT_BYTES = 100
"""About what a group's count takes in memory, beside its name."""


class Opened:
    """What was opened of blocks: indexes, filters and leaves, each within a bound of its own."""

    def __init__(self) -> None:
        self.indexes: Cache[Place, Index] = Cache(BLOCK_CACHE_BYTES_MAX)
        self.filters: Cache[Place, list[bytes]] = Cache(FILTER_CACHE_BYTES_MAX)
        self.counts: Cache[tuple[Place, By | None], Mapping[str, int]] = Cache(COUNTS_CACHE_BYTES_MAX)
        self.leaves: Cache[tuple[Place, int], tuple[Leaf, ColumnRun]] = Cache(LEAF_CACHE_BYTES_MAX)


class BlockRun:
    """A block. Its counters answer for it as a whole; where an edge cuts it, those of its leaves do that lie within."""

    def __init__(self, opened: Opened, file: DayFile, row: BlockRow, block: BlockFile) -> None:
        self._opened = opened
        self._file = file
        self._place = file, row.id
        self._block = block
        self.time_min = row.time_min
        self.time_max = row.time_max

    @property
    def index(self) -> Index:
        """What it holds, and where."""
        index = self._opened.indexes.get(self._place)
        if index is None:
            index = self._block.index()
            self._opened.indexes.put(self._place, index, index.memory_bytes)
        return index

    @property
    def kinds(self) -> Mapping[Kind, int]:
        """How many records of each kind it holds."""
        return self.index.all_kinds()

    def holds(self, query: Query) -> bool:
        """Whether it holds records of the kinds asked for."""
        return bool(self.index.leaves_of(query))

    def newest(self, query: Query) -> Iterator[Record]:
        """Its matching records, newest first."""
        return newest(self.leaves(query), query, inf)

    def counted(self, query: Query, by: By | None) -> Mapping[str, int]:
        """How many of its records are of the kinds asked for, by group."""
        if not query.takes_all_kinds:
            return sums(self.kinds, query, by, self.time_max)
        counts = self._opened.counts.get((self._place, by))
        if counts is None:
            counts = self.index.counts(by)
            self._opened.counts.put((self._place, by), counts, sum(_COUNT_BYTES + len(name) for name in counts))
        return counts

    def tallied(self, query: Query, bucket_ns: int) -> Mapping[tuple[int, Kind], int]:
        """How many of its records match, by bucket number and kind."""
        found: dict[tuple[int, Kind], int] = {}
        for leaf in self.leaves(query):
            for key, amount in leaf.tallied(query, bucket_ns).items():
                found[key] = found.get(key, 0) + amount
        return found

    def leaves(self, query: Query) -> list[LeafRun]:
        """The leaves that may hold something of what is asked for, those with the newest records first."""
        wanted = [] if query.search is None else probes(query.search.required_words)
        saying_yes = {place for place, each in enumerate(self._filters()) if may_hold(each, wanted)} if wanted else None
        # Most blocks end here, if what is searched for is rare.
        if saying_yes is not None and not saying_yes:
            return []
        index, ceiling = self.index, query.ceiling
        last = self.time_max if ceiling is None else ceiling.timestamp
        numbers: Iterable[int] = index.leaves_of(query)
        if saying_yes is not None:
            numbers = (number for number in numbers if index.leaves[number].filter_place in saying_yes)
        leaves = [
            LeafRun(self._opened, self._file, self._place, self._block, index, number)
            for number in numbers
            if index.leaves[number].time_min <= last and index.leaves[number].time_max >= query.since_ns
        ]
        return sorted(leaves, key=lambda leaf: leaf.time_max, reverse=True)

    def _filters(self) -> list[bytes]:
        filters = self._opened.filters.get(self._place)
        if filters is None:
            filters = self._block.filters()
            self._opened.filters.put(self._place, filters, sum(map(len, filters)))
        return filters


class LeafRun:
    """A leaf as a run."""

    def __init__(
        self, opened: Opened, file: DayFile, place: Place, block: BlockFile, index: Index, number: int
    ) -> None:
        self._opened = opened
        self._file = file
        self._key = place, number
        self._block = block
        self._index = index
        self._number = number
        entry: LeafEntry = index.leaves[number]
        self.time_min = entry.time_min
        self.time_max = entry.time_max

    @property
    def kinds(self) -> Mapping[Kind, int]:
        """How many records of each kind it holds."""
        return self._index.leaf_kinds(self._number)

    def holds(self, query: Query) -> bool:  # noqa: ARG002 - a run's method
        """Whether it holds records of the kinds asked for: it was chosen because it does."""
        return True

    def newest(self, query: Query) -> Iterator[Record | Position]:
        """Its matching records, newest first."""
        opened = self._opened.leaves.get(self._key)
        leaf, run = opened or (self._block.leaf(self._index, self._number), None)
        among = None
        if query.search is not None:
            among = leaf.places_with(query.search.required_words)
            if among is not None and not among:
                return iter(())
        if run is None:
            run = self._run(leaf)
            self._opened.leaves.put(self._key, (leaf, run), leaf.memory_bytes)
        return run.newest(query, among)

    def open(self) -> ColumnRun:
        """The leaf's records; not kept for the next reader."""
        return self._run(self._block.leaf(self._index, self._number))

    def counted(self, query: Query, by: By | None) -> Mapping[str, int]:
        """How many of its records are of the kinds asked for, by group."""
        return sums(self.kinds, query, by, self.time_max)

    def tallied(self, query: Query, bucket_ns: int) -> Mapping[tuple[int, Kind], int]:
        """How many of its records match, by bucket number and kind."""
        if self._is_within(query, bucket_ns):
            bucket = self.time_max // bucket_ns
            return {(bucket, kind): count for kind, count in self.kinds.items() if query.matches(kind)}
        leaf = self._block.leaf(self._index, self._number)
        return ColumnRun.of_numbers(self._kinds(), leaf.kind_places(), leaf.timestamps(), leaf.arrivals()).tallied(
            query, bucket_ns
        )

    def _is_within(self, query: Query, bucket_ns: int) -> bool:
        is_in_bucket = self.time_min // bucket_ns == self.time_max // bucket_ns
        return is_in_bucket and query.spans(self.time_min, self.time_max)

    def _kinds(self) -> list[Kind]:
        return list(self._index.leaf_kinds(self._number))

    def _run(self, leaf: Leaf) -> ColumnRun:
        return ColumnRun.in_reading_order(leaf.columns(self._kinds()), leaf.arrivals(), self._file.generated_id)


def leaf_runs(blocks: Iterable[BlockRun], query: Query) -> Iterator[LeafRun | LookedUpTo]:
    """The leaves of blocks, in falling ``time_max``, as the blocks come: one is opened only in its turn."""
    heap: list[tuple[int, int, LeafRun]] = []
    tiebreak = count()
    for block in blocks:
        while heap and -heap[0][0] >= block.time_max:
            yield heapq.heappop(heap)[2]
        yield LookedUpTo(block.time_max)
        for leaf in block.leaves(query):
            heapq.heappush(heap, (-leaf.time_max, next(tiebreak), leaf))
    while heap:
        yield heapq.heappop(heap)[2]
