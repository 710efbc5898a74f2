"""The report as an aligned table for people; its JSON is the ``Report`` itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.rows import Report, Row

_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("", lambda row: row.name),
    ("conn.", lambda row: str(row.connections)),
    ("requests/s", lambda row: f"{row.requests_per_second:,.0f}"),
    ("records/s", lambda row: _optional(row.records_per_second, ",.0f")),
    ("p50 ms", lambda row: f"{row.p50_ms:.2f}"),
    ("p99 ms", lambda row: f"{row.p99_ms:.2f}"),
    ("p999 ms", lambda row: f"{row.p999_ms:.2f}"),
    ("CPU s/M rec.", lambda row: _optional(row.server_cpu_seconds_per_million_records, ".2f")),
    ("cores", lambda row: f"{row.server_cores:.2f}"),
    ("generator", lambda row: f"{row.generator_cores:.2f}"),
    ("peak MiB", lambda row: _optional(row.rss_mib_max, ".0f")),
    ("disk B/rec.", lambda row: _optional(row.disk_bytes_per_record, ".1f")),
)


def as_text(report: Report) -> str:
    """The rows, this machine's ceilings, the rows as shares of them, and whether the machine was idle."""
    rows = [[text(row) for _, text in _COLUMNS] for row in report.rows]
    ceilings = [[each.name, _significant(each.value), each.unit] for each in report.ceilings]
    shares = [[f"{each.row}, of {each.of}", f"{each.share:.0%}"] for each in report.shares]
    return "\n\n".join(
        (
            aligned([[title for title, _ in _COLUMNS], *rows]),
            aligned([["This machine's ceilings", "", ""], *ceilings]),
            aligned([["Shares", ""], *shares]),
            f"Load average before: {report.load_average:.2f}, on {report.cores} cores.",
        )
    )


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


def _optional(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _significant(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"
