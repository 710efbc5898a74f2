"""Metrics stand in the log as CloudWatch's embedded metric format has them."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.aws.emf import METRICS_MAX, VALUES_MAX, EmfMetrics, documents, unit_of
from simple_log_service.core import signals
from simple_log_service.core.signals import SIGNALS, Signal

LINE = {"request_id": "1", "status": "201", "path": "/logs"}
UNITS = {"Seconds", "Bytes", "Count"}

values = st.lists(st.floats(0, 1e6), min_size=1, max_size=250)


def made(metrics: EmfMetrics) -> list[dict[str, Any]]:
    found = documents(LINE, metrics.take(), namespace="Tests", timestamp_ms=7)
    for document in found:
        assert_is_emf(document)
    return found


def assert_is_emf(document: dict[str, Any]) -> None:
    """What the specification demands of a document."""
    read = json.loads(json.dumps(document, allow_nan=False))
    assert read["_aws"]["Timestamp"] == 7
    names: list[str] = []
    for directive in read["_aws"]["CloudWatchMetrics"]:
        assert directive.keys() == {"Namespace", "Dimensions", "Metrics"}
        assert directive["Namespace"] == "Tests"
        (dimensions,) = directive["Dimensions"]
        assert len(dimensions) <= 30
        assert all(isinstance(read[name], str) for name in dimensions)
        for metric in directive["Metrics"]:
            assert metric["Unit"] in UNITS
            value = read[metric["Name"]]
            given_values = value if isinstance(value, list) else [value]
            assert 1 <= len(given_values) <= VALUES_MAX
            assert all(isinstance(each, int | float) for each in given_values)
            names.append(metric["Name"])
    assert len(names) == len(set(names)) <= METRICS_MAX


def told(found: list[dict[str, Any]]) -> dict[tuple[str, tuple[str, ...]], list[float]]:
    """What CloudWatch gets: the values of each metric by name and dimensions."""
    all_values: dict[tuple[str, tuple[str, ...]], list[float]] = {}
    for document in found:
        for directive in document["_aws"]["CloudWatchMetrics"]:
            dimensions = tuple(document[name] for name in directive["Dimensions"][0])
            for metric in directive["Metrics"]:
                value = document[metric["Name"]]
                all_values.setdefault((metric["Name"], dimensions), []).extend(
                    value if isinstance(value, list) else [value]
                )
    return all_values


def test_one_line_holds_the_request_and_its_metrics() -> None:
    metrics = EmfMetrics()
    metrics.count(signals.REQUESTS, 1, "ingest", "201")
    metrics.count(signals.RECORDS_ACCEPTED, 3)
    metrics.observe(signals.REQUEST_SECONDS, 0.5, "ingest")

    (document,) = made(metrics)

    assert document.items() >= LINE.items()
    assert document["route"] == "ingest"
    assert document["slog_requests_total"] == 1
    assert document["slog_records_accepted_total"] == 3
    assert document["slog_request_seconds"] == 0.5
    assert document["_aws"]["CloudWatchMetrics"] == [
        _directive(["route", "status"], "slog_requests_total", "Count"),
        _directive([], "slog_records_accepted_total", "Count"),
        _directive(["route"], "slog_request_seconds", "Seconds"),
    ]


def test_counters_add_up_observations_stay_and_gauges_change() -> None:
    metrics = EmfMetrics()
    for amount in (1, 2, 3):
        metrics.count(signals.RECORDS_ACCEPTED, amount)
        metrics.observe(signals.REQUEST_SECONDS, amount, "ingest")
        metrics.gauge(signals.TAIL_RECORDS, amount)

    (document,) = made(metrics)

    assert document["slog_records_accepted_total"] == 6
    assert document["slog_request_seconds"] == [1, 2, 3]
    assert document["slog_tail_records"] == 3


def test_what_was_told_is_not_told_again() -> None:
    metrics = EmfMetrics()
    metrics.count(signals.RECORDS_ACCEPTED)
    assert told(made(metrics))

    assert not told(made(metrics))


def test_a_second_value_of_a_dimension_gets_a_line_of_its_own() -> None:
    metrics = EmfMetrics()
    metrics.count(signals.RECORDS_REJECTED, 2, "TooLarge")
    metrics.count(signals.RECORDS_REJECTED, 1, "Malformed")

    first, second = made(metrics)

    assert (first["code"], first["slog_records_rejected_total"]) == ("TooLarge", 2)
    assert (second["code"], second["slog_records_rejected_total"]) == ("Malformed", 1)
    assert second["request_id"] == LINE["request_id"]
    assert "path" not in second


def test_a_dimension_never_changes_what_the_line_says() -> None:
    metrics = EmfMetrics()
    metrics.count(signals.REQUESTS, 1, "ingest", "503")

    first, second = made(metrics)

    assert first["status"] == "201"
    assert second["status"] == "503"


def test_more_values_than_a_metric_may_have_go_on_in_the_next_line() -> None:
    metrics = EmfMetrics()
    for value in range(250):
        metrics.observe(signals.REQUEST_SECONDS, value, "ingest")

    assert [len(document["slog_request_seconds"]) for document in made(metrics)] == [100, 100, 50]


def test_more_metrics_than_a_document_may_have_go_on_in_the_next_line() -> None:
    metrics = EmfMetrics()
    for number in range(150):
        metrics.count(Signal(f"slog_{number}_total", "counter", ""))

    assert len(made(metrics)) == 2


@given(st.dictionaries(st.tuples(st.sampled_from(SIGNALS), st.sampled_from(["a", "b", "c"])), values, max_size=12))
def test_everything_that_was_gathered_is_told_once(
    gathered: dict[tuple[Signal, str], list[float]],
) -> None:
    metrics = EmfMetrics()
    expected: dict[tuple[str, tuple[str, ...]], list[float]] = {}
    for (signal, value_of_dimensions), observed in gathered.items():
        dimensions = (value_of_dimensions,) * len(signal.dimensions)
        for value in observed:
            metrics.observe(signal, value, *dimensions)
        expected.setdefault((signal.name, dimensions), []).extend(observed)

    assert {key: Counter(found) for key, found in told(made(metrics)).items()} == {
        key: Counter(observed) for key, observed in expected.items()
    }


def test_threads_may_count_at_the_same_time() -> None:
    metrics = EmfMetrics()

    def count() -> None:
        for _ in range(5_000):
            metrics.count(signals.RECORDS_ACCEPTED)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert made(metrics)[0]["slog_records_accepted_total"] == 20_000


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_each_signals_unit_is_one_that_cloudwatch_knows(signal: Signal) -> None:
    assert unit_of(signal) in UNITS
    assert (unit_of(signal) == "Seconds") == ("seconds" in signal.name)
    assert (unit_of(signal) == "Bytes") == ("bytes" in signal.name)


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_no_signal_is_split_by_what_callers_choose(signal: Signal) -> None:
    assert not {"service_name", "log_type", "path", "arn", "source_ip"} & set(signal.dimensions)


def _directive(dimensions: list[str], name: str, unit: str) -> dict[str, Any]:
    return {"Namespace": "Tests", "Dimensions": [dimensions], "Metrics": [{"Name": name, "Unit": unit}]}
