"""One run, in order: the machine, ingestion, what is stored and read, a kill -9, and the same of the other servers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import plan
from bench.ceilings import fdatasync_ms
from bench.ingest import ceilings_of, ingest_row, requests_of
from bench.killing import kill_facts
from bench.load import ask
from bench.plan import ORDERS, SHAPES, Plan
from bench.processes import Server, log_server
from bench.reads import read_rows
from bench.records import SERVICE_NAMES, Records, planted, stamps_at_random, stamps_in_order
from bench.results import Ceiling, Fact, Report, Row, Share
from bench.searches import search_rows
from bench.storing import store
from bench.targets import OTHERS, Ask, Own, Target
from bench.targets.own import health

Progress = Callable[[str], None]


class Other(NamedTuple):
    """A server that somebody else started. CPU and memory need its ``pid``, disk its ``data_dir``."""

    name: str
    host: str
    pid: int | None
    data_dir: Path | None


def measure(folder: Path, asked: Plan, others: Sequence[Other], progress: Progress) -> Report:
    """Measure all that is asked for. The folder is on the disk to measure, and empty but for what it is given here."""
    report = Report(os.getloadavg()[0], os.cpu_count() or 1, asked.records, asked.seconds)
    progress("this machine")
    took_ms = fdatasync_ms(folder, max(20, int(asked.seconds * 100)))
    report.ceilings.append(Ceiling("fdatasync of 4 KiB, p50", took_ms[len(took_ms) // 2], "ms"))
    report.ceilings.append(Ceiling("fdatasync of 4 KiB, p99", took_ms[len(took_ms) * 99 // 100], "ms"))
    _ingestion(folder, asked, report, progress)
    for order in ORDERS:
        if _wants_stored(order, asked):
            with TemporaryDirectory(dir=folder) as own:
                _stored(order, Path(own), asked, report, progress)
    if asked.wants(*plan.KILL):
        progress("kill -9")
        with TemporaryDirectory(dir=folder) as own:
            report.facts += kill_facts(Path(own), asked)
    for other in others:
        _other(other, asked, report, progress)
    return report


def _ingestion(folder: Path, asked: Plan, report: Report, progress: Progress) -> None:
    """Each shape with a new store of its own, beside what the parts do alone."""
    for shape in SHAPES:
        if not asked.wants(shape.name):
            continue
        progress(shape.name)
        with TemporaryDirectory(dir=folder) as own:
            with log_server(Path(own)) as server:
                target = Own(server.host, server.credentials)
                requests = requests_of(shape, target, _records(shape), asked.seconds)
                alone = ceilings_of(shape, requests, target, Path(own), asked.seconds) if shape.is_plain else []
                row = ingest_row(shape, server, target, requests, asked)
            row.settled_disk_bytes_per_record = stopped_bytes(server) / row.stored_records
        report.rows.append(row)
        report.ceilings += alone
        report.shares += [Share(row.name, each.name, (row.records_per_second or 0) / each.value) for each in alone]


def _records(shape: plan.Shape) -> Records:
    return Records(ids=shape.ids, extra=shape.extra)


def _wants_stored(order: str, asked: Plan) -> bool:
    names = [plan.stored(name, order) for name in (plan.STORE, *plan.READS)]
    return asked.wants(*names, *(() if order != ORDERS[0] else (*plan.SEARCHES, *plan.LIFE)))


def _stored(order: str, folder: Path, asked: Plan, report: Report, progress: Progress) -> None:
    """Store, stop and start anew, then search and read what nothing but the files holds."""
    with log_server(folder) as server:
        row = _fill(order, server, Own(server.host, server.credentials), asked, progress)
    row.settled_disk_bytes_per_record = stopped_bytes(server) / asked.records
    report.rows.append(row)
    progress(f"searches and reads, {order}")
    with log_server(folder) as again:
        facts = start_facts(again)
        target = Own(again.host, again.credentials)
        if order == ORDERS[0]:
            report.facts += [Fact(plan.STOPPED, Own.name, server.stop_seconds, "s"), *facts]
            report.rows += search_rows(again, target, asked, asked.records)
        report.rows += read_rows(order, again, target, asked, asked.records)


def start_facts(server: Server) -> list[Fact]:
    """How long the service took from the start of its process to its first answers."""
    ask(server.address, health(server.host), 200)
    ready = Fact(plan.READY, Own.name, time.perf_counter() - server.began, "s")
    ask(server.address, Own(server.host, server.credentials).read(Ask(service=SERVICE_NAMES[0])), 200)
    return [ready, Fact(plan.FIRST_READ, Own.name, time.perf_counter() - server.began, "s")]


def stopped_bytes(server: Server) -> int:
    """Size of its store, with all of it in the files where it stays."""
    size = server.stored_bytes
    assert size is not None
    return size


def _fill(order: str, server: Server, target: Target, asked: Plan, progress: Progress) -> Row:
    now = time.time()
    stamp = stamps_in_order(asked.records, now) if order == ORDERS[0] else stamps_at_random(now)
    records = Records(stamp, words=planted(asked.records), rare=True)
    progress(f"storing {asked.records:,} records, {order}")
    name = plan.stored(plan.STORE, order)
    return store(name, server, target, records, asked.records, asked.settle_seconds_max, progress)


def _other(other: Other, asked: Plan, report: Report, progress: Progress) -> None:
    """The rows that have a meaning for any server, over the one store that it has."""
    server, target = Server(other.host, other.pid, other.data_dir), OTHERS[other.name](other.host)
    # Reads first: what ingestion stores besides would be in their way.
    if _wants_stored(ORDERS[0], asked):
        progress(f"{other.name}: {asked.records:,} records, {ORDERS[0]}")
        report.rows.append(_fill(ORDERS[0], server, target, asked, progress))
        report.rows += search_rows(server, target, asked, asked.records)
        report.rows += read_rows(ORDERS[0], server, target, asked, asked.records)
    for shape in SHAPES:
        if asked.wants(shape.name) and not (shape.ids or shape.extra):
            progress(f"{other.name}: {shape.name}")
            requests = requests_of(shape, target, _records(shape), asked.seconds)
            report.rows.append(ingest_row(shape, server, target, requests, asked))
