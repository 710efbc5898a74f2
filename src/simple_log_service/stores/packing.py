"""Columns as bytes, compressed: the form in which every store that writes keeps several records in one place.

Columns are MessagePack: length-framed, since messages hold newlines and NUL. Metadata is one JSON object a line.
Timestamps are differences, 64-bit little-endian, which compress to almost nothing.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate
from operator import sub

import msgspec
import zstandard

from simple_log_service.core.columns import Columns
from simple_log_service.core.errors import StoreUnavailable
from simple_log_service.core.record import Kind

ZSTD_LEVEL = 1
"""Higher levels make chunks no smaller and take longer."""


class FrameDamaged(StoreUnavailable):
    """Stored bytes are not what was written: whatever needs them fails, and everything else goes on."""


class _Body(msgspec.Struct, array_like=True):
    kind_places: bytes
    timestamps: bytes
    messages: list[str]
    metadata: bytes
    log_ids: dict[int, str]


_PACKER = msgspec.msgpack.Encoder()
_BODY = msgspec.msgpack.Decoder(_Body)


def pack_body(columns: Columns) -> bytes:
    """The columns, not yet compressed."""
    times = columns.timestamps
    return _PACKER.encode(
        _Body(
            to_bytes("I", columns.kind_places),
            to_bytes("q", [times[0], *map(sub, times[1:], times)]),
            list(columns.messages),
            b"\n".join(columns.metadata),
            columns.log_ids,
        )
    )


def compress(body: bytes) -> bytes:
    """One zstd frame; releases the interpreter lock."""
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body)


def decompress(compressed: bytes) -> bytes:
    """What was compressed; raises ``FrameDamaged``."""
    try:
        return zstandard.ZstdDecompressor().decompress(compressed)
    except zstandard.ZstdError as error:
        raise FrameDamaged(f"A stored chunk is damaged: {error}") from None


def unpack_body(body: bytes, kinds: list[Kind]) -> Columns:
    """The columns, whose kind places count these kinds; raises ``FrameDamaged``."""
    try:
        unpacked = _BODY.decode(body)
    except msgspec.DecodeError as error:
        raise FrameDamaged(f"A stored chunk is damaged: {error}") from None
    return Columns(
        kinds,
        from_bytes("I", unpacked.kind_places),
        list(accumulate(from_bytes("q", unpacked.timestamps))),
        unpacked.messages,
        unpacked.metadata.split(b"\n"),
        unpacked.log_ids,
    )


def to_bytes(typecode: str, numbers: Sequence[int]) -> bytes:
    """Whole numbers as little-endian bytes, of the width that ``array`` gives the type code."""
    column = array(typecode, numbers)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def from_bytes(typecode: str, data: bytes) -> list[int]:
    """The numbers again; ``ValueError`` where the bytes are none of this width."""
    column = array(typecode, data)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tolist()
