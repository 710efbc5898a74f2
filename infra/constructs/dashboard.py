"""The dashboard: alarms, then a request's way from the gateway through the functions to the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.constructs.metrics import Source, Sources
from infra.profiles import Profile
from simple_log_service.core.signals import (
    BODY_BYTES,
    INTERNAL_ERRORS,
    RECORDS_ACCEPTED,
    RECORDS_DUPLICATE,
    RECORDS_RETURNED,
)

PERIOD_SECONDS = 60
WIDTH = 8
"""Of 24 columns."""
PERCENTILES = ("p50", "p99")


def log_dashboard(
    scope: Construct, profile: Profile, sources: Sources, alarms: Sequence[cloudwatch.IAlarm]
) -> cloudwatch.Dashboard:
    """One dashboard of an environment."""
    api, functions, table = sources.of_api, sources.of_functions, sources.of_table
    throttles = [*table("ReadThrottleEvents"), *table("WriteThrottleEvents")]
    records = [sources.of_service(signal) for signal in (RECORDS_ACCEPTED, RECORDS_DUPLICATE, RECORDS_RETURNED)]
    return cloudwatch.Dashboard(
        scope,
        "Dashboard",
        dashboard_name=profile.prefix,
        default_interval=cdk.Duration.hours(3),
        widgets=[
            [cloudwatch.AlarmStatusWidget(title="Alarms", alarms=list(alarms), width=3 * WIDTH, height=3)],
            [
                _graph("Requests", _sums([api("Count"), api("4XXError"), api("5XXError")])),
                _graph("Answer, ms", _percentiles([api("Latency"), api("IntegrationLatency")])),
                _graph("Bytes in, and defects", _sums(map(sources.of_service, (BODY_BYTES, INTERNAL_ERRORS)))),
            ],
            [
                _graph("Invocations and errors", _sums([*functions("Invocations"), *functions("Errors")])),
                _graph("Function, ms", _percentiles(functions("Duration"))),
                _graph("Records", _sums(records)),
            ],
            [
                _graph("Write units a second", _units(table, "Write")),
                _graph("Read units a second", _units(table, "Read")),
                _graph("Throttled reads and writes", _sums(throttles)),
            ],
        ],
    )


def _graph(title: str, lines: Iterable[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(lines), width=WIDTH)


def _sums(sources: Iterable[Source]) -> list[cloudwatch.IMetric]:
    return [source.metric(cloudwatch.Stats.SUM, PERIOD_SECONDS) for source in sources]


def _percentiles(sources: Sequence[Source]) -> list[cloudwatch.IMetric]:
    named = [(source, percentile) for source in sources for percentile in PERCENTILES]
    return [
        source._replace(label=f"{source.label} {percentile}").metric(percentile, PERIOD_SECONDS)
        for source, percentile in named
    ]


def _units(table: Callable[[str], list[Source]], side: str) -> list[cloudwatch.IMetric]:
    """What is used, each second, beside what is there."""
    lines: list[cloudwatch.IMetric] = []
    for number, source in enumerate(table(f"Consumed{side}CapacityUnits")):
        used = source.metric(cloudwatch.Stats.SUM, PERIOD_SECONDS)
        name = f"{side.lower()}{number}"
        lines.append(
            cloudwatch.MathExpression(
                expression=f"{name} / PERIOD({name})",
                using_metrics={name: used},
                period=cdk.Duration.seconds(PERIOD_SECONDS),
                label=source.label,
            )
        )
    provisioned = table(f"Provisioned{side}CapacityUnits")
    return [*lines, *(source.metric(cloudwatch.Stats.AVERAGE, PERIOD_SECONDS) for source in provisioned)]
