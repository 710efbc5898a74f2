"""Where CloudWatch keeps what is watched: namespaces, names and dimensions of AWS's metrics and of our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from infra.profiles import Profile
from simple_log_service.core.alarms import Figure
from simple_log_service.core.signals import INTERNAL_ERRORS, Signal
from simple_log_service.stores.dynamodb.keys import INDEX_NAME

SCALE = {Figure.HANDLER_SECONDS: 1000}
"""How many of CloudWatch's units are one of ours, where they differ: it has durations in milliseconds."""


class Source(NamedTuple):
    """One of CloudWatch's metrics; ``label`` tells it from the others in a graph."""

    label: str
    namespace: str
    name: str
    dimensions: dict[str, str]

    def metric(self, statistic: str, period_seconds: int) -> cloudwatch.Metric:
        """The source over a period, e.g. its ``Sum``."""
        return cloudwatch.Metric(
            namespace=self.namespace,
            metric_name=self.name,
            dimensions_map=self.dimensions,
            statistic=statistic,
            period=cdk.Duration.seconds(period_seconds),
            label=self.label,
        )


class Sources:
    """The metrics of one environment. ``table_name`` is not always the environment's own: it may be restored."""

    def __init__(self, profile: Profile, table_name: str) -> None:
        self._profile = profile
        self._table_name = table_name

    def of_functions(self, name: str) -> list[Source]:
        """A metric of Lambda, once for each function."""
        functions = ("ingest", "read")
        return [
            Source(f"{part} {name}", "AWS/Lambda", name, {"FunctionName": self._profile.named(part)})
            for part in functions
        ]

    def of_api(self, name: str) -> Source:
        """A metric of API Gateway."""
        dimensions = {"ApiName": self._profile.named("api"), "Stage": self._profile.environment}
        return Source(name, "AWS/ApiGateway", name, dimensions)

    def of_table(self, name: str) -> list[Source]:
        """A metric of DynamoDB, of the table and of the index: the table's own does not hold the index's."""
        table = {"TableName": self._table_name}
        return [
            Source(f"table {name}", "AWS/DynamoDB", name, table),
            Source(f"index {name}", "AWS/DynamoDB", name, table | {"GlobalSecondaryIndexName": INDEX_NAME}),
        ]

    def of_service(self, signal: Signal) -> Source:
        """One of our own metrics, of those without dimensions."""
        return Source(signal.name, self._profile.metrics_namespace, signal.name, {})

    def of_figure(self, figure: Figure) -> list[Source]:
        """What an alarm watches."""
        match figure:
            case Figure.HANDLER_ERRORS:
                # The handlers answer 503 to what is unexpected, and count it: Lambda sees what ended them alone.
                return [*self.of_functions("Errors"), self.of_service(INTERNAL_ERRORS)]
            case Figure.HANDLER_SECONDS:
                return self.of_functions("Duration")
            case Figure.STORE_THROTTLES:
                # ThrottledRequests counts a batch only if all of it is turned away; these count each item.
                return [*self.of_table("ReadThrottleEvents"), *self.of_table("WriteThrottleEvents")]
            case Figure.CLIENT_ERRORS:
                return [self.of_api("4XXError")]
            case Figure.SERVER_ERRORS:
                return [self.of_api("5XXError")]


def combined(
    sources: Sequence[Source], statistic: str, expression: str, period_seconds: int, label: str
) -> cloudwatch.IMetric:
    """One figure of several sources, e.g. ``SUM``; a source that says nothing counts as zero."""
    if len(sources) == 1:
        return sources[0].metric(statistic, period_seconds)
    metrics = {f"m{number}": source.metric(statistic, period_seconds) for number, source in enumerate(sources, start=1)}
    return cloudwatch.MathExpression(
        expression=f"{expression}([{', '.join(f'FILL({name}, 0)' for name in metrics)}])",
        using_metrics=metrics,
        period=cdk.Duration.seconds(period_seconds),
        label=label,
    )
