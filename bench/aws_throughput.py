"""``python -m bench.aws_throughput``: what the AWS home carries and what it costs, from AWS's rules; needs no account.

Prints the tables of ``docs/COST_ESTIMATION.md`` and others. ``--write`` puts them there and draws the chart anew; with
``--corpora FOLDER`` those of real log lines, too.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench import aws_costs
from bench.aws_chart import draw
from bench.aws_costs import BATCHES
from bench.aws_figures import MIX_WORDS, rounded, table, updated
from bench.aws_requests import Mix, Shape, generated, stored
from bench.aws_simulation import PARTITION_WRITE_UNITS, outcome, simulate
from infra.costs import Traffic, costs, total, usage
from infra.profiles import PROD, Profile
from simple_log_service.stores.dynamodb.capacity import item_bytes, put_units
from simple_log_service.stores.dynamodb.keys import INDEX_KEY

ROOT = Path(__file__).parents[1]
DOCUMENTS = tuple(ROOT / "docs" / name for name in ("COST_ESTIMATION.md", "DATABASE_DESIGN.md"))
CHART = ROOT / "docs" / "images" / "aws-throughput.svg"

STEADY_UNITS = (5, 10, 25, 50, 100)
SUDDEN_UNITS = (5, 10, 30, 50, 70, 90)
SUDDEN_UNITS_MIN = (5, 50)
SUDDEN_SECONDS = 3600
THOUSAND: tuple[tuple[int, Mix], ...] = (
    (1, "own"),
    (10, "own"),
    (100, "own"),
    (1000, "own"),
    (10, "mixed"),
    (100, "mixed"),
)
THOUSAND_PER_SECOND = 1000
TABLE_UNITS_QUOTA = 40_000
"""DynamoDB's default quota of a table."""


def main() -> None:
    """Print the tables, and with ``--write`` put them into the documentation."""
    parser = argparse.ArgumentParser(prog="python -m bench.aws_throughput", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="put tables and chart into docs/")
    parser.add_argument("--corpora", type=Path, metavar="FOLDER", help="*.log files to cost as well")
    arguments = parser.parse_args()
    figures = aws_costs.FIGURES | FIGURES
    if arguments.corpora is not None:
        figures |= {"corpora": lambda: aws_costs.corpora(arguments.corpora)}
    for name, figure in figures.items():
        print(f"{name}\n\n{figure()}")
    if arguments.write:
        for document in DOCUMENTS:
            document.write_text(updated(document.read_text(encoding="utf-8"), figures), encoding="utf-8")
        CHART.parent.mkdir(exist_ok=True)
        draw(CHART)


def items() -> str:
    """What items weigh, and what writing each costs."""
    rows = []
    for title, records in (("1 record", 1), ("10 records", 10), ("100 records", 100), ("1,000 records", 1000)):
        for item in stored(records):
            kind = "plain" if "message" in item else "entry" if INDEX_KEY in item else "body"
            units = put_units(item)
            row = f"{kind} of {title}", f"{item_bytes(item):,}", f"{units.table_write:g}", f"{units.index_write:g}"
            if row not in rows:
                rows.append(row)
    return table(("item", "bytes", "units, table", "units, index"), rows)


def carries() -> str:
    """Records a second by the capacity of table and index alike, all of it used."""
    rows = []
    for batch in BATCHES:
        for mix in ("own", "mixed"):
            if mix == "mixed" and batch == 1:
                continue
            shape = generated(batch, mix)
            rates = (rounded(units / shape.units * batch) for units in STEADY_UNITS)
            rows.append((_title(batch, mix), f"{shape.table_units:g}", f"{shape.index_units:g}", *rates))
    titles = ("records in a request", "its units, table", "index", *(f"{units} units" for units in STEADY_UNITS))
    return table(titles, rows)


def sudden() -> str:
    """An hour of a load that sets in at once: under prod, and with more capacity from the start."""
    shape, rows = generated(100, "own"), []
    for units in SUDDEN_UNITS:
        cells = [f"{units}", rounded(units / shape.units * shape.records)]
        for least in SUDDEN_UNITS_MIN:
            profile = msgspec.structs.replace(PROD, capacity_units_min=least)
            result = outcome(simulate(profile, shape, units / shape.units, SUDDEN_SECONDS))
            settled = "over 60" if result.settled_minutes is None else f"{result.settled_minutes:.0f}"
            cells += [f"{result.carried_share:.0%}", rounded(result.backlog_max * shape.records), settled]
        rows.append(cells)
    each = ("carried", "waiting at worst", "minutes until none waits")
    titles = (f"from {least}: {title}" for least in SUDDEN_UNITS_MIN for title in each)
    return table(("units/s needed", "records/s", *titles), rows)


def thousand() -> str:
    """What it takes to hold 1000 requests a second that write, and what they cost."""
    rows = []
    for batch, mix in THOUSAND:
        shape = generated(batch, mix)
        units = units_holding(shape, THOUSAND_PER_SECOND)
        bill = costs(usage(holding(units), [Traffic(shape.request(), THOUSAND_PER_SECOND)]))
        over = "" if units <= TABLE_UNITS_QUOTA else " (over the quota)"
        needs = rounded(batch * THOUSAND_PER_SECOND), f"{units:,}{over}", *map(str, least_keys(batch, mix))
        rows.append((_title(batch, mix), *needs, rounded(total(bill), 3), rounded(bill["API Gateway"], 3)))
    titles = ("records in a request", "records/s", "units of table and index, each", "services, at least")
    return table((*titles, "types, at least", "$ a month", "of it API Gateway"), rows)


def units_holding(shape: Shape, per_second: float) -> int:
    """The provisioned units that hold this load at the target, of table and index alike."""
    return math.ceil(per_second * shape.units * 100 / PROD.capacity_target_percent)


def holding(units: int) -> Profile:
    """Prod, with so many units at all times."""
    return msgspec.structs.replace(PROD, capacity_units_min=units, capacity_units_max=units)


def least_keys(batch: int, mix: Mix) -> tuple[int, int]:
    """Over how many services and types 1000 such requests a second have to be spread evenly, at the target again."""
    shape = generated(batch, "single" if mix == "own" else mix)
    units = (shape.table_hottest, shape.index_hottest) if mix == "own" else (shape.table_units, shape.index_units)
    room = PARTITION_WRITE_UNITS * PROD.capacity_target_percent / 100
    services, types = (math.ceil(THOUSAND_PER_SECOND * each / room) for each in units)
    return services, types


FIGURES: dict[str, Callable[[], str]] = {figure.__name__: figure for figure in (items, carries, sudden, thousand)}


def _title(batch: int, mix: Mix) -> str:
    return "1" if batch == 1 else f"{batch:,}, {MIX_WORDS[mix]}"


if __name__ == "__main__":
    main()
