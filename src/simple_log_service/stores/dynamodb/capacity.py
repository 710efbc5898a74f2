"""What each call costs in capacity units, counted from DynamoDB's published rules; pure arithmetic, no I/O.

Items are in the low-level form: ``{"message": {"S": "…"}}``, binary values as raw bytes. Sizes follow "DynamoDB item
sizes and formats", units "DynamoDB read and write operations", the index's share "Using global secondary indexes" in
the DynamoDB Developer Guide. Where AWS says "approximately", the count is never below what is billed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from simple_log_service.core.limits import KIB
from simple_log_service.stores.dynamodb.items import Item
from simple_log_service.stores.dynamodb.keys import INDEX_KEY

WRITE_UNIT_BYTES = KIB
READ_UNIT_BYTES = 4 * KIB
STORED_ITEM_OVERHEAD_BYTES = 100
"""Billed with each stored item and index entry; it counts for storage, not for units."""
COLLECTION_OVERHEAD_BYTES = 3
COLLECTION_ELEMENT_OVERHEAD_BYTES = 1


class Units(msgspec.Struct, frozen=True):
    """Capacity units, as CloudWatch counts them for the table and for its index."""

    table_read: float = 0.0
    index_read: float = 0.0
    table_write: float = 0.0
    index_write: float = 0.0

    def __add__(self, other: Units) -> Units:
        """Both together: ``sum(units, Units())`` adds many."""
        return Units(
            self.table_read + other.table_read,
            self.index_read + other.index_read,
            self.table_write + other.table_write,
            self.index_write + other.index_write,
        )


def item_bytes(item: Item) -> int:
    """The item's size: its attributes' names in UTF-8 and their values."""
    return sum(_utf8_bytes(name) + _value_bytes(value) for name, value in item.items())


def table_bytes(item: Item) -> int:
    """What the item takes of the table's storage, as it is billed."""
    return item_bytes(item) + STORED_ITEM_OVERHEAD_BYTES


def index_bytes(item: Item) -> int:
    """What its copy takes of the index's storage; the index projects every attribute."""
    return table_bytes(item) if INDEX_KEY in item else 0


def put_units(item: Item, *, replaced: Item | None = None) -> Units:
    """PutItem, or one item of BatchWriteItem, which is billed item by item; ``replaced`` stood under the same key."""
    return update_units(replaced, item)


def update_units(before: Item | None, after: Item | None) -> Units:
    """Any write that turns ``before`` into ``after``: a unit for each KiB of the larger, at least one.

    ``None`` is an item that is not there: with ``after`` it is a DeleteItem. A write whose condition fails changes
    nothing and is billed by what stands there: ``before`` and ``after`` are the same.
    """
    old, new = (_size_units(item, WRITE_UNIT_BYTES) for item in (before, after))
    index = 0 if before == after else _index_write_units(before, old, after, new)
    return Units(table_write=float(max(1, old, new)), index_write=float(index))


def get_units(item: Item | None, consistent: bool) -> Units:
    """GetItem, or one item of BatchGetItem: a unit for each 4 KiB, half for eventual consistency; a miss costs one."""
    return Units(table_read=_read_units(max(1, _size_units(item, READ_UNIT_BYTES)), consistent))


def query_units(items: Iterable[Item], consistent: bool, index: bool) -> Units:
    """One Query, which is one page: the sizes of all it read, added and rounded up once; nothing found costs one.

    ``items`` are those that were read, also where a filter dropped them or a projection shortened them.
    """
    if index and consistent:
        raise ValueError("A global secondary index has no consistent reads.")
    units = _read_units(max(1, _whole_units(sum(map(item_bytes, items)), READ_UNIT_BYTES)), consistent)
    return Units(index_read=units) if index else Units(table_read=units)


def _index_write_units(before: Item | None, old: int, after: Item | None, new: int) -> int:
    """One write puts, changes or removes an index entry; a changed key removes one and puts another.

    ``old`` and ``new`` are what the items cost the table: the index projects all of an item. Its sort key is the
    table's, which no write changes, so ``INDEX_KEY`` alone decides.
    """
    old_key = None if before is None else before.get(INDEX_KEY)
    new_key = None if after is None else after.get(INDEX_KEY)
    removed, put = (0 if old_key is None else old), (0 if new_key is None else new)
    return max(removed, put) if old_key == new_key or not removed or not put else removed + put


def _read_units(consistent_units: int, consistent: bool) -> float:
    return consistent_units * (1.0 if consistent else 0.5)


def _size_units(item: Item | None, unit_bytes: int) -> int:
    return 0 if item is None else _whole_units(item_bytes(item), unit_bytes)


def _whole_units(size_bytes: int, unit_bytes: int) -> int:
    return -(-size_bytes // unit_bytes)


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return _utf8_bytes(content)
        case "N":
            return _number_bytes(content)
        case "B":
            return len(content)
        case "BOOL" | "NULL":
            return 1
        case "M":
            return COLLECTION_OVERHEAD_BYTES + item_bytes(content) + COLLECTION_ELEMENT_OVERHEAD_BYTES * len(content)
        case "L":
            elements = sum(map(_value_bytes, content))
            return COLLECTION_OVERHEAD_BYTES + elements + COLLECTION_ELEMENT_OVERHEAD_BYTES * len(content)
        case _:
            raise ValueError(f"{kind} is no attribute type of this table.")


def _number_bytes(text: str) -> int:
    """A byte for every two significant digits, zeros trimmed at both ends, and one more.

    AWS says "approximately". Two digits share a byte by their place from the decimal point, so an odd place at either
    end can take another byte, and a minus sign another one: both are counted.
    """
    if "e" in text or "E" in text:
        text = format(Decimal(text), "f")
    whole, _, fraction = text.lstrip("-").partition(".")
    whole, fraction = whole.lstrip("0"), fraction.rstrip("0")
    empty = 0
    if not fraction:
        empty = (len(whole) - len(whole.rstrip("0"))) // 2
    elif not whole:
        empty = (len(fraction) - len(fraction.lstrip("0"))) // 2
    pairs = (len(whole) + 1) // 2 + (len(fraction) + 1) // 2 - empty
    return max(pairs, 1) + 1 + text.startswith("-")


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
