"""Reading from the files: fresh chunks and merged blocks as runs, opened only when the merge comes to them."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import apsw

from simple_log_service.core.counting import count_runs
from simple_log_service.core.limits import CHUNK_CACHE_BYTES_MAX
from simple_log_service.core.query import Page, Query
from simple_log_service.core.runs import ColumnRun, LookedUpTo, Run, collect, newest
from simple_log_service.core.stats import Stats, StatsQuery
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from simple_log_service.stores.embedded.block_runs import BlockRun, LeafRun, Opened, leaf_runs
from simple_log_service.stores.embedded.blocks import BlockRow
from simple_log_service.stores.embedded.cache import Cache
from simple_log_service.stores.embedded.chunk_runs import ChunkRun
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.sql import one_row, translated_errors

_CHUNKS_BY_TIME = """
SELECT id, key_id, time_min, time_max, arrival_max FROM chunks WHERE time_max >= ? AND time_min <= ?
ORDER BY time_max DESC
"""
_CHUNKS_BY_ARRIVAL = "SELECT id, key_id, time_min, time_max, arrival_max FROM chunks ORDER BY id DESC"
_BLOCKS_BY_TIME = "SELECT * FROM blocks WHERE time_max >= ? AND time_min <= ? ORDER BY time_max DESC"
_NEWEST_TIME = """
SELECT max(
    coalesce((SELECT max(time_max) FROM chunks WHERE id < ?), -1), coalesce((SELECT max(time_max) FROM blocks), -1)
)
"""


class Reader:
    """Answers queries from files, in any thread; each thread has its own connections."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._chunks: Cache[tuple[DayFile, int], ColumnRun] = Cache(CHUNK_CACHE_BYTES_MAX)
        self._opened = Opened()
        self._lock = threading.Lock()
        self._connections: dict[DayFile, list[apsw.Connection]] = {}

    def recent(self, files: Sequence[DayFile], query: Query, deadline: float) -> Page:
        """The newest records in these files that match; what was found by the deadline, a ``time.monotonic()``."""
        with self._reading(files) as snapshot:
            return collect(newest(self._runs(snapshot, query, by_leaf=True), query, deadline), query)

    def stats(self, files: Sequence[DayFile], asked: StatsQuery, deadline: float) -> Stats:
        """How many records in these files match, counted by the deadline, a ``time.monotonic()``."""
        with self._reading(files) as snapshot:

            def runs(query: Query) -> Iterator[Run]:
                return self._runs(snapshot, query, by_leaf=query.search is not None)

            return count_runs(runs, asked, deadline)

    def latest(self, file: DayFile) -> Iterator[tuple[int, ColumnRun]]:
        """A file's chunks by falling arrival, with their numbers."""
        connection = self._connection(file)
        with closing(connection.execute(_CHUNKS_BY_ARRIVAL)) as rows:
            for place in rows:
                yield place[0], ChunkRun(self._chunks, connection, file, *place).open()

    def newest_time(self, file: DayFile, below_id: int) -> int:
        """The newest timestamp among a file's blocks and its chunks below a chunk's number, -1 where there are none."""
        return int(one_row(self._connection(file), _NEWEST_TIME, (below_id,))[0])

    def forget(self, file: DayFile) -> None:
        """Close the connections to a file that is about to go; nobody may be reading it."""
        with self._lock:
            for connection in self._connections.pop(file, []):
                connection.close()

    def close(self) -> None:
        """Close every thread's connections; no read may be under way."""
        for file in list(self._connections):
            self.forget(file)

    @contextmanager
    def _reading(self, files: Sequence[DayFile]) -> Iterator[_Snapshot]:
        with translated_errors(), closing(_Snapshot({file: self._connection(file) for file in files})) as snapshot:
            yield snapshot

    def _runs(
        self, snapshot: _Snapshot, query: Query, *, by_leaf: bool
    ) -> Iterator[ChunkRun | BlockRun | LeafRun | LookedUpTo]:
        """What may hold something of a query in falling ``time_max``: chunks, and blocks whole or by their leaves."""
        chunks = heapq.merge(*(self._chunk_runs(snapshot, file, query) for file in snapshot.connections), key=_falling)
        blocks = heapq.merge(*(self._block_runs(snapshot, file, query) for file in snapshot.connections), key=_falling)
        return heapq.merge(chunks, leaf_runs(blocks, query) if by_leaf else blocks, key=_falling)

    def _chunk_runs(self, snapshot: _Snapshot, file: DayFile, query: Query) -> Iterator[ChunkRun]:
        connection = snapshot.connections[file]
        for place in snapshot.rows(connection, _CHUNKS_BY_TIME, _range(query)):
            yield ChunkRun(self._chunks, connection, file, *place)

    def _block_runs(self, snapshot: _Snapshot, file: DayFile, query: Query) -> Iterator[BlockRun]:
        connection = snapshot.connections[file]
        for row in map(BlockRow._make, snapshot.rows(connection, _BLOCKS_BY_TIME, _range(query))):
            yield BlockRun(self._opened, file, row, file.block(connection, row))

    def _connection(self, file: DayFile) -> apsw.Connection:
        connections: dict[DayFile, apsw.Connection] = self._own.__dict__.setdefault("connections", {})
        if file not in connections:
            connections[file] = file.connect()
            with self._lock:
                self._connections.setdefault(file, []).append(connections[file])
        return connections[file]


class _Snapshot:
    """Connections that see each file as of one moment: what is merged meanwhile is seen once."""

    def __init__(self, connections: dict[DayFile, apsw.Connection]) -> None:
        self.connections = connections
        self._cursors: list[apsw.Cursor] = []
        for connection in connections.values():
            connection.execute("BEGIN")

    def rows(self, connection: apsw.Connection, statement: str, bindings: tuple[int, int]) -> apsw.Cursor:
        """A statement's rows, as they are asked for."""
        self._cursors.append(connection.execute(statement, bindings))
        return self._cursors[-1]

    def close(self) -> None:
        """Let go of that moment, also where an error's traceback still holds whoever walks through rows."""
        for cursor in self._cursors:
            cursor.close(True)
        for connection in self.connections.values():
            connection.execute("ROLLBACK")


def _falling(run: Run) -> int:
    return -run.time_max


def _range(query: Query) -> tuple[int, int]:
    """The oldest and the newest timestamp asked for; the latter included, since ties at the ceiling's still count."""
    ceiling = query.ceiling
    return query.since_ns, TIMESTAMP_NS_MAX if ceiling is None else ceiling.timestamp
