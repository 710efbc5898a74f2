"""The rows of ingestion: what a load costs while it goes on, and until the server has settled."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bench.answers import Answer
from bench.ceilings import decoded_per_second, verified_per_second
from bench.load import Check, Load, LoadFailed, drive, drive_at_rate
from bench.plan import Plan, Shape
from bench.processes import PeakMemory, Server, listener_alone
from bench.records import Records
from bench.requests import Request
from bench.results import Ceiling, Row, row_of
from bench.settle import settle
from bench.targets import Own, Target
from simple_log_service.core.limits import MIB

_WARM_UP_SHARE = 10
"""One request of so many goes out before the clock starts."""
_OVERTIME = 3
"""A slow machine gets so many times the seconds that were asked for; then what has not been sent stays unsent."""


class Before(NamedTuple):
    """What a server had used up before a load."""

    cpu_seconds: float | None
    stored_bytes: int | None


def ingest_row(shape: Shape, server: Server, target: Target, requests: list[Request], asked: Plan) -> Row:
    """Load the server with these requests, and wait until it has settled."""
    before = before_load(server)
    check = checking(target, shape.batch)
    # The clock starts once every part has been at work.
    warm_up = requests[: max(1, len(requests) // _WARM_UP_SHARE)]
    timed = requests[len(warm_up) :]
    warmed_up = drive(
        server.address, warm_up, shape.connections, status=target.ingest_status, seconds_max=asked.seconds, check=check
    )
    cpu_began = server.cpu_seconds
    with PeakMemory(server) as memory:
        load = _load(shape, server, target, timed, asked.seconds, check)
        cpu_ended = server.cpu_seconds
    row = row_of(shape.name, target.name, shape.connections, load)
    row.records_per_second = load.requests * shape.batch / load.seconds
    row.rss_mib_max = None if memory.bytes_max is None else memory.bytes_max / MIB
    if cpu_began is not None and cpu_ended is not None:
        row.cores = (cpu_ended - cpu_began) / load.seconds
        row.cpu_seconds_per_million = 1e6 * (cpu_ended - cpu_began) / (load.requests * shape.batch)
    finish(row, server, target, before, (warmed_up.requests + load.requests) * shape.batch, asked.settle_seconds_max)
    return row


def requests_of(shape: Shape, target: Target, records: Records, seconds: float) -> list[Request]:
    """All of a load's requests, built and signed."""
    wanted = max(shape.connections * 2, int(shape.expected * seconds))
    return [target.ingest(records.make(shape.batch)) for _ in range(wanted)]


def ceilings_of(shape: Shape, requests: list[Request], target: Own, folder: Path, seconds: float) -> list[Ceiling]:
    """What the parts do with these very requests; at batch 1 a request is a record."""
    decoded = decoded_per_second([body for _, body in requests]) * shape.batch
    ceilings = [Ceiling(f"codec alone, batch {shape.batch}", decoded, "records/s")]
    if shape.batch == 1:
        verified = verified_per_second(requests, target.credentials)
        with listener_alone(folder) as listener:
            answered = drive(listener.address, requests, shape.connections, status=201, seconds_max=_OVERTIME * seconds)
        ceilings.append(Ceiling("SigV4 alone, batch 1", verified, "requests/s"))
        ceilings.append(Ceiling("listener alone, batch 1", answered.requests / answered.seconds, "requests/s"))
    return ceilings


def before_load(server: Server) -> Before:
    """What it has used up so far."""
    return Before(server.cpu_seconds, server.stored_bytes)


def finish(row: Row, server: Server, target: Target, before: Before, records: int, settle_seconds_max: float) -> None:
    """Put into the row what so many records lie in right after ingestion, and once the server has settled."""
    row.stored_records = records
    row.disk_bytes_per_record = _each(before.stored_bytes, server.stored_bytes, records)
    settled = settle(server, target, settle_seconds_max)
    row.settled_after_seconds, row.note = settled.seconds, settled.note
    row.settled_disk_bytes_per_record = _each(before.stored_bytes, server.stored_bytes, records)
    cpu_seconds_each = _each(before.cpu_seconds, server.cpu_seconds, records)
    row.settled_cpu_seconds_per_million = None if cpu_seconds_each is None else 1e6 * cpu_seconds_each


def checking(target: Target, batch: int) -> Check:
    """Looks into every receipt: each record must have been taken in."""

    def check(_: int, answer: Answer) -> None:
        if not target.accepted(answer.body, batch):
            raise LoadFailed(f"Not all of {batch} records were taken in: {answer.body[:500].decode(errors='replace')}")

    return check


def _load(shape: Shape, server: Server, target: Target, requests: list[Request], seconds: float, check: Check) -> Load:
    if shape.open_loop:
        return drive_at_rate(
            server.address,
            requests,
            shape.connections,
            status=target.ingest_status,
            per_second=shape.expected,
            check=check,
        )
    return drive(
        server.address,
        requests,
        shape.connections,
        status=target.ingest_status,
        seconds_max=_OVERTIME * seconds,
        check=check,
    )


def _each(before: float | None, after: float | None, records: int) -> float | None:
    return None if before is None or after is None else (after - before) / records
