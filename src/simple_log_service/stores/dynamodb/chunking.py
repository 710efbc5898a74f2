"""From a batch to chunks: by service and type, within a minute, and small enough that a page reads little in vain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from simple_log_service.core.batch import Batch
from simple_log_service.core.columns import Columns
from simple_log_service.core.limits import (
    DYNAMODB_BODY_BYTES_MAX,
    DYNAMODB_ENTRY_RECORDS_MAX,
    DYNAMODB_SPAN_NS_MAX,
    SECOND_NS,
)
from simple_log_service.core.record import Kind
from simple_log_service.core.retention import Retention
from simple_log_service.stores.dynamodb.items import Chunk, Stored, store_chunk

_TEXT_BYTES_MAX = 8 * DYNAMODB_BODY_BYTES_MAX
"""Logs compress about so well: more text is split before anything is compressed in vain."""


class Identity(msgspec.Struct, frozen=True):
    """What a request's records get their ids and keys from: the arrival number of its place 0, and a nonce."""

    arrival: int
    nonce: int


class Write(msgspec.Struct, frozen=True):
    """What is to be written for the records at these places of a batch."""

    places: list[int]
    stored: Stored


class Chunker:
    """Makes the writes of batches, whose items expire with their service's and type's retention.

    ``type_shards`` says into how many partitions of the index a hot type is spread.
    """

    def __init__(self, type_shards: Mapping[str, int], retention: Retention) -> None:
        self._type_shards = type_shards
        self._retention = retention

    def writes(self, batch: Batch, places: Iterable[int], identity: Identity) -> Iterator[Write]:
        """The items for the records at these places."""
        for pieces in _by_kind(batch, places):
            for piece in _within_bounds(batch, pieces):
                yield from self._fitting(batch, piece, identity)

    def _fitting(self, batch: Batch, places: list[int], identity: Identity) -> Iterator[Write]:
        """One write, or several where the frame is larger than a body should be."""
        service_name, log_type = batch.service_names[places[0]], batch.log_types[places[0]]
        chunk = _chunk(batch, sorted(places), identity)
        kept_seconds = self._retention.of(service_name, log_type) // SECOND_NS
        stored = store_chunk(chunk, retention_seconds=kept_seconds, shards=self._type_shards.get(log_type, 1))
        if len(places) == 1 or stored.frame_bytes <= DYNAMODB_BODY_BYTES_MAX:
            yield Write(places, stored)
            return
        middle = len(places) // 2
        yield from self._fitting(batch, places[:middle], identity)
        yield from self._fitting(batch, places[middle:], identity)


def _by_kind(batch: Batch, places: Iterable[int]) -> Iterator[list[int]]:
    """The places of each service and type, in the order of their timestamps."""
    groups: dict[tuple[str, str], list[int]] = {}
    for place in places:
        groups.setdefault((batch.service_names[place], batch.log_types[place]), []).append(place)
    for group in groups.values():
        yield sorted(group, key=batch.timestamps.__getitem__)


def _within_bounds(batch: Batch, places: list[int]) -> Iterator[list[int]]:
    """The places in pieces that span at most a minute and hold little enough text."""
    sizes = [_utf8_bytes(batch.messages[place]) + len(batch.metadata[place]) for place in places]
    span_ns = batch.timestamps[places[-1]] - batch.timestamps[places[0]]
    if span_ns <= DYNAMODB_SPAN_NS_MAX and len(places) <= DYNAMODB_ENTRY_RECORDS_MAX and sum(sizes) <= _TEXT_BYTES_MAX:
        yield places
        return
    piece: list[int] = []
    first_ns = size = 0
    for place, text_size in zip(places, sizes, strict=True):
        too_late = batch.timestamps[place] - first_ns > DYNAMODB_SPAN_NS_MAX
        if piece and (too_late or len(piece) == DYNAMODB_ENTRY_RECORDS_MAX or size + text_size > _TEXT_BYTES_MAX):
            yield piece
            piece, size = [], 0
        if not piece:
            first_ns = batch.timestamps[place]
        piece.append(place)
        size += text_size
    yield piece


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _chunk(batch: Batch, places: list[int], identity: Identity) -> Chunk:
    """The records at these rising places; where a record stood in its request is its place in order of arrival."""
    levels = [batch.levels[place] for place in places]
    numbers = {level: number for number, level in enumerate(dict.fromkeys(levels))}
    service_name, log_type = batch.service_names[places[0]], batch.log_types[places[0]]
    given = [] if batch.log_ids is None else [batch.log_ids[place] for place in places]
    columns = Columns(
        [Kind(service_name, log_type, level) for level in numbers],
        [numbers[level] for level in levels],
        [batch.timestamps[place] for place in places],
        [batch.messages[place] for place in places],
        [batch.metadata[place] for place in places],
        {number: log_id for number, log_id in enumerate(given) if log_id is not None},
    )
    return Chunk(columns, [identity.arrival + batch.indexes[place] for place in places], identity.nonce)
