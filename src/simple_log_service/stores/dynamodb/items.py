"""What is stored, as DynamoDB items and back: plain records, and chunks as an entry with its frame or a body beside.

A *plain* item is one small record, readable in the console. An *entry* stands for several records of one service and
type that came in one request within ``DYNAMODB_SPAN_NS_MAX``; its key is the time of the LAST of them, so that the
newest come first. Its *frame* holds the records: in the entry while small, else in a *body*, an item of its own outside
the index, written first. A frame says everything about its records, so that a body alone can be read from a stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from simple_log_service.core.batch import METADATA_EMPTY
from simple_log_service.core.columns import Columns
from simple_log_service.core.limits import DYNAMODB_ENTRY_BYTES_MAX, SECOND_NS
from simple_log_service.core.query import Query
from simple_log_service.core.record import Kind, Position, Record
from simple_log_service.core.runs import ColumnRun
from simple_log_service.stores.dynamodb.keys import (
    EXPIRES,
    INDEX_KEY,
    PARTITION_KEY,
    RESERVED,
    SORT_KEY,
    Key,
    body_partition,
    index_value,
    log_id_of_tie,
    log_type_of,
    number_of,
    position_of,
    tie_of,
)
from simple_log_service.stores.packing import FrameDamaged, compress, decompress, pack_body, unpack_body

Item = dict[str, Mapping[str, Any]]
"""Attribute values in DynamoDB's low-level form: ``{"message": {"S": "…"}}``, binary ones as bytes."""

_FRAME_VERSION = 1
_ALL = Query(since_ns=0)


class _Frame(msgspec.Struct, array_like=True):
    """``steps`` are the arrival numbers' differences, none where each is one after the one before."""

    version: int
    kinds: list[Kind]
    arrival_first: int
    steps: list[int]
    nonce: int
    columns: bytes


_PACKER = msgspec.msgpack.Encoder()
_FRAME = msgspec.msgpack.Decoder(_Frame)


class Chunk(msgspec.Struct, frozen=True):
    """Records of one service and type that came in one request, in the order of their arrival numbers."""

    columns: Columns
    arrivals: Sequence[int]
    nonce: int

    def run(self) -> ColumnRun:
        """The records for reading; ties stand where other stores have arrival numbers."""
        first, nonce = self.arrivals[0], self.nonce
        ties = [tie_of(arrival, nonce) for arrival in self.arrivals]
        return ColumnRun(self.columns, ties, lambda tie: log_id_of_tie(tie, first, nonce))

    @property
    def position(self) -> Position:
        """The sort key of its entry."""
        return Position(max(self.columns.timestamps), tie_of(self.arrivals[0], self.nonce))


class Stored(msgspec.Struct, frozen=True):
    """Some records as items: what stands under the service, and the body that has to be written before it."""

    entry: Item
    body: Item | None = None

    @property
    def frame_bytes(self) -> int:
        """What the frame takes, 0 for a plain item."""
        item = self.entry if self.body is None else self.body
        return len(item["frame"]["B"]) if "frame" in item else 0


class Entry(msgspec.Struct, frozen=True):
    """A service's item as a reader finds it: which records it stands for, before any frame is opened.

    ``first_ns`` is the oldest record's time; ``counts`` how many there are of each kind. The records are in ``record``,
    in ``frame``, or, where both are ``None``, in the body under ``body_key``.
    """

    position: Position
    first_ns: int
    counts: Mapping[Kind, int]
    record: Record | None
    frame: bytes | None
    body_key: Key

    @property
    def kind(self) -> Kind:
        """One of its kinds, which all have the same service and type."""
        return next(iter(self.counts))


