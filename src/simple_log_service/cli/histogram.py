"""Numbers as bars, for a terminal of any width and encoding: over time, stacked by group, or one bar a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from simple_log_service.cli.terminal import inert

Paint = Callable[[str, str], str]
"""Colours a text as that of a group."""

GROUPS_STACKED_MAX = 5
"""More could not be told apart; the others share a sign."""
OTHERS = ""
"""As a group to be painted. No name is empty."""
BAR_CELLS_MIN = 10
_NAME_CELLS_MAX = 48
_EIGHTHS = " ▏▎▍▌▋▊▉"
_GAP = "  "


class Signs(NamedTuple):
    """What bars are made of: ``full`` cells and, if the encoding has them, eighths; ``groups`` for stacked ones."""

    full: str
    eighths: str
    groups: str


BLOCKS = Signs("█", _EIGHTHS, "█▓▒░▚·")
ASCII = Signs("#", "", "#=+-o.")


def signs_of(encoding: str | None) -> Signs:
    """Blocks, or plain ASCII where the encoding has no blocks."""
    try:
        (BLOCKS.full + BLOCKS.eighths + BLOCKS.groups).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


class Row(NamedTuple):
    """A line of a histogram: what it is of, how many, and of those how many in each group."""

    label: str
    records: int
    counts: Mapping[str, int]


def bars(rows: Sequence[Row], width: int, signs: Signs, paint: Paint, *, share: bool = False) -> list[str]:
    """One bar a row, as long as its count; with ``share`` the part of all, too. Labels are aligned and shortened."""
    label_cells = min(max(cell_len(row.label) for row in rows), _NAME_CELLS_MAX, max(width // 2, BAR_CELLS_MIN))
    numbers = [f"{row.records:,}" for row in rows]
    if share:
        total = sum(row.records for row in rows) or 1
        widest = _widest(numbers)
        numbers = [
            f"{number:>{widest}}{_GAP}{row.records / total:6.1%}" for number, row in zip(numbers, rows, strict=True)
        ]
    cells = _bar_cells(width, label_cells, numbers)
    longest = max(row.records for row in rows)
    lines = []
    for row, number in zip(rows, numbers, strict=True):
        bar = _bar(row.records, longest, cells, signs)
        lines.append(_line(row.label, label_cells, number, _widest(numbers), paint(bar, row.label) if bar else ""))
    return lines


def stacked(rows: Sequence[Row], groups: Sequence[str], width: int, signs: Signs, paint: Paint) -> list[str]:
    """One bar a row, made of a part for each of these groups, the others at its end."""
    label_cells = max(cell_len(row.label) for row in rows)
    numbers = [f"{row.records:,}" for row in rows]
    cells = _bar_cells(width, label_cells, numbers)
    longest = max(row.records for row in rows)
    lines = []
    for row, number in zip(rows, numbers, strict=True):
        parts = [row.counts.get(group, 0) for group in groups]
        parts.append(row.records - sum(parts))
        lengths = _shared(parts, -(-row.records * cells // max(longest, 1)))
        drawn = zip([*groups, OTHERS], signs.groups[: len(groups)] + signs.groups[-1], lengths, strict=True)
        bar = "".join(paint(sign * length, group) for group, sign, length in drawn if length)
        lines.append(_line(row.label, label_cells, number, _widest(numbers), bar))
    return lines


def legend(groups: Sequence[tuple[str, int]], others: int, signs: Signs, paint: Paint) -> str:
    """Which sign is which of the stacked groups, and that of the others if there are any."""
    parts = [
        f"{paint(sign, group)} {inert(group)} {count:,}"
        for sign, (group, count) in zip(signs.groups, groups, strict=False)
    ]
    if others:
        parts.append(f"{paint(signs.groups[-1], OTHERS)} others {others:,}")
    return _GAP.join(parts)


def _line(label: str, label_cells: int, number: str, number_chars: int, bar: str) -> str:
    return f"{set_cell_size(label, label_cells)}{_GAP}{number:>{number_chars}}{_GAP}{bar}".rstrip()


def _bar_cells(width: int, label_cells: int, numbers: Sequence[str]) -> int:
    return max(width - label_cells - _widest(numbers) - 2 * len(_GAP), BAR_CELLS_MIN)


def _widest(numbers: Sequence[str]) -> int:
    return max(map(len, numbers))


def _bar(count: int, longest: int, cells: int, signs: Signs) -> str:
    """Whole cells and an eighth's worth; whatever is not nothing can be seen."""
    if count == 0:
        return ""
    if not signs.eighths:
        return signs.full * -(-count * cells // longest)
    whole, eighths = divmod(-(-count * cells * 8 // longest), 8)
    return signs.full * whole + (signs.eighths[eighths] if eighths else "")


def _shared(parts: Sequence[int], cells: int) -> list[int]:
    """The cells of a bar by largest remainder, so that they add up."""
    total = sum(parts)
    if total == 0:
        return [0] * len(parts)
    lengths = [part * cells // total for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda at: (-(parts[at] * cells % total), at))
    for at in by_remainder[: cells - sum(lengths)]:
        lengths[at] += 1
    return lengths
