"""Lambda functions on this machine: containers are processes of their own, one event at a time in each.

As Lambda does, it starts another container while all are busy, but only up to ``CONTAINERS_MAX``; further events wait.
Payloads past Lambda's bounds are refused both ways ("Lambda quotas",
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html). A container whose handler raises or runs out
of time is ended.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from support.api_template import FunctionPlan
from support.lambda_container import read_message, write_message

CONTAINERS_MAX = 3
REQUEST_BYTES_MAX = 6_291_456
RESPONSE_BYTES_MAX = 6_291_556
_TESTS = Path(__file__).parents[1]
_STOP_SECONDS_MAX = 10


class PayloadTooLarge(Exception):
    """The event is over Lambda's bound; the function was not invoked."""


class FunctionFailed(Exception):
    """The function raised, ended, or said something too large."""


class OutOfTime(FunctionFailed):
    """Nothing was said in time."""


class LambdaFunction:
    """One function. ``environ`` is what its containers see beside what Lambda itself sets."""

    def __init__(self, plan: FunctionPlan, environ: Mapping[str, str], log: IO[bytes]) -> None:
        self.plan = plan
        self.invocations = 0
        self._environ = {**_runtime_environ(plan), **environ}
        self._log = log
        self._idle: queue.LifoQueue[_Container] = queue.LifoQueue()
        self._containers: list[_Container] = []
        self._lock = threading.Lock()

    @property
    def log(self) -> str:
        """What its containers have written so far."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", "replace")

    def invoke(self, event: Mapping[str, Any], wait_seconds_max: float) -> Any:
        """What the handler answers; raises ``PayloadTooLarge``, ``OutOfTime`` or ``FunctionFailed``."""
        payload = json.dumps(event).encode()
        if len(payload) > REQUEST_BYTES_MAX:
            raise PayloadTooLarge(f"{len(payload)} bytes")
        self.invocations += 1
        container = self._container()
        try:
            answer = container.answer(payload, min(wait_seconds_max, self.plan.timeout_seconds))
        except FunctionFailed:
            # Callers are told no more than that it failed.
            print(self.log[-4000:], file=sys.stderr)
            with self._lock:
                self._containers.remove(container)
            container.stop()
            raise
        self._idle.put(container)
        if len(answer) > RESPONSE_BYTES_MAX:
            raise FunctionFailed(f"Response payload size exceeded: {len(answer)} bytes")
        return json.loads(answer)

    def retire_containers(self) -> None:
        """End the containers, which must be idle; the next event starts a new one."""
        with self._lock:
            while self._containers:
                self._containers.remove(container := self._idle.get_nowait())
                container.stop()

    def _container(self) -> _Container:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            pass
        with self._lock:
            if len(self._containers) < CONTAINERS_MAX:
                container = _Container(self.plan, self._environ, self._log.fileno())
                self._containers.append(container)
                return container
        return self._idle.get(timeout=60)


class _Container:
    def __init__(self, plan: FunctionPlan, environ: Mapping[str, str], log: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.lambda_container", plan.handler, str(plan.timeout_seconds)],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )

    def answer(self, payload: bytes, timeout_seconds: float) -> bytes:
        """One event, one answer; raises ``FunctionFailed``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        out_of_time = threading.Event()

        def end() -> None:
            """End the process, and so what is read from it."""
            out_of_time.set()
            self._process.kill()

        alarm = threading.Timer(timeout_seconds, end)
        alarm.start()
        try:
            write_message(self._process.stdin, payload)
            answer = read_message(self._process.stdout)
        except BrokenPipeError:
            answer = None
        finally:
            alarm.cancel()
        if out_of_time.is_set():
            raise OutOfTime(f"{timeout_seconds} seconds")
        if answer is None:
            raise FunctionFailed("the container ended without an answer")
        return answer

    def stop(self) -> None:
        """End the process: it ends by itself once nobody can send events any more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_SECONDS_MAX)
        self._process.stdout.close()


def _runtime_environ(plan: FunctionPlan) -> dict[str, str]:
    """What Lambda sets ("Defined runtime environment variables"), and what finds Python and this program here."""
    return {
        **plan.environ,
        "AWS_LAMBDA_FUNCTION_NAME": plan.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(plan.memory_mib),
        "AWS_REGION": plan.region,
        "AWS_DEFAULT_REGION": plan.region,
        # Whoever the function calls can tell by this whose call it is.
        "AWS_ACCESS_KEY_ID": f"ASIA-{plan.name}",
        "AWS_SECRET_ACCESS_KEY": "function-secret",
        "AWS_SESSION_TOKEN": "function-token",
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.fspath(_TESTS),
        "PYTHONUNBUFFERED": "1",
        "TZ": ":UTC",
    }


@contextmanager
def lambda_function(plan: FunctionPlan, environ: Mapping[str, str]) -> Iterator[LambdaFunction]:
    """A function, gone with its containers afterwards."""
    with tempfile.TemporaryFile() as log:
        function = LambdaFunction(plan, environ, log)
        try:
            yield function
        finally:
            function.retire_containers()
