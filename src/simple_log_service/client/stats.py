"""What somebody who counts gets: the service's answers, and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from simple_log_service.core.timestamps import parse_rfc3339

Count = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
"""How many records; an answer says nothing of what it has none of. Past 2^53 it is no count of anything."""


class Bucket(msgspec.Struct, frozen=True):
    """The records of one interval: how many, and by group where they were counted by something.

    ``start`` is RFC 3339 in UTC: a multiple of the interval, or where the range begins if none was asked for.
    """

    start: str
    count: Count
    counts: Mapping[str, Count] = {}

    @property
    def start_ns(self) -> int:
        """Its beginning, nanoseconds since the epoch."""
        return parse_rfc3339(self.start)

    def __post_init__(self) -> None:
        self.start_ns  # noqa: B018 - that it is a moment is checked when it is made
        if self.counts and sum(self.counts.values()) != self.count:
            raise ValueError("the counts of a bucket do not add up")


class Stats(msgspec.Struct, frozen=True):
    """How many records match: ``buckets`` that hold any, the oldest first, each with its largest group first."""

    count: int
    buckets: list[Bucket]

    @property
    def counts(self) -> dict[str, int]:
        """By group over all buckets, the largest first."""
        total: dict[str, int] = {}
        for bucket in self.buckets:
            _add(total, bucket.counts)
        return _largest_first(total)


class StatsPage(msgspec.Struct, frozen=True):
    """One of the service's answers, the newest bucket first; ``next_cursor`` goes on, ``None`` is the end.

    A bucket that an answer cuts comes again, with other records. ``complete`` is as of a page of records.
    """

    count: Annotated[int, msgspec.Meta(ge=0)]
    buckets: list[Bucket]
    next_cursor: str | None = None
    complete: bool = True

    def __post_init__(self) -> None:
        if sum(bucket.count for bucket in self.buckets) != self.count:
            raise ValueError("the buckets do not add up")

    @property
    def is_empty(self) -> bool:
        """Whether it counts nothing, though there may be more."""
        return not self.buckets


class Sum:
    """Adds up answers."""

    def __init__(self) -> None:
        self._buckets: dict[str, int] = {}
        self._counts: dict[str, dict[str, int]] = {}

    @property
    def count(self) -> int:
        """How many records so far."""
        return sum(self._buckets.values())

    def add(self, page: StatsPage) -> None:
        """Add what one more answer counts."""
        for bucket in page.buckets:
            self._buckets[bucket.start] = self._buckets.get(bucket.start, 0) + bucket.count
            _add(self._counts.setdefault(bucket.start, {}), bucket.counts)

    def stats(self) -> Stats:
        """All of it."""
        buckets = [Bucket(start, count, _largest_first(self._counts[start])) for start, count in self._buckets.items()]
        return Stats(self.count, sorted(buckets, key=lambda bucket: bucket.start_ns))


def _add(total: dict[str, int], counts: Mapping[str, int]) -> None:
    for group, count in counts.items():
        total[group] = total.get(group, 0) + count


def _largest_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
