"""What a chunk's two frames say: the head (which kinds, how many of each) and the body (the columns, compressed).

Columns are MessagePack: length-framed, since messages hold newlines and NUL. Metadata is one JSON object a line.
Timestamps are differences, 64-bit little-endian, which compress to almost nothing.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from operator import sub

import msgspec
import zstandard

from simple_log_service.core.columns import Columns
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.record import Kind
from simple_log_service.stores.embedded.sealing import FrameDamaged

ZSTD_LEVEL = 1
"""Higher levels make these chunks no smaller and take longer."""


class _Head(msgspec.Struct, array_like=True):
    kinds: list[Kind]
    counts: list[int]


class _Body(msgspec.Struct, array_like=True):
    kind_places: bytes
    timestamps: bytes
    messages: list[str]
    metadata: bytes
    log_ids: dict[int, str]


_RECEIPT = msgspec.msgpack.Decoder(Receipt)
_PACKER = msgspec.msgpack.Encoder()
_HEAD = msgspec.msgpack.Decoder(_Head)
_BODY = msgspec.msgpack.Decoder(_Body)


def pack_head(columns: Columns) -> bytes:
    """Kinds and counts, ready to be sealed."""
    counts = Counter(columns.kind_places)
    return _PACKER.encode(_Head(columns.kinds, [counts[place] for place in range(len(columns.kinds))]))


def unpack_head(head: bytes) -> dict[Kind, int]:
    """How many records of each kind a chunk holds, in the order of the body's kind places."""
    unpacked = _HEAD.decode(head)
    return dict(zip(unpacked.kinds, unpacked.counts, strict=True))


def pack_body(columns: Columns) -> bytes:
    """The columns, not yet compressed."""
    times = columns.timestamps
    return _PACKER.encode(
        _Body(
            _to_bytes("I", columns.kind_places),
            _to_bytes("q", [times[0], *map(sub, times[1:], times)]),
            columns.messages,
            b"\n".join(columns.metadata),
            columns.log_ids,
        )
    )


def compress(body: bytes) -> bytes:
    """One zstd frame; releases the interpreter lock."""
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body)


def unpack_body(compressed: bytes, kinds: list[Kind]) -> Columns:
    """The columns of a chunk whose head named these kinds."""
    try:
        body = _BODY.decode(zstandard.ZstdDecompressor().decompress(compressed))
    except (msgspec.DecodeError, zstandard.ZstdError) as error:
        raise FrameDamaged(f"A stored chunk is damaged: {error}") from None
    return Columns(
        kinds,
        _from_bytes("I", body.kind_places),
        list(accumulate(_from_bytes("q", body.timestamps))),
        body.messages,
        body.metadata.split(b"\n"),
        body.log_ids,
    )


def pack_receipt(receipt: Receipt) -> bytes:
    """A receipt, compressed: it may reject ten thousand records in the same words."""
    return compress(_PACKER.encode(receipt))


def unpack_receipt(compressed: bytes) -> Receipt:
    """The receipt that was packed."""
    return _RECEIPT.decode(zstandard.ZstdDecompressor().decompress(compressed))


def _to_bytes(typecode: str, numbers: Sequence[int]) -> bytes:
    column = array(typecode, numbers)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _from_bytes(typecode: str, data: bytes) -> list[int]:
    column = array(typecode, data)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tolist()
