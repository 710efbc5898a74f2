"""Columns as bytes, compressed: the form in which every store that writes keeps several records in one place.

Columns are MessagePack: length-framed, since messages hold newlines and NUL. Metadata is one JSON object a line.
Timestamps are differences, 64-bit little-endian, which compress to almost nothing.
"""

from __future__ import annotations

import sys
import threading
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
    return _PACKER.encode(
        _Body(
            to_bytes("I", columns.kind_places),
            steps_to_bytes(columns.timestamps),
            list(columns.messages),
            b"\n".join(columns.metadata),
            columns.log_ids,
        )
    )


class _Contexts(threading.local):
    """zstd's contexts, of each thread its own: making one takes longer than using it on a few kilobytes."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor()

    def compressor(self, level: int) -> zstandard.ZstdCompressor:
        if level not in self.compressors:
            self.compressors[level] = zstandard.ZstdCompressor(level=level)
        return self.compressors[level]


_OWN = _Contexts()


def compress(body: bytes, level: int = ZSTD_LEVEL) -> bytes:
    """One zstd frame; releases the interpreter lock."""
    return _OWN.compressor(level).compress(body)


def decompress(compressed: bytes) -> bytes:
    """What was compressed; raises ``FrameDamaged``."""
    try:
        return _OWN.decompressor.decompress(compressed)
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
        steps_from_bytes(unpacked.timestamps),
        unpacked.messages,
        unpacked.metadata.split(b"\n"),
        unpacked.log_ids,
    )


def steps_to_bytes(numbers: Sequence[int]) -> bytes:
    """Whole numbers, at least one, as 64-bit differences: of times and arrival numbers these compress to little."""
    return to_bytes("q", [numbers[0], *map(sub, numbers[1:], numbers)])


def steps_from_bytes(data: bytes) -> list[int]:
    """The numbers again."""
    return list(accumulate(from_bytes("q", data)))


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
