"""What a run found out, as data; ``report`` writes it as text and Markdown, ``chart`` draws it."""

from __future__ import annotations

import msgspec

from bench.load import Load

GENERATOR_CORES_MAX = 0.9
"""Past it the generator may have been what was measured."""


class Row(msgspec.Struct, omit_defaults=True):
    """One load on one server, and what came of it. What has no meaning for a kind of load is absent.

    CPU, memory and disk are of the server's whole process tree. ``skipped`` says why nothing was measured, ``note``
    what is to be known of what was, ``wrong`` in what the server's answers were not as they must be.
    """

    name: str
    target: str
    connections: int = 0
    requests: int = 0
    seconds: float | None = None
    requests_per_second: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    generator_cores: float | None = None
    records_per_second: float | None = None
    stored_records: int = 0
    cores: float | None = None
    cpu_seconds_per_million: float | None = None
    settled_cpu_seconds_per_million: float | None = None
    settled_after_seconds: float | None = None
    rss_mib_max: float | None = None
    disk_bytes_per_record: float | None = None
    settled_disk_bytes_per_record: float | None = None
    skipped: str | None = None
    note: str | None = None
    wrong: str | None = None

    @property
    def is_generator_bound(self) -> bool:
        """Whether the row says nothing about the server."""
        return (self.generator_cores or 0) > GENERATOR_CORES_MAX


class Fact(msgspec.Struct, omit_defaults=True):
    """One number about a server that is no load: how long its start took, what a crash left."""

    name: str
    target: str
    value: float | None
    unit: str
    skipped: str | None = None
    wrong: str | None = None


class Ceiling(msgspec.Struct):
    """What one part of the machine or of the program does alone."""

    name: str
    value: float
    unit: str


class Share(msgspec.Struct):
    """A row's rate in relation to a ceiling."""

    row: str
    of: str
    share: float


class Report(msgspec.Struct):
    """Everything of one run. ``load_average`` is that of the minute before it: what others were doing."""

    load_average: float
    cores: int
    records: int
    seconds: float
    rows: list[Row] = []
    facts: list[Fact] = []
    ceilings: list[Ceiling] = []
    shares: list[Share] = []

    @property
    def wrong(self) -> list[str]:
        """What must never be: answers that lack records, acknowledged records that are gone."""
        found: list[Row | Fact] = [*self.rows, *self.facts]
        return [f"{each.target}, {each.name}: {each.wrong}" for each in found if each.wrong]

    def row(self, name: str, target: str) -> Row | None:
        """The row of this name, where it was measured."""
        return next((row for row in self.rows if (row.name, row.target) == (name, target) and not row.skipped), None)

    def fact(self, name: str, target: str) -> Fact | None:
        """The fact of this name, where it was found out."""
        return next((fact for fact in self.facts if (fact.name, fact.target) == (name, target)), None)


def row_of(name: str, target: str, connections: int, load: Load) -> Row:
    """A row with all that the load itself says."""
    return Row(
        name,
        target,
        connections,
        load.requests,
        load.seconds,
        load.requests / load.seconds,
        load.latency_ms(0.50),
        load.latency_ms(0.99),
        load.latency_ms(0.999),
        load.generator_cores,
    )
