"""Records as columns, the form in which they are stored and kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from simple_log_service.core.batch import Batch
from simple_log_service.core.record import Kind

T = TypeVar("T")


_RECORD_OVERHEAD_BYTES = 400


class Columns(msgspec.Struct):
    """Some records, in order of arrival.

    ``kinds`` are the distinct kinds and ``kind_places`` each record's place among them; ``timestamps`` are
    nanoseconds since the epoch; ``log_ids`` holds callers' own ids by record, the others being generated.
    """

    kinds: list[Kind]
    kind_places: Sequence[int]
    timestamps: Sequence[int]
    messages: Sequence[str]
    metadata: Sequence[bytes]
    log_ids: dict[int, str]

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def text_size(self) -> int:
        """Characters of the messages and bytes of the metadata: about what the texts take in memory."""
        return sum(map(len, self.messages)) + sum(map(len, self.metadata))

    @property
    def memory_bytes(self) -> int:
        """About what the records take in memory, objects and places in lists included."""
        return self.text_size + _RECORD_OVERHEAD_BYTES * len(self)

    def selected(self, places: Sequence[int]) -> Columns:
        """The records at these places, in this order; all kinds stay, whether or not one of them has it."""
        log_ids = self.log_ids
        return Columns(
            self.kinds,
            list(map(self.kind_places.__getitem__, places)),
            list(map(self.timestamps.__getitem__, places)),
            list(map(self.messages.__getitem__, places)),
            list(map(self.metadata.__getitem__, places)),
            {at: log_ids[place] for at, place in enumerate(places) if place in log_ids} if log_ids else {},
        )

    def with_own_kinds(self) -> tuple[Columns, list[int]]:
        """The same records with those kinds only that one of them has, rising, and the places that these had."""
        used = sorted(set(self.kind_places), key=self.kinds.__getitem__)
        moved = {place: number for number, place in enumerate(used)}
        kind_places = list(map(moved.__getitem__, self.kind_places))
        return replace(self, kinds=[self.kinds[place] for place in used], kind_places=kind_places), used

    @classmethod
    def of(cls, batches: Sequence[Batch]) -> Columns:
        """The records of some batches, one after the other."""
        service_names = _joined([batch.service_names for batch in batches])
        log_types = _joined([batch.log_types for batch in batches])
        levels = _joined([batch.levels for batch in batches])
        kinds = list(zip(service_names, log_types, levels, strict=True))
        places = {kind: place for place, kind in enumerate(dict.fromkeys(kinds))}
        return cls(
            [Kind(*kind) for kind in places],
            list(map(places.__getitem__, kinds)),
            _joined([batch.timestamps for batch in batches]),
            _joined([batch.messages for batch in batches]),
            _joined([batch.metadata for batch in batches]),
            _log_ids(batches),
        )


def _joined(columns: list[list[T]]) -> list[T]:
    """The columns one after the other; a lone one is not copied."""
    return columns[0] if len(columns) == 1 else list(chain.from_iterable(columns))


def _log_ids(batches: Sequence[Batch]) -> dict[int, str]:
    log_ids: dict[int, str] = {}
    before = 0
    for batch in batches:
        if batch.log_ids is not None:
            given = enumerate(batch.log_ids, before)
            log_ids.update((place, log_id) for place, log_id in given if log_id is not None)
        before += len(batch)
    return log_ids
