"""Long work off the event loop: what ``run_in_executor`` does, without its reference cycle.

Its two futures hold each other, and with them the result, or an exception and every local of its frames, until the
garbage collector comes by, which counts objects and not bytes: a few dozen bombs would take a gigabyte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from simple_log_service.core.errors import LogServiceError
from simple_log_service.core.ports import Offload

T = TypeVar("T")


def offload_to(workers: ThreadPoolExecutor) -> Offload:
    """The port over a pool of threads; to be called on the event loop."""

    def offload(function: Callable[..., T], *arguments: Any) -> Awaitable[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        workers.submit(lambda: loop.call_soon_threadsafe(_settle, future, *_outcome(function, arguments)))
        return future

    return offload


def _outcome(function: Callable[..., T], arguments: tuple[Any, ...]) -> tuple[T | None, Exception | None]:
    try:
        return function(*arguments), None
    except LogServiceError as error:
        # A refusal needs no traceback, whose frames would close the cycle again.
        error.__context__ = None
        return None, error.with_traceback(None)
    except Exception as error:  # noqa: BLE001 - it is raised where the future is awaited
        return None, error


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
        future.exception()  # Counts as seen: a server that ends no longer waits for it.
