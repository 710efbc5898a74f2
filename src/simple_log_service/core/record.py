"""A stored record, and how it looks in an answer."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Raw

from simple_log_service.core.timestamps import format_timestamp


class Position(NamedTuple):
    """Where a record stands in reading order: by timestamp, ties by arrival. Unique in a store."""

    timestamp: int
    arrival: int


class Kind(NamedTuple):
    """What counters and indexes go by."""

    service_name: str
    log_type: str
    level: str


class Record(msgspec.Struct, gc=False):
    """One stored record. ``timestamp`` is in nanoseconds since the epoch, ``metadata`` the text of a JSON object."""

    kind: Kind
    timestamp: int
    arrival: int
    message: str
    metadata: bytes
    log_id: str

    @property
    def position(self) -> Position:
        """Its place in reading order."""
        return Position(self.timestamp, self.arrival)


class _Answer(msgspec.Struct, gc=False):
    service_name: str
    log_type: str
    timestamp: str
    level: str
    message: str
    metadata: Raw
    log_id: str


_ENCODER = msgspec.json.Encoder()


def encode_record(record: Record) -> bytes:
    """The record as a JSON object of the contract's seven fields."""
    kind = record.kind
    return _ENCODER.encode(
        _Answer(
            kind.service_name,
            kind.log_type,
            format_timestamp(record.timestamp),
            kind.level,
            record.message,
            Raw(record.metadata),
            record.log_id,
        )
    )
