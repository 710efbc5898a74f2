"""Chunks of a file as runs, opened only when the merge comes to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import apsw

from simple_log_service.core.limits import PAGE_BYTES_MAX
from simple_log_service.core.query import Query
from simple_log_service.core.record import Kind, Position, Record
from simple_log_service.core.runs import ColumnRun
from simple_log_service.core.stats import By, sums
from simple_log_service.stores.embedded.cache import Cache
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.frames import unpack_head
from simple_log_service.stores.embedded.sealing import Part
from simple_log_service.stores.embedded.sql import one_row
from simple_log_service.stores.packing import decompress, unpack_body

_FRAMES = {
    Part.CHUNK_HEAD: "SELECT CAST(head AS BLOB) FROM chunks WHERE id = ?",
    Part.CHUNK_BODY: "SELECT CAST(body AS BLOB) FROM chunks WHERE id = ?",
}


class ChunkRun:
    """One chunk as a run: its head says which kinds it holds, its body is opened if they are asked for."""

    def __init__(
        self,
        cache: Cache[tuple[DayFile, int], ColumnRun],
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
        self.time_min = time_min
        self.time_max = time_max
        self._arrival_max = arrival_max

    @property
    def kinds(self) -> Mapping[Kind, int]:
        """How many records of each kind it holds."""
        cached = self._cache.get((self._file, self._chunk))
        return unpack_head(self._open(Part.CHUNK_HEAD)) if cached is None else cached.kinds

    def holds(self, query: Query) -> bool:
        """Whether it holds records of the kinds asked for."""
        return any(map(query.matches, self.kinds))

    def newest(self, query: Query) -> Iterator[Record | Position]:
        """Its matching records, newest first; no more of a large chunk than a page can hold, to let go of the rest."""
        run = self.open()
        if query.search is not None or run.columns.memory_bytes <= PAGE_BYTES_MAX:
            return run.newest(query)
        return iter(_page_of(run.records(query), query.limit))

    def counted(self, query: Query, by: By | None) -> Mapping[str, int]:
        """How many of its records are of the kinds asked for, by group."""
        return sums(self.kinds, query, by, self.time_max)

    def tallied(self, query: Query, bucket_ns: int) -> Mapping[tuple[int, Kind], int]:
        """How many of its records match, by bucket number and kind."""
        return self.open().tallied(query, bucket_ns)

    def open(self) -> ColumnRun:
        """The chunk's columns."""
        run = self._cache.get((self._file, self._chunk))
        if run is None:
            columns = unpack_body(decompress(self._open(Part.CHUNK_BODY)), list(self.kinds))
            # Within a chunk arrival numbers rise by one.
            arrivals = range(self._arrival_max - len(columns) + 1, self._arrival_max + 1)
            run = ColumnRun(columns, arrivals, self._file.generated_id)
            self._cache.put((self._file, self._chunk), run, run.columns.memory_bytes)
        return run

    def _open(self, part: Part) -> bytes:
        sealed = one_row(self._connection, _FRAMES[part], (self._chunk,))[0]
        sealer = self._file.sealer(self._connection, self._key_id)
        return sealer.open(part, self._chunk, sealed, self.time_min, self.time_max, self._arrival_max)


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
