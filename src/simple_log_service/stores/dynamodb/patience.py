"""How long one request goes on: calls that were turned away are repeated, with full jitter, within its time."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic, sleep

_PAUSE_SECONDS_FIRST = 0.05
_PAUSE_SECONDS_MAX = 0.8


class Patience:
    """The time of one request: ``deadline`` is a ``time.monotonic()``, ``seconds`` how long what fails is repeated.

    Repeating counts from the first failure, in all: a thousand requests that wait would use up all concurrency.
    Threads of one request share it.
    """

    def __init__(self, deadline: float, seconds: float, pause: Callable[[float], None] = sleep) -> None:
        self.deadline = deadline
        self._seconds = seconds
        self._pause = pause
        self._until: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing new should be begun."""
        return monotonic() >= self.deadline

    def wait(self, failures: int) -> bool:
        """Pause after so many failures of a call; ``False`` at once where there is no time to try again."""
        now = monotonic()
        if self._until is None:
            self._until = min(self.deadline, now + self._seconds)
        if now >= self._until:
            return False
        # Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): all that wait come back spread out.
        longest = min(_PAUSE_SECONDS_MAX, _PAUSE_SECONDS_FIRST * 2.0**failures)
        self._pause(min(random.uniform(0, longest), self._until - now))  # noqa: S311 - only spreads load
        return True
