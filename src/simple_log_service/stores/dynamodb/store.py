"""The DynamoDB store: a ``LogStore`` over one table, for the Lambdas and for servers that share a table.

A batch is claimed, its ids are marked, its types entered, then bodies are written and last the entries: until an entry
is there nobody sees its records, and once it is all of them are. Whatever is repeated writes the same once more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from time import monotonic
from typing import TypeVar

import msgspec

from simple_log_service.core.admission import GivenId, given_ids
from simple_log_service.core.batch import Batch
from simple_log_service.core.errors import StoreBusy
from simple_log_service.core.ids import log_id_of
from simple_log_service.core.limits import (
    DYNAMODB_READ_SECONDS_MAX,
    DYNAMODB_READS_AT_ONCE_MAX,
    DYNAMODB_REPEAT_SECONDS_MAX,
    DYNAMODB_REQUEST_SECONDS_MAX,
    LOG_TYPES_PER_DAY_MAX,
)
from simple_log_service.core.ports import Clock, Metrics, Offload
from simple_log_service.core.query import Page, Query
from simple_log_service.core.receipts import REFUSED, THROTTLED, TOO_MANY_TYPES, Receipt, Rejection, log_id_runs
from simple_log_service.core.retention import Retention
from simple_log_service.core.stats import Stats, StatsQuery
from simple_log_service.stores.dynamodb.chunking import Chunker, Identity
from simple_log_service.stores.dynamodb.claims import Identities, identified
from simple_log_service.stores.dynamodb.client import dynamodb_client
from simple_log_service.stores.dynamodb.items import Item
from simple_log_service.stores.dynamodb.keys import INDEX_NAME, day_of
from simple_log_service.stores.dynamodb.markers import Fate, Markers
from simple_log_service.stores.dynamodb.patience import Patience
from simple_log_service.stores.dynamodb.reader import Reader
from simple_log_service.stores.dynamodb.registry import TypeRegistry
from simple_log_service.stores.dynamodb.stats import count_entries
from simple_log_service.stores.dynamodb.table import Table

Q = TypeVar("Q")
A = TypeVar("A")

_REASONS = {
    THROTTLED: "the table has no capacity left for this record now; send it again",
    REFUSED: "DynamoDB does not take this record",
    TOO_MANY_TYPES: f"there are {LOG_TYPES_PER_DAY_MAX} types with records of this day already",
}


class TableSettings(msgspec.Struct, frozen=True):
    """Which table, and what every reader and writer of it has to agree on.

    ``type_shards`` names hot types and into how many partitions of the index each is spread; a number may only grow.
    ``endpoint_url`` is for tables elsewhere than at AWS.
    """

    table_name: str
    region: str
    retention: Retention
    index_name: str = INDEX_NAME
    endpoint_url: str | None = None
    type_shards: Mapping[str, int] = {}


def _no_deadline() -> float:
    return float("inf")


class DynamoDBStore:
    """A ``LogStore`` over one table and its index.

    ``offload`` runs a request, which waits for DynamoDB; ``deadline`` gives the ``time.monotonic()`` by which the one
    under way has to be answered.
    """

    def __init__(
        self, table: Table, settings: TableSettings, clock: Clock, offload: Offload, deadline: Callable[[], float]
    ) -> None:
        self._table = table
        self._offload = offload
        self._reading = 0
        self._deadline = deadline
        self._identities = Identities(clock)
        self._registry = TypeRegistry(table, settings.retention.longest_ns)
        self._reader = Reader(table, self._registry, settings.type_shards)
        self._markers = Markers(table, clock, self._reader.holds, settings.retention)
        self._chunker = Chunker(settings.type_shards, settings.retention)

    @classmethod
    def open(
        cls,
        settings: TableSettings,
        *,
        clock: Clock,
        metrics: Metrics,
        offload: Offload,
        deadline: Callable[[], float] = _no_deadline,
    ) -> DynamoDBStore:
        """The store over a table that is there. Nothing is asked of it yet. ``metrics`` are called from threads."""
        client = dynamodb_client(settings.region, settings.endpoint_url)
        table = Table(client, settings.table_name, settings.index_name, metrics)
        return cls(table, settings, clock, offload, deadline)

    async def append(self, batch: Batch) -> Receipt:
        """Store the batch; a retry key seen before writes the same again and so earns the first receipt."""
        return await self._offload(self._append, batch)

    async def recent(self, query: Query) -> Page:
        """The newest records that match: by service as of now, else as far as the index has come."""
        return await self._one_of_the_reads(self._recent, query)

    async def stats(self, asked: StatsQuery) -> Stats:
        """How many records match: by service as of now, else as far as the index has come."""
        return await self._one_of_the_reads(self._stats, asked)

    async def _one_of_the_reads(self, work: Callable[[Q], A], asked: Q) -> A:
        if self._reading >= DYNAMODB_READS_AT_ONCE_MAX:
            raise StoreBusy("Too many reads are under way; try again.")
        self._reading += 1
        try:
            return await self._offload(work, asked)
        finally:
            self._reading -= 1

    async def check(self) -> None:
        """Ask the table one cheap question; raises what asking raises, such as for want of the table or a role."""
        await self._offload(self._registry.types, 0, 0, Patience(self._deadline(), DYNAMODB_REPEAT_SECONDS_MAX))

    async def close(self) -> None:
        """Let go of threads and connections, once nobody uses the store any more."""
        await self._offload(self._table.close)

    def _recent(self, query: Query) -> Page:
        return self._reader.page(query, *self._time_to_read())

    def _stats(self, asked: StatsQuery) -> Stats:
        return count_entries(self._reader, self._table, asked, *self._time_to_read())

    def _time_to_read(self) -> tuple[Patience, float]:
        """How long calls of a read are repeated, and when it answers what it has."""
        until, now = self._deadline(), monotonic()
        patience = Patience(min(until, now + DYNAMODB_REQUEST_SECONDS_MAX), DYNAMODB_REPEAT_SECONDS_MAX)
        return patience, min(until, now + DYNAMODB_READ_SECONDS_MAX)

    def _append(self, batch: Batch) -> Receipt:
        patience = Patience(
            min(self._deadline(), monotonic() + DYNAMODB_REQUEST_SECONDS_MAX), DYNAMODB_REPEAT_SECONDS_MAX
        )
        batch, identity = identified(batch, self._table, self._identities, patience)
        refused = self._without_type(batch, patience)
        first: dict[GivenId, int] = {}
        for place, given in given_ids(batch):
            if place not in refused:
                first.setdefault(given, place)
        repeats = {place: first[given] for place, given in given_ids(batch) if first.get(given, place) != place}
        fates = self._markers.fates(batch, first.values(), identity, patience)
        known = {place for place, fate in fates.items() if fate is Fate.KNOWN}
        refused |= {place: THROTTLED for place, fate in fates.items() if fate is Fate.UNSETTLED}
        not_stored = refused.keys() | repeats.keys() | known
        stored = [place for place in range(len(batch)) if place not in not_stored]
        refused |= self._write(batch, stored, identity, patience)
        # What repeats a record of its own batch shares its fate.
        refused |= {place: refused[original] for place, original in repeats.items() if original in refused}
        return _receipt(batch, identity, refused, known | repeats.keys())

    def _without_type(self, batch: Batch, patience: Patience) -> dict[int, str]:
        """The places of records that their days have no slot left for the types of, with the code that says so."""
        day_types = list(zip(map(day_of, batch.timestamps), batch.log_types, strict=True))
        full = self._registry.admit(set(day_types), patience)
        return {place: TOO_MANY_TYPES for place, each in enumerate(day_types) if each in full} if full else {}

    def _write(self, batch: Batch, places: list[int], identity: Identity, patience: Patience) -> dict[int, str]:
        """Write the records at these places; which of them are not stored, with the code that says why."""
        writes = list(self._chunker.writes(batch, places, identity))
        bodies = {number: write.stored.body for number, write in enumerate(writes) if write.stored.body is not None}
        lost = self._lost(bodies, patience)
        # An entry without its body would be one that nobody can open.
        entries = {number: write.stored.entry for number, write in enumerate(writes) if number not in lost}
        lost |= self._lost(entries, patience)
        return {place: code for number, code in lost.items() for place in writes[number].places}

    def _lost(self, items: Mapping[int, Item], patience: Patience) -> dict[int, str]:
        """Write items; by number, the codes of those that are not stored."""
        numbers = list(items)
        return {numbers[at]: code for at, code in self._table.write_all(list(items.values()), patience).items()}


def _receipt(batch: Batch, identity: Identity, refused: Mapping[int, str], duplicates: Collection[int]) -> Receipt:
    rejected = [Rejection(batch.indexes[place], code, _REASONS[code]) for place, code in refused.items()]
    log_ids = batch.log_ids or [None] * len(batch)
    generated = [
        (index, identity.arrival + index)
        for place, (index, log_id) in enumerate(zip(batch.indexes, log_ids, strict=True))
        if log_id is None and place not in refused
    ]
    return Receipt(
        accepted=len(batch) - len(refused),
        duplicates=sum(place not in refused for place in duplicates),
        rejected=sorted(batch.rejected + rejected, key=lambda rejection: rejection.index),
        log_ids=log_id_runs(generated, lambda arrival: log_id_of(arrival, identity.nonce)),
    )
