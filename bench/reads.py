"""The rows of reads: newest first by service or type, rare ones, a week, page after page, and while others write."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from bench import plan
from bench.asking import read_row
from bench.ingest import checking, requests_of
from bench.load import Conversation, Load, drive
from bench.load import ask as ask_once
from bench.plan import Plan
from bench.processes import Server
from bench.records import (
    RARE_NAMES,
    RARE_SERVICE_NAMES,
    RARE_TYPE_NAMES,
    SERVICE_NAMES,
    TYPE_NAMES,
    Records,
    rare_service_records,
    rare_type_records,
)
from bench.results import Row, row_of
from bench.targets import Ask, Target
from bench.workers import loading

_PAGE = 100
_PAGES = 20
_WALKS_MAX = 20
_INGEST = plan.SHAPES[2]
_SURPLUS = 1.5
"""The load beside must not end before the reads do, also where the server is faster than expected."""


def newest(total: int) -> dict[str, tuple[list[Ask], list[int]]]:
    """What is asked for each row, and how many records each answer must hold with so many stored."""
    rare_services = [min(_PAGE, rare_service_records(name, total)) for name in range(RARE_NAMES)]
    rare_types = [min(_PAGE, rare_type_records(name, total)) for name in range(RARE_NAMES)]
    services = [Ask(service=name) for name in SERVICE_NAMES]
    return {
        plan.BY_SERVICE: (services, [_PAGE] * len(services)),
        plan.BY_TYPE: ([Ask(log_type=name) for name in TYPE_NAMES], [_PAGE] * len(TYPE_NAMES)),
        plan.BY_RARE_SERVICE: ([Ask(service=name) for name in RARE_SERVICE_NAMES], rare_services),
        plan.BY_RARE_TYPE: ([Ask(log_type=name) for name in RARE_TYPE_NAMES], rare_types),
        plan.BY_WEEK: ([each._replace(hours=168) for each in services], [_PAGE] * len(services)),
    }


def read_rows(order: str, server: Server, target: Target, asked: Plan, total: int) -> Iterator[Row]:
    """Every row of reads that is wanted, the one beside ingestion last, since that stores more."""
    for name, (asks, expected) in newest(total).items():
        if asked.wants(full := plan.stored(name, order)):
            yield read_row(full, server, target, asks, expected, asked.seconds)
    names = [plan.stored(name, order) for name in (plan.FIRST_PAGE, plan.LATER_PAGES)]
    if asked.wants(*names):
        yield from page_rows(names, server, target, asked.seconds)
    if asked.wants(full := plan.stored(plan.WHILE_INGESTING, order)):
        yield _while_ingesting(full, server, target, asked.seconds)


def page_rows(names: Sequence[str], server: Server, target: Target, seconds: float) -> list[Row]:
    """Walks down the pages of one service after the other: the first page, and all that follow up to the 20th."""
    if target.read(Ask(cursor="")) is None:
        return [Row(name, target.name, skipped="this server has no cursors") for name in names]
    began, cpu_began, walks = time.perf_counter(), time.process_time(), []
    with Conversation(server.address) as conversation:
        for service in SERVICE_NAMES[:_WALKS_MAX]:
            walks.append(walk(conversation, target, service, _PAGES))
            if time.perf_counter() - began > 2 * seconds:
                break
    generator_cores = (time.process_time() - cpu_began) / (time.perf_counter() - began)
    kinds = [each[0] for each in walks], [latency_ns for each in walks for latency_ns in each[1:]]
    loads = [Load(sum(latencies_ns) / 1e9, latencies_ns, generator_cores) for latencies_ns in kinds]
    return [row_of(name, target.name, 1, load) for name, load in zip(names, loads, strict=True)]


def walk(conversation: Conversation, target: Target, service: str, pages: int) -> list[int]:
    """How many nanoseconds each of a service's first so many pages took, as far as there are any."""
    asked, first = Ask(service=service), len(conversation.latencies_ns)
    for _ in range(pages):
        request = target.read(asked)
        assert request is not None
        cursor = target.found(asked, conversation.ask(request)).cursor
        if cursor is None:
            break
        asked = asked._replace(cursor=cursor)
    return conversation.latencies_ns[first:]


def _while_ingesting(name: str, server: Server, target: Target, seconds: float) -> Row:
    """By service, with batches of 1000 coming in as fast as the server takes them."""
    requests = requests_of(_INGEST, target, Records(), _SURPLUS * seconds)

    def ingest() -> Load:
        return drive(
            server.address,
            requests,
            _INGEST.connections,
            status=target.ingest_status,
            seconds_max=seconds,
            check=checking(target, _INGEST.batch),
        )

    asks = [Ask(service=each) for each in SERVICE_NAMES]
    with loading(ingest) as ended:
        row = read_row(name, server, target, asks, [_PAGE] * len(asks), 0.8 * seconds)
        beside = ended()
    flush = target.flush()
    if flush is not None:
        ask_once(server.address, flush, 200)
    row.note = f"beside {beside.requests * _INGEST.batch / beside.seconds:,.0f} records/s"
    return row
