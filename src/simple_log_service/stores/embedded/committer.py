"""Group commit: gathers requests on the event loop, writes them in one thread, and answers them together.

While one group is being written the next one gathers. The state moves on before anybody is answered, so that whatever
becomes of a waiter, the next group is on its way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, TypeVar

from simple_log_service.core import signals
from simple_log_service.core.admission import GivenId
from simple_log_service.core.batch import Batch
from simple_log_service.core.errors import LogServiceError, StoreBusy, StoreFull, StoreUnavailable
from simple_log_service.core.limits import GROUP_RECORDS_MAX, GROUP_TEXT_BYTES_MAX
from simple_log_service.core.ports import Clock, Metrics
from simple_log_service.core.receipts import Receipt
from simple_log_service.stores.embedded.group import Group, Member, Waiting, build_group
from simple_log_service.stores.embedded.writer import SeenBefore, Writer, Written

T = TypeVar("T")

OnWritten = Callable[[Group, Written], None]


class Committer:
    """The queue before the writer. ``on_written`` runs on the loop before anybody in the group is answered."""

    def __init__(
        self,
        writer: Writer,
        *,
        clock: Clock,
        metrics: Metrics,
        arrival_last: int,
        hash_key: bytes,
        on_written: OnWritten,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer = writer
        self._clock = clock
        self._metrics = metrics
        self._arrival_last = arrival_last
        self._hash_key = hash_key
        self._on_written = on_written
        self._queue: deque[Waiting] = deque()
        self._in_flight: dict[tuple[str, str], asyncio.Future[Receipt]] = {}
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="slog-writer")
        self._thread.start()
        self._busy = False
        self._began = 0.0
        self._idle = asyncio.Event()
        self._idle.set()
        self.failure: StoreUnavailable | None = None

    @property
    def queued(self) -> int:
        """Requests that wait for their commit."""
        return len(self._queue)

    async def append(self, batch: Batch) -> Receipt:
        """Wait for the batch's commit. Concurrent repeats of a retry key wait for the first one's end."""
        retry = batch.retry
        if retry is None:
            return await self._enqueue(batch)
        name = (retry.owner, retry.key)
        while (first := self._in_flight.get(name)) is not None:
            await asyncio.wait([first])
        future = self._in_flight[name] = self._enqueue(batch)
        # Its first callback, so that those who wait find the name free.
        future.add_done_callback(lambda _: self._in_flight.pop(name))
        return await future

    async def run(self, task: Callable[[Writer], T]) -> T:
        """What a task gives that is done by the writer's thread between two groups."""
        future: asyncio.Future[T] = self._loop.create_future()

        def work() -> None:
            try:
                outcome, error = task(self._writer), None
            except Exception as raised:  # noqa: BLE001 - it is raised where the future is awaited
                outcome, error = None, raised
            self._loop.call_soon_threadsafe(self._end_task, future, outcome, error)

        self._work.put(work)
        return await future

    async def close(self) -> None:
        """Write what is queued, then let the writer go."""
        await self._idle.wait()
        self._work.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _enqueue(self, batch: Batch) -> asyncio.Future[Receipt]:
        future: asyncio.Future[Receipt] = self._loop.create_future()
        if self.failure is not None:
            future.set_exception(self.failure)
            return future
        self._queue.append(Waiting(batch, future))
        if not self._busy:
            self._busy = True
            self._idle.clear()
            # At the end of this turn of the loop: whatever else it has read joins the group.
            self._loop.call_soon(self._next_group)
        return future

    def _next_group(self) -> None:
        waiting: list[Waiting] = []
        records = text_bytes = 0
        while self._queue and records < GROUP_RECORDS_MAX and text_bytes < GROUP_TEXT_BYTES_MAX:
            first = self._queue.popleft()
            if not first.future.done():  # Else its waiter has gone away, and may be back with the same retry key.
                waiting.append(first)
                records += len(first.batch)
                text_bytes += first.batch.text_size
        if waiting:
            self._write(waiting, set())
        else:
            self._busy = False
            self._idle.set()

    def _write(self, waiting: list[Waiting], known: set[GivenId]) -> None:
        arrival = max(self._arrival_last + 1, self._clock() // 1000)
        try:
            group = build_group(waiting, known, arrival, self._hash_key)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others in the group must not suffer for it
            self._write_apart(waiting, known, error)
            return
        self._arrival_last = arrival + len(group.arrivals)
        self._began = perf_counter()
        self._work.put(partial(self._write_group, group, known))

    def _write_apart(self, waiting: list[Waiting], known: set[GivenId], error: Exception) -> None:
        """Leave out what cannot be encoded even by itself, and write the rest."""
        bad = [each for each in waiting if len(waiting) == 1 or not self._can_be_encoded(each)]
        for each in bad or waiting:
            _resolve_future(each.future, error)
        rest = [each for each in waiting if not each.future.done()]
        if rest:
            self._write(rest, known)
        else:
            self._next_group()

    def _can_be_encoded(self, waiting: Waiting) -> bool:
        try:
            build_group([waiting], set(), 0, self._hash_key)
        except Exception:  # noqa: BLE001 - this is the question
            return False
        return True

    def _run(self) -> None:
        """The writer's thread. The write-ahead log is folded in after a group was answered, never before."""
        for work in iter(self._work.get, None):
            work()
            try:
                self._writer.checkpoint()
            except LogServiceError as error:
                self._loop.call_soon_threadsafe(self._become_read_only, error)
        self._writer.close()

    def _write_group(self, group: Group, known: set[GivenId]) -> None:
        outcome: Written | SeenBefore | Exception
        try:
            outcome = self._writer.write(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, the group must be answered
            outcome = error
        self._loop.call_soon_threadsafe(self._finish, group, known, outcome)

    def _end_task(self, future: asyncio.Future[Any], outcome: object, error: Exception | None) -> None:
        if error is not None and not isinstance(error, StoreFull | StoreBusy):
            self._become_read_only(error)
        if future.done():
            return  # Its waiter has gone away.
        if error is None:
            future.set_result(outcome)
        else:
            future.set_exception(error)

    def _finish(self, group: Group, known: set[GivenId], outcome: Written | SeenBefore | Exception) -> None:
        if isinstance(outcome, Exception):
            self._fail(group, outcome)
            return
        if isinstance(outcome, SeenBefore):
            self._regroup(group, known, outcome)
            return
        self._metrics.count(signals.COMMITS, 1, "ok")
        self._metrics.count(signals.COMMIT_RECORDS, len(group.arrivals))
        self._metrics.observe(signals.COMMIT_SECONDS, perf_counter() - self._began)
        self._on_written(group, outcome)
        self._next_group()
        for member, receipt in zip(group.members, outcome.receipts, strict=True):
            _resolve(member, receipt)

    def _regroup(self, group: Group, known: set[GivenId], seen: SeenBefore) -> None:
        rest = [member.waiting for place, member in enumerate(group.members) if place not in seen.answers]
        if rest:
            self._write(rest, known | seen.known)
        else:
            self._next_group()
        for place, answer in seen.answers.items():
            _resolve(group.members[place], answer)

    def _fail(self, group: Group, error: Exception) -> None:
        self._metrics.count(signals.COMMITS, 1, "full" if isinstance(error, StoreFull) else "failed")
        answer = error if isinstance(error, LogServiceError) else StoreUnavailable("The store failed.")
        if not isinstance(error, StoreFull | StoreBusy):
            self._become_read_only(answer)
        self._next_group()
        for member in group.members:
            _resolve(member, answer)

    def _become_read_only(self, error: Exception) -> None:
        """After any error but a full disk nothing is written until a restart: a failed fsync proves nothing."""
        self.failure = StoreUnavailable("The store is read-only after an I/O error; restart the service.")
        self.failure.__cause__ = error
        while self._queue:
            _resolve_future(self._queue.popleft().future, self.failure)


def _resolve(member: Member, answer: Receipt | Exception) -> None:
    _resolve_future(member.waiting.future, answer)


def _resolve_future(future: asyncio.Future[Receipt], answer: Receipt | Exception) -> None:
    if future.done():
        return  # Its waiter has gone away.
    if isinstance(answer, Receipt):
        future.set_result(answer)
    else:
        future.set_exception(answer)
        future.exception()  # Counts as seen: the waiter may go away before it looks.
