"""The memory of answers that clients do not take.

An answer is made before anybody knows how fast it will be read, so it cannot wait for room as a body can. Past the
bound, the connection that has held its answer longest is aborted instead: clients that read are hardly ever that one.
"""

from __future__ import annotations

from simple_log_service.server.http.wire import Wire


class Unsent:
    """What the slow connections have in their write buffers, as of their last answers."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held: dict[Wire, int] = {}
        self.held_bytes = 0

    def hold(self, wire: Wire) -> None:
        """An answer was written to ``wire`` and not taken at once."""
        self.forget(wire)
        self._held[wire] = wire.unsent_bytes
        self.held_bytes += self._held[wire]
        while self.held_bytes > self._bytes_max:
            oldest = next(iter(self._held))
            self.forget(oldest)
            oldest.abort()

    def forget(self, wire: Wire) -> None:
        """The client has caught up, or is gone; nothing where ``wire`` holds nothing."""
        self.held_bytes -= self._held.pop(wire, 0)
