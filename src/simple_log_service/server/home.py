"""The embedded home, wired: one function from settings to a service that listens, and back down again."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from simple_log_service.api.messages import Response
from simple_log_service.api.routes import Api
from simple_log_service.api.sigv4 import Verifier
from simple_log_service.core.service import LogService
from simple_log_service.server.access_log import AccessLog
from simple_log_service.server.data_dir import DataDir
from simple_log_service.server.erasures import erasures_on_request
from simple_log_service.server.files import DirectoryLock
from simple_log_service.server.gate import Gate
from simple_log_service.server.http import Bounds, Listener, affordable_connections
from simple_log_service.server.metrics import CONTENT_TYPE, PrometheusMetrics
from simple_log_service.server.offload import offload_to
from simple_log_service.server.settings import Settings
from simple_log_service.server.stores import opened_store
from simple_log_service.server.throttle import Throttle
from simple_log_service.server.tls import server_context


@asynccontextmanager
async def embedded_home(settings: Settings, data_dir: DataDir) -> AsyncIterator[str]:
    """Run the service while the context is open; yields its endpoint, as ``http://127.0.0.1:8080``.

    Leaving it stops gracefully: what was accepted is answered, then the store is closed, last the folder is let go.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(DirectoryLock(data_dir.path))
        tls = server_context(settings.tls_cert, settings.tls_key) if settings.tls_cert and settings.tls_key else None
        data_dir.prepare_first_start(settings.region)
        metrics = PrometheusMetrics()
        store, status = await stack.enter_async_context(opened_store(settings, data_dir, metrics))
        await stack.enter_async_context(erasures_on_request(data_dir.path, store))
        workers = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="slog-decoder"))
        api = Api(
            LogService(store, time.time_ns, metrics, retention=settings.retention),
            offload=offload_to(workers),
            status=status,
            metrics_page=lambda: Response(200, metrics.render(), content_type=CONTENT_TYPE),
        )
        gate = Gate(api, _verifier(settings, data_dir), _throttle(settings), region=settings.region)
        bounds = Bounds(connections_max=affordable_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
        listener = Listener(gate, metrics, access_log=_access_log(settings, metrics, stack), tls=tls, bounds=bounds)
        addresses = await listener.start(settings.host, settings.port)
        stack.push_async_callback(listener.stop, settings.grace_seconds)
        yield _endpoint(settings.host, addresses[0][1], secure=tls is not None)


def _verifier(settings: Settings, data_dir: DataDir) -> Verifier:
    return Verifier(
        data_dir.access_keys.find, region=settings.region, clock=time.time, temporary_only=settings.temporary_only
    )


def _throttle(settings: Settings) -> Throttle:
    rate, burst = settings.throttle_rate, settings.throttle_burst
    return Throttle(rate, burst, key_rate=rate, key_burst=burst)


def _access_log(settings: Settings, metrics: PrometheusMetrics, stack: AsyncExitStack) -> AccessLog | None:
    if settings.access_log == "off":
        return None
    if settings.access_log == "-":
        log = AccessLog(sys.stdout.buffer, metrics)
    else:
        file = stack.enter_context(Path(settings.access_log).open("ab", buffering=0))  # noqa: SIM115 - it is entered
        log = AccessLog(file, metrics)
    stack.callback(log.close)
    return log


def _endpoint(host: str, port: int, *, secure: bool) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{name}:{port}"
