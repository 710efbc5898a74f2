"""What stands beside a chunk's columns: its head (which kinds, how many of each), and receipts kept for retries."""

from __future__ import annotations

from collections import Counter

import msgspec

from simple_log_service.core.columns import Columns
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.record import Kind
from simple_log_service.stores.packing import compress, decompress


class _Head(msgspec.Struct, array_like=True):
    kinds: list[Kind]
    counts: list[int]


_RECEIPT = msgspec.msgpack.Decoder(Receipt)
_PACKER = msgspec.msgpack.Encoder()
_HEAD = msgspec.msgpack.Decoder(_Head)


def pack_head(columns: Columns) -> bytes:
    """Kinds and counts, ready to be sealed."""
    counts = Counter(columns.kind_places)
    return _PACKER.encode(_Head(columns.kinds, [counts[place] for place in range(len(columns.kinds))]))


def unpack_head(head: bytes) -> dict[Kind, int]:
    """How many records of each kind a chunk holds, in the order of the body's kind places."""
    unpacked = _HEAD.decode(head)
    return dict(zip(unpacked.kinds, unpacked.counts, strict=True))


def pack_receipt(receipt: Receipt) -> bytes:
    """A receipt, compressed: it may reject ten thousand records in the same words."""
    return compress(_PACKER.encode(receipt))


def unpack_receipt(compressed: bytes) -> Receipt:
    """The receipt that was packed."""
    return _RECEIPT.decode(decompress(compressed))
