"""Measures one kind of read: distinct questions in turn, each one's answer checked against what is stored."""

from __future__ import annotations

from collections.abc import Sequence

from bench.answers import Answer
from bench.load import Refused, ask, drive
from bench.processes import Server
from bench.results import Row, row_of
from bench.targets import Ask, Target

READS_PER_SECOND = 1000
"""So many requests are made for each second of a row; a server that is faster is measured for less time."""
_NOT_THERE = frozenset((400, 403, 404))
"""What a server answers that knows no such question."""


def read_row(
    name: str, server: Server, target: Target, asks: Sequence[Ask], expected: Sequence[int], seconds: float
) -> Row:
    """The questions in turn, over one connection, for so many seconds; ``expected`` records are in each one's answer.

    A server that does not know the question makes the row a skipped one. Wrong answers stand in the row.
    """
    first = target.read(asks[0])
    if first is None:
        return Row(name, target.name, skipped="this server knows no such question")
    try:
        ask(server.address, first, 200)
    except Refused as refused:
        if refused.status not in _NOT_THERE:
            raise
        return Row(name, target.name, skipped=str(refused))
    distinct = [request for request in map(target.read, asks) if request is not None]
    checked = Checked(target, asks, expected)
    repeats = max(1, int(seconds * READS_PER_SECOND) // len(distinct))
    load = drive(server.address, distinct * repeats, 1, status=200, seconds_max=seconds, check=checked)
    row = row_of(name, target.name, 1, load)
    row.wrong, row.note = checked.wrong, checked.note
    return row


class Checked:
    """Looks at the first answer to each question; an answer that has not looked at everything may lack records."""

    def __init__(self, target: Target, asks: Sequence[Ask], expected: Sequence[int]) -> None:
        self._target, self._asks, self._expected = target, asks, expected
        self._partial = 0
        self.wrong: str | None = None

    def __call__(self, index: int, answer: Answer) -> None:
        """Compare what an answer holds with what it should."""
        if index >= len(self._asks):
            return
        found = self._target.found(self._asks[index], answer.body)
        wanted = self._expected[index]
        self._partial += not found.complete
        if found.records != wanted and (found.complete or found.records > wanted):
            self.wrong = f"{found.records:,} records and not {wanted:,} for {shown(self._asks[index])}"

    @property
    def note(self) -> str | None:
        """That some answers were not all of it."""
        return f"{self._partial} of {len(self._asks)} answers were incomplete" if self._partial else None


def shown(ask: Ask) -> str:
    """What is asked, without what is not."""
    told = {name: value for name, value in ask._asdict().items() if value != Ask._field_defaults[name]}
    return ", ".join(f"{name}={value}" for name, value in told.items())
