"""What somebody who counts records asks for, and the answer: how many match, by time and by group."""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Literal, get_args

import msgspec

from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import DAY_NS, HOUR_NS, SECOND_NS, STATS_BUCKETS_MAX, STATS_INTERVAL_NS_MAX
from simple_log_service.core.query import Query
from simple_log_service.core.record import Kind, Position
from simple_log_service.core.timestamps import DURATION_UNITS_NS

By = Literal["service_name", "log_type", "level"]
"""What records can be counted by: the fields of a ``Kind``."""

GROUPINGS: tuple[By, ...] = get_args(By)

ALL = ""
"""The one group where nothing is counted by. No name is empty."""

_WHOLE_TIME_NS = 2**63
"""An interval that holds every timestamp there is."""

_INTERVAL = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_USUAL_NS = (
    *(seconds * SECOND_NS for seconds in (1, 2, 5, 10, 15, 30)),
    *(minutes * 60 * SECOND_NS for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * HOUR_NS for hours in (1, 2, 3, 6, 12)),
    *(days * DAY_NS for days in (1, 2, 7, 14, 28)),
)
"""Intervals that people think in, rising."""


class StatsQuery(msgspec.Struct, frozen=True):
    """How many records match ``query``, whose ``limit`` means nothing here.

    ``by`` is what they are counted by, ``interval_ns`` how long a bucket is; buckets begin at multiples of it since the
    epoch. Without an interval there is one bucket, which begins where the range does.
    """

    query: Query
    by: By | None = None
    interval_ns: int | None = None

    @property
    def bucket_ns(self) -> int:
        """How long a bucket is; one that holds all time where there is but one."""
        return self.interval_ns or _WHOLE_TIME_NS

    def start_ns(self, number: int) -> int:
        """Where the bucket of this number begins."""
        return self.query.since_ns if self.interval_ns is None else number * self.interval_ns

    def group(self, kind: Kind) -> str:
        """The group that records of this kind are counted in."""
        return ALL if self.by is None else str(getattr(kind, self.by))

    def check(self, end_ns: int) -> None:
        """Raise ``InvalidRequest`` where the range up to this moment has too many buckets, with an interval that fits.

        Only a first page is held to it: the bound is a courtesy to the caller, and what a later one holds is bounded
        anyhow.
        """
        if self.interval_ns is None or self.query.below is not None:
            return
        since_ns = self.query.since_ns
        end_ns = end_ns if self.query.until_ns is None else min(end_ns, self.query.until_ns)
        if _buckets(since_ns, end_ns, self.interval_ns) > STATS_BUCKETS_MAX:
            fits = format_interval(interval_for(since_ns, end_ns, STATS_BUCKETS_MAX))
            raise InvalidRequest(
                f"interval cuts this range into more than {STATS_BUCKETS_MAX} buckets: {fits} would do."
            )


class Bucket(msgspec.Struct, frozen=True):
    """How many records a bucket holds, in all and by group, the largest group first; ``number`` counts since 1970."""

    number: int
    counts: Mapping[str, int]

    @property
    def count(self) -> int:
        """How many in all."""
        return sum(self.counts.values())


class Stats(msgspec.Struct, frozen=True):
    """Buckets that hold records, newest first.

    ``below`` is where the next page goes on, if there is one: what stands at or above it has been counted, nothing
    below it has. A bucket that it cuts comes again. ``reach_ns`` and ``complete`` are as of a ``Page``.
    """

    buckets: list[Bucket]
    below: Position | None = None
    complete: bool = True
    reach_ns: int | None = None


def sums(kinds: Mapping[Kind, int], query: Query, by: By | None, time_max: int) -> dict[str, int]:
    """The counters of a run by group, as far as the kinds are asked for and its newest record is kept."""
    if not query.takes_all_kinds:
        kinds = {
            kind: count for kind, count in kinds.items() if query.matches(kind) and query.since_of(kind) <= time_max
        }
    return by_group(kinds, by)


def by_group(kinds: Mapping[Kind, int], by: By | None) -> dict[str, int]:
    """How many records there are of each group."""
    if by is None:
        return {ALL: sum(kinds.values())} if kinds else {}
    found: dict[str, int] = {}
    group = attrgetter(by)
    for kind, count in kinds.items():
        name = group(kind)
        found[name] = found.get(name, 0) + count
    return found


def interval_for(since_ns: int, until_ns: int, buckets_max: int) -> int:
    """The shortest usual interval that makes no more buckets of a range than these, nanoseconds."""
    for interval_ns in _USUAL_NS:
        if _buckets(since_ns, until_ns, interval_ns) <= buckets_max:
            return interval_ns
    # Longer than anybody thinks in: whole days, as many as it takes.
    return -(-(until_ns - since_ns) // (buckets_max - 1) // DAY_NS) * DAY_NS if buckets_max > 1 else _WHOLE_TIME_NS


def parse_interval(text: str) -> int:
    """An interval such as ``10s``, ``5m``, ``1h``, ``1d`` in nanoseconds; ``InvalidRequest``."""
    match = _INTERVAL.fullmatch(text)
    interval_ns = 0 if match is None else int(match[1]) * DURATION_UNITS_NS[match[2]]
    if not SECOND_NS <= interval_ns <= STATS_INTERVAL_NS_MAX:
        longest = format_interval(STATS_INTERVAL_NS_MAX)
        raise InvalidRequest(f"interval must be like 10s, 5m, 1h or 1d, from 1s to {longest}.")
    return interval_ns


def format_interval(interval_ns: int) -> str:
    """An interval as a caller writes it: a whole number of the largest unit that says it exactly."""
    unit, unit_ns = next((unit, unit_ns) for unit, unit_ns in DURATION_UNITS_NS.items() if interval_ns % unit_ns == 0)
    return f"{interval_ns // unit_ns}{unit}"


def _buckets(since_ns: int, until_ns: int, interval_ns: int) -> int:
    return max(0, (until_ns - 1) // interval_ns - since_ns // interval_ns + 1)
