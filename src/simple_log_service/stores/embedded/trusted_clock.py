"""Whether the wall clock may be believed when it says that records have expired.

What is deleted is gone, and a clock that jumps a year ahead would delete everything: nothing expires until wall clock
and monotonic clock have gone on alike for an hour.
"""

from __future__ import annotations

from collections.abc import Callable

from simple_log_service.core.limits import CLOCK_DRIFT_SECONDS_MAX, CLOCK_TRUST_SECONDS, SECOND_NS
from simple_log_service.core.ports import Clock


class TrustedClock:
    """Compares the clocks whenever it is asked; that should be every few minutes."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._agreed_since = monotonic()
        self._difference = self._offset()

    def now_ns(self) -> int | None:
        """The time, or ``None`` while it is not to be trusted."""
        difference = self._offset()
        if abs(difference - self._difference) > CLOCK_DRIFT_SECONDS_MAX:
            self._agreed_since = self._monotonic()
            self._difference = difference
        if self._monotonic() - self._agreed_since < CLOCK_TRUST_SECONDS:
            return None
        # Clocks drift apart slowly; only a jump is to be noticed.
        self._difference = difference
        return self._clock()

    def _offset(self) -> float:
        return self._clock() / SECOND_NS - self._monotonic()
