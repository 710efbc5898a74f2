"""Reading from the files: chunks as runs, opened only when the merge comes to them."""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing

import apsw

from simple_log_service.core.limits import CHUNK_CACHE_BYTES_MAX, PAGE_BYTES_MAX
from simple_log_service.core.query import Page, Query
from simple_log_service.core.record import Kind, Record
from simple_log_service.core.runs import ColumnRun, collect, newest
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from simple_log_service.stores.embedded.catalog import Catalog
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.frames import unpack_head
from simple_log_service.stores.embedded.sealing import Part
from simple_log_service.stores.embedded.sql import one_row, translated_errors
from simple_log_service.stores.packing import decompress, unpack_body

_PLACE = "SELECT id, key_id, time_min, time_max, arrival_max FROM chunks"
_CHUNKS_BY_TIME = f"{_PLACE} WHERE time_max >= ? AND time_min <= ? ORDER BY time_max DESC"
_CHUNKS_BY_ARRIVAL = f"{_PLACE} ORDER BY id DESC"
_FRAMES = {
    Part.CHUNK_HEAD: "SELECT CAST(head AS BLOB) FROM chunks WHERE id = ?",
    Part.CHUNK_BODY: "SELECT CAST(body AS BLOB) FROM chunks WHERE id = ?",
}


class Reader:
    """Answers queries from the files, in any thread; each thread has its own connections."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._own = threading.local()
        self._cache = _ChunkCache(CHUNK_CACHE_BYTES_MAX)
        self._lock = threading.Lock()
        self._connections: list[apsw.Connection] = []

    def recent(self, query: Query, deadline: float) -> Page:
        """The newest records that match; what was found by the deadline, a ``time.monotonic()``."""
        ceiling = query.ceiling
        # Included, since ties at the ceiling's timestamp still count.
        last = TIMESTAMP_NS_MAX if ceiling is None else ceiling.timestamp
        with translated_errors(), ExitStack() as stack:
            streams = [
                stack.enter_context(closing(self._chunks(file, query.since_ns, last)))
                for file in self._catalog.overlapping(query.since_ns, last)
            ]
            runs = heapq.merge(*streams, key=lambda run: run.time_max, reverse=True)
            return collect(newest(runs, query, deadline), query)

    def latest(self, file: DayFile) -> Iterator[tuple[int, ColumnRun]]:
        """A file's chunks by falling arrival, with their numbers."""
        connection = self._connection(file)
        with closing(connection.execute(_CHUNKS_BY_ARRIVAL)) as rows:
            for place in rows:
                yield place[0], ChunkRun(self._cache, connection, file, *place).open()

    def newest_time(self, file: DayFile, below_id: int) -> int:
        """The newest timestamp among a file's chunks below a chunk's number, -1 where there are none."""
        newest_of = "SELECT coalesce(max(time_max), -1) FROM chunks WHERE id < ?"
        return int(one_row(self._connection(file), newest_of, (below_id,))[0])

    def close(self) -> None:
        """Close every thread's connections; no read may be under way."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def _chunks(self, file: DayFile, since: int, last: int) -> Generator[ChunkRun, None, None]:
        connection = self._connection(file)
        with closing(connection.execute(_CHUNKS_BY_TIME, (since, last))) as rows:
            for place in rows:
                yield ChunkRun(self._cache, connection, file, *place)

    def _connection(self, file: DayFile) -> apsw.Connection:
        connections: dict[DayFile, apsw.Connection] = self._own.__dict__.setdefault("connections", {})
        if file not in connections:
            connections[file] = file.connect()
            with self._lock:
                self._connections.append(connections[file])
        return connections[file]


class ChunkRun:
    """One chunk as a run: its head says which kinds it holds, its body is opened if they are asked for."""

    def __init__(
        self,
        cache: _ChunkCache,
        connection: apsw.Connection,
        file: DayFile,
        chunk: int,
        key_id: int,
        time_min: int,
        time_max: int,
        arrival_max: int,
    ) -> None:
        self._cache = cache
        self._connection = connection
        self._file = file
        self._chunk = chunk
        self._key_id = key_id
        self._time_min = time_min
        self.time_max = time_max
        self._arrival_max = arrival_max

    @property
    def kinds(self) -> Mapping[Kind, int]:
        """How many records of each kind it holds."""
        cached = self._cache.get((self._file, self._chunk))
        return unpack_head(self._open(Part.CHUNK_HEAD)) if cached is None else cached.kinds

    def newest(self, query: Query) -> Iterator[Record]:
        """Its matching records, newest first; no more of a large chunk than a page can hold, to let go of the rest."""
        run = self.open()
        records = run.newest(query)
        return records if run.columns.memory_bytes <= PAGE_BYTES_MAX else iter(_page_of(records, query.limit))

    def open(self) -> ColumnRun:
        """The chunk's columns."""
        run = self._cache.get((self._file, self._chunk))
        if run is None:
            columns = unpack_body(decompress(self._open(Part.CHUNK_BODY)), list(self.kinds))
            # Within a chunk arrival numbers rise by one.
            arrivals = range(self._arrival_max - len(columns) + 1, self._arrival_max + 1)
            run = ColumnRun(columns, arrivals, self._file.generated_id)
            self._cache.put((self._file, self._chunk), run)
        return run

    def _open(self, part: Part) -> bytes:
        sealed = one_row(self._connection, _FRAMES[part], (self._chunk,))[0]
        sealer = self._file.sealer(self._connection, self._key_id)
        return sealer.open(part, self._chunk, sealed, self._time_min, self.time_max, self._arrival_max)


def _page_of(records: Iterator[Record], limit: int) -> list[Record]:
    """The first records, one more than a page of this limit can take."""
    page: list[Record] = []
    text_bytes = 0
    for record in records:
        page.append(record)
        text_bytes += len(record.message) + len(record.metadata)
        if len(page) > limit or text_bytes > PAGE_BYTES_MAX:
            break
    return page


class _ChunkCache:
    """The chunks opened last, bounded by what they take: the next page of a reader mostly wants them again."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._runs: OrderedDict[tuple[DayFile, int], ColumnRun] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[DayFile, int]) -> ColumnRun | None:
        with self._lock:
            if key in self._runs:
                self._runs.move_to_end(key)
            return self._runs.get(key)

    def put(self, key: tuple[DayFile, int], run: ColumnRun) -> None:
        with self._lock:
            if key in self._runs:
                return
            self._runs[key] = run
            self._bytes += run.columns.memory_bytes
            while self._bytes > self._bytes_max:
                _, dropped = self._runs.popitem(last=False)
                self._bytes -= dropped.columns.memory_bytes
