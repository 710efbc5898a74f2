"""Running a coroutine without a Task.

Most requests wait for one future, their group commit's, or for none. A Task would cost each of them an object, a
context and two more turns of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def advance(coroutine: Coroutine[Any, Any, Result], wake: Callable[[object], object]) -> Result | None:
    """Run ``coroutine`` until it ends, which gives its result, or waits, which gives ``None``.

    Where it waits, ``wake`` is called when it should be advanced again. Raises what the coroutine raises, and
    ``TypeError`` where its result is ``None``.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as end:
        result: Result | None = end.value
        if result is None:
            raise TypeError("the coroutine ended without a result") from None
        return result
    if awaited is None:
        # A bare yield, as in ``asyncio.sleep(0)``: go on in the loop's next turn.
        asyncio.get_running_loop().call_soon(wake, None)
        return None
    # The protocol between ``Future.__await__`` and whoever drives it: the flag says "I was yielded", the driver
    # clears it and asks to be called back.
    awaited._asyncio_future_blocking = False  # noqa: SLF001 - this attribute is that protocol
    awaited.add_done_callback(wake)
    return None
