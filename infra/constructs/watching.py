"""Alarms of the parts for later: each part lists its own as data, and all go to the environment's topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.profiles import Profile

PERIOD_MINUTES = 5
OVER = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
UNDER = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


class Rule(NamedTuple):
    """When to tell somebody, and what to do then: the largest value of five minutes over the threshold, unless said."""

    name: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    threshold: float
    advice: str
    statistic: str = "Maximum"
    comparison: cloudwatch.ComparisonOperator = OVER


def watch(scope: Construct, profile: Profile, topic: sns.ITopic, rules: Iterable[Rule]) -> None:
    """Make an alarm of each rule; it tells the topic when it begins and when it is over."""
    for rule in rules:
        metric = cloudwatch.Metric(
            namespace=rule.namespace,
            metric_name=rule.metric,
            dimensions_map=dict(rule.dimensions),
            statistic=rule.statistic,
            period=cdk.Duration.minutes(PERIOD_MINUTES),
        )
        alarm = cloudwatch.Alarm(
            scope,
            f"Alarm-{rule.name}",
            alarm_name=profile.named(rule.name),
            alarm_description=rule.advice,
            metric=metric,
            threshold=rule.threshold,
            comparison_operator=rule.comparison,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        action = actions.SnsAction(topic)
        alarm.add_alarm_action(action)
        alarm.add_ok_action(action)
