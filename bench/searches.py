"""The rows of search and of counts, over all that is stored; of each planted word it is known in how many records."""

from __future__ import annotations

from collections.abc import Iterator

from bench import plan
from bench.asking import read_row
from bench.plan import Plan
from bench.processes import Server
from bench.records import WORD_HOSTS, WORD_RECORDS, WORD_TEXTS, WORDS
from bench.results import Row
from bench.targets import Ask, Target

_HOUR_SECONDS = 3600
_PAGE = 100


def questions(total: int) -> dict[str, tuple[list[Ask], list[int]]]:
    """What is asked for each row, and what each answer must come to with so many records stored.

    Common words and patterns are one record in 50 or more; the rare pattern is a planted word's, and has to look at
    every message, unlike the word itself.
    """
    planted = [WORD_RECORDS] * WORDS
    common = ["hit", "miss", "404", "201"]
    patterns = [rf"answered 404 after {digit}\d\d ms" for digit in range(1, 10)]
    everything = Ask(count_by="service_name")
    return {
        plan.RARE_WORD: ([Ask(word=word) for word in WORD_TEXTS], planted),
        plan.ABSENT_WORD: ([Ask(word=f"unheardof{number}") for number in range(WORDS)], [0] * WORDS),
        plan.COMMON_WORD: ([Ask(word=word) for word in common], [_PAGE] * len(common)),
        plan.PATTERN: ([Ask(pattern=pattern) for pattern in patterns], [_PAGE] * len(patterns)),
        plan.RARE_PATTERN: ([Ask(pattern=f"cache h[a-z]+bug{number}$") for number in range(WORDS)], planted),
        plan.FIELD: ([Ask(field=("host", host)) for host in WORD_HOSTS], planted),
        plan.COUNT: ([everything], [total]),
        plan.COUNT_BY_HOUR: ([everything._replace(interval=_HOUR_SECONDS)], [total]),
    }


def search_rows(server: Server, target: Target, asked: Plan, total: int) -> Iterator[Row]:
    """Every row that is wanted."""
    for name, (asks, expected) in questions(total).items():
        if asked.wants(name):
            yield read_row(name, server, target, asks, expected, asked.seconds)
