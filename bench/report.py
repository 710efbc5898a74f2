"""The report for people: aligned text, and Markdown with the comparison. Its JSON is the ``Report`` itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from bench.peers import ELSEWHEN, OWN, TITLES, Comparison, caveats, cell, compared, shown_target
from bench.results import Report, Row

_MARKED = re.compile(r"(<!-- benchmark -->\n).*?(<!-- end -->)", re.DOTALL)
NOTHING = "\N{EN DASH}"
_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("", lambda row: row.name if row.target == OWN else f"{row.target}: {row.name}"),
    ("conn.", lambda row: str(row.connections)),
    ("requests/s", lambda row: _optional(row.requests_per_second, ",.0f")),
    ("records/s", lambda row: _optional(row.records_per_second, ",.0f")),
    ("p50 ms", lambda row: _optional(row.p50_ms, ".2f")),
    ("p99 ms", lambda row: _optional(row.p99_ms, ".2f")),
    ("p999 ms", lambda row: _optional(row.p999_ms, ".2f")),
    ("generator", lambda row: _optional(row.generator_cores, ".2f") + "!" * row.is_generator_bound),
)
_COSTS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    _COLUMNS[0],
    ("cores", lambda row: _optional(row.cores, ".2f")),
    ("CPU s/M", lambda row: _optional(row.cpu_seconds_per_million, ".2f")),
    ("settled", lambda row: _optional(row.settled_cpu_seconds_per_million, ".2f")),
    ("after s", lambda row: _optional(row.settled_after_seconds, ".1f")),
    ("peak MiB", lambda row: _optional(row.rss_mib_max, ".0f")),
    ("disk B/rec.", lambda row: _optional(row.disk_bytes_per_record, ".1f")),
    ("settled", lambda row: _optional(row.settled_disk_bytes_per_record, ".1f")),
)


def as_text(report: Report) -> str:
    """The rows, what ingestion costs, facts, the comparison, this machine's ceilings, and whether it was idle."""
    measured = [row for row in report.rows if not row.skipped]
    storing = [row for row in measured if row.records_per_second is not None]
    facts = [[_named(each.target, each.name), _significant(each.value), each.unit] for each in report.facts]
    ceilings = [[each.name, _significant(each.value), each.unit] for each in report.ceilings]
    shares = [[f"{each.row}, of {each.of}", f"{each.share:.0%}"] for each in report.shares]
    parts = [
        _table(_COLUMNS, measured),
        _table(_COSTS, storing),
        aligned(facts),
        aligned([["Compared", *TITLES.values(), "to reach"], *map(_compared_line, compared(report))]),
        aligned([["This machine's ceilings", "", ""], *ceilings]),
        aligned([["Shares", ""], *shares]),
        "\n".join(remarks(report)),
        _circumstances(report),
    ]
    return "\n\n".join(filter(None, parts))


def as_markdown(report: Report) -> str:
    """The comparison as a table, and under it what is to be known of it."""
    titles = ["", *TITLES.values(), "to reach"]
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *map(_compared_line, compared(report))]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = [
        f"Reads are over {report.records:,} stored records; this machine has {report.cores} cores, which the load",
        f"generator shares. Figures with * were {ELSEWHEN}.",
    ]
    return f"{table}\n" + "\n".join([*notes, *(f"**{each}**" for each in caveats(report))]) + "\n"


def placed(document: str, table: str) -> str | None:
    """The document with this between its marks, ``<!-- benchmark -->`` and ``<!-- end -->``; ``None`` without marks."""
    text, count = _MARKED.subn(lambda found: f"{found[1]}{table}{found[2]}", document)
    return text if count else None


def remarks(report: Report) -> list[str]:
    """What the numbers alone don't say, a line each."""
    lines = []
    for row in report.rows:
        for title, text in (("skipped", row.skipped), ("WRONG", row.wrong), ("note", row.note)):
            if text:
                lines.append(f"{title}: {_named(row.target, row.name)}: {text}")
        if row.is_generator_bound:
            lines.append(f"note: {_named(row.target, row.name)}: the generator was near a whole core (!)")
    lines += [f"WRONG: {_named(each.target, each.name)}: {each.wrong}" for each in report.facts if each.wrong]
    return lines


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """The lines as columns as wide as they need to be: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _table(columns: Sequence[tuple[str, Callable[[Row], str]]], rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    return aligned([[title for title, _ in columns], *([text(row) for _, text in columns] for row in rows)])


def _compared_line(line: Comparison) -> list[str]:
    goal = line.goal
    cells = [f"{goal.title}, {goal.unit}", *(cell(line, server) or NOTHING for server in TITLES)]
    return [*cells, shown_target(goal) or NOTHING]


def _circumstances(report: Report) -> str:
    idle = f"Load average before: {report.load_average:.2f}, on {report.cores} cores."
    return f"{report.records:,} records stored for reads. {idle}"


def _named(target: str, name: str) -> str:
    return name if target == OWN else f"{target}: {name}"


def _optional(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _significant(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3f}"
