"""The rows of the report: each load measured beside the ceilings that it runs against, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec

from bench.ceilings import decoded_per_second, fdatasync_ms, verified_per_second
from bench.load import Load, LoadFailed, drive
from bench.processes import Server, listener_alone, log_server
from bench.requests import SERVICES, TYPES, Bodies, Request, ingest_request, recent_request
from simple_log_service.core.limits import MIB


class Shape(NamedTuple):
    """One kind of ingest load; ``expected`` is the direction, in requests per second, and sizes the load."""

    batch: int
    connections: int
    expected: int


SHAPES = (Shape(1, 64, 25_000), Shape(100, 8, 2_500), Shape(1000, 8, 350))

_WARM_UP_SHARE = 10
"""One request of so many goes out before the clock starts."""
_OVERTIME = 3
"""A slow machine gets so many times the seconds that were asked for; then what has not been sent stays unsent."""
_READS_PER_SECOND = 200


class Row(msgspec.Struct, omit_defaults=True):
    """One load and what came of it. What has no meaning for a kind of load is absent."""

    name: str
    connections: int
    requests: int
    seconds: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    server_cores: float
    generator_cores: float
    records_per_second: float | None = None
    server_cpu_seconds_per_million_records: float | None = None
    rss_mib_max: float | None = None
    disk_bytes_per_record: float | None = None


class Ceiling(msgspec.Struct):
    """What one part of the machine or of the program does alone."""

    name: str
    value: float
    unit: str


class Share(msgspec.Struct):
    """A row's rate in relation to a ceiling, or to the direction."""

    row: str
    of: str
    share: float


class Report(msgspec.Struct):
    """Everything that one run found out. ``load_average`` is that of the minute before it: what others were doing."""

    load_average: float
    cores: int
    rows: list[Row] = []
    ceilings: list[Ceiling] = []
    shares: list[Share] = []


def measure(folder: Path, seconds: float, progress: Callable[[str], None]) -> Report:
    """Measure everything, with about so many seconds of load for each row; the folder is on the disk to measure."""
    report, bodies = Report(os.getloadavg()[0], os.cpu_count() or 1), Bodies()
    progress("fdatasync")
    took_ms = fdatasync_ms(folder, max(20, int(seconds * 100)))
    report.ceilings.append(Ceiling("fdatasync of 4 KiB, p50", took_ms[len(took_ms) // 2], "ms"))
    report.ceilings.append(Ceiling("fdatasync of 4 KiB, p99", took_ms[len(took_ms) * 99 // 100], "ms"))
    for shape in SHAPES:
        progress(f"batch {shape.batch}")
        with TemporaryDirectory(dir=folder) as own:
            _measure_shape(shape, Path(own), seconds, bodies, report)
    return report


def _measure_shape(shape: Shape, folder: Path, seconds: float, bodies: Bodies, report: Report) -> None:
    requests_wanted = max(shape.connections * 2, int(shape.expected * seconds))
    with log_server(folder) as server:
        made = bodies.make(shape.batch, requests_wanted)
        requests = [ingest_request(body, server.host, server.credentials) for body in made]
        alone = _alone(shape, requests, server, folder, seconds)
        # The clock starts once every part has been at work.
        warm_up = requests[: max(1, requests_wanted // _WARM_UP_SHARE)]
        warmed_up = _load(server, warm_up, shape.connections, 201, seconds)
        row, load = _row(
            f"ingest, batch {shape.batch}", server, requests[len(warm_up) :], shape.connections, 201, seconds
        )
        row.rss_mib_max = server.rss_bytes_max / MIB
        reads = _read_rows(server, seconds) if shape is SHAPES[-1] else []
    # The server has stopped: what is on disk now is all there is.
    stored = (warmed_up.requests + load.requests) * shape.batch
    row.disk_bytes_per_record = _size_bytes(server.data_dir / "logs") / stored
    row.records_per_second = row.requests_per_second * shape.batch
    row.server_cpu_seconds_per_million_records = 1e6 * row.server_cores / row.records_per_second
    report.rows += [row, *reads]
    report.ceilings += alone
    report.shares += [Share(row.name, each.name, row.records_per_second / each.value) for each in alone]
    report.shares.append(Share(row.name, "the direction", row.requests_per_second / shape.expected))


def _alone(shape: Shape, requests: list[Request], server: Server, folder: Path, seconds: float) -> list[Ceiling]:
    """What the parts do with these very requests; at batch 1 a request is a record."""
    decoded = decoded_per_second([body for _, body in requests]) * shape.batch
    ceilings = [Ceiling(f"codec alone, batch {shape.batch}", decoded, "records/s")]
    if shape.batch == 1:
        verified = verified_per_second(requests, server.credentials)
        with listener_alone(folder) as listener:
            answered = _load(listener, requests, shape.connections, 201, seconds)
        ceilings.append(Ceiling("SigV4 alone, batch 1", verified, "requests/s"))
        ceilings.append(Ceiling("listener alone, batch 1", answered.requests / answered.seconds, "requests/s"))
    return ceilings


def _read_rows(server: Server, seconds: float) -> list[Row]:
    queries = {
        "newest 100 by service": [f"service_name=service-{number:02d}" for number in range(SERVICES)],
        "newest 100 by type": [f"log_type=type-{number}" for number in range(TYPES)],
    }
    rows = []
    for name, each in queries.items():
        distinct = [recent_request(query, server.host, server.credentials) for query in each]
        repeated = distinct * max(1, int(seconds * _READS_PER_SECOND) // len(distinct))
        row, load = _row(name, server, repeated, 1, 200, seconds)
        if b'"count":100,' not in load.last_answer:
            raise LoadFailed(f"{name}: a page did not hold 100 records.")
        rows.append(row)
    return rows


def _row(
    name: str, server: Server, requests: Sequence[Request], connections: int, status: int, seconds: float
) -> tuple[Row, Load]:
    cpu_seconds = -server.cpu_seconds
    load = _load(server, requests, connections, status, seconds)
    cpu_seconds += server.cpu_seconds
    row = Row(
        name,
        connections,
        load.requests,
        load.seconds,
        load.requests / load.seconds,
        load.latency_ms(0.50),
        load.latency_ms(0.99),
        load.latency_ms(0.999),
        server_cores=cpu_seconds / load.seconds,
        generator_cores=load.generator_cores,
    )
    return row, load


def _load(server: Server, requests: Sequence[Request], connections: int, status: int, seconds: float) -> Load:
    return drive(server.address, requests, connections, status=status, seconds_max=_OVERTIME * seconds)


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
