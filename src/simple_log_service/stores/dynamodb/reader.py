"""Reading: entries of one or more partitions, newest first, as runs that fetch their bodies only when their turn comes.

An entry's key is its LAST record's time, and its first is at most ``DYNAMODB_SPAN_NS_MAX`` earlier: what lies below a
moment may stand in entries up to so long after it.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableSequence
from itertools import chain, count, repeat

from msgspec.structs import replace

from simple_log_service.core.limits import DYNAMODB_SPAN_NS_MAX
from simple_log_service.core.query import Page, Query
from simple_log_service.core.record import Kind, Position, Record
from simple_log_service.core.retention import Kept
from simple_log_service.core.runs import ColumnRun, LookedUpTo, collect, newest
from simple_log_service.core.stats import By, sums
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from simple_log_service.stores.dynamodb.items import Entry, open_frame, read_entry
from simple_log_service.stores.dynamodb.keys import TIE_MAX, Key, day_of, index_values
from simple_log_service.stores.dynamodb.patience import Patience
from simple_log_service.stores.dynamodb.registry import TypeRegistry
from simple_log_service.stores.dynamodb.table import Table
from simple_log_service.stores.packing import FrameDamaged

_PAGE_SIZES = (32, 64, 128, 256)
"""Entries in a page of a Query, the last again and again: a Query bills what it reads, so the first ones are small."""
_BODIES_AT_ONCE_MAX = 16
"""About half a MiB, and well under the 100 items of a BatchGetItem."""


class Bodies:
    """Fetches the bodies of entries that will be read: with the first that is asked for, those next to come in time.

    ``records_wanted`` says how many are worth fetching ahead.
    """

    def __init__(self, table: Table, patience: Patience, records_wanted: int) -> None:
        self._table = table
        self._patience = patience
        self._records_wanted = records_wanted
        self._coming: list[tuple[int, int, Entry]] = []
        self._tiebreak = count()
        self._frames: dict[Key, bytes] = {}

    def expect(self, entry: Entry) -> None:
        """The entry will probably be opened after those before it."""
        heapq.heappush(self._coming, (-entry.position.timestamp, next(self._tiebreak), entry))

    def frame(self, entry: Entry) -> bytes:
        """The frame in the entry's body; ``FrameDamaged`` where there is none."""
        if entry.body_key not in self._frames:
            self._fetch(entry)
        try:
            return self._frames.pop(entry.body_key)
        except KeyError:
            raise FrameDamaged("The body of a stored chunk is missing.") from None

    def _fetch(self, entry: Entry) -> None:
        keys, records = {entry.body_key: None}, sum(entry.counts.values())
        while self._coming and records < self._records_wanted and len(keys) < _BODIES_AT_ONCE_MAX:
            _, _, following = heapq.heappop(self._coming)
            if following.body_key not in keys and following.body_key not in self._frames:
                keys[following.body_key] = None
                records += sum(following.counts.values())
        found = self._table.get_all(keys, self._patience)
        self._frames |= {key: bytes(item["frame"]["B"]) for key, item in found.items()}


