"""The keeper: merges what is fresh, removes what has expired or is too much, and gives free space back.

One task on the event loop, which does one thing at a time. The work itself is done elsewhere: blocks are written by the
helper process, and every change of a file is made by the writer's thread, in one transaction. Whatever fails is tried
again later; meanwhile the store does without.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import monotonic

import structlog

from simple_log_service.core.errors import LogServiceError, StoreFull
from simple_log_service.core.limits import (
    BLOCK_RECORDS_MAX,
    EXPIRY_SECONDS,
    MERGE_CHUNKS_MAX,
    MERGE_PAUSE_SECONDS,
    MERGE_QUIET_RECORDS_MIN,
    MERGE_QUIET_SECONDS,
)
from simple_log_service.stores.embedded.catalog import Catalog, Contents
from simple_log_service.stores.embedded.committer import Committer
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.expiry import Expiry
from simple_log_service.stores.embedded.merger import Merger
from simple_log_service.stores.embedded.writer import Writer

_TICK_SECONDS = 1.0
_PAGES_AT_ONCE = 256


class Keeper:
    """Looks after the files until it is closed."""

    def __init__(self, catalog: Catalog, committer: Committer, merger: Merger, expiry: Expiry) -> None:
        self._catalog = catalog
        self._committer = committer
        self._merger = merger
        self._expiry = expiry
        self._log = structlog.get_logger()
        self._committed = monotonic()
        self._wake = asyncio.Event()
        self._seen: dict[DayFile, tuple[Contents, bool]] = {}
        self._roomy: set[DayFile] = set()
        self._expired = monotonic()
        self._working = asyncio.Lock()
        self._task = asyncio.create_task(self._run())

    def note_commit(self) -> None:
        """Something was committed."""
        self._committed = monotonic()
        if self._catalog.fresh_records >= BLOCK_RECORDS_MAX:
            self._wake.set()

    async def settle(self) -> None:
        """Merge all that is fresh, however little it is. Raises ``LogServiceError``."""
        async with self._working:
            for file in self._catalog.newest_first():
                while await self._merger.merge_next(file, is_due=True, kept=self._expiry.kept()):
                    self._roomy.add(file)

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """Nothing is merged or removed by the keeper meanwhile."""
        async with self._working:
            yield

    async def close(self) -> None:
        """Leave everything as it is; what was under way is done again after the next start."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            # Not wait_for, which in Python 3.11 may keep a cancellation to itself.
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                async with self._working:
                    await self._look_after()
            except LogServiceError as error:
                reason = "The disk is full." if isinstance(error, StoreFull) else str(error)
                self._log.warning("store upkeep put off", reason=reason)
                await asyncio.sleep(MERGE_PAUSE_SECONDS)
            except Exception:  # noqa: BLE001 - whatever it is, the store goes on, and is to have its upkeep again
                self._log.exception("store upkeep failed")
                await asyncio.sleep(MERGE_PAUSE_SECONDS)

    async def _look_after(self) -> None:
        if self._committer.failure is not None:
            return
        if monotonic() - self._expired > EXPIRY_SECONDS:
            self._expired = monotonic()
            await self._expiry.remove()
        for file in self._catalog.newest_first():
            await self._merge(file)
        await self._give_back()

    async def _merge(self, file: DayFile) -> None:
        """Merge until nothing is left to do. A file at rest is not looked at again."""
        contents, is_due = self._catalog.contents(file), self._is_due(file)
        if self._seen.get(file) == (contents, is_due) or not (is_due or self._may_be_merged(contents, file)):
            return
        while await self._merger.merge_next(file, is_due=is_due, kept=self._expiry.kept()):
            self._roomy.add(file)
            contents, is_due = self._catalog.contents(file), self._is_due(file)
        self._seen[file] = contents, is_due

    async def _give_back(self) -> None:
        """Give back what merging freed, a little at a time, where nothing comes that could use it."""
        files = self._catalog.newest_first()
        self._roomy.intersection_update(files)
        for file in sorted(self._roomy, key=files.index, reverse=True):
            while file is not files[0] or self._is_quiet:
                if not await self._committer.run(partial(Writer.give_back, file=file, pages_max=_PAGES_AT_ONCE)):
                    self._roomy.remove(file)
                    break

    @property
    def _is_quiet(self) -> bool:
        return monotonic() - self._committed > MERGE_QUIET_SECONDS

    def _may_be_merged(self, contents: Contents, file: DayFile) -> bool:
        return contents.fresh_records >= BLOCK_RECORDS_MAX or file not in self._seen

    def _is_due(self, file: DayFile) -> bool:
        """Whether what is fresh is to be merged however little it is."""
        contents = self._catalog.contents(file)
        if contents.fresh_chunks == 0:
            return False
        is_over = file is not self._catalog.newest_first()[0]
        is_enough = contents.fresh_records >= MERGE_QUIET_RECORDS_MIN
        return is_over or contents.fresh_chunks >= MERGE_CHUNKS_MAX or (self._is_quiet and is_enough)
