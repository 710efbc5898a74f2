"""Counting in the table: the entries say how many records they stand for; a body is fetched only where an edge cuts it.

A retry that groups its records anew writes other entries beside the first try's. A read of records returns each once,
since it sees them; counters cannot, and such records count twice.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, MutableSequence, Sequence

from msgspec.structs import replace

from simple_log_service.core.counting import count_runs
from simple_log_service.core.query import Query
from simple_log_service.core.record import Record
from simple_log_service.core.runs import Run, newest
from simple_log_service.core.stats import Stats, StatsQuery
from simple_log_service.stores.dynamodb.items import Entry
from simple_log_service.stores.dynamodb.patience import Patience
from simple_log_service.stores.dynamodb.reader import Bodies, EntryRun, Reader, once, reach_ns
from simple_log_service.stores.dynamodb.table import Table


class _EdgeBodies(Bodies):
    """Bodies of which few will be wanted: those of entries that somebody says will be opened next."""

    def __init__(self, table: Table, patience: Patience) -> None:
        super().__init__(table, patience, records_wanted=sys.maxsize)

    def expect(self, entry: Entry) -> None:
        """Most entries are counted unopened."""

    def ahead(self, runs: Sequence[Run]) -> None:
        """These will be opened, and can be fetched together."""
        for run in runs:
            if isinstance(run, EntryRun) and run.awaited is not None:
                super().expect(run.awaited)


def count_entries(reader: Reader, table: Table, asked: StatsQuery, patience: Patience, deadline: float) -> Stats:
    """How many records match, counted by the deadline, a ``time.monotonic()``."""
    edges = _EdgeBodies(table, patience)
    seen: list[EntryRun] = []
    is_read = asked.query.search is not None

    def runs(query: Query) -> Iterable[Run]:
        nonlocal is_read
        if seen and query.below is not None:
            query = replace(query, reach_ns=reach_ns(seen, query.below))
        # Counting goes through many more entries than anybody reads: none of them is kept.
        kept: MutableSequence[EntryRun] = seen if is_read else deque(maxlen=0)
        bodies = Bodies(table, patience, sys.maxsize) if is_read else edges
        is_read = True
        seen.clear()
        return reader.runs(query, patience, bodies, kept)

    stats = count_runs(runs, asked, deadline, reading=_read, ahead=edges.ahead)
    if stats.below is None or stats.reach_ns is not None or not seen:
        return stats
    return replace(stats, reach_ns=reach_ns(seen, stats.below))


def _read(runs: Iterable[Run], query: Query, deadline: float) -> Iterator[Record]:
    return once(newest(runs, query, deadline))
