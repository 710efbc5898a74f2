"""Expiry: files and blocks whose records are kept no longer go, and the oldest ones where the store takes too much.

A file goes as a whole, by unlinking, once its newest record has expired and its day is over for as long as used
Idempotency-Keys are remembered. In a file with newer records the blocks go that have expired; and where services or
types differ, a block of which much has expired is written anew without that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from shutil import rmtree

import structlog

from simple_log_service.core import signals
from simple_log_service.core.limits import EXPIRED_SHARE_MIN, IDEMPOTENCY_NS_MIN
from simple_log_service.core.ports import Metrics
from simple_log_service.core.retention import Kept, Retention
from simple_log_service.stores.embedded.blocks import BlockRow, Index
from simple_log_service.stores.embedded.catalog import Catalog
from simple_log_service.stores.embedded.committer import Committer
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.helper_messages import Forget
from simple_log_service.stores.embedded.helper_process import HelperProcess
from simple_log_service.stores.embedded.leases import Leases
from simple_log_service.stores.embedded.merge_plan import Sources
from simple_log_service.stores.embedded.merger import Merger
from simple_log_service.stores.embedded.reader import Reader
from simple_log_service.stores.embedded.sql import translated_errors
from simple_log_service.stores.embedded.trusted_clock import TrustedClock


class Removal:
    """Takes files and blocks out of the store."""

    def __init__(
        self,
        catalog: Catalog,
        committer: Committer,
        merger: Merger,
        helper: HelperProcess,
        reader: Reader,
        leases: Leases,
        metrics: Metrics,
    ) -> None:
        self._catalog = catalog
        self._committer = committer
        self._merger = merger
        self._helper = helper
        self._reader = reader
        self._leases = leases
        self._metrics = metrics
        self._log = structlog.get_logger()
        for reason in ("expired", "size"):
            metrics.count(signals.RECORDS_REMOVED, 0, reason)

    async def blocks(self, file: DayFile, blocks: list[BlockRow], reason: str) -> None:
        """Remove blocks of a file."""
        if blocks:
            await self._merger.swap(file, Sources([], [block.id for block in blocks]), [])
            self._say(reason, sum(block.records for block in blocks), file=file.path.name)

    async def file(self, file: DayFile, records: int, reason: str) -> None:
        """Remove a file whose day is over, with all that is in it."""
        self._catalog.forget(file)
        await self._committer.run(lambda writer: writer.leave(file))
        self._leases.when_unused(partial(self._unlink, file))
        self._say(reason, records, file=file.path.name)

    def _unlink(self, file: DayFile) -> None:
        self._reader.forget(file)
        self._helper.tell(Forget(str(file.path)))
        # The blocks first: a file whose blocks are gone is removed as expired again, blocks without a file never are.
        rmtree(file.blocks, ignore_errors=True)
        file.path.unlink()
        for beside in file.path.parent.glob(f"{file.path.name}-*"):
            beside.unlink()

    def _say(self, reason: str, records: int, **where: str) -> None:
        self._metrics.count(signals.RECORDS_REMOVED, records, reason)
        self._log.warning("records removed", reason=reason, records=records, **where)


class Expiry:
    """Decides what goes. ``bytes_max`` is what the store may take on disk, if that is bounded."""

    def __init__(
        self,
        catalog: Catalog,
        removal: Removal,
        merger: Merger,
        clock: TrustedClock,
        retention: Retention,
        bytes_max: int | None,
    ) -> None:
        self._catalog = catalog
        self._removal = removal
        self._merger = merger
        self._clock = clock
        self._retention = retention
        self._bytes_max = bytes_max

    def kept(self) -> Kept | None:
        """What a merge may leave out, while the clock is to be trusted."""
        now_ns = self._clock.now_ns()
        return None if now_ns is None else Kept(self._retention, now_ns)

    async def remove(self) -> None:
        """Remove what has expired, then what is too much."""
        kept = self.kept()
        if kept is not None:
            for file in self._catalog.newest_first()[::-1]:
                await self._expire(file, kept)
        if self._bytes_max is not None:
            await self._shrink(self._bytes_max)

    async def _expire(self, file: DayFile, kept: Kept) -> None:
        oldest_ns = kept.now_ns - self._retention.longest_ns
        is_forgotten = file.day_end_ns + IDEMPOTENCY_NS_MIN < kept.now_ns
        blocks = await asyncio.to_thread(_blocks, file)
        contents = self._catalog.contents(file)
        if contents.newest < oldest_ns and is_forgotten:
            records = contents.fresh_records + sum(block.records for block in blocks)
            await self._removal.file(file, records, "expired")
            return
        await self._removal.blocks(file, [block for block in blocks if block.time_max < oldest_ns], "expired")
        if not self._retention.is_uniform:
            shortest_ns = kept.now_ns - self._retention.shortest_ns
            mixed = [block for block in blocks if block.time_max >= oldest_ns and block.time_min < shortest_ns]
            for block in await asyncio.to_thread(lambda: list(_mostly_expired(file, mixed, kept))):
                await self._merger.rewrite(file, Sources([], [block.id]), kept)

    async def _shrink(self, bytes_max: int) -> None:
        """Remove the oldest blocks, whatever file they are in."""
        too_many = self._catalog.size_bytes - bytes_max
        if too_many <= 0:
            return
        files = self._catalog.newest_first()
        blocks = [(block, file) for file in files for block in await asyncio.to_thread(_blocks, file)]
        going: dict[DayFile, list[BlockRow]] = {}
        for block, file in sorted(blocks, key=lambda each: each[0].time_max):
            if too_many <= 0:
                break
            going.setdefault(file, []).append(block)
            too_many -= block.size_bytes
        for file, oldest in going.items():
            await self._removal.blocks(file, oldest, "size")


def _blocks(file: DayFile) -> list[BlockRow]:
    with translated_errors(), closing(file.connect()) as connection:
        return [BlockRow(*row) for row in connection.execute("SELECT * FROM blocks")]


def _mostly_expired(file: DayFile, blocks: list[BlockRow], kept: Kept) -> Iterator[BlockRow]:
    with translated_errors(), closing(file.connect()) as connection:
        for block in blocks:
            if _expired(file.block(connection, block).index(), kept) >= block.records * EXPIRED_SHARE_MIN:
                yield block


def _expired(index: Index, kept: Kept) -> int:
    """How many records of a block have expired, as far as its index can tell."""
    return sum(
        count
        for number, leaf in enumerate(index.leaves)
        for kind, count in index.leaf_kinds(number).items()
        if leaf.time_max < kept.oldest_ns(kind)
    )
