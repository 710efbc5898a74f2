"""Records as columns, the form in which they are stored and kept in memory."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from simple_log_service.core.batch import Batch
from simple_log_service.core.record import Kind


class Columns(msgspec.Struct):
    """Some records, in order of arrival.

    ``kinds`` are the distinct kinds and ``kind_places`` each record's place among them; ``timestamps`` are
    nanoseconds since the epoch; ``log_ids`` holds callers' own ids by record, the others being generated.
    """

    kinds: list[Kind]
    kind_places: Sequence[int]
    timestamps: Sequence[int]
    messages: list[str]
    metadata: list[bytes]
    log_ids: dict[int, str]

    def __len__(self) -> int:
        return len(self.messages)

    @classmethod
    def of(cls, batches: Sequence[Batch]) -> Columns:
        """The records of some batches, one after the other."""
        if len(batches) == 1:
            joined = batches[0]
            ids = joined.log_ids or ()
        else:
            joined = Batch([], [], [], [], [], [], None, range(0), [])
            all_ids: list[str | None] = []
            for batch in batches:
                joined.service_names += batch.service_names
                joined.log_types += batch.log_types
                joined.levels += batch.levels
                joined.timestamps += batch.timestamps
                joined.messages += batch.messages
                joined.metadata += batch.metadata
                all_ids += batch.log_ids or [None] * len(batch)
            ids = all_ids
        kinds = list(zip(joined.service_names, joined.log_types, joined.levels, strict=True))
        places = {kind: place for place, kind in enumerate(dict.fromkeys(kinds))}
        return cls(
            [Kind(*kind) for kind in places],
            list(map(places.__getitem__, kinds)),
            joined.timestamps,
            joined.messages,
            joined.metadata,
            {place: log_id for place, log_id in enumerate(ids) if log_id is not None},
        )
