"""Callers' own ids: the first record with an id of a service is the one that stays, for as long as it is retained.

A marker names the record that holds an id. It is taken before the record is written, in one call that the first wins.
So whoever finds an id taken looks whether that record is really there: if so, its own is a duplicate; if not, the other
request is still at it, or ended in between, and after ``DYNAMODB_SETTLED_NS`` its place may be taken over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto

import msgspec

from simple_log_service.core.admission import GivenId, given_ids
from simple_log_service.core.batch import Batch
from simple_log_service.core.errors import StoreThrottled
from simple_log_service.core.limits import DYNAMODB_SETTLED_NS, SECOND_NS
from simple_log_service.core.ports import Clock
from simple_log_service.core.record import Position
from simple_log_service.core.retention import Kept, Retention
from simple_log_service.stores.dynamodb.chunking import Identity
from simple_log_service.stores.dynamodb.items import Item
from simple_log_service.stores.dynamodb.keys import EXPIRES, log_id_key, tie_of
from simple_log_service.stores.dynamodb.patience import Patience
from simple_log_service.stores.dynamodb.table import Table

Holds = Callable[[str, Iterable[Position], Kept, Patience], set[Position]]
"""Of a service, which of these positions have a record that is kept."""


class Fate(Enum):
    """What is to become of a record with a given id."""

    NEW = auto()
    KNOWN = auto()
    UNSETTLED = auto()


_ATTRIBUTES = ("record", "arrival", "nonce", "taken", EXPIRES)
"""What a marker's fields are called in its item."""


class _Marker(msgspec.Struct, frozen=True):
    """The record that holds an id: its time, and the arrival number and nonce that are its own.

    ``taken_ns`` is when its request last set out to write it, ``expires`` the second from which the record is no
    longer kept, as the rules were then.
    """

    record_ns: int
    arrival: int
    nonce: int
    taken_ns: int
    expires: int

    @classmethod
    def of(cls, batch: Batch, place: int, identity: Identity, taken_ns: int, retention: Retention) -> _Marker:
        record_ns, arrival = batch.timestamps[place], identity.arrival + batch.indexes[place]
        kept_ns = retention.of(batch.service_names[place], batch.log_types[place])
        return cls(record_ns, arrival, identity.nonce, taken_ns, -(-(record_ns + kept_ns) // SECOND_NS))

    @classmethod
    def read(cls, item: Item) -> _Marker:
        return cls(*(int(item[name]["N"]) for name in _ATTRIBUTES))

    def is_same_record(self, other: _Marker) -> bool:
        """Whether both are of one record, of different tries of its request perhaps."""
        return (self.arrival, self.nonce) == (other.arrival, other.nonce)

    @property
    def position(self) -> Position:
        return Position(self.record_ns, tie_of(self.arrival, self.nonce))

    def attributes(self) -> Item:
        numbers = msgspec.structs.astuple(self)
        return {name: {"N": str(number)} for name, number in zip(_ATTRIBUTES, numbers, strict=True)}


class Markers:
    """The markers in a table. Each is kept for as long as its record is."""

    def __init__(self, table: Table, clock: Clock, holds: Holds, retention: Retention) -> None:
        self._table = table
        self._clock = clock
        self._holds = holds
        self._retention = retention

    def fates(self, batch: Batch, places: Iterable[int], identity: Identity, patience: Patience) -> dict[int, Fate]:
        """Take the ids of the records at these places, which are distinct; what is to become of each record.

        Where the table has no capacity left the rest stays unsettled: what was taken is worth writing.
        """
        ids = dict(given_ids(batch))
        now_ns = self._clock()
        wanted = {place: _Marker.of(batch, place, identity, now_ns, self._retention) for place in places}
        claims = [(log_id_key(*ids[place]), marker.attributes()) for place, marker in wanted.items()]
        answers = dict(zip(wanted, self._table.claim_all(claims, patience), strict=True))
        holders = {place: _Marker.read(item) for place, item in answers.items() if item is not None}
        fates = {place: Fate.NEW if holders.get(place) == wanted[place] else Fate.UNSETTLED for place in wanted}
        failures = 0
        while unsettled := [place for place in holders if fates[place] is Fate.UNSETTLED]:
            try:
                held = self._held(batch, {place: holders[place] for place in unsettled}, wanted, patience)
                for place in unsettled:
                    given, holder = ids[place], holders[place]
                    fates[place] = Fate.KNOWN if place in held else self._taken(given, wanted[place], holder, patience)
            except StoreThrottled:
                break
            if Fate.UNSETTLED not in fates.values() or not patience.wait(failures):
                break
            failures += 1
        return fates

    def _taken(self, given: GivenId, wanted: _Marker, holder: _Marker, patience: Patience) -> Fate:
        """The fate of a record after trying to take its id from who holds it without having written.

        A repeat takes it from its own first try: the time of taking begins anew.
        """
        if not wanted.is_same_record(holder) and self._clock() - holder.taken_ns <= DYNAMODB_SETTLED_NS:
            return Fate.UNSETTLED
        key, mine = log_id_key(*given), wanted.attributes()
        if self._table.take_over(key, mine, holder.attributes(), patience):
            return Fate.NEW
        # Somebody was quicker: another try of this request, maybe.
        now_there = _Marker.read(self._table.claim(key, mine, patience))
        return Fate.NEW if wanted.is_same_record(now_there) else Fate.UNSETTLED

    def _held(
        self, batch: Batch, holders: dict[int, _Marker], wanted: dict[int, _Marker], patience: Patience
    ) -> set[int]:
        """Which of these places' ids belong to others' records that are there, and retained."""
        kept = Kept(self._retention, self._clock())
        oldest_ns = kept.now_ns - self._retention.longest_ns
        by_service: dict[str, list[int]] = {}
        for place, holder in holders.items():
            if holder.record_ns >= oldest_ns and not holder.is_same_record(wanted[place]):
                by_service.setdefault(batch.service_names[place], []).append(place)
        held: set[int] = set()
        for service_name, places in by_service.items():
            found = self._holds(service_name, [holders[place].position for place in places], kept, patience)
            held.update(place for place in places if holders[place].position in found)
        return held
