"""GET /metrics: who may read it, and that each signal of the service is in it and moves when it should."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from contract.http_caller import refusal
from contract.http_home import ACCOUNT, Home, fresh_name, record, running_home
from simple_log_service.core import signals
from support.raw_http import connected

pytestmark = pytest.mark.xdist_group("contract metrics")


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running_home() as running:
        yield running


class Metrics:
    """One reading of the metrics."""

    def __init__(self, home: Home) -> None:
        answer = home.admin.ask("GET", "/metrics")
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        self.families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}

    def value(self, name: str, **labels: str) -> float:
        """A sample's value, 0 where it is not there yet."""
        samples = (sample for family in self.families.values() for sample in family.samples)
        return sum(
            sample.value for sample in samples if sample.name == name and sample.labels.items() >= labels.items()
        )


def family_name(signal: signals.Signal) -> str:
    """The parser leaves out the ending that every counter's samples have."""
    return signal.name.removesuffix("_total") if signal.kind == "counter" else signal.name


def provoke_each(home: Home) -> None:
    """Something of every kind that a caller can bring about."""
    service = fresh_name()
    home.admin.post([record(service, log_id="a"), record(service, log_id="a"), record(service, level="x")])
    home.admin.logs(service_name=service)
    home.stranger.get()


# Those of DynamoDB come from calls to it, with their first one: tests of serving over a table look for them.
OWN_SIGNALS = [signal for signal in signals.SIGNALS if not signal.name.startswith("slog_dynamodb_")]


@pytest.mark.parametrize("signal", OWN_SIGNALS, ids=lambda signal: signal.name)
def test_each_signal_is_there_with_its_kind_and_meaning(home: Home, signal: signals.Signal) -> None:
    provoke_each(home)
    family = wait_for(home, family_name(signal))
    assert (family.type, family.documentation) == (signal.kind, signal.help)
    for sample in family.samples:
        assert sample.labels.keys() - {"le"} == set(signal.dimensions)
    if signal.kind != "gauge" or not signal.dimensions:
        assert family.samples


def wait_for(home: Home, name: str) -> Metric:
    """Gauges of the listener are set by its sweep, once a second."""
    deadline = time.monotonic() + 20
    while True:
        family = Metrics(home).families.get(name)
        if family is not None and family.samples:
            return family
        assert time.monotonic() < deadline, f"{name} does not come"


def test_counters_count_what_happened(home: Home) -> None:
    before = Metrics(home)
    service = fresh_name()
    sent = [record(service, log_id="a"), record(service, log_id="a"), record(service, level="x"), record(service)]
    answer = home.admin.post(sent)
    assert answer.status == 201
    home.admin.logs(service_name=service)
    home.stranger.get()
    after = Metrics(home)

    def rise(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert rise("slog_records_accepted_total") == 3
    assert rise("slog_records_duplicate_total") == 1
    assert rise("slog_records_rejected_total", code="InvalidField") == 1
    assert rise("slog_records_returned_total") == 2
    assert rise("slog_requests_total", route="ingest", status="201") == 1
    assert rise("slog_requests_total", route="recent", status="200") == 1
    assert rise("slog_requests_total", status="403") == 1
    assert rise("slog_refusals_total", error_type="MissingAuthenticationTokenException") == 1
    assert rise("slog_request_seconds_count", route="ingest") == 1
    assert rise("slog_commits_total", outcome="ok") >= 1
    assert rise("slog_commit_records_total") == 2
    assert rise("slog_body_bytes_total") > 200
    assert after.value("slog_internal_errors_total") == 0
    assert after.value("slog_store_bytes") > 0
    assert after.value("slog_store_read_only") == 0
    assert after.value("slog_tail_records") >= 2


def test_a_service_is_never_a_label(home: Home) -> None:
    service = fresh_name("secret-project")
    home.admin.post(record(service))
    home.admin.post(record(service), path=f"/services/{service}/logs")
    assert b"secret-project" not in home.admin.ask("GET", "/metrics").body


def test_connections_are_counted_while_they_are_open(home: Home) -> None:
    with connected(home.address), connected(home.address):
        deadline = time.monotonic() + 20
        while Metrics(home).value("slog_connections") < 2:
            assert time.monotonic() < deadline


def test_metrics_are_for_those_that_the_operator_allows(home: Home) -> None:
    missing = (403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"})
    assert refusal(home.stranger.ask("GET", "/metrics")) == missing
    text = (
        f"User: arn:aws:iam::{ACCOUNT}:user/prometheus is not authorized to perform: execute-api:Invoke on resource: "
        f"{home.arn('GET', '/metrics')}"
    )
    for policy in ("read", "ingest"):
        caller = home.caller(home.key(policy, name="prometheus"))
        assert refusal(caller.ask("GET", "/metrics")) == (403, "AccessDeniedException", {"Message": text})
    only_metrics = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": home.arn("GET", "/metrics")},
    }
    scraper = home.caller(home.key(only_metrics, name="prometheus"))
    assert scraper.ask("GET", "/metrics").status == 200
    assert scraper.get().status == 403
