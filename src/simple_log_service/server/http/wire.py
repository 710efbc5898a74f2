"""A transport whose client may be gone at any moment: every call is safe then, and does nothing.

uvloop raises when one writes to a closed transport. Unguarded, one client that left would take down whoever was
about to answer it, and the group commit's other answers with it.
"""

from __future__ import annotations

import asyncio

from simple_log_service.core.limits import KIB

_JOIN_BYTES_MAX = 64 * KIB
"""Up to this an answer's head and body are joined by a copy: one write is cheaper than two."""


class Wire:
    """The connection's hold on its socket. ``writing_paused`` is the protocol's note that the client reads slowly."""

    __slots__ = ("_transport", "reading_paused", "writing_paused")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.reading_paused = False
        self.writing_paused = False

    @property
    def unsent_bytes(self) -> int:
        """What the client has yet to take of what was written."""
        return self._transport.get_write_buffer_size()

    def write(self, head: bytes, body: bytes) -> None:
        """Send both, in this order."""
        transport = self._transport
        if transport.is_closing():
            return
        try:
            if len(body) > _JOIN_BYTES_MAX:
                transport.writelines((head, body))
            else:
                transport.write(head + body)
        except (OSError, RuntimeError):
            transport.abort()

    def pause_reading(self) -> None:
        """Leave further input to the kernel, whose buffer then makes the client wait."""
        if not self.reading_paused and not self._transport.is_closing():
            self.reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take input again."""
        if self.reading_paused and not self._transport.is_closing():
            self.reading_paused = False
            self._transport.resume_reading()

    def end_writing(self) -> None:
        """Tell the client that nothing more will come, where the transport can: TLS cannot be half closed."""
        if self._transport.is_closing() or not self._transport.can_write_eof():
            return
        try:
            self._transport.write_eof()
        except (OSError, RuntimeError):
            self._transport.abort()

    def close(self) -> None:
        """Close once everything is written."""
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()
