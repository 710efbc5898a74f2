"""Alarms, dashboard, sampling, and who is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simple_log_service.core.alarms import ALARMS
from support.cloudformation import properties, resources
from support.synthesized import ENVIRONMENTS, template

environments = pytest.mark.parametrize("env", ENVIRONMENTS)

THROTTLES = ("ReadThrottleEvents", "WriteThrottleEvents")
REQUIRED = {
    "function-errors": (
        5,
        "Sum",
        {
            ("AWS/Lambda", "Errors", "ingest"),
            ("AWS/Lambda", "Errors", "read"),
            ("SimpleLogService/{env}", "slog_internal_errors_total", "service"),
        },
    ),
    "function-duration": (5_000, "Maximum", {("AWS/Lambda", "Duration", part) for part in ("ingest", "read")}),
    "table-throttles": (10, "Sum", {("AWS/DynamoDB", name, part) for name in THROTTLES for part in ("table", "index")}),
    "api-4xx": (50, "Sum", {("AWS/ApiGateway", "4XXError", "api")}),
    "api-5xx": (5, "Sum", {("AWS/ApiGateway", "5XXError", "api")}),
}
"""By alarm: above what it is raised within 5 minutes (Lambda's durations are in milliseconds), and what it watches."""


@environments
@pytest.mark.parametrize("name", REQUIRED)
def test_an_alarm_is_raised_above_the_required_threshold(env: str, name: str) -> None:
    threshold, statistic, watched = REQUIRED[name]
    alarm = alarms(env)[name]
    assert alarm["Threshold"] == threshold
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    assert alarm["EvaluationPeriods"] == 1
    assert alarm["TreatMissingData"] == "notBreaching"
    assert {(row["Statistic"], row["Period"]) for row in metrics_of(alarm)} == {(statistic, 300)}
    assert {
        (row["Namespace"], row["MetricName"], part_of(env, row.get("Dimensions", []))) for row in metrics_of(alarm)
    } == {(namespace.format(env=env), metric, part) for namespace, metric, part in watched}


@environments
def test_an_alarm_over_several_metrics_takes_all_of_them_together(env: str) -> None:
    expressions = {
        name: row["Expression"]
        for name, alarm in alarms(env).items()
        for row in alarm.get("Metrics", ())
        if "Expression" in row and row["ReturnData"]
    }
    assert expressions == {
        "function-errors": "SUM([FILL(m1, 0), FILL(m2, 0), FILL(m3, 0)])",
        "function-duration": "MAX([FILL(m1, 0), FILL(m2, 0)])",
        "table-throttles": "SUM([FILL(m1, 0), FILL(m2, 0), FILL(m3, 0), FILL(m4, 0)])",
    }


@environments
def test_there_is_an_alarm_for_each_rule_and_no_other(env: str) -> None:
    assert alarms(env).keys() == {alarm.name for alarm in ALARMS} == REQUIRED.keys()
    meanings = {alarm.name: alarm.meaning for alarm in ALARMS}
    assert {name: alarm["AlarmDescription"] for name, alarm in alarms(env).items()} == meanings


@environments
def test_the_topic_is_told_when_an_alarm_is_raised_and_when_it_is_over(env: str) -> None:
    for alarm in alarms(env).values():
        assert alarm["AlarmActions"] == ["{NotificationsTopic}"]
        assert alarm["OKActions"] == ["{NotificationsTopic}"]
        assert alarm.get("ActionsEnabled", True) is True


@environments
def test_the_topic_is_sealed_and_nobody_is_subscribed_without_being_named(env: str) -> None:
    topic = properties(template(env), "AWS::SNS::Topic")
    assert topic["TopicName"] == f"simple-log-service-{env}-alarms"
    assert topic["KmsMasterKeyId"] == "{EncryptionKey.Arn}"
    assert resources(template(env), "AWS::SNS::Subscription") == {}


def test_an_address_is_subscribed_where_the_profile_names_one() -> None:
    asked = template("dev", "api_gateway_account_role=true", "config_recorder=true", "alarm_email=ops@example.com")
    subscription = properties(asked, "AWS::SNS::Subscription")
    assert subscription == {"Protocol": "email", "Endpoint": "ops@example.com", "TopicArn": "{NotificationsTopic}"}


@environments
def test_the_dashboard_shows_the_alarms_and_every_step_of_a_request(env: str) -> None:
    dashboard = properties(template(env), "AWS::CloudWatch::Dashboard")
    assert dashboard["DashboardName"] == f"simple-log-service-{env}"
    body = json.loads(dashboard["DashboardBody"])
    shown = json.dumps(body)
    for metric in (
        "Invocations", "Errors", "Duration", "Count", "4XXError", "5XXError", "Latency", "ConsumedReadCapacityUnits",
        "ConsumedWriteCapacityUnits", "ProvisionedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents",
        "slog_records_accepted_total", "slog_records_returned_total", "slog_internal_errors_total",
    ):  # fmt: skip
        assert f'"{metric}"' in shown
    assert f'"SimpleLogService/{env}"' in shown
    assert body["widgets"][0]["type"] == "alarm"
    assert len(body["widgets"][0]["properties"]["alarms"]) == len(ALARMS)


@pytest.mark.parametrize(("env", "rate"), [("dev", 0.01), ("prod", 0.05)])
def test_traces_are_sampled(env: str, rate: float) -> None:
    rule = properties(template(env), "AWS::XRay::SamplingRule")["SamplingRule"]
    assert (rule["FixedRate"], rule["ReservoirSize"]) == (rate, 1)
    assert rule["ServiceName"] == f"simple-log-service-{env}-*"


def alarms(env: str) -> dict[str, Any]:
    """By name without the environment's prefix."""
    found = resources(template(env), "AWS::CloudWatch::Alarm").values()
    prefix = f"simple-log-service-{env}-"
    assert all(alarm["Properties"]["AlarmName"].startswith(prefix) for alarm in found)
    return {alarm["Properties"]["AlarmName"].removeprefix(prefix): alarm["Properties"] for alarm in found}


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    if "Metrics" not in alarm:
        return [alarm]
    rows = [row["MetricStat"] for row in alarm["Metrics"] if "MetricStat" in row]
    return [{**row["Metric"], "Statistic": row["Stat"], "Period": row["Period"]} for row in rows]


def part_of(env: str, dimensions: list[dict[str, str]]) -> str:
    """Which of our resources the dimensions name, all of them."""
    name = f"simple-log-service-{env}"
    known = {
        "ingest": {"FunctionName": f"{name}-ingest"},
        "read": {"FunctionName": f"{name}-read"},
        "table": {"TableName": f"{name}-logs"},
        "index": {"TableName": f"{name}-logs", "GlobalSecondaryIndexName": "TimestampIndex"},
        "api": {"ApiName": f"{name}-api", "Stage": env},
        "service": {},
    }
    given = {dimension["Name"]: dimension["Value"] for dimension in dimensions}
    return next(part for part, expected in known.items() if expected == given)
