"""``GET /logs/stats``: its parameters, and its answer as JSON."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from simple_log_service.api.messages import Response
from simple_log_service.api.parameters import FILTERS, filters_query, parse_parameters
from simple_log_service.core.cursor import encode_cursor, resume
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.stats import GROUPINGS, By, Stats, StatsQuery, parse_interval
from simple_log_service.core.timestamps import format_timestamp

STATS = FILTERS | {"by", "interval", "cursor"}


class _Bucket(msgspec.Struct, frozen=True):
    start: str
    count: int
    counts: Mapping[str, int] | msgspec.UnsetType = msgspec.UNSET


class _Answer(msgspec.Struct, frozen=True):
    count: int
    buckets: list[_Bucket]
    next_cursor: str | None
    complete: bool


def stats_query(query: str, now_ns: int) -> StatsQuery:
    """What a query string asks to be counted; ``InvalidRequest``."""
    given = parse_parameters(query, STATS)
    interval_ns = parse_interval(given["interval"]) if "interval" in given else None
    asked = StatsQuery(filters_query(given, None, now_ns), _by(given.get("by")), interval_ns)
    if "cursor" not in given:
        return asked
    return msgspec.structs.replace(asked, query=resume(asked.query, given["cursor"], use=_use(asked)))


def stats_response(asked: StatsQuery, stats: Stats) -> Response:
    """The answer: buckets that hold records, newest first, and where it goes on."""
    buckets = [
        _Bucket(
            format_timestamp(asked.start_ns(bucket.number)),
            bucket.count,
            msgspec.UNSET if asked.by is None else bucket.counts,
        )
        for bucket in stats.buckets
    ]
    cursor = None
    if stats.below is not None:
        cursor = encode_cursor(asked.query, stats.below, stats.reach_ns, use=_use(asked))
    answer = _Answer(sum(bucket.count for bucket in buckets), buckets, cursor, stats.complete)
    return Response(200, msgspec.json.encode(answer))


def _by(text: str | None) -> By | None:
    if text is None:
        return None
    for by in GROUPINGS:
        if text == by:
            return by
    raise InvalidRequest(f"by must be one of {', '.join(GROUPINGS)}.")


def _use(asked: StatsQuery) -> str:
    return f"stats by {asked.by} in {asked.interval_ns}"
