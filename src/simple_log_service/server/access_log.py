"""The access log: one JSON line for each answered request, never its query, its headers or its body.

The event loop only appends to a bounded queue. A thread of its own formats and writes, so a slow or blocked reader
delays nobody: past the bound lines are dropped and counted. A reader that is gone turns the log off, with one warning.
"""

from __future__ import annotations

import threading
from collections import deque
from io import RawIOBase
from time import gmtime, strftime
from typing import IO, cast

import msgspec
import structlog

from simple_log_service.api.journal import AccessLine
from simple_log_service.core import signals
from simple_log_service.core.limits import SECOND_NS
from simple_log_service.core.ports import Metrics

_LOG = structlog.get_logger(__name__)
_BATCH_LINES = 64


class Entry(msgspec.Struct, gc=False):
    """One answered request. ``path`` is without the query, which may hold what somebody searched for."""

    received_ns: int
    request_id: str
    source_ip: str
    method: str
    path: str
    status: int
    error_type: str | None
    arn: str | None
    access_key_id: str | None
    bytes_in: int
    bytes_out: int
    seconds: float


class AccessLog:
    """Writes entries to ``stream`` (standard output, a file) until ``close``, beneath its buffers."""

    def __init__(
        self, stream: IO[bytes] | IO[str], metrics: Metrics, *, interval_seconds: float = 0.1, lines_max: int = 20_000
    ) -> None:
        self._stream = _raw(stream)
        self._metrics = metrics
        self._interval_seconds = interval_seconds
        self._lines_max = lines_max
        self._entries: deque[Entry] = deque()
        self._stopping = threading.Event()
        self._encoder = msgspec.json.Encoder()
        self._second = -1
        self._second_text = ""
        # A daemon: a reader that blocks for ever must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def append(self, entry: Entry) -> None:
        """Queue one entry, or drop and count it where the reader is too slow. Never blocks."""
        if len(self._entries) < self._lines_max:
            self._entries.append(entry)
        else:
            self._metrics.count(signals.ACCESS_LOG_DROPPED)

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Write what is queued, for as long as the reader takes it but at most ``timeout_seconds``."""
        self._stopping.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._interval_seconds):
                self._write_queued()
            self._write_queued()
        except (OSError, ValueError) as error:
            # ValueError is what a closed stream raises.
            self._lines_max = 0
            self._entries.clear()
            _LOG.warning("access_log_off", reason=str(error), hint="its reader is gone; restart to log again")

    def _write_queued(self) -> None:
        entries = self._entries
        while entries:
            # A few at a time: each write lets go of the interpreter lock, which the event loop waits for meanwhile.
            lines = [self._line(entries.popleft()) for _ in range(min(len(entries), _BATCH_LINES))]
            self._write(self._encoder.encode_lines(lines))

    def _line(self, entry: Entry) -> AccessLine:
        second, rest_ns = divmod(entry.received_ns, SECOND_NS)
        if second != self._second:
            self._second = second
            self._second_text = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
        return AccessLine(
            f"{self._second_text}.{rest_ns // 1_000_000:03d}Z",
            entry.request_id,
            entry.source_ip,
            entry.method,
            entry.path,
            entry.status,
            entry.bytes_in,
            entry.bytes_out,
            round(entry.seconds * 1000, 3),
            entry.error_type,
            entry.arn,
            entry.access_key_id,
        )

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            # A raw stream may take a part, or nothing (None) where it is full and must not block.
            written = self._stream.write(rest)
            if written is None and self._stopping.wait(self._interval_seconds):
                return
            rest = rest[written or 0 :]


def _raw(stream: IO[bytes] | IO[str]) -> RawIOBase:
    """The lowest layer of ``stream``.

    A buffered layer has a lock that a blocked daemon thread would still hold while the interpreter shuts down.
    """
    buffered = getattr(stream, "buffer", stream)
    return cast("RawIOBase", getattr(buffered, "raw", buffered))
