"""The DynamoDB store over a table of its own in a local engine, gone afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from unittest import mock
from uuid import uuid4

from simple_log_service.core.ports import Metrics
from simple_log_service.core.retention import Retention
from simple_log_service.server.metrics import PrometheusMetrics
from simple_log_service.server.offload import offload_to
from simple_log_service.stores.dynamodb.store import DynamoDBStore, TableSettings
from support.dynalite import REGION, create_table, delete_table

RETENTION_DAYS = 30
RETENTION = Retention(RETENTION_DAYS)
THREADS = ThreadPoolExecutor(32)
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "ASIATESTS",
    "AWS_SECRET_ACCESS_KEY": "tests",
    "AWS_SESSION_TOKEN": "tests",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def open_dynamodb(
    endpoint_url: str,
    table_name: str,
    clock: Callable[[], int],
    metrics: Metrics | None = None,
    type_shards: Mapping[str, int] | None = None,
    deadline: Callable[[], float] = lambda: float("inf"),
    retention: Retention = RETENTION,
) -> DynamoDBStore:
    """A store over a table that is there; the credentials are nobody's."""
    settings = TableSettings(table_name, REGION, retention, endpoint_url=endpoint_url, type_shards=type_shards or {})
    offload = offload_to(THREADS)
    metrics = metrics or PrometheusMetrics()
    with mock.patch.dict("os.environ", CREDENTIALS):
        return DynamoDBStore.open(settings, clock=clock, metrics=metrics, offload=offload, deadline=deadline)


@asynccontextmanager
async def dynamodb_store(endpoint_url: str, clock: Callable[[], int]) -> AsyncIterator[DynamoDBStore]:
    """A store over a table of its own."""
    name = f"logs-{uuid4().hex}"
    create_table(endpoint_url, name)
    store = open_dynamodb(endpoint_url, name, clock)
    try:
        yield store
    finally:
        await store.close()
        delete_table(endpoint_url, name)
