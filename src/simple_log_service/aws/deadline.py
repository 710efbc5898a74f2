"""How long an invocation may still work: the function's own timeout, less what answering takes."""

from __future__ import annotations

import math
from time import monotonic

MARGIN_SECONDS = 1.5
"""Kept back to answer in, and so that an answer comes before API Gateway's 29 s are over where the function has 30."""


class Deadline:
    """When the current invocation's work must be done; asked by the store, set anew for each invocation."""

    def __init__(self) -> None:
        self._at = math.inf

    def begin(self, remaining_seconds: float) -> None:
        """A new invocation, which Lambda ends after so many seconds."""
        self._at = monotonic() + remaining_seconds - MARGIN_SECONDS

    def __call__(self) -> float:
        """In seconds of ``time.monotonic``; in the past where too little time was left from the start."""
        return self._at
