"""Erasing on purpose: what was asked for goes from memory and from the files, whatever it lies among.

Chunks and blocks that hold nothing else are removed; those that hold other records, too, are written anew without. A
file's free pages then leave the file, and its write-ahead log is emptied: what was erased is in neither. Each step is a
transaction and leaves less to do, so that an erasure that was interrupted is simply carried out again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, closing
from typing import NamedTuple

import apsw
import msgspec
import structlog

from simple_log_service.core import signals
from simple_log_service.core.erasure import Erasure
from simple_log_service.core.errors import LogServiceError, StoreBusy, StoreFull, StoreUnavailable
from simple_log_service.core.limits import MERGE_RECORDS_MAX
from simple_log_service.core.ports import Metrics
from simple_log_service.core.record import Kind
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from simple_log_service.stores.embedded.blocks import BlockFile, BlockRow, Index
from simple_log_service.stores.embedded.catalog import Catalog
from simple_log_service.stores.embedded.committer import Committer
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.frames import unpack_head
from simple_log_service.stores.embedded.leases import Leases
from simple_log_service.stores.embedded.merge_plan import Sources
from simple_log_service.stores.embedded.merger import Merger
from simple_log_service.stores.embedded.sealing import Part
from simple_log_service.stores.embedded.sql import one_row, translated_errors

_CHUNKS = """
SELECT id, key_id, time_min, time_max, arrival_max, records, CAST(head AS BLOB) FROM chunks
WHERE time_max >= ? AND time_min <= ? AND arrival_min <= ? ORDER BY id
"""
_BLOCKS = "SELECT * FROM blocks WHERE time_max >= ? AND time_min <= ? AND arrival_min <= ? ORDER BY id"
_PAGES_AT_ONCE = 256
_LOG_TRIES = 200
_LOG_PAUSE_SECONDS = 0.1
"""A read holds up the emptying of a write-ahead log, and is over by its deadline, long before the last try."""

OnProgress = Callable[[int], None]
Resting = Callable[[], AbstractAsyncContextManager[None]]


class Erased(NamedTuple):
    """How many records went, and how many are in chunks and blocks that do not open, which were left alone."""

    records: int
    unreadable: int


class _Part(NamedTuple):
    """A chunk, or a block, with some records that go."""

    source: Sources
    records: int


class _Plan(msgspec.Struct):
    """What is to be done in a file: parts of which everything goes, and parts that hold other records, too."""

    whole: list[_Part] = []
    mixed: list[_Part] = []
    unreadable: int = 0


class Eraser:
    """Erases from files, one erasure at a time; its caller keeps everybody else from merging meanwhile."""

    def __init__(
        self, catalog: Catalog, committer: Committer, merger: Merger, leases: Leases, metrics: Metrics
    ) -> None:
        self._catalog = catalog
        self._committer = committer
        self._merger = merger
        self._leases = leases
        self._metrics = metrics
        self._log = structlog.get_logger()

    async def erase(self, erasure: Erasure, resting: Resting, on_progress: OnProgress) -> Erased:
        """Erase from every file; ``on_progress`` is told how many records more are gone. Raises ``LogServiceError``.

        While ``resting`` is entered nobody else merges or removes; between two files they have their turn.
        """
        records = unreadable = 0
        last_ns = TIMESTAMP_NS_MAX if erasure.until_ns is None else erasure.until_ns - 1
        for file in self._catalog.overlapping(erasure.since_ns or 0, last_ns):
            async with resting():
                erased = await self._erase_from(file, erasure, on_progress)
            records += erased.records
            unreadable += erased.unreadable
        # Every file: an erasure that was interrupted may have left one that holds nothing of the range any more.
        for file in self._catalog.newest_first():
            async with resting():
                await self._purge(file)
        await self._unread()
        return Erased(records, unreadable)

    async def _erase_from(self, file: DayFile, erasure: Erasure, on_progress: OnProgress) -> Erased:
        if file not in self._catalog.newest_first():
            return Erased(0, 0)  # It has expired meanwhile.
        plan = await asyncio.to_thread(_plan, file, erasure)
        records, unreadable = 0, plan.unreadable
        for part in _together(plan.whole):
            await self._merger.swap(file, part.source, [])
            records += self._gone(part.records, on_progress)
        for part in _together(plan.mixed):
            erased = await self._write_anew(file, part, erasure, on_progress)
            records += erased.records
            unreadable += erased.unreadable
        return Erased(records, unreadable)

    async def _purge(self, file: DayFile) -> None:
        """Have what was deleted leave a file: its free pages, then its write-ahead log."""
        if file not in self._catalog.newest_first() or not await asyncio.to_thread(_holds_deleted, file):
            return
        while await self._committer.run(lambda writer: writer.give_back(file, _PAGES_AT_ONCE)):
            pass
        for _ in range(_LOG_TRIES):
            if await self._committer.run(lambda writer: writer.empty_log(file)):
                return
            await asyncio.sleep(_LOG_PAUSE_SECONDS)
        raise StoreBusy("The records are gone, but reads keep a write-ahead log from being emptied.")

    async def _unread(self) -> None:
        """Wait until nobody reads any more who began before."""
        loop = asyncio.get_running_loop()
        released: asyncio.Future[None] = loop.create_future()
        self._leases.when_unused(lambda: None if released.done() else released.set_result(None))
        await released

    async def _write_anew(self, file: DayFile, part: _Part, erasure: Erasure, on_progress: OnProgress) -> Erased:
        try:
            rows = await self._merger.replace(file, part.source, leaves_out=erasure)
        except LogServiceError as error:
            if self._committer.failure is not None or isinstance(error, StoreBusy | StoreFull):
                raise
            numbers = [*part.source.chunks, *part.source.blocks]
            if len(numbers) == 1:
                self._log.error("not erased", file=file.path.name, number=numbers[0], reason=str(error))
                return Erased(0, part.records)
            return await self._write_apart(file, part, erasure, on_progress)
        return Erased(self._gone(part.records - sum(row.records for row in rows), on_progress), 0)

    async def _write_apart(self, file: DayFile, part: _Part, erasure: Erasure, on_progress: OnProgress) -> Erased:
        """One of the chunks is damaged: the others are written anew by themselves."""
        records = unreadable = 0
        for each in await asyncio.to_thread(_parts, file, part.source.chunks):
            erased = await self._write_anew(file, each, erasure, on_progress)
            records += erased.records
            unreadable += erased.unreadable
        return Erased(records, unreadable)

    def _gone(self, records: int, on_progress: OnProgress) -> int:
        self._metrics.count(signals.RECORDS_REMOVED, records, "erased")
        on_progress(records)
        return records


def _holds_deleted(file: DayFile) -> bool:
    log = file.path.with_name(f"{file.path.name}-wal")
    with translated_errors(), closing(file.connect()) as connection:
        return bool(connection.pragma("freelist_count")) or (log.exists() and log.stat().st_size > 0)


def _plan(file: DayFile, erasure: Erasure) -> _Plan:
    last_ns = TIMESTAMP_NS_MAX if erasure.until_ns is None else erasure.until_ns - 1
    within = erasure.since_ns or 0, last_ns, erasure.arrival_last
    plan = _Plan()
    with translated_errors(), closing(file.connect()) as connection:
        for chunk, key_id, time_min, time_max, arrival_max, records, head in connection.execute(_CHUNKS, within):
            part = _Part(Sources([chunk], []), records)
            is_whole = erasure.has(time_min, arrival_max) and erasure.has(time_max, arrival_max)
            try:
                about = time_min, time_max, arrival_max
                kinds = _kinds_of_chunk(file, connection, key_id, chunk, head, about)
            except StoreUnavailable:
                _add_unopened(plan, part, erasure, is_whole=is_whole)
                continue
            _add(plan, part, erasure, kinds, is_whole=is_whole)
        for row in map(BlockRow._make, connection.execute(_BLOCKS, within)):
            part = _Part(Sources([], [row.id]), row.records)
            is_whole = erasure.has(row.time_min, row.arrival_max) and erasure.has(row.time_max, row.arrival_max)
            try:
                index = BlockFile(file.block_path(row.id), row, file.sealer(connection, row.key_id)).index()
            except (StoreUnavailable, OSError):
                _add_unopened(plan, part, erasure, is_whole=is_whole)
                continue
            if is_whole or _may_hold_some(index, erasure):
                _add(plan, part, erasure, index.all_kinds(), is_whole=is_whole)
    return plan


def _kinds_of_chunk(
    file: DayFile, connection: apsw.Connection, key_id: int, chunk: int, head: bytes, about: tuple[int, int, int]
) -> Mapping[Kind, int]:
    return unpack_head(file.sealer(connection, key_id).open(Part.CHUNK_HEAD, chunk, head, *about))


def _add(plan: _Plan, part: _Part, erasure: Erasure, kinds: Iterable[Kind], *, is_whole: bool) -> None:
    matching = [erasure.matches(kind) for kind in kinds]
    if is_whole and all(matching):
        plan.whole.append(part)
    elif any(matching):
        plan.mixed.append(part)


def _add_unopened(plan: _Plan, part: _Part, erasure: Erasure, *, is_whole: bool) -> None:
    """What does not open can go where everything in it goes, whatever that is; else nobody can tell."""
    if is_whole and erasure.service_name is None and erasure.log_type is None:
        plan.whole.append(part)
    else:
        plan.unreadable += part.records


def _may_hold_some(index: Index, erasure: Erasure) -> bool:
    last_ns = TIMESTAMP_NS_MAX if erasure.until_ns is None else erasure.until_ns - 1
    return any(
        leaf.time_max >= (erasure.since_ns or 0)
        and leaf.time_min <= last_ns
        and any(map(erasure.matches, index.leaf_kinds(number)))
        for number, leaf in enumerate(index.leaves)
    )


def _together(parts: Sequence[_Part]) -> Iterator[_Part]:
    """Chunks as many as one merge takes; a block by itself, which leaves the others where they are."""
    chunks: list[int] = []
    records = 0
    for part in parts:
        if part.source.blocks:
            yield part
            continue
        if chunks and records + part.records > MERGE_RECORDS_MAX:
            yield _Part(Sources(chunks, []), records)
            chunks, records = [], 0
        chunks = [*chunks, *part.source.chunks]
        records += part.records
    if chunks:
        yield _Part(Sources(chunks, []), records)


def _parts(file: DayFile, chunks: Sequence[int]) -> list[_Part]:
    with translated_errors(), closing(file.connect()) as connection:
        counted = [one_row(connection, "SELECT records FROM chunks WHERE id = ?", (chunk,))[0] for chunk in chunks]
    return [_Part(Sources([chunk], []), records) for chunk, records in zip(chunks, counted, strict=True)]
