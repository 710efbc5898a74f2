"""Erasing on purpose, as ``slog erase`` asks for it: by the running server, or by the command where none runs.

No caller of the service can ask for it; only who may write into the data folder can. Each erasure stands in the audit
file before anything is erased, and again with what came of it. Its request is removed after that alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from simple_log_service.core.erasure import Erasure
from simple_log_service.core.errors import LogServiceError
from simple_log_service.core.limits import ERASURE_PAUSE_SECONDS, ERASURE_POLL_SECONDS, RETENTION_DAYS_MAX
from simple_log_service.core.ports import LogStore
from simple_log_service.core.retention import Retention
from simple_log_service.core.stats import StatsQuery
from simple_log_service.core.timestamps import format_timestamp
from simple_log_service.server.audit import append_line
from simple_log_service.server.data_dir import DataDir
from simple_log_service.server.erasure_requests import (
    BadRequest,
    Counted,
    CountRequest,
    Erased,
    EraseRequest,
    Erasing,
    PutOff,
    Refused,
    RequestFolder,
)
from simple_log_service.server.files import DirectoryLock
from simple_log_service.server.metrics import PrometheusMetrics
from simple_log_service.stores.embedded.store import EmbeddedStore, StoreLimits

_LOG = structlog.get_logger(__name__)

IN_A_TABLE = (
    "The records are in a DynamoDB table, which slog erase does not change: give the service or type a shorter "
    'retention, or delete its items with AWS\'s tools, as docs/OPERATIONS.md says under "Erasing on purpose".'
)


class AuditLine(msgspec.Struct, omit_defaults=True):
    """One line of the audit file. Documented in docs/OPERATIONS.md."""

    time: str
    event: Literal["erasure begun", "erasure ended", "erasure refused"]
    request: str
    user: str | None = None
    user_id: int | None = None
    asked_at: str | None = None
    confirmed: str | None = None
    service_name: str | None = None
    log_type: str | None = None
    since: str | None = None
    until: str | None = None
    arrival_last: int | None = None
    records_counted: int | None = None
    records_erased: int | None = None
    records_unreadable: int | None = None
    reason: str | None = None


class Erasures:
    """Carries out what is asked for in a data folder; ``store`` is ``None`` where the records are in a table."""

    def __init__(self, data_dir: Path, store: EmbeddedStore | None) -> None:
        self._data_dir = data_dir
        self._store = store
        self._requests = RequestFolder(data_dir)
        self._passed_over: set[str] = set()
        self._gone: dict[str, list[int]] = {}
        """How many records went, by request that this process has begun, of all its tries."""

    async def run(self) -> None:
        """Look for requests until cancelled; whatever fails is said and tried again."""
        await asyncio.to_thread(self._requests.clear_answers)
        while True:
            try:
                is_done = await self.work_off()
            except Exception as error:  # noqa: BLE001 - the server goes on whatever is in that folder
                _LOG.error("erasures put off", reason=_reason(error))
                is_done = False
            await asyncio.sleep(ERASURE_POLL_SECONDS if is_done else ERASURE_PAUSE_SECONDS)

    async def work_off(self) -> bool:
        """Carry out what waits by now; ``False`` where something of it has to be tried again."""
        is_done = True
        for name in self._requests.waiting():
            if name in self._passed_over:
                continue
            try:
                is_done &= await self._work_on(name)
            except OSError as error:
                # One that cannot be answered, for a full disk for instance, must not keep the others waiting.
                _LOG.error("erasure put off", request=name, reason=_reason(error))
                is_done = False
        return is_done

    async def _work_on(self, name: str) -> bool:
        """Carry out one request; ``False`` where it has to be tried again. Raises ``OSError``."""
        try:
            number, request = self._requests.read(name)
        except FileNotFoundError:
            return True  # It was taken back.
        except BadRequest as bad:
            await asyncio.to_thread(self._refuse, name, str(bad))
            return True
        if self._store is None:
            await asyncio.to_thread(self._refuse, name, IN_A_TABLE)
            return True
        if isinstance(request, CountRequest):
            await self._count(self._store, name, number, request)
            return True
        return await self._erase(self._store, name, number, request)

    async def _count(self, store: EmbeddedStore, name: str, number: str, request: CountRequest) -> None:
        arrival_last = store.arrival_last
        try:
            answer: Counted | Refused = Counted(await _counted(store, request.erasure), arrival_last)
        except LogServiceError as error:
            answer = Refused(f"The records cannot be counted now: {error}")
        await asyncio.to_thread(self._requests.answer, number, answer)
        self._requests.done(name)

    async def _erase(self, store: EmbeddedStore, name: str, number: str, request: EraseRequest) -> bool:
        try:
            if number not in self._gone:
                begun = _line("erasure begun", number, request)
                await asyncio.to_thread(append_line, self._data_dir, begun)
                self._gone[number] = []
                _LOG.warning("erasure begun", **_logged(begun))
            erased = await self._erased(store, number, request.erasure)
            ended = _line("erasure ended", number, request)
            ended.records_erased, ended.records_unreadable = erased.records, erased.unreadable
            await asyncio.to_thread(append_line, self._data_dir, ended)
            _LOG.warning("erasure ended", **_logged(ended))
        except (LogServiceError, OSError) as error:
            _LOG.error("erasure put off", request=number, reason=_reason(error))
            # Where even this cannot be written, who waits goes on waiting.
            with suppress(OSError):
                await asyncio.to_thread(self._requests.answer, number, PutOff(_reason(error)))
            return False
        await asyncio.to_thread(self._requests.answer, number, erased)
        self._requests.done(name)
        del self._gone[number]
        return True

    async def _erased(self, store: EmbeddedStore, number: str, erasure: Erasure) -> Erased:
        gone = self._gone[number]
        is_over = asyncio.Event()
        telling = asyncio.create_task(self._tell(number, gone, is_over))
        try:
            erased = await store.erase(erasure, gone.append)
        finally:
            # Let it end by itself: an answer that is being written must not come after the last one.
            is_over.set()
            await telling
        return Erased(sum(gone), erased.unreadable)

    async def _tell(self, number: str, gone: list[int], is_over: asyncio.Event) -> None:
        """Say now and then how many are gone."""
        while not is_over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(ERASURE_POLL_SECONDS):
                    await is_over.wait()
                return
            # It is of no use but to somebody who waits, and the erasure does not depend on it.
            with suppress(OSError):
                await asyncio.to_thread(self._requests.answer, number, Erasing(sum(gone)))

    def _refuse(self, name: str, reason: str) -> None:
        _LOG.warning("erasure refused", request=name, reason=reason)
        append_line(self._data_dir, AuditLine(_now(), "erasure refused", name, reason=reason))
        if not self._requests.refuse(name, reason):
            self._passed_over.add(name)


@asynccontextmanager
async def erasures_on_request(data_dir: Path, store: LogStore) -> AsyncIterator[None]:
    """Carry out erasures while the context is open; what is under way when it closes goes on at the next start."""
    erasures = Erasures(data_dir, store if isinstance(store, EmbeddedStore) else None)
    task = asyncio.create_task(erasures.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def work_off_alone(data_dir: DataDir) -> None:
    """Carry out what waits where no server runs. Raises ``OperatorError`` where one does, or ``LogServiceError``."""
    # The retention is the server's to know: nothing may expire here.
    limits = StoreLimits(Retention(RETENTION_DAYS_MAX))
    with DirectoryLock(data_dir.path):
        store = await EmbeddedStore.open(
            data_dir.logs, keys=data_dir.keys, clock=time.time_ns, metrics=PrometheusMetrics(), limits=limits
        )
        try:
            await Erasures(data_dir.path, store).work_off()
        finally:
            await store.close()


async def _counted(store: EmbeddedStore, erasure: Erasure) -> int:
    query, records = erasure.query, 0
    while True:
        stats = await store.stats(StatsQuery(query))
        records += sum(bucket.count for bucket in stats.buckets)
        if stats.below is None:
            return records
        query = msgspec.structs.replace(query, below=stats.below, reach_ns=stats.reach_ns)


def _line(
    event: Literal["erasure begun", "erasure ended", "erasure refused"], number: str, request: EraseRequest
) -> AuditLine:
    erasure = request.erasure
    return AuditLine(
        _now(),
        event,
        number,
        user=request.user,
        user_id=request.user_id,
        asked_at=request.asked_at,
        confirmed=request.confirmed,
        service_name=erasure.service_name,
        log_type=erasure.log_type,
        since=None if erasure.since_ns is None else format_timestamp(erasure.since_ns),
        until=None if erasure.until_ns is None else format_timestamp(erasure.until_ns),
        arrival_last=erasure.arrival_last,
        records_counted=request.records_counted,
    )


def _logged(line: AuditLine) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(line).items() if name not in ("time", "event")}


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _reason(error: Exception) -> str:
    """What may be said of an error: ours say it themselves, others by their class."""
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error.strerror}"
    return str(error) if isinstance(error, LogServiceError) else type(error).__name__
