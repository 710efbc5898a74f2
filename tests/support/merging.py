"""Stores that merge: records of every sort, every way to read them, and what lies on the disk."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import msgspec

from simple_log_service.core.limits import DAY_NS, HOUR_NS, SECOND_NS
from simple_log_service.core.query import Query
from simple_log_service.core.search import Search
from simple_log_service.core.stats import Stats, StatsQuery
from simple_log_service.stores.embedded.store import EmbeddedStore
from support.stores import NOON, Given, batch_of, read_all, retry_key

_SECONDS_MAX = 30.0

SERVICES = ["shop", *(f"small-{number}" for number in range(30)), "ümlaut"]
LEVELS = ["INFO", "INFO", "INFO", "WARN", "ERROR"]


def mixed(number: int, size: int = 120) -> list[Given]:
    """A batch of many services and types; some of it late, large, with an id of its own, or of the same instant."""
    chance = random.Random(number)
    return [
        Given(
            f"{number}-{place} {chance.choice(['connection refused', 'Straße', 'two' + chr(10) + 'lines', 'ok'])}"
            + "x" * chance.choice([0, 0, 0, 50, 5000]),
            NOON + number * SECOND_NS - chance.choice([0, 0, 0, place, 3 * HOUR_NS, 14 * HOUR_NS, 3 * DAY_NS]),
            chance.choice(SERVICES),
            chance.choice(["application", "access", "audit"]),
            chance.choice(LEVELS),
            chance.choice(["{}", f'{{"n":{place},"who":"user-{place % 7}"}}', '{"a":{"b":["\\u0041lpha"]}}']),
            f"own-{number}-{place}" if place % 9 == 0 else None,
        )
        for place in range(size)
    ]


async def fill(store: EmbeddedStore, batches: range) -> None:
    """Append these batches, each under a retry key of its own."""
    for number in batches:
        await store.append(batch_of(*mixed(number), retry=retry_key(str(number))))


def queries() -> list[Query]:
    """Reads by every filter there is."""
    everything_there = Query(since_ns=0, limit=10_000)
    asked: list[dict[str, Any]] = [
        {},
        {"limit": 37},
        {"since_ns": NOON - HOUR_NS, "until_ns": NOON + 5 * SECOND_NS},
        {"since_ns": NOON - 4 * DAY_NS, "until_ns": NOON - DAY_NS},
        {"service_name": "shop"},
        {"service_name": "small-0", "limit": 5},
        {"service_name": "ümlaut", "log_type": "audit"},
        {"service_name": "absent"},
        {"log_type": "access", "limit": 100},
        {"level": "ERROR"},
        {"level": "ERROR", "log_type": "audit", "since_ns": NOON},
        {"search": Search(q="refused")},
        {"search": Search(q='"connection refused" -user')},
        {"search": Search(q="STRASSE alph*")},
        {"search": Search(q="alpha"), "service_name": "shop"},
        {"search": Search(q="absentword")},
        {"search": Search(pattern="two\nlin")},
        {"search": Search(fields=(("who", "user-3"),)), "level": "WARN"},
        {"search": Search(fields=(("a.b", "x"),))},
    ]
    return [msgspec.structs.replace(everything_there, **each) for each in asked]


def counts_asked() -> list[StatsQuery]:
    bys: list[Any] = [None, "service_name", "log_type", "level"]
    intervals = [None, HOUR_NS, DAY_NS, 5 * SECOND_NS]
    ranges = [Query(since_ns=NOON - 5 * DAY_NS), Query(since_ns=NOON - HOUR_NS + 7, until_ns=NOON + 7 * SECOND_NS + 1)]
    kinds: list[dict[str, Any]] = [{}, {"service_name": "shop"}, {"level": "ERROR"}, {"search": Search(q="refused")}]
    return [
        StatsQuery(msgspec.structs.replace(within, **kind), by, interval)
        for within in ranges
        for kind in kinds
        for by in bys
        for interval in intervals
    ]


async def counted(store: EmbeddedStore, asked: StatsQuery) -> dict[tuple[int, str], int]:
    """All counts, by bucket and group, added up over the pages."""
    found: dict[tuple[int, str], int] = {}
    while True:
        stats: Stats = await store.stats(asked)
        for bucket in stats.buckets:
            for group, records in bucket.counts.items():
                found[bucket.number, group] = found.get((bucket.number, group), 0) + records
        if stats.below is None:
            return found
        asked = StatsQuery(msgspec.structs.replace(asked.query, below=stats.below), asked.by, asked.interval_ns)


async def answers(store: EmbeddedStore) -> list[object]:
    """What a store says to every read there is."""
    return [
        *[await read_all(store, query) for query in queries()],
        *[await counted(store, asked) for asked in counts_asked()],
    ]


def files(folder: Path, pattern: str) -> list[Path]:
    """What is in a folder, however deep."""
    return sorted(folder.rglob(pattern))


def numbers(path: Path, statement: str) -> list[int]:
    """What a statement finds in a file of the store."""
    with closing(apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return [row[0] for row in connection.execute(statement)]


def assert_no_orphans(folder: Path) -> None:
    """The blocks on disk are those that files name."""
    named = {
        folder / path.stem / f"{number:08}.block"
        for path in files(folder, "*.logs")
        for number in numbers(path, "SELECT id FROM blocks")
    }
    assert set(files(folder, "*.block")) == named


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something is so that nobody tells of."""
    async with asyncio.timeout(_SECONDS_MAX):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)
