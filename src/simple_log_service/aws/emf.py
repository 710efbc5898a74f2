"""Metrics in CloudWatch's embedded metric format: what CloudWatch Logs turns into metrics, without a call of ours.

The rules are those of "Specification: Embedded metric format" in the CloudWatch User Guide. A document names, in
``_aws``, which of its members are metrics and which, strings all of them, are their dimensions. So two values of one
dimension need two documents: an invocation's signals go into its access line, and what does not fit there into further
ones. Each combination of dimensions is a metric that is paid for: they come from ``core.signals``, where they are few.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from simple_log_service.core.signals import Signal

VALUES_MAX = 100
"""Of one metric in a document."""
METRICS_MAX = 100
"""In one document."""

Series = tuple[Signal, tuple[str, ...], list[float]]
"""A signal, the values of its dimensions, and its values."""

_UNITS = {"seconds": "Seconds", "bytes": "Bytes"}


class EmfMetrics:
    """The ``Metrics`` port: gathers signals until ``take``. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[tuple[Signal, tuple[str, ...]], list[float]] = {}

    def count(self, signal: Signal, amount: float = 1, *dimensions: str) -> None:
        """Add to a counter."""
        with self._lock:
            self._values(signal, dimensions, 0)[0] += amount

    def observe(self, signal: Signal, value: float, *dimensions: str) -> None:
        """Record one value of a histogram."""
        with self._lock:
            self._values(signal, dimensions).append(value)

    def gauge(self, signal: Signal, value: float, *dimensions: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._values(signal, dimensions, 0)[0] = value

    def take(self) -> list[Series]:
        """What was gathered since the last time."""
        with self._lock:
            gathered, self._series = self._series, {}
        return [(signal, dimensions, values) for (signal, dimensions), values in gathered.items()]

    def _values(self, signal: Signal, dimensions: tuple[str, ...], *initial: float) -> list[float]:
        return self._series.setdefault((signal, dimensions), list(initial))


def documents(
    line: Mapping[str, object], series: Iterable[Series], *, namespace: str, timestamp_ms: int
) -> list[dict[str, Any]]:
    """The line with as many of the metrics as can go along, then documents for the rest, each with a ``request_id``.

    ``timestamp_ms`` is since the epoch, as CloudWatch has it.
    """
    made = [_Document(line)]
    rest = {"request_id": line["request_id"]} if "request_id" in line else {}
    for signal, dimensions, values in _in_bounds(series):
        members = dict(zip(signal.dimensions, dimensions, strict=True))
        document = next((document for document in made if document.has_room(signal, members)), None)
        if document is None:
            document = _Document(rest)
            made.append(document)
        document.add(signal, members, values)
    return [document.finished(namespace, timestamp_ms) for document in made]


class _Document:
    """One line as it grows. ``_sets`` are the metrics by the names of their dimensions."""

    def __init__(self, line: Mapping[str, object]) -> None:
        self._members = dict(line)
        self._sets: dict[tuple[str, ...], list[dict[str, str]]] = {}
        self._metrics = 0

    def has_room(self, signal: Signal, members: Mapping[str, str]) -> bool:
        return (
            self._metrics < METRICS_MAX
            and signal.name not in self._members
            and all(self._members.get(name, value) == value for name, value in members.items())
        )

    def add(self, signal: Signal, members: Mapping[str, str], values: list[float]) -> None:
        self._members.update(members)
        self._members[signal.name] = values[0] if len(values) == 1 else values
        definitions = self._sets.setdefault(signal.dimensions, [])
        definitions.append({"Name": signal.name, "Unit": unit_of(signal)})
        self._metrics += 1

    def finished(self, namespace: str, timestamp_ms: int) -> dict[str, Any]:
        directives = [
            {"Namespace": namespace, "Dimensions": [list(names)], "Metrics": definitions}
            for names, definitions in self._sets.items()
        ]
        return {"_aws": {"Timestamp": timestamp_ms, "CloudWatchMetrics": directives}, **self._members}


def unit_of(signal: Signal) -> str:
    """CloudWatch's name of the unit that stands at the end of the signal's name."""
    return _UNITS.get(signal.name.removesuffix("_total").rpartition("_")[2], "Count")


def _in_bounds(series: Iterable[Series]) -> Iterator[Series]:
    for signal, dimensions, values in series:
        for start in range(0, len(values), VALUES_MAX):
            yield signal, dimensions, values[start : start + VALUES_MAX]
