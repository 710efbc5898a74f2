"""What became of a batch: the receipt that a caller gets and that a retry gets again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from simple_log_service.core.ids import log_id_after

# Codes of records that were good and are not stored; those of bad ones are in ``validation``.
THROTTLED: Final = "Throttled"
"""The store had no capacity for it: sending it again later may do."""
TOO_MANY_TYPES: Final = "TooManyTypes"
"""``LOG_TYPES_PER_DAY_MAX`` other types have records of its day."""
REFUSED: Final = "Refused"
"""DynamoDB itself calls it invalid."""


class Rejection(msgspec.Struct, frozen=True):
    """Why one record was not stored. ``index`` counts from 0 in the request; ``code`` is for programs."""

    index: int
    code: str
    reason: str


class LogIdRun(msgspec.Struct, frozen=True):
    """Generated ids of ``count`` records from ``index`` on: the first one's; each next one is an arrival later."""

    index: int
    count: int
    first: str

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return ((self.index + place, log_id_after(self.first, place)) for place in range(self.count))


class Receipt(msgspec.Struct, frozen=True):
    """What became of a batch.

    ``accepted`` counts the records that are stored, by this request or an earlier one; ``duplicates`` how many of
    them were there already. ``log_ids`` names the generated ids of the records that this request stored.
    """

    accepted: int
    duplicates: int = 0
    rejected: list[Rejection] = []
    log_ids: list[LogIdRun] = []

    @property
    def is_throttled(self) -> bool:
        """Whether records were turned away that a repeat may get in."""
        return any(rejection.code == THROTTLED for rejection in self.rejected)


def log_id_runs(places: Iterable[tuple[int, int]], log_id: Callable[[int], str]) -> list[LogIdRun]:
    """Group stored records with generated ids into runs.

    ``places`` gives each one's (index in the request, arrival number), both rising; ``log_id`` makes the id of an
    arrival number.
    """
    runs: list[tuple[int, int, int]] = []
    for index, arrival in places:
        if runs:
            start, count, first = runs[-1]
            if index == start + count and arrival == first + count:
                runs[-1] = (start, count + 1, first)
                continue
        runs.append((index, 1, arrival))
    return [LogIdRun(start, count, log_id(first)) for start, count, first in runs]
