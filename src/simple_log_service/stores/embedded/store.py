"""The embedded store: files by day of arrival, one chunk a group commit, and the newest records in memory."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic

import apsw

from simple_log_service.core.batch import Batch
from simple_log_service.core.errors import StoreBusy, StoreUnavailable
from simple_log_service.core.limits import READ_SECONDS_MAX, READS_WAITING_MAX, TAIL_BYTES_MAX, TAIL_LOAD_BYTES_MAX
from simple_log_service.core.ports import Clock, KeyProvider, Metrics
from simple_log_service.core.query import Page, Query
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.runs import ColumnRun
from simple_log_service.stores.embedded.catalog import Catalog
from simple_log_service.stores.embedded.committer import Committer
from simple_log_service.stores.embedded.day_file import SQLITE_VERSION_MIN
from simple_log_service.stores.embedded.group import Group
from simple_log_service.stores.embedded.reader import Reader
from simple_log_service.stores.embedded.sql import translated_errors
from simple_log_service.stores.embedded.tail import Tail
from simple_log_service.stores.embedded.writer import Writer, Written

_READ_THREADS = 2


class EmbeddedStore:
    """A ``LogStore`` in one folder, for one process at a time (its owner holds the folder's lock)."""

    def __init__(self, catalog: Catalog, clock: Clock, metrics: Metrics) -> None:
        self._catalog = catalog
        self._reader = Reader(catalog)
        self._tail = _load_tail(catalog, self._reader)
        self._reading = 0
        self._readers = ThreadPoolExecutor(_READ_THREADS, thread_name_prefix="slog-reader")
        self._committer = Committer(
            Writer(catalog),
            clock=clock,
            metrics=metrics,
            arrival_last=catalog.arrival_last,
            hash_key=catalog.hash_key,
            on_written=self._on_written,
        )

    @classmethod
    async def open(
        cls, folder: Path, *, keys: KeyProvider, clock: Clock, metrics: Metrics, vfs: str | None = None
    ) -> EmbeddedStore:
        """Recover whatever is in the folder and be ready to write. Raises ``StoreUnavailable`` with what is wrong."""
        version = tuple(map(int, apsw.sqlite_lib_version().split(".")))
        if version < SQLITE_VERSION_MIN:
            raise StoreUnavailable(f"SQLite {apsw.sqlite_lib_version()} is too old; install a newer apsw.")
        catalog = Catalog(folder, keys, vfs=vfs)
        with translated_errors():
            catalog.open()
            return cls(catalog, clock, metrics)

    async def append(self, batch: Batch) -> Receipt:
        """Store the batch with the next group commit, synced to disk before the receipt is given."""
        return await self._committer.append(batch)

    async def recent(self, query: Query) -> Page:
        """The newest records that match: from memory where it holds them all, else from the files."""
        page = self._tail.recent(query)
        if page is not None:
            return page
        if self._reading >= READS_WAITING_MAX:
            raise StoreBusy("Too many reads are waiting; try again.")
        deadline = monotonic() + READ_SECONDS_MAX
        self._reading += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._readers, self._reader.recent, query, deadline)
        finally:
            self._reading -= 1

    async def close(self) -> None:
        """Write what was accepted, then close every file."""
        await self._committer.close()
        self._readers.shutdown()
        self._reader.close()

    @property
    def failure(self) -> StoreUnavailable | None:
        """Why nothing is written any more; ``None`` while all is well."""
        return self._committer.failure

    @property
    def queued(self) -> int:
        """Requests that wait for their commit."""
        return self._committer.queued

    @property
    def tail_records(self) -> int:
        """Records held in memory."""
        return self._tail.records

    @property
    def size_bytes(self) -> int:
        """What the store takes on disk."""
        return self._catalog.size_bytes

    def _on_written(self, group: Group, written: Written) -> None:
        if group.columns is not None:
            self._tail.add(ColumnRun(group.columns, group.arrivals, written.generated_id))


def _load_tail(catalog: Catalog, reader: Reader) -> Tail:
    """The newest arrivals back into memory, until a bound; everything older lies below the floor."""
    loaded: list[ColumnRun] = []
    size_bytes = 0
    floor = -1
    for file in catalog.newest_first():
        below = 2**63 - 1
        # A chunk that does not open stays below the floor as well: whoever asks for it is told.
        with suppress(StoreUnavailable):
            for chunk, run in reader.latest(file) if size_bytes < TAIL_LOAD_BYTES_MAX else ():
                below = chunk
                loaded.append(run)
                size_bytes += run.columns.text_size
                if size_bytes >= TAIL_LOAD_BYTES_MAX:
                    break
        floor = max(floor, reader.newest_time(file, below))
    tail = Tail(TAIL_BYTES_MAX, floor)
    for run in reversed(loaded):
        tail.add(run)
    return tail
