"""Callers' own ids: the first record with an id of a service is the one that stays, for as long as it is retained.

A marker names the record that holds an id. It is taken before the record is written, in one call that the first wins.
So whoever finds an id taken looks whether that record is really there: if so, its own is a duplicate; if not, the other
request is still at it, or ended in between, and after ``DYNAMODB_SETTLED_NS`` its place may be taken over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto

import msgspec

from simple_log_service.core.admission import given_ids
from simple_log_service.core.batch import Batch
from simple_log_service.core.limits import DYNAMODB_SETTLED_NS, SECOND_NS
from simple_log_service.core.ports import Clock
from simple_log_service.core.record import Position
from simple_log_service.stores.dynamodb.chunking import Identity
from simple_log_service.stores.dynamodb.items import Item
from simple_log_service.stores.dynamodb.keys import EXPIRES, log_id_key, tie_of
from simple_log_service.stores.dynamodb.patience import Patience
from simple_log_service.stores.dynamodb.table import Table

Holds = Callable[[str, Iterable[Position], Patience], set[Position]]
"""Of a service, which of these positions have a record."""


class Fate(Enum):
    """What is to become of a record with a given id."""

    NEW = auto()
    KNOWN = auto()
    UNSETTLED = auto()


class _Marker(msgspec.Struct, frozen=True):
    """The record that holds an id: its time, and the arrival number and nonce that are its own."""

    record_ns: int
    arrival: int
    nonce: int

    @classmethod
    def of(cls, batch: Batch, place: int, identity: Identity) -> _Marker:
        return cls(batch.timestamps[place], identity.arrival + batch.indexes[place], identity.nonce)

    @classmethod
    def read(cls, item: Item) -> _Marker:
        return cls(int(item["record"]["N"]), int(item["arrival"]["N"]), int(item["nonce"]["N"]))

    @property
    def position(self) -> Position:
        return Position(self.record_ns, tie_of(self.arrival, self.nonce))

    def attributes(self, kept_ns: int) -> Item:
        expires = -(-(self.record_ns + kept_ns) // SECOND_NS)
        numbers = {"record": self.record_ns, "arrival": self.arrival, "nonce": self.nonce, EXPIRES: expires}
        return {name: {"N": str(number)} for name, number in numbers.items()}


class Markers:
    """The markers in a table. They are kept for as long as a record is: ``kept_ns`` after its time."""

    def __init__(self, table: Table, clock: Clock, holds: Holds, kept_ns: int) -> None:
        self._table = table
        self._clock = clock
        self._holds = holds
        self._kept_ns = kept_ns

    def fates(self, batch: Batch, places: Iterable[int], identity: Identity, patience: Patience) -> dict[int, Fate]:
        """Take the ids of the records at these places, which are distinct; what is to become of each record."""
        ids = dict(given_ids(batch))
        wanted = {place: _Marker.of(batch, place, identity) for place in places}
        claims = [(log_id_key(*ids[place]), marker.attributes(self._kept_ns)) for place, marker in wanted.items()]
        holders = dict(zip(wanted, map(_Marker.read, self._table.claim_all(claims, patience)), strict=True))
        fates = {place: Fate.NEW for place in wanted if holders[place] == wanted[place]}
        open_places = {place: holder for place, holder in holders.items() if place not in fates}
        failures = 0
        while open_places:
            for place, fate in self._looked_up(batch, open_places, patience).items():
                fates[place] = self._taken_over(ids[place], wanted[place], open_places[place], patience, fate)
            open_places = {place: holder for place, holder in open_places.items() if fates[place] is Fate.UNSETTLED}
            if open_places and not patience.wait(failures):
                break
            failures += 1
        return fates

    def _looked_up(self, batch: Batch, holders: dict[int, _Marker], patience: Patience) -> dict[int, Fate]:
        """Whether the records that hold ids are there."""
        by_service: dict[str, list[int]] = {}
        for place in holders:
            by_service.setdefault(batch.service_names[place], []).append(place)
        fates: dict[int, Fate] = {}
        for service_name, places in by_service.items():
            held = self._holds(service_name, [holders[place].position for place in places], patience)
            fates |= {place: Fate.KNOWN if holders[place].position in held else Fate.UNSETTLED for place in places}
        return fates

    def _taken_over(
        self, given: tuple[str, str], wanted: _Marker, holder: _Marker, patience: Patience, fate: Fate
    ) -> Fate:
        """The fate after trying to take over an id whose request ended before its record was there."""
        if fate is Fate.KNOWN or self._clock() - holder.arrival * 1000 <= DYNAMODB_SETTLED_NS:
            return fate
        mine, its = wanted.attributes(self._kept_ns), holder.attributes(self._kept_ns)
        return Fate.NEW if self._table.take_over(log_id_key(*given), mine, its, patience) else Fate.UNSETTLED
