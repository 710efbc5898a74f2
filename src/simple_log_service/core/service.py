"""The service itself: what both homes do with a batch and with a query, whatever carries them."""

from __future__ import annotations

from collections import Counter

import msgspec

from simple_log_service.core import signals
from simple_log_service.core.batch import Batch
from simple_log_service.core.limits import DAY_NS, FUTURE_NS_MAX
from simple_log_service.core.ports import Clock, LogStore, Metrics
from simple_log_service.core.query import Page, Query
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.validation import Rules


class LogService:
    """Takes in batches and answers queries over one store, within the retention, and counts what it does."""

    def __init__(self, store: LogStore, clock: Clock, metrics: Metrics, *, retention_days: int) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._retention_ns = retention_days * DAY_NS

    def rules(self, received_ns: int, service_name: str | None) -> Rules:
        """What records received at this time, for this service if the path names one, are held to."""
        oldest_ns = received_ns - self._retention_ns
        return Rules(received_ns, oldest_ns, received_ns + FUTURE_NS_MAX, service_name)

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
        oldest_ns = self._clock() - self._retention_ns
        if query.since_ns < oldest_ns:
            query = msgspec.structs.replace(query, since_ns=oldest_ns)
        page = await self._store.recent(query)
        self._metrics.count(signals.RECORDS_RETURNED, len(page.logs))
        return page
