"""The rate limit: token buckets, one for the server and one for each access key, refilled by arithmetic alone.

A bucket holds at most ``burst`` tokens and gains ``rate`` of them a second; a request takes one from both buckets, or
none from either. API Gateway throttles the same way.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

_KEYS_MAX = 10_000


class TokenBucket:
    """Tokens as of ``_as_of`` (seconds of the caller's clock); they are counted up when somebody asks."""

    __slots__ = ("_as_of", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._as_of = now

    def seconds_to_wait(self, now: float) -> float:
        """How long until there is a token: 0 where there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._as_of) * self._rate)
        self._as_of = now
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._rate

    def take(self) -> None:
        """Take the token that ``seconds_to_wait`` found."""
        self._tokens -= 1


class Throttle:
    """Admits ``rate`` requests a second after a burst of ``burst``, over all keys; ``key_rate`` likewise for each.

    A rate of 0 switches that limit off. The buckets of the keys used longest ago are forgotten past a bound, which
    can only be generous to their keys.
    """

    def __init__(
        self,
        rate: float,
        burst: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        key_rate: float = 0,
        key_burst: float = 0,
        keys_max: int = _KEYS_MAX,
    ) -> None:
        if (rate and burst < 1) or (key_rate and key_burst < 1):
            raise ValueError("a throttle's burst must be at least 1, or no request could ever pass")
        self._clock = clock
        self._server = TokenBucket(rate, burst, clock()) if rate else None
        self._key_rate = key_rate
        self._key_burst = key_burst
        self._keys_max = keys_max
        self._keys: OrderedDict[str, TokenBucket] = OrderedDict()

    def check(self, key_id: str) -> int | None:
        """Admit one request of this key (``None``), or say how many seconds to wait: whole ones, at least 1."""
        now = self._clock()
        buckets = []
        if self._server is not None:
            buckets.append(self._server)
        if self._key_rate:
            buckets.append(self._bucket(key_id, now))
        wait_seconds = max((bucket.seconds_to_wait(now) for bucket in buckets), default=0.0)
        if wait_seconds:
            return math.ceil(wait_seconds)
        for bucket in buckets:
            bucket.take()
        return None

    def _bucket(self, key_id: str, now: float) -> TokenBucket:
        bucket = self._keys.get(key_id)
        if bucket is None:
            bucket = self._keys[key_id] = TokenBucket(self._key_rate, self._key_burst, now)
            if len(self._keys) > self._keys_max:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(key_id)
        return bucket
