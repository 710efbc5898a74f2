"""The listener's bounds: those of ``core.limits`` unless told otherwise, and the few that are its own."""

from __future__ import annotations

import resource

import msgspec

from simple_log_service.core import limits


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What one listener allows its clients. Times are seconds, kept to within one sweep and never cut short."""

    head_bytes_max: int = limits.HEAD_BYTES_MAX
    body_bytes_max: int = limits.BODY_WIRE_BYTES_MAX
    buffered_bytes_max: int = limits.BUFFERED_BYTES_MAX
    connections_max: int = limits.CONNECTIONS_MAX
    head_seconds_max: float = limits.HEAD_SECONDS_MAX
    body_seconds_min: float = limits.BODY_SECONDS_MIN
    body_bytes_per_second_min: int = limits.BODY_BYTES_PER_SECOND_MIN
    body_seconds_max: float = limits.BODY_SECONDS_MAX
    idle_seconds_max: float = limits.IDLE_SECONDS_MAX
    unsent_bytes_max: int = limits.UNSENT_BYTES_MAX
    drain_seconds_max: float = limits.BODY_SECONDS_MAX
    """A client gets as long to take an answer as to send a body; past it the connection is aborted."""
    chunks_max: int = 65_536
    """Chunks of one chunked body, 400 past it: a flood of tiny ones costs the server more than the client."""
    linger_seconds_max: float = 2.0
    """How long input is discarded after a closing answer, so that it arrives before a reset could destroy it."""
    linger_bytes_max: int = 4 * limits.BODY_WIRE_BYTES_MAX
    sweep_seconds: float = 1.0
    """How often deadlines are looked at: one timer for all connections instead of one for each request."""


def affordable_connections(descriptors_max: int) -> int:
    """How many connections a process may accept that may have ``descriptors_max`` files open, as RLIMIT_NOFILE says.

    The store opens files while it runs: a flood of connections must not take their descriptors from it.
    """
    if descriptors_max == resource.RLIM_INFINITY:
        return limits.CONNECTIONS_MAX
    left = max(descriptors_max - limits.DESCRIPTORS_RESERVED, descriptors_max // 2)
    return min(limits.CONNECTIONS_MAX, left)
