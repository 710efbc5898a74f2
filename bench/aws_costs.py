"""What the AWS home costs, as tables: the bill of some loads, between which loads an estimate holds, and by the GB."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.aws_figures import dollars, rounded, table
from bench.aws_requests import Shape, generated, of_lines, reading
from infra.costs import (
    DAY_SECONDS,
    GB,
    LOG_BYTES_PER_REQUEST,
    LOG_COMPRESSION,
    MEMORY_GB,
    NotCarried,
    Traffic,
    Usage,
    costs,
    price_list,
    total,
    usage,
)
from infra.profiles import DEV, PROD, Profile

BATCHES = (1, 10, 100, 1000)
READS_PER_WRITE = 0.1
"""One read of the newest 100 for every ten requests that write."""
SCENARIOS: tuple[tuple[str, Profile, int, float], ...] = (
    ("dev: 2 requests a minute, of 10", DEV, 10, 1 / 30),
    ("prod: 1 request/s, of 10", PROD, 10, 1.0),
    ("prod: 1 request/s, of 100", PROD, 100, 1.0),
    ("prod: 5 requests/s, of 10", PROD, 10, 5.0),
)
"""Title, profile, records in a request, requests a second."""
LOADS_PER_SECOND = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
PROD_DOLLARS = (50.0, 150.0)
"""The estimate for prod under a moderate load."""
CORPUS_BATCHES = (100, 1000)
CORPUS_TITLES = ("lines of", "in a request", "bytes a line", "stored", "units, table", "units, index", "$ a GB")


def traffic(shape: Shape, per_second: float) -> list[Traffic]:
    """Requests that write, and the reads that go with them."""
    reads = Traffic(reading(shape.records), per_second * READS_PER_WRITE)
    return [Traffic(shape.request(), per_second), reads]


def standing() -> str:
    """A month in which nobody asks anything."""
    lines = costs(usage(DEV, []))
    rows = [(service, dollars(amount)) for service, amount in lines.items()]
    return table(("line", "$ a month"), [*rows, _together([lines])])


def scenarios() -> str:
    """The bill, line by line, of some loads."""
    bills = [costs(usage(profile, traffic(generated(batch, "own"), rate))) for _, profile, batch, rate in SCENARIOS]
    services = dict.fromkeys(price.service for price in price_list().prices.values())
    rows = [(service, *(dollars(bill.get(service, 0.0)) for bill in bills)) for service in services]
    return table(("line", *(title for title, *_ in SCENARIOS)), [*rows, _together(bills)])


def loads() -> str:
    """What prod costs by requests a second and records in each."""
    rows = []
    for batch in BATCHES:
        months = (_prod_month(generated(batch, "own"), rate) for rate in LOADS_PER_SECOND)
        rows.append((f"{batch:,}", *(f"{month:,.0f}" if month < math.inf else "not carried" for month in months)))
    return table(("records in a request", *(f"{rate:g}/s" for rate in LOADS_PER_SECOND)), rows)


def estimate() -> str:
    """Between which loads the estimate for prod holds."""
    rows = []
    for batch in BATCHES:
        least, most = (load_costing(generated(batch, "own"), each) for each in PROD_DOLLARS)
        cells = rounded(least), rounded(most), rounded(most * batch * DAY_SECONDS)
        rows.append((f"{batch:,}", *cells))
    return table(("records in a request", "$50 at requests/s", "$150 at requests/s", "that is, records a day"), rows)


def load_costing(shape: Shape, amount: float) -> float:
    """Requests a second from which on prod costs more than this, or no longer carries them."""
    low, high = 0.0, PROD.capacity_units_max / shape.units
    while high - low > high / 1000:
        middle = (low + high) / 2
        low, high = (middle, high) if _prod_month(shape, middle) < amount else (low, middle)
    return low


def per_gb() -> str:
    """What a GB of 298-byte records costs to take in, and to keep for a month."""
    rows = []
    for batch in BATCHES:
        shape = generated(batch, "own", fewer_fields=True)
        lines, provisioned = gb_costs(shape), gb_costs(shape, on_demand=False)
        told = lines["CloudWatch Logs"] + lines["X-Ray"]
        cells = *(lines[name] for name in ("DynamoDB capacity", "API Gateway", "Lambda", "CloudTrail")), told
        kept = gb_month(shape)
        rows.append((f"{batch:,}", *map(dollars, (*cells, total(lines), total(provisioned), kept))))
    logs = costs(Usage(cloudwatch_logs_gb=1)), costs(Usage(cloudwatch_logs_gb_months=LOG_COMPRESSION))
    rows.append(("CloudWatch Logs", *[""] * 5, *[dollars(total(logs[0]))] * 2, dollars(total(logs[1]))))
    titles = ("records in a request", "writes", "API Gateway", "Lambda", "audit", "own logs, traces", "**all**")
    return table((*titles, "all, provisioned", "kept a month"), rows)


def gb_costs(shape: Shape, *, on_demand: bool = True) -> dict[str, float]:
    """The bill for taking in a GB of JSON; provisioned units are used as far as autoscaling aims at."""
    requests, request = GB / shape.json_bytes, shape.request()
    units = requests * (request.table_write_units + request.index_write_units)
    hours = units / 3600 * 100 / PROD.capacity_target_percent
    return costs(
        Usage(
            api_gateway_requests=requests,
            lambda_requests=requests,
            lambda_arm64_gb_seconds=requests * request.billed_ms / 1000 * MEMORY_GB,
            dynamodb_write_units=units if on_demand else 0,
            dynamodb_write_unit_hours=0 if on_demand else hours,
            cloudwatch_logs_gb=requests * LOG_BYTES_PER_REQUEST / GB,
            cloudtrail_data_events=requests * request.dynamodb_calls,
            xray_traces=requests * PROD.trace_rate,
        )
    )


def gb_month(shape: Shape) -> float:
    """Dollars for keeping a GB of JSON a month, in table and index and for recovery, without backups."""
    table_gb, index_gb = shape.table_bytes / shape.json_bytes, shape.index_bytes / shape.json_bytes
    kept = Usage(dynamodb_stored_gb_months=table_gb + index_gb, dynamodb_recovery_gb_months=table_gb)
    return total(costs(kept))


def corpora(folder: Path) -> str:
    """What a GB of real lines costs to take in; a GB of their own bytes, without what is around them in JSON."""
    files = sorted(folder.glob("*.log"))
    return table(CORPUS_TITLES, [corpus_row(path, batch) for path in files for batch in CORPUS_BATCHES])


def corpus_row(path: Path, batch: int) -> tuple[str, ...]:
    """A row of ``corpora``; ``stored`` is what table and index take, as a share of the lines."""
    shape = of_lines(path, batch)
    stored = (shape.table_bytes + shape.index_bytes) / shape.json_bytes
    units = f"{shape.table_units:.2f}", f"{shape.index_units:.2f}"
    cells = f"{shape.json_bytes / batch:.0f}", f"{stored:.0%}", *units, dollars(total(gb_costs(shape)))
    return path.stem.removesuffix("_2k"), f"{batch:,}", *cells


FIGURES: dict[str, Callable[[], str]] = {
    figure.__name__: figure for figure in (standing, scenarios, loads, estimate, per_gb)
}


def _prod_month(shape: Shape, per_second: float) -> float:
    """Dollars a month, without end where the profile does not carry it."""
    try:
        return total(costs(usage(PROD, traffic(shape, per_second))))
    except NotCarried:
        return math.inf


def _together(bills: Iterable[dict[str, float]]) -> tuple[str, ...]:
    return "**together**", *(f"**{dollars(total(bill))}**" for bill in bills)
