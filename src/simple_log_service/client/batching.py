"""From a stream of records to request bodies within the bounds: NDJSON, since there one bad line spoils no other.

A batch's body stays under the bound for the wire before it is compressed, so it fits whatever compression makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

import msgspec
import zstandard

from simple_log_service.core.limits import BODY_WIRE_BYTES_MAX, KIB, REQUEST_RECORDS_MAX
from simple_log_service.core.receipts import LogIdRun, Receipt, Rejection
from simple_log_service.core.validation import TOO_LARGE

BATCH_RECORDS_DEFAULT = 1000
BATCH_BYTES_MAX = BODY_WIRE_BYTES_MAX - 64 * KIB
"""Room for what a compressor adds to what it cannot compress."""

_COMPRESSED_FROM_BYTES = KIB
_ENCODER = msgspec.json.Encoder(decimal_format="number")

T = TypeVar("T")

Sendable = Mapping[str, object] | msgspec.Struct | msgspec.Raw
"""A record as a mapping, a struct, or JSON text without newlines, which is sent as it is."""


class Unsendable(msgspec.Struct, frozen=True):
    """A record that is rejected before it is sent; ``code`` and ``reason`` are as in a receipt."""

    code: str
    reason: str


class Batch(msgspec.Struct, Generic[T]):
    """One request's worth of records.

    ``origins`` is what the caller knows each record by, in order. ``lines`` are the records in JSON but for the
    unsendable ones, which stand under their places among the origins.
    """

    origins: list[T]
    lines: list[bytes]
    unsendable: dict[int, Unsendable]

    @classmethod
    def empty(cls) -> Batch[T]:
        """One to begin with."""
        return cls([], [], {})

    def receipt(self, of_lines: Receipt) -> Receipt:
        """The receipt of all records, from the one that the service gave for the lines."""
        if not self.unsendable:
            return of_lines
        places = [place for place in range(len(self.origins)) if place not in self.unsendable]
        refused = [Rejection(place, record.code, record.reason) for place, record in self.unsendable.items()]
        rejected = [Rejection(places[each.index], each.code, each.reason) for each in of_lines.rejected]
        log_ids = [LogIdRun(places[index], 1, log_id) for run in of_lines.log_ids for index, log_id in run]
        return Receipt(
            of_lines.accepted, of_lines.duplicates, sorted(refused + rejected, key=lambda each: each.index), log_ids
        )


def batches(
    entries: Iterable[tuple[T, Sendable | Unsendable] | None], *, records_max: int = BATCH_RECORDS_DEFAULT
) -> Iterator[Batch[T]]:
    """Group records, each with its origin, in their order.

    A ``None`` among them says that the source pauses: what has gathered goes out at once.
    """
    records_max = min(records_max, REQUEST_RECORDS_MAX)
    batch, size_bytes = Batch[T].empty(), 0
    for entry in entries:
        if entry is not None:
            origin, record = entry
            line = record if isinstance(record, Unsendable) else encode(record)
            if isinstance(line, Unsendable):
                batch.unsendable[len(batch.origins)] = line
            else:
                if size_bytes + len(line) > BATCH_BYTES_MAX:
                    yield batch
                    batch, size_bytes = Batch[T].empty(), 0
                batch.lines.append(line)
                size_bytes += len(line) + 1
            batch.origins.append(origin)
        if batch.origins and (entry is None or len(batch.origins) == records_max):
            yield batch
            batch, size_bytes = Batch[T].empty(), 0
    if batch.origins:
        yield batch


def encode(record: Sendable) -> bytes | Unsendable:
    """The record as one line of JSON, unless it is too large for any request."""
    line = _ENCODER.encode(record)
    if len(line) <= BATCH_BYTES_MAX:
        return line
    return Unsendable(TOO_LARGE, f"the record has {len(line)} bytes of JSON, more than fit into a request")


def body_of(lines: Iterable[bytes]) -> tuple[bytes, list[tuple[str, str]]]:
    """The body of a request with these lines, compressed where that pays, and the headers that describe it."""
    body = b"\n".join(lines)
    headers = [("Content-Type", "application/x-ndjson")]
    if len(body) < _COMPRESSED_FROM_BYTES:
        return body, headers
    return zstandard.ZstdCompressor(level=1).compress(body), [*headers, ("Content-Encoding", "zstd")]
