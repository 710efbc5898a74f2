"""Which rows there are, by name, and which of them a run measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Shape(NamedTuple):
    """One kind of ingest load. ``expected`` is the rate to reach, in requests a second: it sizes the load.

    With ``open_loop`` requests are due at that rate, else a connection sends its next once the last is answered.
    """

    name: str
    batch: int
    connections: int
    expected: int
    open_loop: bool = False
    ids: bool = False
    extra: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the parts' ceilings are measured beside it."""
        return not (self.open_loop or self.ids or self.extra)


SHAPES = (
    Shape("ingest, batch 1", 1, 64, 25_000),
    Shape("ingest, batch 100", 100, 8, 2_500),
    Shape("ingest, batch 1000", 1000, 8, 350),
    Shape("ingest, batch 1 at 1000/s", 1, 64, 1_000, open_loop=True),
    Shape("ingest, batch 1000, callers' ids", 1000, 8, 100, ids=True),
    Shape("ingest, batch 100, unknown fields", 100, 8, 1_500, extra=True),
)
ORDERS = ("in order", "at random")
"""How the timestamps of what is stored lie, over a day: the oldest first, or anyhow."""

STORE = "store"
BY_SERVICE, BY_TYPE = "newest 100 by service", "newest 100 by type"
BY_RARE_SERVICE, BY_RARE_TYPE = "newest 100 of a rare service", "newest 100 of a rare type"
BY_WEEK = "newest 100 by service, a week"
FIRST_PAGE, LATER_PAGES = "page 1 by service", "pages 2 to 20 by service"
WHILE_INGESTING = "newest 100 by service, while ingesting"
READS = (BY_SERVICE, BY_TYPE, BY_RARE_SERVICE, BY_RARE_TYPE, BY_WEEK, FIRST_PAGE, LATER_PAGES, WHILE_INGESTING)

RARE_WORD, ABSENT_WORD, COMMON_WORD = "search, rare word", "search, absent word", "search, common word"
PATTERN, RARE_PATTERN, FIELD = "search, pattern", "search, rare pattern", "search, metadata field"
COUNT, COUNT_BY_HOUR = "count by service", "count by service and hour"
SEARCHES = (RARE_WORD, ABSENT_WORD, COMMON_WORD, PATTERN, RARE_PATTERN, FIELD, COUNT, COUNT_BY_HOUR)

READY, FIRST_READ, STOPPED = "ready after start", "first read after start", "stopped"
LIFE = (READY, FIRST_READ, STOPPED)
"""Facts of the service's own processes, with everything stored in order."""
ACKNOWLEDGED, LOST = "kill -9: acknowledged", "kill -9: lost"
KILL = (ACKNOWLEDGED, LOST)


def stored(name: str, order: str) -> str:
    """The full name of a row about what is stored in this order."""
    return f"{name}, {order}"


NAMES = (
    *(shape.name for shape in SHAPES),
    *(stored(name, order) for order in ORDERS for name in (STORE, *READS)),
    *SEARCHES,
    *LIFE,
    *KILL,
)


SETTLE_SECONDS_MAX = 120.0


class Plan(NamedTuple):
    """What a run measures: rows whose name holds one of these texts, or all; how long; over how many records.

    ``settle_seconds_max``: how long it waits at most until a server has merged what it took in.
    """

    seconds: float
    records: int
    rows: Sequence[str] = ()
    settle_seconds_max: float = SETTLE_SECONDS_MAX

    def wants(self, *names: str) -> bool:
        """Whether any of these rows is measured."""
        return not self.rows or any(text.lower() in name.lower() for text in self.rows for name in names)
