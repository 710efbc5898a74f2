"""The types that records of a day have: what a read without a filter merges, since nothing may ever scan the table.

A type takes the first free of a day's slots before its first record is acknowledged. The claim on a slot tells who got
it, so there are never more types a day than slots, however many containers race for them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import repeat

from simple_log_service.core.limits import DAY_NS, SECOND_NS
from simple_log_service.core.record import Position
from simple_log_service.stores.dynamodb.items import Item
from simple_log_service.stores.dynamodb.keys import EXPIRES, TYPES_PARTITION, Key, type_slots
from simple_log_service.stores.dynamodb.patience import Patience
from simple_log_service.stores.dynamodb.table import Table

DayType = tuple[int, str]
"""A UTC day, counted since the epoch, and a type that it has records of."""

_REMEMBERED_MAX = 100_000
_PAGE_ITEMS = 1000


class TypeRegistry:
    """The types by day, each for ``kept_ns`` after the day: as long as anything of it is retained.

    What this process has seen there it does not ask for again.
    """

    def __init__(self, table: Table, kept_ns: int) -> None:
        self._table = table
        self._kept_ns = kept_ns
        self._seen: set[DayType] = set()
        self._lock = threading.Lock()

    def admit(self, wanted: Iterable[DayType], patience: Patience) -> set[DayType]:
        """Enter what is not there yet; of the wanted ones, those that the days have no slot left for."""
        missing: dict[int, list[str]] = {}
        for day, log_type in wanted:
            if (day, log_type) not in self._seen:
                missing.setdefault(day, []).append(log_type)
        full: set[DayType] = set()
        for day, log_types in missing.items():
            full |= {(day, log_type) for log_type in self._enter(day, log_types, patience)}
        return full

    def types(self, first_day: int, last_day: int, patience: Patience) -> set[str]:
        """The types of the days from first to last, both included."""
        low, high = type_slots(first_day).start, type_slots(last_day).stop - 1
        return {name for _, name in self._slots(low, high, patience)}

    def _enter(self, day: int, log_types: list[str], patience: Patience) -> list[str]:
        slots = type_slots(day)
        taken = dict(self._slots(slots.start, slots.stop - 1, patience))
        left = [log_type for log_type in log_types if log_type not in taken.values()]
        for slot in slots:
            if not left:
                break
            if slot not in taken:
                # Another request may have been quicker, even with the same type: the slot says who has it now.
                taken[slot] = self._claim(slot, left[0], day, patience)
                left = [log_type for log_type in left if log_type != taken[slot]]
        with self._lock:
            if len(self._seen) >= _REMEMBERED_MAX:
                self._seen.clear()
            self._seen.update((day, log_type) for log_type in taken.values())
        return left

    def _claim(self, slot: int, log_type: str, day: int, patience: Patience) -> str:
        expires = ((day + 1) * DAY_NS + self._kept_ns) // SECOND_NS
        attributes: Item = {"name": {"S": log_type}, EXPIRES: {"N": str(expires)}}
        item = self._table.claim(Key(TYPES_PARTITION, Position(slot, 0)), attributes, patience)
        return str(item["name"]["S"])

    def _slots(self, low: int, high: int, patience: Patience) -> Iterable[tuple[int, str]]:
        ends = Position(low, 0), Position(high, 0)
        pages = self._table.pages(TYPES_PARTITION, *ends, repeat(_PAGE_ITEMS), patience, index=False)
        return [(int(item["timestamp"]["N"]), item["name"]["S"]) for page in pages for item in page]
