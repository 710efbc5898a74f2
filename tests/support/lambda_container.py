"""The program in a Lambda container that stands in for one: imports a handler, then answers one event after another.

Events and answers go over the pipes that its parent holds, each as its length in 4 bytes and JSON text. What the
handler prints goes to standard error, which is the function's log. ``tests/aws`` runs the handlers under AWS's own
runtime client, too; this one is lighter.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
import time
import uuid
from typing import IO, Any


class Context:
    """What Lambda gives to a handler beside the event."""

    def __init__(self, timeout_seconds: float) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self._ends = time.monotonic() + timeout_seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._ends - time.monotonic()) * 1000))


def read_message(stream: IO[bytes]) -> bytes | None:
    """The next message, or ``None`` where the other side has closed its end."""
    length = stream.read(4)
    return stream.read(struct.unpack(">I", length)[0]) if len(length) == 4 else None


def write_message(stream: IO[bytes], message: bytes) -> None:
    """Send one message."""
    stream.write(struct.pack(">I", len(message)) + message)
    stream.flush()


def main(handler_name: str, timeout_seconds: float) -> None:
    """Answer until the parent closes its end."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    module_name, _, name = handler_name.rpartition(".")
    handler: Any = getattr(importlib.import_module(module_name), name)
    while (event := read_message(sys.stdin.buffer)) is not None:
        answer = handler(json.loads(event), Context(timeout_seconds))
        sys.stdout.flush()
        write_message(answers, json.dumps(answer).encode())


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
