"""What a store does with batches before it writes them: callers' ids seen before drop out, and receipts are made.

A caller-given ``log_id`` names one record of its service for as long as that is retained: the first write wins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from simple_log_service.core.batch import Batch
from simple_log_service.core.receipts import LogIdRun, Receipt, log_id_runs

GivenId = tuple[str, str]
"""A service's name and the id that a caller gave to one of its records."""


def given_ids(batch: Batch) -> list[tuple[int, GivenId]]:
    """The places of records with callers' own ids, and those ids."""
    if batch.log_ids is None:
        return []
    pairs = zip(batch.service_names, batch.log_ids, strict=True)
    return [(place, (service, log_id)) for place, (service, log_id) in enumerate(pairs) if log_id is not None]


def without_known(batch: Batch, known: Collection[GivenId]) -> Batch:
    """The batch without records whose ids are known, or repeat an earlier one's within it."""
    seen: set[GivenId] = set()
    dropped: set[int] = set()
    for place, given in given_ids(batch):
        if given in known or given in seen:
            dropped.add(place)
        seen.add(given)
    return _select(batch, [place for place in range(len(batch)) if place not in dropped]) if dropped else batch


def receipt_of(asked: Batch, stored: Batch, arrival_first: int, generated_id: Callable[[int], str]) -> Receipt:
    """The receipt for a batch of which ``stored`` was written, its records' arrival numbers rising one by one."""
    return Receipt(
        accepted=len(asked),
        duplicates=len(asked) - len(stored),
        rejected=asked.rejected,
        log_ids=_generated(stored, arrival_first, generated_id),
    )


def _generated(stored: Batch, arrival_first: int, generated_id: Callable[[int], str]) -> list[LogIdRun]:
    if len(stored) == 0:
        return []
    if stored.log_ids is None and isinstance(stored.indexes, range):
        return [LogIdRun(stored.indexes.start, len(stored), generated_id(arrival_first))]
    log_ids = stored.log_ids or [None] * len(stored)
    places: Iterable[tuple[int, int]] = (
        (index, arrival_first + place)
        for place, (index, log_id) in enumerate(zip(stored.indexes, log_ids, strict=True))
        if log_id is None
    )
    return log_id_runs(places, generated_id)


def _select(batch: Batch, places: list[int]) -> Batch:
    assert batch.log_ids is not None
    return msgspec.structs.replace(
        batch,
        service_names=[batch.service_names[place] for place in places],
        log_types=[batch.log_types[place] for place in places],
        levels=[batch.levels[place] for place in places],
        timestamps=[batch.timestamps[place] for place in places],
        messages=[batch.messages[place] for place in places],
        metadata=[batch.metadata[place] for place in places],
        log_ids=[batch.log_ids[place] for place in places],
        indexes=[batch.indexes[place] for place in places],
    )
