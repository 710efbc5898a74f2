"""The wire: a transport that is closed, or breaks while it is used, is nobody's exception."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from simple_log_service.server.http.wire import Wire


class BrokenTransport(asyncio.Transport):
    """Raises at every use, as uvloop's do once their socket is closed."""

    def __init__(self, error: Exception, *, closing: bool) -> None:
        super().__init__()
        self._error = error
        self._closing = closing
        self.aborted = False

    def is_closing(self) -> bool:
        return self._closing

    def _raise(self, *_arguments: Any) -> Any:
        raise self._error

    write = writelines = write_eof = pause_reading = resume_reading = _raise  # type: ignore[assignment]  # one for all

    def can_write_eof(self) -> bool:
        return True

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("error", [RuntimeError("the handler is closed"), BrokenPipeError()])
@pytest.mark.parametrize("body", [b"", b"x" * 1_000_000])
def test_a_write_that_breaks_aborts_the_connection(error: Exception, body: bytes) -> None:
    transport = BrokenTransport(error, closing=False)
    wire = Wire(transport)
    wire.write(b"head", body)
    assert transport.aborted
    wire.end_writing()


def test_a_closed_transport_is_left_alone() -> None:
    transport = BrokenTransport(RuntimeError("the handler is closed"), closing=True)
    wire = Wire(transport)
    wire.write(b"head", b"body")
    wire.end_writing()
    wire.pause_reading()
    wire.resume_reading()
    assert not transport.aborted
