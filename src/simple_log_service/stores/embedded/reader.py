"""Reading from the files: fresh chunks and merged blocks as runs, opened only when the merge comes to them."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

import apsw

from simple_log_service.core.counting import count_runs
from simple_log_service.core.limits import CHUNK_CACHE_BYTES_MAX
from simple_log_service.core.query import Page, Query
from simple_log_service.core.runs import ColumnRun, Run, collect, newest
from simple_log_service.core.stats import Stats, StatsQuery
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from simple_log_service.stores.embedded.block_runs import BlockRun, Opened, leaf_runs
from simple_log_service.stores.embedded.blocks import BlockFile, BlockRow
from simple_log_service.stores.embedded.cache import Cache
from simple_log_service.stores.embedded.chunk_runs import ChunkRun
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.sql import one_row, translated_errors
from simple_log_service.stores.embedded.token_filter import probes

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
        words = [] if query.search is None else [word.encode() for word in query.search.required_words()]
        with self._reading(files) as connections:
            blocks = leaf_runs(self._blocks(connections, query), query, probes(words))
            runs: Iterator[Run] = heapq.merge(self._fresh(connections, query), blocks, key=_falling)
            return collect(newest(runs, query, deadline), query)

    def stats(self, files: Sequence[DayFile], asked: StatsQuery, deadline: float) -> Stats:
        """How many records in these files match, counted by the deadline, a ``time.monotonic()``."""
        with self._reading(files) as connections:

            def runs(query: Query) -> Iterator[Run]:
                return heapq.merge(self._fresh(connections, query), self._blocks(connections, query), key=_falling)

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
    def _reading(self, files: Sequence[DayFile]) -> Iterator[dict[DayFile, apsw.Connection]]:
        """A connection to each file, which sees it as of one moment: what is merged meanwhile is seen once."""
        with translated_errors(), ExitStack() as stack:
            connections = {file: self._connection(file) for file in files}
            for connection in connections.values():
                connection.execute("BEGIN")
                stack.callback(connection.execute, "ROLLBACK")
            yield connections

    def _fresh(self, connections: dict[DayFile, apsw.Connection], query: Query) -> Iterator[ChunkRun]:
        streams = (self._chunk_runs(file, connection, query) for file, connection in connections.items())
        return heapq.merge(*streams, key=_falling)

    def _chunk_runs(self, file: DayFile, connection: apsw.Connection, query: Query) -> Iterator[ChunkRun]:
        for place in connection.execute(_CHUNKS_BY_TIME, _range(query)):
            yield ChunkRun(self._chunks, connection, file, *place)

    def _blocks(self, connections: dict[DayFile, apsw.Connection], query: Query) -> Iterator[BlockRun]:
        streams = (self._block_runs(file, connection, query) for file, connection in connections.items())
        return heapq.merge(*streams, key=_falling)

    def _block_runs(self, file: DayFile, connection: apsw.Connection, query: Query) -> Iterator[BlockRun]:
        for row in map(BlockRow._make, connection.execute(_BLOCKS_BY_TIME, _range(query))):
            block = BlockFile(file.block_path(row.id), row, file.sealer(connection, row.key_id))
            yield BlockRun(self._opened, file, row, block)

    def _connection(self, file: DayFile) -> apsw.Connection:
        connections: dict[DayFile, apsw.Connection] = self._own.__dict__.setdefault("connections", {})
        if file not in connections:
            connections[file] = file.connect()
            with self._lock:
                self._connections.setdefault(file, []).append(connections[file])
        return connections[file]


def _falling(run: Run) -> int:
    return -run.time_max


def _range(query: Query) -> tuple[int, int]:
    """The oldest and the newest timestamp asked for; the latter included, since ties at the ceiling's still count."""
    ceiling = query.ceiling
    return query.since_ns, TIMESTAMP_NS_MAX if ceiling is None else ceiling.timestamp
