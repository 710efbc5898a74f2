"""One memory budget for all request bodies.

A connection reserves what its body may need before it reads it, waits its turn where there is no room, and gives
it back when its answer is written. Reservations are whole and first come, first served: half-read bodies never wait
for each other, and a large one is not starved by small ones.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable


class Budget:
    """Bytes that may be reserved together; ``reserved_bytes`` of them are."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._waiting: OrderedDict[Callable[[], None], int] = OrderedDict()
        self._granting = False
        self.reserved_bytes = 0

    def reserve(self, wanted_bytes: int, granted: Callable[[], None]) -> bool:
        """Reserve at once (true), or queue up (false): then ``granted`` is called once the bytes are reserved.

        ``granted`` must not raise. A wish larger than the budget is granted when nothing else is reserved.
        """
        if self._waiting or not self._has_room(wanted_bytes):
            self._waiting[granted] = wanted_bytes
            return False
        self.reserved_bytes += wanted_bytes
        return True

    def withdraw(self, granted: Callable[[], None]) -> None:
        """Leave the queue, which may let others in; nothing where it is not in it."""
        if self._waiting.pop(granted, None) is not None:
            self._grant()

    def release(self, reserved_bytes: int) -> None:
        """Give back what was reserved, which may let others in."""
        self.reserved_bytes -= reserved_bytes
        if self._waiting:
            self._grant()

    def _grant(self) -> None:
        # Whoever is let in may be done at once and release again: the outermost call goes on for all of them.
        if self._granting:
            return
        self._granting = True
        while self._waiting and self._has_room(next(iter(self._waiting.values()))):
            granted, wanted_bytes = self._waiting.popitem(last=False)
            self.reserved_bytes += wanted_bytes
            granted()
        self._granting = False

    def _has_room(self, wanted_bytes: int) -> bool:
        return not self.reserved_bytes or self.reserved_bytes + wanted_bytes <= self._bytes_max
