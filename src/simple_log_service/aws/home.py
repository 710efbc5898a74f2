"""The AWS home, wired: from a function's environment to its handler, once in a container's life."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from simple_log_service.api.errors import missing_authentication_token
from simple_log_service.api.messages import Response
from simple_log_service.api.routes import Api, Route
from simple_log_service.aws.deadline import Deadline
from simple_log_service.aws.emf import EmfMetrics
from simple_log_service.aws.handler import Handler
from simple_log_service.aws.journal import Journal
from simple_log_service.aws.settings import Settings, settings_of_the_function
from simple_log_service.core.ports import LogStore
from simple_log_service.core.service import LogService
from simple_log_service.stores.dynamodb.store import DynamoDBStore, TableSettings

T = TypeVar("T")

OpenStore = Callable[[Settings, EmfMetrics, Deadline], LogStore]


def _write_line(line: str) -> None:
    """Lambda makes a log event of each line of the standard output."""
    sys.stdout.write(line + "\n")


def aws_home(*serves: Route) -> Handler:
    """The handler of a function that answers these routes, as its environment says."""
    return home_over(_dynamodb, settings_of_the_function(Settings), *serves)


def home_over(
    open_store: OpenStore,
    settings: Settings,
    *serves: Route,
    write: Callable[[str], object] = _write_line,
    loop: asyncio.AbstractEventLoop | None = None,
) -> Handler:
    """The same over any store; ``write`` gets each line of the log, ``loop`` is a new one unless given."""
    metrics = EmfMetrics()
    deadline = Deadline()
    store = open_store(settings, metrics, deadline)
    api = Api(
        LogService(store, time.time_ns, metrics, retention=settings.retention),
        offload=_at_once,
        status=_unknown_here,
        metrics_page=_unknown_here,
    )
    return Handler(
        api,
        *serves,
        metrics=metrics,
        journal=Journal(metrics, namespace=settings.metrics_namespace, write=write),
        deadline=deadline,
        clock=time.time_ns,
        loop=loop or asyncio.new_event_loop(),
    )


def _dynamodb(settings: Settings, metrics: EmfMetrics, deadline: Deadline) -> LogStore:
    table = TableSettings(
        table_name=settings.table_name,
        region=settings.region,
        retention=settings.retention,
        index_name=settings.index_name,
        endpoint_url=settings.dynamodb_endpoint_url,
        type_shards=settings.type_shards,
    )
    return DynamoDBStore.open(table, clock=time.time_ns, metrics=metrics, offload=_at_once, deadline=deadline)


async def _at_once(function: Callable[..., T], *arguments: Any) -> T:
    """A container has one request at a time: nobody waits while it works."""
    return function(*arguments)


def _unknown_here() -> Response:
    """API Gateway itself answers /health, and CloudWatch has the metrics."""
    raise missing_authentication_token()