def store_chunk(chunk: Chunk, *, retention_seconds: int, shards: int = 1) -> Stored:
    """The items that keep a chunk; one small record alone becomes a plain item."""
    columns, position = chunk.columns, chunk.position
    expires = _number(-(-position.timestamp // SECOND_NS) + retention_seconds)
    kind = columns.kinds[0]
    shared: Item = {
        PARTITION_KEY: {"S": kind.service_name},
        SORT_KEY: {"N": number_of(position)},
        INDEX_KEY: {"S": index_value(kind.log_type, chunk.arrivals[0], shards)},
        "received": _number(chunk.arrivals[0]),
        EXPIRES: expires,
    }
    if len(columns) == 1 and len(columns.messages[0].encode()) + len(columns.metadata[0]) <= DYNAMODB_ENTRY_BYTES_MAX:
        return Stored(shared | _plain(chunk))
    frame = pack_frame(chunk)
    levels = Counter(columns.kinds[place].level for place in columns.kind_places)
    entry: Item = shared | {
        "first": _number(min(columns.timestamps)),
        "count": _number(len(columns)),
        "levels": {"M": {level: _number(count) for level, count in levels.items()}},
    }
    if len(frame) <= DYNAMODB_ENTRY_BYTES_MAX:
        return Stored(entry | {"frame": {"B": frame}})
    body: Item = {
        PARTITION_KEY: {"S": body_partition(kind.service_name)},
        SORT_KEY: shared[SORT_KEY],
        "frame": {"B": frame},
        EXPIRES: expires,
    }
    return Stored(entry | {"body": _number(len(frame))}, body)


def read_entry(item: Item) -> Entry:
    """What a service's item stands for, from the table or from the index."""
    service_name, log_type = item[PARTITION_KEY]["S"], log_type_of(item[INDEX_KEY]["S"])
    position = position_of(item[SORT_KEY]["N"])
    body_key = Key(body_partition(service_name), position)
    if "message" in item:
        record = _plain_record(item, position, Kind(service_name, log_type, item["level"]["S"]))
        return Entry(position, position.timestamp, {record.kind: 1}, record, None, body_key)
    levels = item["levels"]["M"].items()
    counts = {Kind(service_name, log_type, level): int(count["N"]) for level, count in levels}
    frame = item["frame"]["B"] if "frame" in item else None
    return Entry(position, int(item["first"]["N"]), counts, None, frame, body_key)


def records_in(item: Item) -> list[Record]:
    """The records that any item of the table carries by itself, as a stream of its changes delivers it.

    None for an entry whose body is an item of its own (the body comes by itself), and for reserved items.
    """
    if "frame" in item:
        return list(open_frame(item["frame"]["B"]).run().records(_ALL))
    if item[PARTITION_KEY]["S"].startswith(RESERVED) or "message" not in item:
        return []
    record = read_entry(item).record
    return [] if record is None else [record]


def pack_frame(chunk: Chunk) -> bytes:
    """The chunk in one piece, compressed."""
    arrivals = chunk.arrivals
    steps = [later - earlier for earlier, later in pairwise(arrivals)]
    if steps.count(1) == len(steps):
        steps = []
    frame = _Frame(_FRAME_VERSION, chunk.columns.kinds, arrivals[0], steps, chunk.nonce, pack_body(chunk.columns))
    return compress(_PACKER.encode(frame))


def open_frame(compressed: bytes) -> Chunk:
    """The chunk of a frame; raises ``FrameDamaged``."""
    try:
        frame = _FRAME.decode(decompress(bytes(compressed)))
    except msgspec.DecodeError as error:
        raise FrameDamaged(f"A stored chunk is damaged: {error}") from None
    if frame.version != _FRAME_VERSION:
        raise FrameDamaged(f"A stored chunk has format {frame.version}; a newer version of the service wrote it.")
    columns = unpack_body(frame.columns, frame.kinds)
    steps = frame.steps or [1] * (len(columns) - 1)
    return Chunk(columns, list(accumulate(steps, initial=frame.arrival_first)), frame.nonce)


def key_item(key: Key) -> Item:
    """A primary key as attribute values."""
    return {PARTITION_KEY: {"S": key.partition}, SORT_KEY: {"N": number_of(key.position)}}


def key_of(item: Item) -> Key:
    """The primary key of an item."""
    return Key(item[PARTITION_KEY]["S"], position_of(item[SORT_KEY]["N"]))


def _plain(chunk: Chunk) -> Item:
    (record,) = chunk.run().records(_ALL)
    attributes: Item = {
        "level": {"S": record.kind.level},
        "message": {"S": record.message},
        "log_id": {"S": record.log_id},
    }
    if record.metadata != METADATA_EMPTY:
        attributes["metadata"] = {"S": record.metadata.decode()}
    return attributes


def _plain_record(item: Item, position: Position, kind: Kind) -> Record:
    metadata = item["metadata"]["S"].encode() if "metadata" in item else METADATA_EMPTY
    return Record(kind, position.timestamp, position.arrival, item["message"]["S"], metadata, item["log_id"]["S"])


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}
