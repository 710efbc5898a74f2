"""Metrics for Prometheus: counting is a dictionary's work, the text is made when somebody asks for it.

prometheus-client's own counters cost several microseconds each; here it only writes the text.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from simple_log_service.core.signals import SIGNALS, Signal

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_BUCKET_SECONDS = (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BUCKET_NAMES = (*(f"{bound:g}" for bound in _BUCKET_SECONDS), "+Inf")


class _Histogram:
    """How many values fell into each bucket, not yet cumulated, and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * len(_BUCKET_NAMES)
        self.total = 0.0

    def cumulated(self) -> list[tuple[str, float]]:
        so_far = 0
        buckets: list[tuple[str, float]] = []
        for name, count in zip(_BUCKET_NAMES, self.counts, strict=True):
            so_far += count
            buckets.append((name, so_far))
        return buckets


class PrometheusMetrics:
    """The ``Metrics`` port, and a prometheus-client collector of the same. Any thread may call it.

    Counters and histograms without dimensions are there from the start, so that a first increase can be seen.
    """

    def __init__(self, signals: Iterable[Signal] = SIGNALS) -> None:
        self._signals = tuple(signals)
        self._lock = threading.Lock()
        self._values: dict[str, dict[tuple[str, ...], float]] = {signal.name: {} for signal in self._signals}
        self._histograms: dict[str, dict[tuple[str, ...], _Histogram]] = {
            signal.name: {} for signal in self._signals if signal.kind == "histogram"
        }
        self._gauge_sources: dict[str, Callable[[], float]] = {}
        for signal in self._signals:
            if signal.kind == "counter" and not signal.dimensions:
                self._values[signal.name][()] = 0
            elif signal.kind == "histogram" and not signal.dimensions:
                self._histograms[signal.name][()] = _Histogram()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count(self, signal: Signal, amount: float = 1, *dimensions: str) -> None:
        """Add to a counter."""
        series = self._values[signal.name]
        with self._lock:
            series[dimensions] = series.get(dimensions, 0) + amount

    def observe(self, signal: Signal, value: float, *dimensions: str) -> None:
        """Record one value of a histogram."""
        series = self._histograms[signal.name]
        with self._lock:
            histogram = series.get(dimensions)
            if histogram is None:
                histogram = series[dimensions] = _Histogram()
            histogram.counts[bisect_left(_BUCKET_SECONDS, value)] += 1
            histogram.total += value

    def gauge(self, signal: Signal, value: float, *dimensions: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._values[signal.name][dimensions] = value

    def gauge_from(self, signal: Signal, source: Callable[[], float]) -> None:
        """Ask ``source`` for this gauge's value whenever the metrics are read."""
        self._gauge_sources[signal.name] = source

    def render(self) -> bytes:
        """All metrics in Prometheus' text format, whose media type is ``CONTENT_TYPE``."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The metric families, in the order of ``SIGNALS``; called by prometheus-client."""
        with self._lock:
            families = [self._family(signal) for signal in self._signals if signal.name not in self._gauge_sources]
        yield from families
        # Without the lock: a source may count something itself.
        for signal in self._signals:
            if signal.name in self._gauge_sources:
                yield GaugeMetricFamily(signal.name, signal.help, self._gauge_sources[signal.name]())

    def _family(self, signal: Signal) -> Metric:
        labels = signal.dimensions
        if signal.kind == "histogram":
            family = HistogramMetricFamily(signal.name, signal.help, labels=labels)
            for dimensions, histogram in self._histograms[signal.name].items():
                family.add_metric(dimensions, histogram.cumulated(), histogram.total)
            return family
        simple = CounterMetricFamily if signal.kind == "counter" else GaugeMetricFamily
        values = simple(signal.name, signal.help, labels=labels)
        for dimensions, value in self._values[signal.name].items():
            values.add_metric(dimensions, value)
        return values
