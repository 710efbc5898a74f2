"""Reading: entries of one or more partitions, newest first, as runs that fetch their bodies only when their turn comes.

An entry's key is its LAST record's time, and its first is at most ``DYNAMODB_SPAN_NS_MAX`` earlier: what lies below a
moment may stand in entries up to so long after it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, repeat

from simple_log_service.core.limits import DYNAMODB_SPAN_NS_MAX
from simple_log_service.core.query import Query
from simple_log_service.core.record import Kind, Position, Record
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from simple_log_service.stores.dynamodb.items import Entry, open_frame, read_entry
from simple_log_service.stores.dynamodb.keys import TIE_MAX, Key, day_of, index_values
from simple_log_service.stores.dynamodb.patience import Patience
from simple_log_service.stores.dynamodb.registry import TypeRegistry
from simple_log_service.stores.dynamodb.table import BATCH_GET_ITEMS_MAX, Table
from simple_log_service.stores.packing import FrameDamaged

_PAGE_SIZES = (32, 64, 128, 256)
"""Entries in a page of a Query, the last again and again: a Query bills what it reads, so the first ones are small."""
_BODIES_AT_ONCE_MAX = 16
"""About half a MiB."""


class Bodies:
    """Fetches the bodies of entries that will be read: with the first that is asked for, those next to come.

    ``records_wanted`` says how many are worth fetching ahead.
    """

    def __init__(self, table: Table, patience: Patience, records_wanted: int) -> None:
        self._table = table
        self._patience = patience
        self._records_wanted = records_wanted
        self._coming: deque[Entry] = deque()
        self._frames: dict[Key, bytes] = {}

    def expect(self, entry: Entry) -> None:
        """The entry will probably be opened after those before it."""
        self._coming.append(entry)

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
            following = self._coming.popleft()
            if following.body_key not in keys and following.body_key not in self._frames:
                keys[following.body_key] = None
                records += sum(following.counts.values())
        assert len(keys) <= BATCH_GET_ITEMS_MAX
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

    def may_hold(self, timestamps: Iterable[int]) -> bool:
        """Whether any of these times lies within it."""
        return any(self._entry.first_ns <= timestamp <= self.time_max for timestamp in timestamps)

    def newest(self, query: Query) -> Iterator[Record]:
        """Its matching records below the query's ceiling and not before its range, newest first."""
        entry = self._entry
        if entry.record is not None:
            position, ceiling = entry.record.position, query.ceiling
            if position.timestamp >= query.since_ns and (ceiling is None or position < ceiling):
                yield entry.record
            return
        frame = entry.frame if entry.frame is not None else self._bodies.frame(entry)
        yield from open_frame(frame).run().newest(query)


class Reader:
    """Finds the runs of a query. ``type_shards`` are the writer's."""

    def __init__(self, table: Table, registry: TypeRegistry, type_shards: Mapping[str, int]) -> None:
        self._table = table
        self._registry = registry
        self._type_shards = type_shards

    def runs(self, query: Query, patience: Patience) -> Iterator[EntryRun]:
        """The entries that may hold what matches, in falling order of their newest record."""
        bodies = Bodies(self._table, patience, query.limit)
        places = self._places(query, patience)
        streams = [self._entries(partition, query, patience, bodies, index) for partition, index in places]
        merged = heapq.merge(*streams, key=lambda entry: -entry.position.timestamp)
        return (EntryRun(entry, bodies) for entry in merged)

    def holds(self, service_name: str, positions: Iterable[Position], patience: Patience) -> set[Position]:
        """Which of these positions of a service have a record."""
        wanted = set(positions)
        query = Query(since_ns=min(wanted).timestamp, until_ns=max(wanted).timestamp + 1, service_name=service_name)
        times = {position.timestamp for position in wanted}
        found: set[Position] = set()
        for run in self.runs(query, patience):
            if found == wanted or patience.is_over:
                break
            if run.may_hold(times):
                found |= wanted & {record.position for record in run.newest(query)}
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

    def _entries(
        self, partition: str, query: Query, patience: Patience, bodies: Bodies, index: bool
    ) -> Iterator[Entry]:
        low, high = _range(query)
        sizes = chain(_PAGE_SIZES, repeat(_PAGE_SIZES[-1]))
        ceiling = query.ceiling
        for page in self._table.pages(partition, low, high, sizes, patience, index=index):
            entries = [read_entry(item) for item in page]
            # An entry from beyond the ceiling is only worth its turn if it reaches below.
            entries = [entry for entry in entries if ceiling is None or entry.first_ns <= ceiling.timestamp]
            for entry in entries:
                if entry.record is None and entry.frame is None and any(map(query.matches, entry.counts)):
                    bodies.expect(entry)
            yield from entries


def _range(query: Query) -> tuple[Position, Position]:
    """The keys between which all entries stand that may hold what is asked for."""
    ceiling = query.ceiling
    high = TIMESTAMP_NS_MAX if ceiling is None else min(ceiling.timestamp + DYNAMODB_SPAN_NS_MAX, TIMESTAMP_NS_MAX)
    return Position(max(query.since_ns, 0), 0), Position(high, TIE_MAX)
