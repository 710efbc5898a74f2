"""What the run found, for people as a table and for machines as JSON, with nothing in it that a terminal would obey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import IO, Any

import msgspec

from infra.smoke.findings import Finding, Outcome
from simple_log_service.cli.terminal import inert

_STYLES = {Outcome.HELD: "green", Outcome.NOT_HELD: "bold red", Outcome.NOT_TESTED: "yellow"}


class Report(msgspec.Struct, frozen=True):
    """A whole run. ``service_prefix`` begins the names of the services whose records it left."""

    endpoint: str
    service_prefix: str
    requests: int
    findings: list[Finding]

    @property
    def failed(self) -> bool:
        """Whether anything did not hold."""
        return any(each.outcome is Outcome.NOT_HELD for each in self.findings)

    @property
    def summary(self) -> str:
        """How many held, did not, and were not tested."""
        counts = Counter(each.outcome for each in self.findings)
        return ", ".join(f"{counts[each]} {each}" for each in Outcome)


def as_json(report: Report) -> bytes:
    """The report for machines."""
    return msgspec.json.format(msgspec.json.encode(report))


def print_table(report: Report, stream: IO[str]) -> None:
    """The report for people: a table, what did not hold again below it, and the sum."""
    # Only people need it, and it takes longer to import than some runs do.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=stream, highlight=False)
    table = Table(title=f"Smoke test of {report.endpoint}", title_justify="left")
    for column in ("", "check", "outcome", "seen"):
        table.add_column(column, overflow="fold", no_wrap=column == "outcome")
    for each in report.findings:
        style = _STYLES[each.outcome]
        table.add_row(each.group, each.name, Text(each.outcome, style), Text(inert(_short(each.seen))))
    console.print(table)
    for each in _failures(report.findings):
        console.print(Text(f"{each.group} {each.name}: {each.belief}", _STYLES[Outcome.NOT_HELD]))
        console.print(Text(f"    {inert(each.seen)}"))
    console.print(Text(f"{report.summary}; {report.requests} requests sent."))
    console.print(Text(f"Left behind: records of services {report.service_prefix}*, until they expire."))


def _failures(findings: Sequence[Finding]) -> list[Any]:
    return [each for each in findings if each.outcome is Outcome.NOT_HELD]


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"
