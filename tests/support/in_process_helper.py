"""The helper process's work without the process: tests that change limits or clocks see them hold there, too."""

from __future__ import annotations

import asyncio
from io import BytesIO
from time import monotonic
from typing import TypeVar

from simple_log_service.stores.embedded import helper_messages as messages
from simple_log_service.stores.embedded.handed_keys import RememberingKeys
from simple_log_service.stores.embedded.helper import Work

R = TypeVar("R", bound=messages.Result)


class InProcessHelper:
    """Stands in for ``HelperProcess``; requests and results cross as messages, as they do between processes."""

    def __init__(self, keys: RememberingKeys) -> None:
        self._keys = keys
        self._handed = 0
        self._work = Work()

    async def ask(self, request: messages.Question, kind: type[R], seconds_max: float) -> R:
        """The result of a request."""
        del seconds_max
        unwrapped = self._keys.unwrapped[self._handed :]
        self._handed += len(unwrapped)
        self._work.note(messages.Keys(unwrapped))
        return await asyncio.to_thread(self._result, request, kind)

    def tell(self, request: messages.Notice) -> None:
        """Take note."""
        self._work.note(request)

    async def close(self) -> None:
        """Let go of every file."""
        self._work.close()

    def _result(self, request: messages.Question, kind: type[R]) -> R:
        ((_, received),) = messages.requests(BytesIO(messages.frame(1, messages.pack(request))))
        assert not isinstance(received, messages.Notice)
        result = messages.unpack_answer(messages.pack_result(self._work.result(received, monotonic())))
        assert isinstance(result, kind)
        return result
