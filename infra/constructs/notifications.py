"""Where alarms and violations are told: one encrypted topic, and who may publish to it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.constructs.encryption import ALARMS_TOPIC
from infra.profiles import Profile


class Notifications(Construct):
    """``topic`` takes messages over TLS alone; an address gets them once its owner has confirmed."""

    def __init__(self, scope: Construct, profile: Profile, key: kms.IKey) -> None:
        super().__init__(scope, "Notifications")
        self.topic = sns.Topic(
            self,
            "Topic",
            topic_name=profile.named(ALARMS_TOPIC),
            display_name=f"{profile.prefix} alarms",
            master_key=key,
            enforce_ssl=True,
        )
        stack = cdk.Stack.of(self)
        alarms = stack.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=f"{profile.prefix}-*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        self._let_publish(
            "cloudwatch.amazonaws.com",
            {"StringEquals": {"aws:SourceAccount": stack.account}, "ArnLike": {"aws:SourceArn": alarms}},
        )
        # EventBridge gives a topic's policy nothing to compare: a condition would drop every message (Amazon
        # EventBridge User Guide, "Troubleshooting").
        self._let_publish("events.amazonaws.com", None)
        if profile.alarm_email is not None:
            self.topic.add_subscription(subscriptions.EmailSubscription(profile.alarm_email))

    def _let_publish(self, service: str, conditions: dict[str, object] | None) -> None:
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(service)],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions=conditions,
            )
        )
