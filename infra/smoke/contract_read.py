"""What the contract promises to who reads: pages, filters, ranges, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from infra.smoke.contract_ingest import Error, messages, receipt
from infra.smoke.findings import Check, NotHeld, checks_of, expect
from infra.smoke.scene import Scene, ago, record
from simple_log_service.client.client import Client
from simple_log_service.client.stats import StatsPage
from simple_log_service.core.limits import PAGE_BYTES_MAX
from simple_log_service.core.timestamps import parse_rfc3339

INDEX_SECONDS_MAX = 10.0
"""How long a read by type may lag: usually it is under one."""


def eventually(look: Callable[[], list[str]], wanted: list[str], seconds_max: float = INDEX_SECONDS_MAX) -> float:
    """Look until what is wanted is seen, and say how long that took; ``NotHeld`` where it is not seen in time."""
    began = time.monotonic()
    while (seen := look()) != wanted:
        if time.monotonic() - began > seconds_max:
            raise NotHeld(f"after {seconds_max:.0f} s still {seen} instead of {wanted}")
        time.sleep(0.5)
    return time.monotonic() - began


def paging(scene: Scene) -> str:
    """A walk to the end gives every record once, newest first."""
    service = scene.service("paging")
    same = ago(300)
    batch = [record(service, message=str(number), timestamp=same) for number in range(20)]
    batch += [record(service, message=f"older {number}", timestamp=ago(400 + number)) for number in range(5)]
    expect(receipt(scene.caller.post(batch)).accepted == 25, "not all were accepted")
    for limit in (1, 7, 100):
        logs = [each for page in scene.caller.pages(service_name=service, limit=limit) for each in page.logs]
        expect(len({each["log_id"] for each in logs}) == len(logs) == 25, f"limit {limit}: {len(logs)} records")
        times = [parse_rfc3339(each["timestamp"]) for each in logs]
        expect(times == sorted(times, reverse=True), f"limit {limit}: not newest first")
        expect(messages(logs)[:2] == ["19", "18"], f"limit {limit}: ties come as {messages(logs)[:2]}")
    return "25 records once each, newest first, by 1, 7 and 100"


def early_pages(scene: Scene) -> str:
    """A page ends at 2.5 MiB, and the next one goes on."""
    service = scene.service("pages")
    # Each line has letters of its own order, so that little is gained by packing it: pages are bounded in bytes sent.
    large = [record(service, message=chr(97 + number) * 200_000) for number in range(15)]
    expect(receipt(scene.caller.post(large)).accepted == 15, "not all were accepted")
    first = scene.caller.get(service_name=service)
    expect(len(first.body) <= PAGE_BYTES_MAX + 1000, f"a page of {len(first.body):,} bytes")
    pages = scene.caller.pages(service_name=service)
    expect(sum(page.count for page in pages) == 15 and len(pages) > 1, [page.count for page in pages])
    return f"{[page.count for page in pages]} records a page"


def filters(scene: Scene) -> str:
    """Type, level and range filter as the contract says."""
    service = scene.service("filters")
    batch = [
        record(service, message="a", log_type="access", level="ERROR", timestamp=ago(5400)),
        record(service, message="b", log_type="audit", level="INFO", timestamp=ago(1800)),
        record(service, message="c", log_type="access", level="INFO", timestamp=ago(60)),
    ]
    expect(receipt(scene.caller.post(batch)).accepted == 3, "not all were accepted")
    wanted: tuple[tuple[dict[str, Any], list[str]], ...] = (
        ({}, ["c", "b", "a"]),
        ({"log_type": "access"}, ["c", "a"]),
        ({"level": "error"}, ["a"]),
        ({"hours": 1}, ["c", "b"]),
        ({"since": "1h", "until": "10m"}, ["b"]),
        ({"since": ago(1799)}, ["c"]),
        ({"until": ago(1799)}, ["b", "a"]),
        ({"log_type": "access", "level": "INFO", "hours": 2}, ["c"]),
    )
    for parameters, found in wanted:
        got = messages(scene.caller.logs(service_name=service, **parameters))
        expect(got == found, f"{parameters}: {got} instead of {found}")
    return f"{len(wanted)} combinations"


def by_type(scene: Scene) -> str:
    """A read by type finds what was stored, soon."""
    service, log_type = scene.service("by-type"), scene.service("type")
    scene.caller.post([record(service, log_type=log_type, message=each) for each in "ab"])
    took = eventually(lambda: messages(scene.caller.logs(log_type=log_type)), ["b", "a"])
    return f"there after {took:.1f} s"


def without_a_filter(scene: Scene) -> str:
    """A read without a filter finds what was stored, soon."""
    service = scene.service("all")
    # Two minutes ahead it stays among the newest, however much others send meanwhile.
    scene.caller.post(record(service, timestamp=ago(-120)))
    took = eventually(
        lambda: [service for each in scene.caller.page(limit=1000).logs if each["service_name"] == service], [service]
    )
    return f"there after {took:.1f} s"


def refused_questions(scene: Scene) -> str:
    """Questions that mean nothing are refused, with what is wrong."""
    for query in ("limit=0", "limit=10001", "hours=169", "since=tomorrow", "cursor=AAAA", "servcie_name=a"):
        answer = scene.caller.ask("GET", "/logs/recent", query)
        answer.read(Error, 400)
        expect(answer.headers.get("x-amzn-errortype") == "BadRequestException", f"{query}: {answer.headers}")
    return "400, each with what is wrong"


def counts(scene: Scene) -> str:
    """Counting a service's records, by level and in buckets, finds what was stored."""
    service = scene.service("counts")
    times = [ago(each) for each in (1, 2, 3 * 3600)]
    scene.caller.post([record(service, timestamp=each, level="ERROR") for each in times])
    scene.caller.post([record(service, timestamp=times[0])])
    stats = scene.caller.get("/logs/stats", service_name=service, by="level", interval="1h").read(StatsPage, 200)
    by_level = {level: sum(each.counts.get(level, 0) for each in stats.buckets) for level in ("ERROR", "INFO")}
    expect(by_level == {"ERROR": 3, "INFO": 1} and stats.count == 4, stats)
    expect(stats.next_cursor is None and stats.complete, stats)
    return "counted by level, hour by hour"


def own_client(scene: Scene) -> str:
    """The project's own client works with this home."""
    service = scene.service("client")
    caller = scene.caller
    with Client(caller.endpoint.url, region=caller.region, credentials=caller.credentials, attempts_max=1) as client:
        sent = client.send([record(service, message=str(number)) for number in range(3)])
        found = [each.message for each in client.iter_recent(service_name=service)]
        health = client.health()
    expect((sent.accepted, found, health) == (3, ["2", "1", "0"], "ok"), (sent, found, health))
    return "sends, reads and asks for health"


READ_CHECKS: tuple[Check[Scene], ...] = checks_of(
    "read",
    paging,
    early_pages,
    filters,
    by_type,
    without_a_filter,
    counts,
    refused_questions,
    own_client,
)
