"""The store of the embedded home: its own files, or a DynamoDB table that several servers share."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import NamedTuple

from simple_log_service.api.messages import Response
from simple_log_service.core import signals
from simple_log_service.core.errors import LogServiceError
from simple_log_service.core.ports import LogStore
from simple_log_service.server.data_dir import DataDir
from simple_log_service.server.files import OperatorError
from simple_log_service.server.metrics import PrometheusMetrics
from simple_log_service.server.offload import offload_to
from simple_log_service.server.settings import Settings
from simple_log_service.stores.embedded.store import EmbeddedStore, StoreLimits

REQUESTS_AT_ONCE_MAX = 32
"""Requests that wait for DynamoDB, each in a thread; further ones wait for a thread."""


class OpenedStore(NamedTuple):
    """A store, and what /health says of it."""

    store: LogStore
    status: Callable[[], Response]


@asynccontextmanager
async def opened_store(settings: Settings, data_dir: DataDir, metrics: PrometheusMetrics) -> AsyncIterator[OpenedStore]:
    """The store that the settings choose, closed in the end. Raises ``OperatorError`` where it cannot be used."""
    with ThreadPoolExecutor(REQUESTS_AT_ONCE_MAX, thread_name_prefix="slog-store") as workers:
        is_table = settings.store == "dynamodb"
        opened = await (_dynamodb(settings, metrics, workers) if is_table else _embedded(settings, data_dir, metrics))
        try:
            yield opened
        finally:
            await opened.store.close()


async def _embedded(settings: Settings, data_dir: DataDir, metrics: PrometheusMetrics) -> OpenedStore:
    limits = StoreLimits(settings.retention, settings.max_store_size)
    store = await EmbeddedStore.open(
        data_dir.logs, keys=data_dir.keys, clock=time.time_ns, metrics=metrics, limits=limits
    )
    metrics.gauge_from(signals.QUEUE_REQUESTS, lambda: store.queued)
    metrics.gauge_from(signals.STORE_READ_ONLY, lambda: store.failure is not None)
    metrics.gauge_from(signals.STORE_BYTES, lambda: store.size_bytes)
    metrics.gauge_from(signals.UNMERGED_RECORDS, lambda: store.unmerged_records)
    metrics.gauge_from(signals.TAIL_RECORDS, lambda: store.tail_records)
    return OpenedStore(store, lambda: _status(store))


async def _dynamodb(settings: Settings, metrics: PrometheusMetrics, workers: ThreadPoolExecutor) -> OpenedStore:
    try:
        # Only who needs it pays for it: botocore is an extra, and takes longer to load than all the rest.
        from simple_log_service.stores.dynamodb.store import DynamoDBStore, TableSettings  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise OperatorError(f"--store dynamodb needs {error.name}: pip install 'simple-log-service[aws]'") from None
    assert settings.table is not None
    table = TableSettings(
        settings.table,
        settings.region,
        settings.retention,
        index_name=settings.table_index,
        endpoint_url=settings.endpoint_url,
        type_shards=settings.type_shards,
    )
    store = DynamoDBStore.open(table, clock=time.time_ns, metrics=metrics, offload=offload_to(workers))
    try:
        await store.check()
    except LogServiceError as error:
        await store.close()
        raise OperatorError(f"the table {settings.table} cannot be read: {error}") from None
    return OpenedStore(store, lambda: Response(200, b'{"status":"ok"}'))


def _status(store: EmbeddedStore) -> Response:
    if store.failure is None:
        return Response(200, b'{"status":"ok"}')
    return Response(503, b'{"status":"read-only"}')