class EntryRun:
    """An entry as a ``Run``."""

    def __init__(self, entry: Entry, bodies: Bodies) -> None:
        self._entry = entry
        self._bodies = bodies

    @property
    def time_max(self) -> int:
        """The newest timestamp in it, nanoseconds."""
        return self._entry.position.timestamp

    @property
    def kinds(self) -> Mapping[Kind, int]:
        """How many records of each kind it holds."""
        return self._entry.counts

    @property
    def time_min(self) -> int:
        """The oldest timestamp in it, nanoseconds."""
        return self._entry.first_ns

    @property
    def awaited(self) -> Entry | None:
        """The entry, where its records are in a body that has to be fetched."""
        entry = self._entry
        return entry if entry.record is None and entry.frame is None else None

    def holds(self, query: Query) -> bool:
        """Whether it holds records of the kinds asked for."""
        return any(map(query.matches, self._entry.counts))

    def newest(self, query: Query) -> Iterator[Record | Position]:
        """Its matching records below the query's ceiling and not before its range, newest first."""
        entry = self._entry
        if entry.record is not None:
            position, ceiling = entry.record.position, query.ceiling
            is_in_range = position.timestamp >= query.since_of(entry.record.kind)
            if is_in_range and (ceiling is None or position < ceiling) and query.finds(entry.record):
                yield entry.record
            return
        yield from self._open().newest(query)

    def counted(self, query: Query, by: By | None) -> Mapping[str, int]:
        """How many of its records are of the kinds asked for, by group."""
        return sums(self._entry.counts, query, by, self.time_max)

    def tallied(self, query: Query, bucket_ns: int) -> Mapping[tuple[int, Kind], int]:
        """How many of its records match, by bucket number and kind."""
        if self._entry.record is None:
            return self._open().tallied(query, bucket_ns)
        found = replace(query, search=None)
        return {(self.time_max // bucket_ns, each.kind): 1 for each in self.newest(found) if isinstance(each, Record)}

    def _open(self) -> ColumnRun:
        entry = self._entry
        return open_frame(entry.frame if entry.frame is not None else self._bodies.frame(entry)).run()


class Reader:
    """Finds the runs of a query. ``type_shards`` are the writer's."""

    def __init__(self, table: Table, registry: TypeRegistry, type_shards: Mapping[str, int]) -> None:
        self._table = table
        self._registry = registry
        self._type_shards = type_shards

    def page(self, query: Query, patience: Patience, deadline: float) -> Page:
        """The newest records that match; ``deadline`` is a ``time.monotonic()``."""
        # Where texts are searched, all that comes will be opened.
        bodies = Bodies(self._table, patience, query.limit if query.search is None else sys.maxsize)
        seen: list[EntryRun] = []
        runs = self.runs(query, patience, bodies, seen)
        page = collect(once(newest(runs, query, deadline)), query)
        return page if page.below is None else replace(page, reach_ns=reach_ns(seen, page.below))

    def runs(
        self, query: Query, patience: Patience, bodies: Bodies, seen: MutableSequence[EntryRun]
    ) -> Iterator[EntryRun | LookedUpTo]:
        """The entries that reach into the query's range, in falling ``time_max``; each that comes is ``seen``."""
        places = self._places(query, patience)
        streams = [self._runs(partition, query, patience, bodies, seen, index) for partition, index in places]
        if len(streams) > 1:
            # Each has to be asked before anything can be told: all of them at once.
            firsts = self._table.side_by_side(lambda stream: next(stream, None), streams)
            streams = [chain([first], rest) for first, rest in zip(firsts, streams, strict=True) if first is not None]
        return heapq.merge(*streams, key=lambda run: -run.time_max)

    def holds(self, service_name: str, positions: Iterable[Position], kept: Kept, patience: Patience) -> set[Position]:
        """Which of these positions of a service have a record that is kept."""
        wanted = set(positions)
        found: set[Position] = set()
        for near in _clusters(sorted(wanted)):
            since_ns, until_ns = near[0].timestamp, near[-1].timestamp + 1
            query = Query(since_ns, until_ns, service_name, kept=kept)
            bodies = Bodies(self._table, patience, records_wanted=1)
            for run in self._runs(service_name, query, patience, bodies, [], index=False):
                if patience.is_over or found.issuperset(near):
                    break
                if isinstance(run, EntryRun) and any(run.time_min <= each.timestamp <= run.time_max for each in near):
                    found |= wanted & {each.position for each in run.newest(query) if isinstance(each, Record)}
        return found

    def _places(self, query: Query, patience: Patience) -> list[tuple[str, bool]]:
        """The partitions to read, and whether each is the index's."""
        if query.service_name is not None:
            return [(query.service_name, False)]
        if query.log_type is not None:
            log_types = {query.log_type}
        else:
            low, high = _range(query)
            log_types = self._registry.types(day_of(low.timestamp), day_of(high.timestamp), patience)
        return [
            (value, True)
            for log_type in sorted(log_types)
            for value in index_values(log_type, self._type_shards.get(log_type, 1))
        ]

    def _runs(
        self,
        partition: str,
        query: Query,
        patience: Patience,
        bodies: Bodies,
        seen: MutableSequence[EntryRun],
        index: bool,
    ) -> Iterator[EntryRun | LookedUpTo]:
        """A partition's entries that reach into the query's range, in falling order; each that comes is ``seen``."""
        low, high = _range(query)
        sizes = chain(_PAGE_SIZES, repeat(_PAGE_SIZES[-1]))
        ceiling = query.ceiling
        for page in self._table.pages(partition, low, high, sizes, patience, index=index):
            entries = [read_entry(item) for item in page]
            last_ns = entries[-1].position.timestamp if entries else low.timestamp
            # An entry that begins beyond the ceiling is not worth its turn. Its ties rise from that of its key.
            within = [e for e in entries if ceiling is None or Position(e.first_ns, e.position.arrival) < ceiling]
            # Of one past its retention the body may be gone already.
            within = [e for e in within if e.position.timestamp >= query.since_of(e.kind)]
            for entry in within:
                if entry.record is None and entry.frame is None and any(map(query.matches, entry.counts)):
                    bodies.expect(entry)
            for entry in within:
                run = EntryRun(entry, bodies)
                seen.append(run)
                yield run
            yield LookedUpTo(last_ns)


def once(records: Iterator[Record]) -> Iterator[Record]:
    """The records without repeats: a retry may group anew what its first try stored in part."""
    last: Position | None = None
    for record in records:
        if record.position != last:
            yield record
        last = record.position


def reach_ns(seen: Iterable[EntryRun], below: Position) -> int:
    """The time of the newest entry that holds something below a position: where the next page has to begin."""
    return max((run.time_max for run in seen if run.time_min <= below.timestamp), default=below.timestamp)


def _clusters(positions: list[Position]) -> Iterator[list[Position]]:
    """Positions that are near each other, together: between the others may lie a month."""
    cluster: list[Position] = []
    for position in positions:
        if cluster and position.timestamp - cluster[-1].timestamp > DYNAMODB_SPAN_NS_MAX:
            yield cluster
            cluster = []
        cluster.append(position)
    yield cluster


def _range(query: Query) -> tuple[Position, Position]:
    """The keys between which all entries stand that may hold what is asked for."""
    ceiling = query.ceiling
    high = TIMESTAMP_NS_MAX if ceiling is None else min(ceiling.timestamp + DYNAMODB_SPAN_NS_MAX, TIMESTAMP_NS_MAX)
    if query.reach_ns is not None:
        high = min(high, query.reach_ns)
    return Position(max(query.since_ns, 0), 0), Position(high, TIE_MAX)
