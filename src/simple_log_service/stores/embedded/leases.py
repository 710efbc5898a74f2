"""Leases: files that were replaced are removed once nobody reads them who began before they were."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count


class Leases:
    """Who is reading, in the order of their beginning; used on the event loop only."""

    def __init__(self) -> None:
        self._numbers = count()
        self._held: dict[int, None] = {}
        self._retired: deque[tuple[int, Callable[[], None]]] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def take(self) -> int:
        """Begin to read; give the number back to ``end``."""
        number = next(self._numbers)
        self._held[number] = None
        return number

    def end(self, number: int) -> None:
        """Have read."""
        del self._held[number]
        self._release()

    def when_unused(self, release: Callable[[], None]) -> None:
        """Call this once everybody who reads now has ended."""
        self._retired.append((next(self._numbers), release))
        self._release()

    def _release(self) -> None:
        oldest = next(iter(self._held), None)
        while self._retired and (oldest is None or self._retired[0][0] < oldest):
            self._retired.popleft()[1]()
