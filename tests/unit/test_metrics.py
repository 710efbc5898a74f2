"""Metrics: what Prometheus reads is what was counted."""

from __future__ import annotations

import math
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from simple_log_service.core import signals
from simple_log_service.core.ports import Metrics
from simple_log_service.core.signals import SIGNALS
from simple_log_service.server.metrics import CONTENT_TYPE, PrometheusMetrics

Sample = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: PrometheusMetrics) -> Sample:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def value(metrics: PrometheusMetrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, frozenset(labels.items())))


def test_it_is_the_port_the_core_knows() -> None:
    port: Metrics = PrometheusMetrics()
    port.count(signals.RECORDS_ACCEPTED)
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_every_signal_is_described_with_its_kind() -> None:
    described = {
        family.name: (family.type, family.documentation)
        for family in text_string_to_metric_families(PrometheusMetrics().render().decode())
    }
    for signal in SIGNALS:
        assert described[signal.name.removesuffix("_total")] == (signal.kind, signal.help)


def test_counters_without_dimensions_are_zero_from_the_start() -> None:
    metrics = PrometheusMetrics()
    plain = [signal for signal in SIGNALS if signal.kind == "counter" and not signal.dimensions]
    assert plain
    assert all(value(metrics, signal.name) == 0 for signal in plain)
    assert value(metrics, "slog_commit_seconds_count") == 0
    assert value(metrics, "slog_store_bytes") is None, "nobody knows it yet"


def test_counters_add_up_by_their_dimensions() -> None:
    metrics = PrometheusMetrics()
    metrics.count(signals.RECORDS_ACCEPTED)
    metrics.count(signals.RECORDS_ACCEPTED, 41)
    metrics.count(signals.REQUESTS, 1, "POST /logs", "201")
    metrics.count(signals.REQUESTS, 2, "POST /logs", "201")
    metrics.count(signals.REQUESTS, 1, "POST /logs", "400")
    assert value(metrics, "slog_records_accepted_total") == 42
    assert value(metrics, "slog_requests_total", route="POST /logs", status="201") == 3
    assert value(metrics, "slog_requests_total", route="POST /logs", status="400") == 1


@pytest.mark.parametrize("label", ['"', "\\", "\n", 'a"b\\c\nd', "ä\U0001f600"])
def test_labels_come_through_whatever_they_hold(label: str) -> None:
    metrics = PrometheusMetrics()
    metrics.count(signals.REFUSALS, 1, label)
    assert value(metrics, "slog_refusals_total", error_type=label) == 1


def test_gauges_keep_the_last_value() -> None:
    metrics = PrometheusMetrics()
    metrics.gauge(signals.CONNECTIONS, 7)
    metrics.gauge(signals.CONNECTIONS, 3)
    assert value(metrics, "slog_connections") == 3


def test_a_gauge_can_be_asked_for_when_it_is_read() -> None:
    metrics = PrometheusMetrics()
    current = [1.0]

    def source() -> float:
        metrics.count(signals.COMMIT_RECORDS)  # A source may count by itself.
        return current[0]

    metrics.gauge_from(signals.STORE_BYTES, source)
    assert value(metrics, "slog_store_bytes") == 1
    current[0] = 2
    assert value(metrics, "slog_store_bytes") == 2


def test_histograms_cumulate_from_50_microseconds_to_10_seconds() -> None:
    metrics = PrometheusMetrics()
    for seconds in (0.00001, 0.00005, 0.00006, 0.003, 10.0, 11.0):
        metrics.observe(signals.COMMIT_SECONDS, seconds)
    buckets = {
        float(dict(labels)["le"]): count
        for (name, labels), count in samples(metrics).items()
        if name == "slog_commit_seconds_bucket"
    }
    assert min(buckets) == 0.00005
    assert sorted(buckets)[-2:] == [10.0, math.inf]
    assert (buckets[0.00005], buckets[0.0001], buckets[0.005], buckets[10.0], buckets[math.inf]) == (2, 3, 4, 5, 6)
    assert list(buckets.values()) == sorted(buckets.values())
    assert value(metrics, "slog_commit_seconds_count") == 6
    assert value(metrics, "slog_commit_seconds_sum") == pytest.approx(21.00312)


def test_histograms_are_kept_by_their_dimensions() -> None:
    metrics = PrometheusMetrics()
    metrics.observe(signals.REQUEST_SECONDS, 0.1, "GET /logs/recent")
    metrics.observe(signals.REQUEST_SECONDS, 0.1, "POST /logs")
    metrics.observe(signals.REQUEST_SECONDS, 0.2, "POST /logs")
    assert value(metrics, "slog_request_seconds_count", route="POST /logs") == 2
    assert value(metrics, "slog_request_seconds_count", route="GET /logs/recent") == 1


def test_threads_lose_no_counts() -> None:
    metrics = PrometheusMetrics()

    def work() -> None:
        for _ in range(20_000):
            metrics.count(signals.RECORDS_ACCEPTED)
            metrics.observe(signals.COMMIT_SECONDS, 0.1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(metrics, "slog_records_accepted_total") == 80_000
    assert value(metrics, "slog_commit_seconds_count") == 80_000
