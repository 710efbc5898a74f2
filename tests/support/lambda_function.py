"""Lambda functions on this machine: each event goes to a container that is free, one event at a time in each.

As Lambda does, it starts another container while all are busy, but only up to ``CONTAINERS_MAX``; further events wait.
Payloads past Lambda's bound are refused ("Lambda quotas",
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html). A container in which an event failed or ran
out of time is ended. What a container is: ``runtime_api``.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from support.api_template import FunctionPlan
from support.runtime_api import Container, FunctionFailed, container

CONTAINERS_MAX = 3
REQUEST_BYTES_MAX = 6_291_456
_FREE_SECONDS_MAX = 60


class PayloadTooLarge(Exception):
    """The event is over Lambda's bound; the function was not invoked."""


class LambdaFunction:
    """One function, its code in the folder ``code``. ``environ`` is what its containers see beside what Lambda sets."""

    def __init__(self, plan: FunctionPlan, code: Path, environ: Mapping[str, str]) -> None:
        self.plan = plan
        self.invocations = 0
        seen = {**_environ(plan), **environ}
        self._open = partial(container, plan.handler, code, seen, limited=False, timeout_seconds=plan.timeout_seconds)
        self._idle: queue.LifoQueue[Container] = queue.LifoQueue()
        self._running: dict[Container, ExitStack] = {}
        self._ended_lines: list[str] = []
        self._lock = threading.Lock()

    @property
    def log(self) -> str:
        """What its containers have written so far."""
        return "\n".join([*self._ended_lines, *(line for running in self._running for line in running.lines)])

    def invoke(self, event: Mapping[str, Any], wait_seconds_max: float) -> Any:
        """What the handler answers; raises ``PayloadTooLarge``, ``OutOfTime`` or ``FunctionFailed``."""
        payload = json.dumps(event).encode()
        if len(payload) > REQUEST_BYTES_MAX:
            raise PayloadTooLarge(f"{len(payload)} bytes")
        self.invocations += 1
        taken = self._taken()
        try:
            answered = taken.timed(payload, seconds_max=min(wait_seconds_max, self.plan.timeout_seconds))
        except FunctionFailed:
            with self._lock:
                self._end(taken)
            raise
        self._idle.put(taken)
        return answered.payload

    def retire_containers(self) -> None:
        """End the containers, which must be idle; the next event starts a new one."""
        with self._lock:
            while self._running:
                self._end(self._idle.get_nowait())

    def _taken(self) -> Container:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            pass
        with self._lock:
            if len(self._running) < CONTAINERS_MAX:
                return self._started()
        return self._idle.get(timeout=_FREE_SECONDS_MAX)

    def _started(self) -> Container:
        """A container that is set up: that time is not the event's."""
        with ExitStack() as stack:
            started = stack.enter_context(self._open())
            started.wait_until_ready()
            self._running[started] = stack.pop_all()
        return started

    def _end(self, running: Container) -> None:
        self._ended_lines += running.lines
        self._running.pop(running).close()


def _environ(plan: FunctionPlan) -> dict[str, str]:
    """What the template sets, and of what Lambda sets the function's own."""
    return {
        **plan.environ,
        "AWS_LAMBDA_FUNCTION_NAME": plan.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(plan.memory_mib),
        "AWS_REGION": plan.region,
        "AWS_DEFAULT_REGION": plan.region,
        # Whoever the function calls can tell by this whose call it is.
        "AWS_ACCESS_KEY_ID": f"ASIA-{plan.name}",
    }


@contextmanager
def lambda_function(plan: FunctionPlan, code: Path, environ: Mapping[str, str]) -> Iterator[LambdaFunction]:
    """A function, gone with its containers afterwards."""
    function = LambdaFunction(plan, code, environ)
    try:
        yield function
    finally:
        function.retire_containers()
