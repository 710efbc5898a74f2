"""One memory budget for all request bodies.

A body reserves its bytes as they arrive, so one that was only announced, or comes byte by byte, costs next to nothing.
Where there is no room it waits with its socket unread, first come, first served. So that half-read bodies cannot block
each other for ever, one body's worth of the budget is kept apart, the spare: whenever it is free, whoever is first in
the queue gets it for all of its body and never waits again. While anybody waits, then, somebody holds the spare who
does not; the answer or a time limit ends that one, and the spare goes to the next. The order is that of the queue, so
a large body is not starved by small ones.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol


class Holder(Protocol):
    """A request as the budget sees it, which alone sets ``reserved_bytes``."""

    reserved_bytes: int


class Budget:
    """``bytes_max`` for all bodies together, ``spare_bytes`` of them kept for one that would have to wait."""

    def __init__(self, bytes_max: int, spare_bytes: int) -> None:
        self._shared_bytes_max = bytes_max - spare_bytes
        self._shared_bytes = 0
        self._spare_holder: Holder | None = None
        self._waiting: OrderedDict[Holder, tuple[int, Callable[[], None]]] = OrderedDict()
        self._granting = False

    @property
    def reserved_bytes(self) -> int:
        """What all holders have reserved."""
        holder = self._spare_holder
        return self._shared_bytes + (0 if holder is None else holder.reserved_bytes)

    def reserve(self, holder: Holder, wanted_bytes: int, granted: Callable[[], None]) -> bool:
        """Reserve so much more at once (true), or queue up (false): then ``granted`` is called once it is reserved.

        ``granted`` must not raise. Whether a body is larger than the spare is for the caller to bound.
        """
        may_try = not self._waiting or holder is self._spare_holder
        if may_try and self._take(holder, wanted_bytes):
            return True
        self._waiting[holder] = (wanted_bytes, granted)
        return False

    def withdraw(self, holder: Holder) -> None:
        """Leave the queue, which may let others in; nothing where it is not in it."""
        if self._waiting.pop(holder, None) is not None:
            self._grant()

    def release(self, holder: Holder, kept_bytes: int = 0) -> None:
        """Give back what ``holder`` has reserved beyond ``kept_bytes``, which may let others in."""
        surplus_bytes = holder.reserved_bytes - kept_bytes
        if surplus_bytes <= 0:
            return
        holder.reserved_bytes = kept_bytes
        if holder is not self._spare_holder:
            self._shared_bytes -= surplus_bytes
        elif not kept_bytes:
            self._spare_holder = None
        if self._waiting:
            self._grant()

    def _take(self, holder: Holder, wanted_bytes: int) -> bool:
        if holder is not self._spare_holder:
            if self._shared_bytes + wanted_bytes <= self._shared_bytes_max:
                self._shared_bytes += wanted_bytes
            elif self._spare_holder is None:
                self._spare_holder = holder
                self._shared_bytes -= holder.reserved_bytes
            else:
                return False
        holder.reserved_bytes += wanted_bytes
        return True

    def _grant(self) -> None:
        # Whoever is let in may be done at once and release again: the outermost call goes on for all of them.
        if self._granting:
            return
        self._granting = True
        while self._waiting:
            holder, (wanted_bytes, granted) = next(iter(self._waiting.items()))
            if not self._take(holder, wanted_bytes):
                break
            del self._waiting[holder]
            granted()
        self._granting = False
