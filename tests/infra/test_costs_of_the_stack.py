"""What the estimate of costs takes as given is what the stack has, and what its functions do."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

import pytest

from bench.requests import Bodies
from infra import costs
from infra.profiles import PROFILES
from simple_log_service.api.routes import INGEST, RECENT
from simple_log_service.aws.deadline import Deadline
from simple_log_service.aws.emf import EmfMetrics
from simple_log_service.aws.home import home_over
from simple_log_service.aws.settings import Settings
from simple_log_service.core.ports import LogStore
from support.dynalite import create_table, delete_table
from support.dynamodb_tables import open_dynamodb
from support.proxy_events import StandingContext, asked, posted
from support.synthesized import template

LOG_EVENT_OVERHEAD_BYTES = 26
"""CloudWatch Logs bills so many for each line."""
GATEWAY_AND_PLATFORM_BYTES = 1000
"""The gateway's access line, and START, END and REPORT of the function."""


@pytest.fixture(scope="module", params=sorted(PROFILES))
def resources(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return list(template(request.param)["Resources"].values())


def properties(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in resources if resource["Type"] == f"AWS::{kind}"]


def test_alarms_are_billed_by_the_metrics_that_they_watch(resources: list[dict[str, Any]]) -> None:
    watched = [
        metric
        for alarm in properties(resources, "CloudWatch::Alarm")
        for metric in alarm.get("Metrics", [{"MetricStat": None}])
        if "MetricStat" in metric
    ]
    assert len(watched) == costs.ALARM_METRICS


def test_there_are_as_many_keys_and_dashboards_as_are_paid_for(resources: list[dict[str, Any]]) -> None:
    assert len(properties(resources, "KMS::Key")) == costs.KEYS
    assert len(properties(resources, "CloudWatch::Dashboard")) == costs.DASHBOARDS


def test_the_functions_have_the_memory_that_is_paid_for(resources: list[dict[str, Any]]) -> None:
    assert {function["MemorySize"] for function in properties(resources, "Lambda::Function")} == {
        costs.MEMORY_GB * 1024
    }


def test_the_audit_is_kept_as_long_as_is_paid_for(resources: list[dict[str, Any]]) -> None:
    (bucket,) = properties(resources, "S3::Bucket")
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == costs.TRAIL_DAYS


def test_backups_are_made_once_a_day_and_kept_as_long_as_is_paid_for() -> None:
    for environment, profile in PROFILES.items():
        (plan,) = properties(list(template(environment)["Resources"].values()), "Backup::BackupPlan")
        (rule,) = plan["BackupPlan"]["BackupPlanRule"]
        assert rule["ScheduleExpression"].endswith(" * * ? *)")
        assert rule["Lifecycle"]["DeleteAfterDays"] == profile.backup_retention_days


def test_sampling_takes_the_first_request_of_each_second(resources: list[dict[str, Any]]) -> None:
    (rule,) = properties(resources, "XRay::SamplingRule")
    assert rule["SamplingRule"]["ReservoirSize"] == 1


def test_functions_publish_about_as_many_metrics_and_log_about_as_much_as_is_paid_for(
    dynamodb_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table_name = f"logs-{uuid4().hex}"
    create_table(dynamodb_url, table_name)
    stores: list[LogStore] = []

    def open_store(settings: Settings, metrics: EmfMetrics, deadline: Deadline) -> LogStore:
        stores.append(open_dynamodb(dynamodb_url, table_name, time.time_ns, metrics))
        return stores[0]

    handler = home_over(open_store, Settings("us-east-1", table_name, "TimestampIndex"), INGEST, RECENT)
    try:
        for records in (1, 100, 10, 1):
            body = json.loads(next(Bodies().make(records, 1)))
            alike = body if records == 1 else [record | {"service_name": "s", "log_type": "t"} for record in body]
            handler(posted(alike, headers={"Idempotency-Key": [str(uuid4())]}), StandingContext())
        for parameters in ({"service_name": "s"}, {"log_type": "t"}, {}, {"limit": "0"}):
            handler(asked(**parameters), StandingContext())
        handler(posted({"message": "of no service"}), StandingContext())
    finally:
        handler._loop.run_until_complete(stores[0].close())
        handler._loop.close()
        delete_table(dynamodb_url, table_name)
    lines = capsys.readouterr().out.splitlines()
    assert len(metrics_of(lines)) == pytest.approx(costs.METRICS, abs=4)
    logged = sum(len(line) + LOG_EVENT_OVERHEAD_BYTES for line in lines) / 9 + GATEWAY_AND_PLATFORM_BYTES
    assert logged == pytest.approx(costs.LOG_BYTES_PER_REQUEST, rel=0.25)


def metrics_of(lines: list[str]) -> set[tuple[str, ...]]:
    """Each combination of a metric's name and its dimensions."""
    return {
        (metric["Name"], *(document[name] for name in names))
        for document in map(json.loads, lines)
        for directive in document["_aws"]["CloudWatchMetrics"]
        for names in directive["Dimensions"]
        for metric in directive["Metrics"]
    }
