"""The alarms of ``core.alarms`` over CloudWatch's metrics, and how much X-Ray samples."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk import aws_xray as xray
from constructs import Construct

from infra.constructs.dashboard import log_dashboard
from infra.constructs.metrics import SCALE, Sources, combined
from infra.constructs.table import LogTable
from infra.profiles import Profile
from simple_log_service.core.alarms import ALARMS, Alarm

_STATISTICS = {"sum": (cloudwatch.Stats.SUM, "SUM"), "maximum": (cloudwatch.Stats.MAXIMUM, "MAX")}


class Monitoring(Construct):
    """Alarms tell the topic when they are raised and when they are over."""

    def __init__(self, scope: Construct, profile: Profile, table: LogTable, topic: sns.ITopic) -> None:
        super().__init__(scope, "Monitoring")
        self._profile = profile
        self._sources = Sources(profile, table.name)
        tell = actions.SnsAction(topic)
        alarms = [self._alarm(alarm, tell) for alarm in ALARMS]
        log_dashboard(self, profile, self._sources, alarms)
        self._sampling()

    def _alarm(self, alarm: Alarm, tell: actions.SnsAction) -> cloudwatch.Alarm:
        sources = self._sources.of_figure(alarm.figure)
        made = cloudwatch.Alarm(
            self,
            alarm.name.title().replace("-", ""),
            alarm_name=self._profile.named(alarm.name),
            alarm_description=alarm.meaning,
            metric=combined(sources, *_STATISTICS[alarm.statistic], alarm.window_seconds, alarm.name),
            threshold=alarm.threshold * SCALE.get(alarm.figure, 1),
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        made.add_alarm_action(tell)
        made.add_ok_action(tell)
        return made

    def _sampling(self) -> None:
        """Traces: one request a second, and the profile's share of the others. Gateway and functions both obey."""
        xray.CfnSamplingRule(
            self,
            "Sampling",
            sampling_rule=xray.CfnSamplingRule.SamplingRuleProperty(
                rule_name=self._profile.prefix,
                service_name=f"{self._profile.prefix}-*",
                fixed_rate=self._profile.trace_rate,
                reservoir_size=1,
                priority=1000,
                version=1,
                host="*",
                http_method="*",
                resource_arn="*",
                service_type="*",
                url_path="*",
            ),
        )
