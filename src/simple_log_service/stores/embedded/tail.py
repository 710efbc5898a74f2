"""The memory tail: the newest arrivals, decoded, which answer most reads without a file.

It has a floor, the largest timestamp that it does not hold: above its floor it holds everything there is, and only
there it answers. Records that arrive late simply raise no floor until they are let go.
"""

from __future__ import annotations

from collections import deque
from time import monotonic

import msgspec

from simple_log_service.core.limits import READ_SECONDS_MAX
from simple_log_service.core.query import Page, Query
from simple_log_service.core.runs import ColumnRun, collect, newest

_RUN_RECORDS_MIN = 512
"""Small commits are joined into runs of this many records."""


class _Held(msgspec.Struct):
    run: ColumnRun
    size_bytes: int


class Tail:
    """Holds runs in order of arrival within a bound of bytes; used on the event loop only."""

    def __init__(self, bytes_max: int, floor: int = -1) -> None:
        self._bytes_max = bytes_max
        self._runs: deque[_Held] = deque()
        self._bytes = 0
        self._floor = floor

    @property
    def records(self) -> int:
        """How many records it holds."""
        return sum(len(held.run) for held in self._runs)

    def add(self, run: ColumnRun) -> None:
        """Take in what was just committed."""
        size_bytes = run.columns.memory_bytes
        self._bytes += size_bytes
        last = self._runs[-1] if self._runs else None
        if last is not None and len(last.run) < _RUN_RECORDS_MIN and last.run.generated_id is run.generated_id:
            last.run = last.run.followed_by(run.columns, run.arrivals)
            last.size_bytes += size_bytes
        else:
            self._runs.append(_Held(run, size_bytes))
        while self._bytes > self._bytes_max and len(self._runs) > 1:
            let_go = self._runs.popleft()
            self._bytes -= let_go.size_bytes
            self._floor = max(self._floor, let_go.run.time_max)

    def drop(self) -> None:
        """Hold nothing any more of what has come so far: from now on that is answered from the files."""
        self._floor = max([self._floor, *(held.run.time_max for held in self._runs)])
        self._runs.clear()
        self._bytes = 0

    def recent(self, query: Query) -> Page | None:
        """The page, where it lies above the floor altogether; else ``None``."""
        ceiling = query.ceiling
        if ceiling is not None and ceiling.timestamp <= self._floor:
            return None
        above = msgspec.structs.replace(query, since_ns=max(query.since_ns, self._floor + 1))
        runs = sorted((held.run for held in self._runs), key=lambda run: run.time_max, reverse=True)
        page = collect(newest(runs, above, monotonic() + READ_SECONDS_MAX), above)
        return page if page.below is not None or query.since_ns > self._floor else None
