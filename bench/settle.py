"""Waiting until the service has merged what it took in, by what it says at ``GET /metrics``.

It has settled once no merge is under way and fewer records are left than it merges when it is quiet, three times in a
row. A service that says nothing of merging has settled at once.
"""

from __future__ import annotations

import re
import time
from typing import NamedTuple

from bench.load import ask
from bench.processes import Server
from bench.targets import Target
from simple_log_service.core.limits import MERGE_QUIET_RECORDS_MIN

_SAMPLE_SECONDS = 0.25
_SAMPLES = 3
_METRIC = re.compile(r"^(slog_[a-z_]+)(?:\{[^}]*\})? ([0-9.e+-]+)$", re.MULTILINE)


class Settled(NamedTuple):
    """How it ended. ``note`` says so where it did not."""

    seconds: float
    note: str | None


def settle(server: Server, target: Target, seconds_max: float) -> Settled:
    """Wait for it, for so long at most."""
    began, calm = time.monotonic(), 0
    while True:
        metrics = read_metrics(server, target)
        unmerged = metrics.get("slog_unmerged_records")
        if unmerged is None:
            return Settled(0.0, None)
        # Before the first merge the gauge is not there yet.
        calm = calm + 1 if not metrics.get("slog_merging") and unmerged < MERGE_QUIET_RECORDS_MIN else 0
        took = time.monotonic() - began
        if calm == _SAMPLES:
            return Settled(took, None)
        if took > seconds_max:
            return Settled(took, f"not settled after {took:.0f} s: {unmerged:,.0f} records unmerged")
        time.sleep(_SAMPLE_SECONDS)


def read_metrics(server: Server, target: Target) -> dict[str, float]:
    """The service's own metrics without labels, by name; none of other servers."""
    request = target.metrics()
    if request is None:
        return {}
    return {name: float(value) for name, value in _METRIC.findall(ask(server.address, request, 200).body.decode())}
