"""Which failures pass by themselves, and how long to wait before the next attempt.

Every request is safe to repeat: reads change nothing, and writes carry an Idempotency-Key.
"""

from __future__ import annotations

from collections.abc import Callable

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random,
    wait_random_exponential,
)

from simple_log_service.client.errors import ClientError, RequestRefused, Unreachable

STATUSES_THAT_PASS = frozenset((408, 429, 500, 502, 503, 504, 507))
RETRY_AFTER_SECONDS_MAX = 60
"""A service that asks to wait longer than this is not waited for."""

OnRetry = Callable[[ClientError, float], None]
"""Told of a failed attempt, and in how many seconds the next one follows."""

# Growing, and different for each client, so that many do not come back in the same instant.
_BACKOFF = wait_random_exponential(multiplier=0.2, min=0.1, max=10)
_JITTER = wait_random(0, 0.25)


def retrying(attempts_max: int, on_retry: OnRetry | None, sleep: Callable[[float], None]) -> Retrying:
    """Runs a function until it succeeds, its failure is one that stays, or the attempts are used up."""

    def before_sleep(state: RetryCallState) -> None:
        error = _error(state)
        if on_retry is not None and error is not None:
            on_retry(error, state.upcoming_sleep)

    return Retrying(
        stop=stop_after_attempt(attempts_max),
        retry=retry_if_exception(passes),
        wait=_wait_seconds,
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )


def passes(error: BaseException) -> bool:
    """Whether the same request may succeed if it is sent again soon."""
    if isinstance(error, RequestRefused):
        asked = error.retry_after_seconds or 0
        return error.status in STATUSES_THAT_PASS and asked <= RETRY_AFTER_SECONDS_MAX
    return isinstance(error, Unreachable) and error.may_pass


def _wait_seconds(state: RetryCallState) -> float:
    error = _error(state)
    if isinstance(error, RequestRefused) and error.retry_after_seconds is not None:
        return error.retry_after_seconds + _JITTER(state)
    return _BACKOFF(state)


def _error(state: RetryCallState) -> ClientError | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error if isinstance(error, ClientError) else None
