"""The service itself: what both homes do with a batch and with a query, whatever carries them."""

from __future__ import annotations

from collections import Counter

import msgspec

from simple_log_service.core import signals
from simple_log_service.core.batch import Batch
from simple_log_service.core.limits import FUTURE_NS_MAX
from simple_log_service.core.ports import Clock, LogStore, Metrics
from simple_log_service.core.query import Page, Query
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.retention import Kept, Retention
from simple_log_service.core.stats import Stats, StatsQuery
from simple_log_service.core.validation import Rules


class LogService:
    """Takes in batches and answers queries over one store, within the retention, and counts what it does."""

    def __init__(self, store: LogStore, clock: Clock, metrics: Metrics, *, retention: Retention) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._retention = retention

    def rules(self, received_ns: int, service_name: str | None) -> Rules:
        """What records received at this time, for this service if the path names one, are held to."""
        retention = self._retention.narrowed(service_name, None)
        kept = None if retention.is_uniform else Kept(retention, received_ns)
        oldest_ns = received_ns - retention.shortest_ns
        return Rules(received_ns, oldest_ns, received_ns + FUTURE_NS_MAX, service_name, kept)

    async def ingest(self, batch: Batch) -> Receipt:
        """Store the batch's good records; the receipt says what became of every record."""
        if len(batch) == 0 and batch.retry is None:
            receipt = Receipt(0, rejected=batch.rejected)
        else:
            receipt = await self._store.append(batch)
        metrics = self._metrics
        metrics.count(signals.RECORDS_ACCEPTED, receipt.accepted)
        if receipt.duplicates:
            metrics.count(signals.RECORDS_DUPLICATE, receipt.duplicates)
        if receipt.rejected:
            for code, amount in Counter(rejection.code for rejection in receipt.rejected).items():
                metrics.count(signals.RECORDS_REJECTED, amount, code)
        return receipt

    async def recent(self, query: Query) -> Page:
        """The newest records that match; nothing older than the retention is ever returned."""
        page = await self._store.recent(self._of_what_is_kept(query))
        self._metrics.count(signals.RECORDS_RETURNED, len(page.logs))
        return page

    async def stats(self, asked: StatsQuery) -> Stats:
        """How many records match, of what is kept; ``InvalidRequest`` where that is too many buckets."""
        asked = msgspec.structs.replace(asked, query=self._of_what_is_kept(asked.query))
        asked.check(self._clock() + FUTURE_NS_MAX)
        return await self._store.stats(asked)

    def _of_what_is_kept(self, query: Query) -> Query:
        """The query without what is past its retention now: each page anew, wherever its cursor began."""
        retention, now_ns = self._retention.narrowed(query.service_name, query.log_type), self._clock()
        since_ns = max(query.since_ns, now_ns - retention.longest_ns)
        kept = None if retention.is_uniform else Kept(retention, now_ns)
        return msgspec.structs.replace(query, since_ns=since_ns, kept=kept)
