"""The embedded store: files by day of arrival, one chunk a group commit, and the newest records in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeVar

import apsw
import msgspec

from simple_log_service.core.batch import Batch
from simple_log_service.core.erasure import Erasure
from simple_log_service.core.errors import StoreBusy, StoreUnavailable
from simple_log_service.core.limits import (
    HELPER_SECONDS_MAX,
    READ_SECONDS_MAX,
    READS_WAITING_MAX,
    SEARCHES_WAITING_MAX,
    TAIL_BYTES_MAX,
    TAIL_LOAD_BYTES_MAX,
)
from simple_log_service.core.ports import Clock, KeyProvider, Metrics
from simple_log_service.core.query import Page, Query
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.retention import Retention
from simple_log_service.core.runs import ColumnRun
from simple_log_service.core.stats import Stats, StatsQuery
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from simple_log_service.stores.embedded.catalog import Catalog
from simple_log_service.stores.embedded.committer import Committer
from simple_log_service.stores.embedded.day_file import SQLITE_VERSION_MIN, DayFile
from simple_log_service.stores.embedded.erasure import Erased, Eraser, OnProgress
from simple_log_service.stores.embedded.expiry import Expiry, Removal
from simple_log_service.stores.embedded.group import Group
from simple_log_service.stores.embedded.handed_keys import RememberingKeys
from simple_log_service.stores.embedded.helper_messages import Question, Recent
from simple_log_service.stores.embedded.helper_messages import Stats as StatsRequest
from simple_log_service.stores.embedded.helper_process import HelperEnded, HelperProcess
from simple_log_service.stores.embedded.keeper import Keeper
from simple_log_service.stores.embedded.leases import Leases
from simple_log_service.stores.embedded.merger import Merger
from simple_log_service.stores.embedded.reader import Reader
from simple_log_service.stores.embedded.sql import translated_errors
from simple_log_service.stores.embedded.tail import Tail
from simple_log_service.stores.embedded.trusted_clock import TrustedClock
from simple_log_service.stores.embedded.writer import Writer, Written

A = TypeVar("A")
R = TypeVar("R", Page, Stats)

_READ_THREADS = 2


class StoreLimits(msgspec.Struct, frozen=True):
    """How long records are kept, and what the store may take on disk, if that is bounded."""

    retention: Retention = Retention()
    bytes_max: int | None = None


class EmbeddedStore:
    """A ``LogStore`` in one folder, for one process at a time (its owner holds the folder's lock)."""

    def __init__(
        self, catalog: Catalog, keys: RememberingKeys, clock: Clock, metrics: Metrics, limits: StoreLimits
    ) -> None:
        self._catalog = catalog
        self._reader = Reader()
        self._tail = _load_tail(catalog, self._reader)
        self._leases = Leases()
        self._asking = 0
        self._readers = ThreadPoolExecutor(_READ_THREADS, thread_name_prefix="slog-reader")
        self._helper = HelperProcess(keys)
        self._committer = Committer(
            Writer(catalog),
            clock=clock,
            metrics=metrics,
            arrival_last=catalog.arrival_last,
            hash_key=catalog.hash_key,
            on_written=self._on_written,
        )
        merger = Merger(self._committer, self._helper, self._leases, metrics)
        self._eraser = Eraser(catalog, self._committer, merger, self._leases, metrics)
        removal = Removal(catalog, self._committer, merger, self._helper, self._reader, self._leases, metrics)
        trusted = TrustedClock(clock, monotonic)
        expiry = Expiry(catalog, removal, merger, trusted, limits.retention, limits.bytes_max)
        self._keeper = Keeper(catalog, self._committer, merger, expiry)

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        keys: KeyProvider,
        clock: Clock,
        metrics: Metrics,
        limits: StoreLimits | None = None,
        vfs: str | None = None,
    ) -> EmbeddedStore:
        """Recover whatever is in the folder and be ready to write. Raises ``StoreUnavailable`` with what is wrong."""
        version = tuple(map(int, apsw.sqlite_lib_version().split(".")))
        if version < SQLITE_VERSION_MIN:
            raise StoreUnavailable(f"SQLite {apsw.sqlite_lib_version()} is too old; install a newer apsw.")
        remembering = RememberingKeys(keys)
        catalog = Catalog(folder, remembering, vfs=vfs)
        with translated_errors():
            catalog.open()
            return cls(catalog, remembering, clock, metrics, limits or StoreLimits())

    async def append(self, batch: Batch) -> Receipt:
        """Store the batch with the next group commit, synced to disk before the receipt is given."""
        return await self._committer.append(batch)

    async def recent(self, query: Query) -> Page:
        """The newest records that match: from memory where it holds them all, else from the files.

        Searching is the helper process's: it may take long, and would hold up whoever writes.
        """
        if query.search is not None:
            return await self._ask(Recent(self._paths(query), query, READ_SECONDS_MAX), Page)
        page = self._tail.recent(query)
        if page is not None:
            return page
        return await self._read(partial(self._reader.recent, self._files(query), query))

    async def stats(self, asked: StatsQuery) -> Stats:
        """How many records match: from the files' counters, or by the helper where something has to be looked into."""
        query = asked.query
        if query.search is None and asked.interval_ns is None:
            return await self._read(partial(self._reader.stats, self._files(query), asked))
        return await self._ask(StatsRequest(self._paths(query), asked, READ_SECONDS_MAX), Stats)

    async def erase(self, erasure: Erasure, on_progress: OnProgress = lambda _: None) -> Erased:
        """Erase records for good; afterwards none of them is in a file or in any answer.

        Others are taken in and read meanwhile. Whatever interrupts it, it may be asked for again, and does the rest.
        ``on_progress`` is told how many more are gone. Raises ``LogServiceError``.
        """
        # Behind every group that is committed by now, so that the tail has what it has to forget.
        await self._committer.run(lambda _: None)
        self._tail.drop()
        return await self._eraser.erase(erasure, self._keeper.resting, on_progress)

    async def settle(self) -> None:
        """Merge all that is fresh, however little it is."""
        await self._keeper.settle()

    async def close(self) -> None:
        """Write what was accepted, then close every file."""
        await self._keeper.close()
        await self._committer.close()
        await self._helper.close()
        self._readers.shutdown()
        self._reader.close()

    async def _read(self, work: Callable[[float], A]) -> A:
        """What a reader's thread answers by its deadline."""
        lease = self._lease()
        deadline = monotonic() + READ_SECONDS_MAX
        future = asyncio.get_running_loop().run_in_executor(self._readers, work, deadline)
        future.add_done_callback(lambda _: self._leases.end(lease))
        return await future

    async def _ask(self, request: Question, kind: type[R]) -> R:
        """What the helper process answers."""
        if self._asking >= SEARCHES_WAITING_MAX:
            raise StoreBusy("Too many searches are waiting; try again.")
        lease = self._lease()
        self._asking += 1
        asking = asyncio.ensure_future(self._answer(request, kind))

        def end(answered: asyncio.Future[R]) -> None:
            self._asking -= 1
            self._leases.end(lease)
            if not answered.cancelled():
                answered.exception()  # Counts as seen: whoever asked may have gone away.

        asking.add_done_callback(end)
        return await asking

    async def _answer(self, request: Question, kind: type[R]) -> R:
        """The helper's answer; should it end before, that of the next one."""
        try:
            return await self._helper.ask(request, kind, HELPER_SECONDS_MAX)
        except HelperEnded:
            return await self._helper.ask(request, kind, HELPER_SECONDS_MAX)

    def _lease(self) -> int:
        if len(self._leases) >= READS_WAITING_MAX:
            raise StoreBusy("Too many reads are waiting; try again.")
        return self._leases.take()

    def _files(self, query: Query) -> list[DayFile]:
        ceiling = query.ceiling
        return self._catalog.overlapping(query.since_ns, TIMESTAMP_NS_MAX if ceiling is None else ceiling.timestamp)

    def _paths(self, query: Query) -> list[str]:
        return [str(file.path) for file in self._files(query)]

    @property
    def failure(self) -> StoreUnavailable | None:
        """Why nothing is written any more; ``None`` while all is well."""
        return self._committer.failure

    @property
    def arrival_last(self) -> int:
        """The number of the last record that is stored."""
        return self._catalog.arrival_last

    @property
    def queued(self) -> int:
        """Requests that wait for their commit."""
        return self._committer.queued

    @property
    def tail_records(self) -> int:
        """Records held in memory."""
        return self._tail.records

    @property
    def unmerged_records(self) -> int:
        """Records in chunks that are not merged into blocks yet."""
        return self._catalog.fresh_records

    @property
    def size_bytes(self) -> int:
        """What the store takes on disk."""
        return self._catalog.size_bytes

    def _on_written(self, group: Group, written: Written) -> None:
        if group.columns is not None:
            self._tail.add(ColumnRun(group.columns, group.arrivals, written.generated_id))
            self._keeper.note_commit()


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
