"""How documented figures look and where they stand: Markdown tables, computed and never typed.

A document holds each between ``<!-- figures: NAME -->`` and ``<!-- end -->``; ``updated`` puts them there, and a test
compares.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.aws_requests import Mix

MIX_WORDS: Mapping[Mix, str] = {"own": "of one kind", "mixed": "mixed", "single": "of one sender"}
_BLOCK = re.compile(r"(<!-- figures: ([a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def updated(text: str, figures: Mapping[str, Callable[[], str]]) -> str:
    """The document with every block of these figures as it is now; others stay as they are."""
    return _BLOCK.sub(
        lambda block: f"{block[1]}{figures[block[2]]()}{block[3]}" if block[2] in figures else block[0], text
    )


def named(text: str) -> list[str]:
    """The names of a document's blocks."""
    return [block[2] for block in _BLOCK.finditer(text)]


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def dollars(amount: float) -> str:
    """With cents."""
    return f"{amount:,.2f}"


def rounded(number: float, digits: int = 2) -> str:
    """To so many significant digits, whole numbers with their thousands set apart."""
    if number == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(number)))
    return f"{round(number, places):,.{max(places, 0)}f}"
