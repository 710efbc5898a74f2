"""The records of the benchmark: like no others of a run, some 339 bytes of JSON each, and what is in which is known.

Record number n belongs to service n mod 50 and to type n / 50 mod 8. On demand some stand out: each of ten rare
services and types has one record in 10,000, and ``planted`` records hold a word and a host that no other has.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import count

SERVICES = 50
TYPES = 8
RARE_NAMES = 10
"""So many services, and types, have one record in ``RARE_EVERY`` each."""
RARE_EVERY = 10_000
WORDS = 10
WORD_RECORDS = 10
"""Each of the planted words is in so many records, exactly."""
SPAN_SECONDS = 22 * 3600
"""Stored records lie within the last 24 hours, which a read looks at by default, for two hours longer."""

_RARE_STEP = RARE_EVERY // RARE_NAMES
_RARE_SERVICE_AT, _RARE_TYPE_AT = 500, 750
_LEVELS = ("INFO",) * 12 + ("DEBUG", "DEBUG", "WARN", "ERROR")
_RECORD = (
    '{"service_name":"%s","log_type":"%s","level":"%s","timestamp":"%sZ",'
    '"message":"request %016x for /api/v1/orders/%d answered %d after %d ms by worker %d, cache %s",'
    '"metadata":{"request_id":"%016x","user_id":%d,"duration_ms":%d,"region":"eu-central-1","host":"%s"}}'
)
_EXTRA = '{"trace_id":"%032x","version":"2.14.%d","pid":%d,"logger":"orders.handler",%s'
"""Fields that the contract does not know, before the rest of the record."""

SERVICE_NAMES = tuple(f"service-{number:02d}" for number in range(SERVICES))
TYPE_NAMES = tuple(f"type-{number}" for number in range(TYPES))
RARE_SERVICE_NAMES = tuple(f"rare-service-{number}" for number in range(RARE_NAMES))
RARE_TYPE_NAMES = tuple(f"rare-type-{number}" for number in range(RARE_NAMES))
WORD_TEXTS = tuple(f"heisenbug{number}" for number in range(WORDS))
WORD_HOSTS = tuple(f"lost-{number}" for number in range(WORDS))
_HOSTS = tuple(f"node-{number:02d}" for number in range(37))

Stamp = Callable[[int], str]
"""From a record's number to its timestamp, without the zone."""


def stamp_now(number: int) -> str:
    """The second before this one, with microseconds that tell neighbours apart."""
    return f"{_second(int(time.time()) - 1)}.{number % 1_000_000:06d}"


def stamps_in_order(total: int, ends_at: float) -> Stamp:
    """So many records evenly over the span that ends then (seconds since the epoch), the oldest first."""
    begins_at_us, span_us = _span_us(ends_at)
    return lambda number: _stamp(begins_at_us + number * span_us // total)


def stamps_at_random(ends_at: float) -> Stamp:
    """Anywhere in the span that ends then."""
    begins_at_us, span_us = _span_us(ends_at)
    chance = random.Random(24)
    return lambda _: _stamp(begins_at_us + int(chance.random() * span_us))


def planted(among: int) -> dict[int, int]:
    """Which word is in which record, by numbers, spread evenly over so many records."""
    places = WORDS * WORD_RECORDS
    return {(2 * place + 1) * among // (2 * places): place % WORDS for place in range(places)}


def rare_service_records(name: int, total: int) -> int:
    """How many of the first so many records are of this rare service; ``rare_type_records`` likewise."""
    return len(range(_RARE_SERVICE_AT + name * _RARE_STEP, total, RARE_EVERY))


def rare_type_records(name: int, total: int) -> int:
    """The same of a rare type."""
    return len(range(_RARE_TYPE_AT + name * _RARE_STEP, total, RARE_EVERY))


class Records:
    """Makes records, one after the other. ``ids`` gives them callers' ids, ``extra`` fields that the contract lacks."""

    def __init__(
        self,
        stamp: Stamp = stamp_now,
        *,
        words: Mapping[int, int] | None = None,
        rare: bool = False,
        ids: bool = False,
        extra: bool = False,
    ) -> None:
        self._stamp = stamp
        self._words = words or {}
        self._rare, self._ids, self._extra = rare, ids, extra
        self._random = random.Random(339)
        self._numbers = count()

    def make(self, records: int) -> list[str]:
        """The next so many, as JSON."""
        return [self._next() for _ in range(records)]

    def skip(self, records: int) -> None:
        """Go on after so many, which somebody else makes."""
        first = next(self._numbers) + records
        self._numbers = count(first)
        self._random = random.Random(first)

    def _next(self) -> str:
        number, bits = next(self._numbers), self._random.getrandbits(160)
        word = self._words.get(number)
        service, log_type = SERVICE_NAMES[number % SERVICES], TYPE_NAMES[number // SERVICES % TYPES]
        if self._rare:
            if number % _RARE_STEP == _RARE_SERVICE_AT:
                service = RARE_SERVICE_NAMES[number // _RARE_STEP % RARE_NAMES]
            elif number % _RARE_STEP == _RARE_TYPE_AT:
                log_type = RARE_TYPE_NAMES[number // _RARE_STEP % RARE_NAMES]
        duration_ms = bits % 997
        record = _RECORD % (
            service,
            log_type,
            _LEVELS[bits % len(_LEVELS)],
            self._stamp(number),
            bits & 0xFFFF_FFFF_FFFF_FFFF,
            bits >> 64 & 0xF_FFFF,
            (200, 200, 200, 201, 404)[bits % 5],
            duration_ms,
            bits % 16,
            ("hit", "miss")[bits % 2] if word is None else WORD_TEXTS[word],
            bits >> 96,
            bits >> 70 & 0xFFFF,
            duration_ms,
            _HOSTS[bits % 37] if word is None else WORD_HOSTS[word],
        )
        if self._ids:
            return f'{{"log_id":"{bits >> 32:032x}",{record[1:]}'
        if self._extra:
            return _EXTRA % (bits >> 32, bits % 31, bits % 32_768, record[1:])
        return record


def _span_us(ends_at: float) -> tuple[int, int]:
    return int((ends_at - SPAN_SECONDS) * 1_000_000), SPAN_SECONDS * 1_000_000


def _stamp(at_us: int) -> str:
    return f"{_second(at_us // 1_000_000)}.{at_us % 1_000_000:06d}"


@lru_cache(100_000)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
