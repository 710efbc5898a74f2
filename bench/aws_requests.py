"""What requests become in DynamoDB: the store's own encoder over the generator's records, counted in capacity units.

Everything is deterministic: the generator's random numbers are seeded, and times of receipt, nonces and the seconds of
timestamps are fixed here, so that documented figures can be computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Literal

import msgspec

from bench.requests import SERVICES, TYPES, Bodies
from infra.costs import Request, ingest_ms, read_ms
from simple_log_service.core.batch import Batch
from simple_log_service.core.decode import decode_batch
from simple_log_service.core.limits import SECOND_NS
from simple_log_service.core.retention import Retention
from simple_log_service.core.validation import Rules
from simple_log_service.stores.dynamodb.capacity import (
    Units,
    get_units,
    index_bytes,
    put_units,
    query_units,
    table_bytes,
)
from simple_log_service.stores.dynamodb.chunking import Chunker, Identity, Write
from simple_log_service.stores.dynamodb.items import Item
from simple_log_service.stores.dynamodb.keys import INDEX_KEY, PARTITION_KEY
from simple_log_service.stores.dynamodb.table import BATCH_WRITE_ITEMS_MAX

SAMPLED_RECORDS = 2000
"""So many records are encoded for each kind of request; what a request costs is their average."""
READ_RECORDS = 100
"""What a read answers by default."""
READ_ANSWER_BYTES = READ_RECORDS * 420
"""Its answer: every record with every field."""
NOW_NS = 1_790_000_000 * SECOND_NS
"""When every request is received; every record's timestamp is within the second before it."""
_PAGE_SIZES = (32, 64, 128)
_RULES = Rules(now_ns=2**62, oldest_ns=0, newest_ns=2**62)
_IDENTITY = Identity(NOW_NS // 1000, 0x1234_5678_9ABC_DEF0)
_CHUNKER = Chunker({}, Retention())

Mix = Literal["single", "own", "mixed"]
"""Who sends: one service with one type; 50 services with 8 types, one of each in a request; or all in every request."""


class Shape(msgspec.Struct, frozen=True):
    """An average request: its records and their JSON, and what it writes.

    ``table_hottest`` and ``index_hottest`` are the units that fall on the partition key that most of them fall on, over
    many such requests: one partition takes no more than 1000 a second.
    """

    records: int
    json_bytes: float
    items: float
    calls: float
    table_units: float
    index_units: float
    table_hottest: float
    index_hottest: float
    table_bytes: float
    index_bytes: float

    @property
    def units(self) -> float:
        """What the table and its index need alike, where they have the same capacity."""
        return max(self.table_units, self.index_units)

    def request(self) -> Request:
        """What it uses, for the bill."""
        return Request(
            table_write_units=self.table_units,
            index_write_units=self.index_units,
            dynamodb_calls=self.calls,
            table_bytes=self.table_bytes,
            index_bytes=self.index_bytes,
            billed_ms=ingest_ms(self.records, self.items, self.calls),
        )


@cache
def generated(records: int, mix: Mix, *, fewer_fields: bool = False) -> Shape:
    """A request of so many of the generator's records, 339 bytes of JSON or so; 298 with ``fewer_fields``."""
    shape = shape_of(list(batches(records, SAMPLED_RECORDS // records, mix, fewer_fields=fewer_fields)))
    if mix != "own":
        return shape
    return msgspec.structs.replace(
        shape, table_hottest=shape.table_hottest / SERVICES, index_hottest=shape.index_hottest / TYPES
    )


def batches(records: int, requests: int, mix: Mix, *, fewer_fields: bool = False) -> Iterator[tuple[Batch, int]]:
    """Requests of so many records as the store gets them, each with its bytes of JSON."""
    for body in Bodies().make(records, requests):
        yield _batch(body, one_kind=mix != "mixed", fewer_fields=fewer_fields)


def of_lines(path: Path, records: int) -> Shape:
    """A request of so many lines of a log file: one service, one type, a millisecond apart, the lines the messages.

    Here ``json_bytes`` are the lines' own bytes.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    whole = len(lines) // records * records
    pieces = [lines[start : start + records] for start in range(0, whole, records)]
    return shape_of([_lines_batch(path.stem, piece) for piece in pieces])


def shape_of(sized: Sequence[tuple[Batch, int]]) -> Shape:
    """The average of some requests, each with its bytes."""
    count = len(sized)
    requests = [list(_CHUNKER.writes(batch, range(len(batch)), _IDENTITY)) for batch, _ in sized]
    items = list(chain.from_iterable(map(_items, requests)))
    units = sum(map(put_units, items), Units())
    return Shape(
        records=len(sized[0][0]),
        json_bytes=sum(size for _, size in sized) / count,
        items=len(items) / count,
        calls=sum(map(_calls, requests)) / count,
        table_units=units.table_write / count,
        index_units=units.index_write / count,
        table_hottest=_hottest((item[PARTITION_KEY]["S"], put_units(item).table_write) for item in items) / count,
        index_hottest=_hottest(
            (item[INDEX_KEY]["S"], put_units(item).index_write) for item in items if INDEX_KEY in item
        )
        / count,
        table_bytes=sum(map(table_bytes, items)) / count,
        index_bytes=sum(map(index_bytes, items)) / count,
    )


def stored(records: int) -> list[Item]:
    """The items of one request of the generator's records, all of one kind, the bodies before the entries."""
    batch, _ = next(batches(records, 1, "single"))
    return list(_items(list(_CHUNKER.writes(batch, range(len(batch)), _IDENTITY))))


def newest(records: int, *, index: bool) -> Units:
    """Reading the newest 100 where every request stored so many of one kind: by service, or by type in the index.

    Entries come in pages that grow, 32, 64, 128 and so on, all of which is billed; then the bodies that are needed.
    """
    items = stored(records)
    entry = items[-1]
    units, found = Units(), 0
    for page in _PAGE_SIZES:
        if found >= READ_RECORDS:
            break
        units += query_units([entry] * page, consistent=not index, index=index)
        found += page * int(entry["count"]["N"]) if "count" in entry else page
    if "body" in entry:
        # The one after the last may reach into its time.
        opened = -(-READ_RECORDS // int(entry["count"]["N"])) + 1
        units += sum([get_units(items[0], consistent=True)] * opened, Units())
    return units


def reading(records: int) -> Request:
    """The newest 100 of a service, for the bill."""
    units = newest(records, index=False)
    return Request(
        table_read_units=units.table_read,
        index_read_units=units.index_read,
        dynamodb_calls=2,
        billed_ms=read_ms(READ_RECORDS),
        out_bytes=READ_ANSWER_BYTES,
    )


def _items(writes: list[Write]) -> Iterator[Item]:
    yield from (write.stored.body for write in writes if write.stored.body is not None)
    yield from (write.stored.entry for write in writes)


def _calls(writes: list[Write]) -> int:
    """Bodies first, then entries, each in batches."""
    bodies = sum(write.stored.body is not None for write in writes)
    return -(-bodies // BATCH_WRITE_ITEMS_MAX) + -(-len(writes) // BATCH_WRITE_ITEMS_MAX)


def _hottest(spent: Iterable[tuple[str, float]]) -> float:
    by_key: dict[str, float] = {}
    for key, units in spent:
        by_key[key] = by_key.get(key, 0.0) + units
    return max(by_key.values(), default=0.0)


def _batch(body: bytes, *, one_kind: bool, fewer_fields: bool) -> tuple[Batch, int]:
    """The body as it is decoded for the store, with the seconds of its timestamps fixed."""
    if fewer_fields:
        body = _without(body, "region", "host")
    batch = decode_batch(body, _RULES)
    batch.received_ns = NOW_NS
    batch.timestamps = [NOW_NS - SECOND_NS + timestamp % SECOND_NS for timestamp in batch.timestamps]
    if one_kind:
        batch.service_names = ["service-00"] * len(batch)
        batch.log_types = ["type-0"] * len(batch)
    return batch, len(body)


def _without(body: bytes, *names: str) -> bytes:
    records = msgspec.json.decode(body)
    for record in records if isinstance(records, list) else [records]:
        for name in names:
            del record["metadata"][name]
    return msgspec.json.encode(records)


def _lines_batch(name: str, lines: list[str]) -> tuple[Batch, int]:
    records = [
        {"service_name": name, "log_type": "file", "message": line, "timestamp": (NOW_NS // 10**6) + place}
        for place, line in enumerate(lines)
    ]
    return decode_batch(msgspec.json.encode(records), _RULES), sum(len(line.encode()) for line in lines)
