"""The store that keeps everything in memory: for tests, and as the plainest statement of what a store does."""

from __future__ import annotations

import secrets
from time import monotonic

from simple_log_service.core.admission import GivenId, given_ids, receipt_of, without_known
from simple_log_service.core.batch import Batch
from simple_log_service.core.columns import Columns
from simple_log_service.core.counting import count_runs
from simple_log_service.core.errors import IdempotencyMismatch
from simple_log_service.core.ids import NONCE_BITS, log_id_of
from simple_log_service.core.limits import READ_SECONDS_MAX
from simple_log_service.core.ports import Clock
from simple_log_service.core.query import Page, Query
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.runs import ColumnRun, collect, newest
from simple_log_service.core.stats import Stats, StatsQuery


class MemoryStore:
    """A ``LogStore`` without durability."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runs: list[ColumnRun] = []
        self._receipts: dict[tuple[str, str], tuple[bytes, Receipt]] = {}
        self._given: set[GivenId] = set()
        self._arrival = 0
        self._nonce = secrets.randbits(NONCE_BITS)

    async def append(self, batch: Batch) -> Receipt:
        """Keep the batch; a retry key seen before answers its first receipt."""
        retry = batch.retry
        if retry is not None and (retry.owner, retry.key) in self._receipts:
            fingerprint, receipt = self._receipts[retry.owner, retry.key]
            if fingerprint != retry.fingerprint:
                raise IdempotencyMismatch("This Idempotency-Key was used before, with another request.")
            return receipt
        stored = without_known(batch, self._given)
        first = max(self._arrival + 1, self._clock() // 1000)
        if len(stored):
            arrivals = range(first, first + len(stored))
            self._arrival = arrivals[-1]
            self._runs.append(ColumnRun(Columns.of([stored]), arrivals, self._log_id))
            self._given.update(given for _, given in given_ids(stored))
        receipt = receipt_of(batch, stored, first, self._log_id)
        if retry is not None and len(batch):
            self._receipts[retry.owner, retry.key] = (retry.fingerprint, receipt)
        return receipt

    async def recent(self, query: Query) -> Page:
        """The newest records that match."""
        return collect(newest(self._newest_first(), query, monotonic() + READ_SECONDS_MAX), query)

    async def stats(self, asked: StatsQuery) -> Stats:
        """How many records match."""
        return count_runs(lambda _: self._newest_first(), asked, monotonic() + READ_SECONDS_MAX)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _newest_first(self) -> list[ColumnRun]:
        return sorted(self._runs, key=lambda run: run.time_max, reverse=True)

    def _log_id(self, arrival: int) -> str:
        return log_id_of(arrival, self._nonce)
