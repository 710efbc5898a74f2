"""The server's side of the helper process: started when it is first needed, and again should it ever end."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from itertools import count
from typing import TypeVar

from simple_log_service.core.errors import StoreBusy
from simple_log_service.stores.embedded import helper_messages as messages
from simple_log_service.stores.embedded.handed_keys import RememberingKeys

R = TypeVar("R", bound=messages.Result)

_COMMAND = (sys.executable, "-m", "simple_log_service.stores.embedded.helper")
_STOP_SECONDS_MAX = 5.0
_ENDED = "The helper process ended before it answered; try again."


class HelperEnded(StoreBusy):
    """The helper process ended before it answered; it is started again when it is next needed."""


class HelperProcess:
    """Asks the helper. ``keys`` are those of the store's files: what they unwrapped is handed on."""

    def __init__(self, keys: RememberingKeys) -> None:
        self._keys = keys
        self._handed = 0
        self._process: Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[messages.Result]] = {}

    async def ask(self, request: messages.Question, kind: type[R], seconds_max: float) -> R:
        """The result of a request; raises its error, ``HelperEnded``, or ``StoreBusy`` where it takes longer."""
        await self._ensure_started()
        number = next(self._numbers)
        future: asyncio.Future[messages.Result] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._send(number, request)
            async with asyncio.timeout(seconds_max):
                result = await future
        except TimeoutError:
            # It is stuck: nothing that it was asked will be answered.
            if self._process is not None:
                self._process.kill()
            raise StoreBusy(_ENDED) from None
        finally:
            self._waiting.pop(number, None)
        assert isinstance(result, kind)
        return result

    def tell(self, request: messages.Notice) -> None:
        """Say something that needs no answer, if the helper is there to hear it."""
        if self._process is not None:
            self._send(0, request)

    async def close(self) -> None:
        """Let the helper end: whatever it is doing is not needed any more."""
        process, listening = self._process, self._listening
        if process is None or listening is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
        await listening

    async def _ensure_started(self) -> None:
        async with self._starting:
            if self._process is None:
                self._process = await asyncio.create_subprocess_exec(*_COMMAND, stdin=PIPE, stdout=PIPE, env=_environ())
                self._handed = 0
                self._listening = asyncio.create_task(self._listen(self._process))

    def _send(self, number: int, request: messages.Request) -> None:
        unwrapped = self._keys.unwrapped[self._handed :]
        if unwrapped:
            self._handed += len(unwrapped)
            self._write(next(self._numbers), messages.Keys(unwrapped))
        self._write(number, request)

    def _write(self, number: int, request: messages.Request) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(messages.frame(number, messages.pack(request)))

    async def _listen(self, process: Process) -> None:
        assert process.stdout is not None
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size, number = messages.HEAD.unpack(await process.stdout.readexactly(messages.HEAD.size))
                self._resolve(number, await process.stdout.readexactly(size))
        await process.wait()
        self._process = self._listening = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(HelperEnded(_ENDED))

    def _resolve(self, number: int, data: bytes) -> None:
        future = self._waiting.get(number)
        if future is None or future.done():
            return  # Whoever asked has gone away.
        try:
            future.set_result(messages.unpack_answer(data))
        except Exception as error:  # noqa: BLE001 - it is raised where the future is awaited
            future.set_exception(error)


def _environ() -> dict[str, str]:
    """The server's, without its settings, of which one may be the key-encryption key, and without credentials."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SIMPLE_LOG_SERVICE_", "AWS_"))}
