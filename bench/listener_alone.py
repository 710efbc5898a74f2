"""The service's listener before an application that admits everything and answers at once: what HTTP alone costs.

A program of its own (``python -m bench.listener_alone``), which serves until it is terminated.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop

from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.server.http import Attribution, Listener
from simple_log_service.server.metrics import PrometheusMetrics
from simple_log_service.stores.embedded import interpreter

_ANSWER = b'{"message":"Log ingested successfully","log_id":"01a2041d-ce09-7292-b800-3c70dd05add0"}'


class Nothing:
    """The least application there can be."""

    def admit(self, head: RequestHead) -> None:
        """Everything is admitted."""

    async def handle(self, ticket: None, body: bytes) -> Response:  # noqa: ARG002 - the same
        """The answer that one stored record gets."""
        return Response(201, _ANSWER)

    def describe(self, ticket: None) -> Attribution:  # noqa: ARG002 - the same
        """Nobody's request."""
        return Attribution("nothing")


async def _serve() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    listener = Listener(Nothing(), PrometheusMetrics())
    ((host, port),) = await listener.start("127.0.0.1", 0)
    sys.stderr.write(f"listening on http://{host}:{port}\n")
    sys.stderr.flush()
    await stop.wait()
    await listener.stop(1.0)


if __name__ == "__main__":
    # As the service's own process does.
    interpreter.tune()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
