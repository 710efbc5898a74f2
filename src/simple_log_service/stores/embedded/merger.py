"""The server's side of merging: what to merge next, and putting the merged blocks in the place of their sources.

A damaged chunk must not keep the others from being merged: a merge that fails is halved until what cannot be merged
stands alone, and that stays as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

import structlog

from simple_log_service.core import signals
from simple_log_service.core.erasure import Erasure
from simple_log_service.core.errors import LogServiceError, StoreBusy, StoreFull
from simple_log_service.core.limits import MERGE_SECONDS_MAX
from simple_log_service.core.ports import Metrics
from simple_log_service.core.retention import Kept
from simple_log_service.stores.embedded.blocks import SUFFIX, BlockRow
from simple_log_service.stores.embedded.committer import Committer
from simple_log_service.stores.embedded.day_file import BLOCK_IDS_AT_ONCE, DayFile
from simple_log_service.stores.embedded.helper_messages import Merge
from simple_log_service.stores.embedded.helper_process import HelperProcess
from simple_log_service.stores.embedded.leases import Leases
from simple_log_service.stores.embedded.merge_plan import FreshChunk, Sources, next_merge
from simple_log_service.stores.embedded.merging import MergeJob
from simple_log_service.stores.embedded.sql import translated_errors

_CHUNKS = "SELECT id, records FROM chunks ORDER BY id"


class Merger:
    """Merges in files, one merge at a time."""

    def __init__(self, committer: Committer, helper: HelperProcess, leases: Leases, metrics: Metrics) -> None:
        self._committer = committer
        self._helper = helper
        self._leases = leases
        self._metrics = metrics
        self._log = structlog.get_logger()
        metrics.gauge(signals.MERGING, 0)
        for outcome in ("ok", "failed"):
            metrics.count(signals.MERGES, 0, outcome)
        self._chunks_left: set[tuple[DayFile, int]] = set()
        self._blocks_left: set[tuple[DayFile, int]] = set()

    async def merge_next(self, file: DayFile, *, is_due: bool, kept: Kept | None) -> bool:
        """Merge what is to be merged next in a file; ``False`` where nothing is. Raises ``LogServiceError``."""
        sources = await asyncio.to_thread(self._plan, file, is_due)
        if sources is None:
            return False
        self._metrics.gauge(signals.MERGING, 1)
        try:
            await self.rewrite(file, sources, kept)
        finally:
            self._metrics.gauge(signals.MERGING, 0)
        return True

    async def rewrite(self, file: DayFile, sources: Sources, kept: Kept | None) -> None:
        """Merge these sources, without what is kept no longer. Raises ``LogServiceError``."""
        try:
            rows = await self.replace(file, sources, kept=kept)
        except LogServiceError as error:
            if self._committer.failure is not None or isinstance(error, StoreBusy | StoreFull):
                raise
            await self._halve(file, sources, kept, error)
            return
        if not sources.chunks and next_merge([], rows, is_due=False) is not None:
            # Records of one moment lie over each other however they are cut: doing it again would not end.
            self._blocks_left.update((file, row.id) for row in rows)

    async def replace(
        self, file: DayFile, sources: Sources, *, kept: Kept | None = None, leaves_out: Erasure | None = None
    ) -> list[BlockRow]:
        """Put blocks of what is kept and not left out in the place of these sources, all or none.

        Raises ``LogServiceError``.
        """
        first_id = file.next_block_ids()
        try:
            key_id = await self._committer.run(lambda writer: writer.sealing_key(file))
            job = MergeJob(sources.chunks, sources.blocks, first_id, key_id, kept, leaves_out)
            rows: list[BlockRow] = await self._helper.ask(Merge(str(file.path), job), list, MERGE_SECONDS_MAX)
            await self.swap(file, sources, rows)
        except LogServiceError:
            self._metrics.count(signals.MERGES, 1, "failed")
            # Whether the new blocks were committed nobody knows where nothing is written any more: the next start
            # removes them if not.
            if self._committer.failure is None:
                ours = range(first_id, first_id + BLOCK_IDS_AT_ONCE)
                _remove(path for path in file.blocks.glob(f"*{SUFFIX}") if int(path.stem) in ours)
            raise
        self._metrics.count(signals.MERGES, 1, "ok")
        self._metrics.count(signals.MERGED_RECORDS, sum(row.records for row in rows))
        return rows

    async def swap(self, file: DayFile, sources: Sources, rows: list[BlockRow]) -> None:
        """Put blocks in the place of their sources, whose files go once nobody reads them."""
        await self._committer.run(lambda writer: writer.swap(file, sources, rows))
        replaced = [file.block_path(block_id) for block_id in sources.blocks]
        self._leases.when_unused(partial(_remove, replaced))

    async def _halve(self, file: DayFile, sources: Sources, kept: Kept | None, error: LogServiceError) -> None:
        numbers = [*sources.chunks, *sources.blocks]
        if len(numbers) == 1:
            (self._chunks_left if sources.chunks else self._blocks_left).add((file, numbers[0]))
            self._log.error("not merged", file=file.path.name, number=numbers[0], reason=str(error))
            return
        for half in _halves(sources):
            await self.rewrite(file, half, kept)

    def _plan(self, file: DayFile, is_due: bool) -> Sources | None:
        with translated_errors(), closing(file.connect()) as connection:
            blocks = [BlockRow(*row) for row in connection.execute("SELECT * FROM blocks")]
            chunks = (FreshChunk(*row) for row in connection.execute(_CHUNKS))
            return next_merge(
                (chunk for chunk in chunks if (file, chunk.id) not in self._chunks_left),
                [block for block in blocks if (file, block.id) not in self._blocks_left],
                is_due=is_due,
            )


def _halves(sources: Sources) -> list[Sources]:
    chunks, blocks = sources
    if chunks and blocks:
        return [Sources(chunks, []), Sources([], blocks)]
    middle = max(len(chunks), len(blocks)) // 2
    return [Sources(chunks[:middle], blocks[:middle]), Sources(chunks[middle:], blocks[middle:])]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
