"""What the service has to beat: its targets, and what VictoriaLogs and Loki came to on another day on a like machine.

Measured side by side with one generator: 339-byte records of 50 services and 8 types with timestamps, 2 cores. Where a
run measures these servers itself, its own figures take the place of those here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from bench import plan
from bench.results import Fact, Report, Row

ELSEWHEN = "measured on another day on a like machine"
RECORDS = 3_000_000
"""So many were stored then while reads were measured."""

OWN, VICTORIALOGS, LOKI = "simple-log-service", "victorialogs", "loki"
TITLES = {OWN: "Simple Log Service", VICTORIALOGS: "VictoriaLogs", LOKI: "Loki"}

Value = Callable[[Row], float | None]


class Goal(NamedTuple):
    """One line of the comparison: a number of a row, or a fact. ``published`` holds what was measured elsewhen."""

    title: str
    unit: str
    row: str
    value: Value
    target: float | None
    is_more_better: bool = False
    published: Mapping[str, float] = MappingProxyType({})
    words: Mapping[str, str] = MappingProxyType({})
    """What was published where a number alone does not say it."""

    def of(self, report: Report, server: str) -> float | None:
        """What this run found."""
        row = report.row(self.row, server)
        if row is not None:
            return self.value(row)
        fact: Fact | None = report.fact(self.row, server)
        return None if fact is None else fact.value

    def better_by(self, value: float, than: float) -> float:
        """How many times as good the one is as the other."""
        return value / than if self.is_more_better else than / value


def shown(value: float) -> str:
    """To three digits or so, without the unit."""
    text = f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def cell(line: Comparison, server: str) -> str:
    """What a table says of one server; nothing where nothing is known. Figures of elsewhen have a mark."""
    if server in line.elsewhen or server not in line.values:
        words = line.goal.words.get(server)
        if words is not None:
            return f"{words}*"
    if server not in line.values:
        return ""
    return shown(line.values[server]) + "*" * (server in line.elsewhen)


def caveats(report: Report) -> list[str]:
    """What is to be said of a run with less in its store than the published ones had, and of a busy machine."""
    told = []
    if report.records < RECORDS:
        told.append(f"A small run: reads are over {report.records:,} stored records and not {RECORDS:,}.")
    if report.load_average > report.cores / 2:
        told.append(f"Others kept the machine busy: load average {report.load_average:.1f} on {report.cores} cores.")
    return told


def shown_target(goal: Goal) -> str:
    """With its direction; nothing where there is none."""
    if goal.target is None:
        return ""
    sign = "" if goal.target == 0 else "≥ " if goal.is_more_better else "≤ "
    return f"{sign}{shown(goal.target)}"


def _records_per_second(row: Row) -> float | None:
    return row.records_per_second


def _requests_per_second(row: Row) -> float | None:
    return row.requests_per_second


def _p50(row: Row) -> float | None:
    return row.p50_ms


def _p99(row: Row) -> float | None:
    return row.p99_ms


def _goal(
    title: str,
    unit: str,
    row: str,
    value: Value,
    target: float | None,
    victorialogs: float | None = None,
    loki: float | None = None,
    *,
    more: bool = False,
) -> Goal:
    both = {VICTORIALOGS: victorialogs, LOKI: loki}
    return Goal(title, unit, row, value, target, more, {name: each for name, each in both.items() if each is not None})


_B1, _B100, _B1000, _OPEN, _IDS, _EXTRA = (shape.name for shape in plan.SHAPES)
_ORDER = plan.ORDERS[0]
_STORE = plan.stored(plan.STORE, _ORDER)
_BY_SERVICE, _BY_TYPE = plan.stored(plan.BY_SERVICE, _ORDER), plan.stored(plan.BY_TYPE, _ORDER)

GOALS = (
    _goal("ingest, batches of 1000", "records/s", _B1000, _records_per_second, 350_000, 116_930, 63_353, more=True),
    _goal("ingest, batches of 100", "records/s", _B100, _records_per_second, 250_000, 110_023, 50_539, more=True),
    _goal("ingest, single records", "requests/s", _B1, _requests_per_second, 25_000, 10_004, 4_347, more=True),
    _goal("ingest, callers' ids, batches of 1000", "records/s", _IDS, _records_per_second, 100_000, more=True),
    _goal("single records at 1000/s, p50", "ms", _OPEN, _p50, None, 0.28, 0.78),
    _goal("single records at 1000/s, p99", "ms", _OPEN, _p99, 4, 3.7, 9.9),
    _goal("server CPU for a million, ingestion", "s", _B1000, lambda row: row.cpu_seconds_per_million, 3.5, 15.4, 29.5),
    _goal("the same until settled", "s", _STORE, lambda row: row.settled_cpu_seconds_per_million, 8, 16.0),
    _goal("disk for a record, settled", "bytes", _STORE, lambda row: row.settled_disk_bytes_per_record, 42, 46.5, 48.6),
    _goal("peak memory, batches of 1000", "MB", _B1000, lambda row: _megabytes(row.rss_mib_max), 250, 277, 958),
    _goal("newest 100 by service, p50", "ms", _BY_SERVICE, _p50, 1, 15, 494),
    _goal("newest 100 by service, p99", "ms", _BY_SERVICE, _p99, 5, 68, 2671),
    _goal("newest 100 by type, p50", "ms", _BY_TYPE, _p50, 1, 16, 1319),
    _goal("newest 100 by type, p99", "ms", _BY_TYPE, _p99, 5, 46, 3752),
    _goal("rare word over all, p50", "ms", plan.RARE_WORD, _p50, 30, 44, 4358),
    _goal("count by service over all, p50", "ms", plan.COUNT, _p50, 1.5, 1.9, 11_200),
    _goal("ready after a start", "s", plan.READY, _p50, 0.5, 0.06, 15),
    _goal("acknowledged, lost on kill -9", "records", plan.LOST, _p50, 0, None, 0)._replace(
        words={VICTORIALOGS: "the last 5 to 10 s", LOKI: "0, not synced"}
    ),
)  # fmt: skip


class Comparison(NamedTuple):
    """One line: what this run found of each server, and which figures are not its own."""

    goal: Goal
    values: dict[str, float]
    elsewhen: frozenset[str]


def compared(report: Report) -> list[Comparison]:
    """Every goal with what is known."""
    lines = []
    for goal in GOALS:
        found = {server: goal.of(report, server) for server in TITLES}
        measured = {server: value for server, value in found.items() if value is not None}
        values = {**goal.published, **measured}
        lines.append(Comparison(goal, values, frozenset(values) - frozenset(measured)))
    return lines


def _megabytes(mebibytes: float | None) -> float | None:
    return None if mebibytes is None else mebibytes * 1.048576
