"""The customer-managed key that everything at rest is sealed with, and who may use it.

The account's own IAM policies decide about its principals; AWS services that act by themselves are named here one by
one, each held to this environment's own resources.
"""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.removal import removal_policy
from infra.profiles import Profile

ROTATION_DAYS = 365
LOGS_ACTIONS = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*")
"""What CloudWatch Logs asks for (Amazon CloudWatch Logs User Guide, "Encrypt log data using AWS KMS")."""
ALARMS_TOPIC = "alarms"
AUDIT_TRAIL = "audit"
PUBLISH_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey*")
"""What a service needs that publishes to an encrypted topic (Amazon SNS Developer Guide, "Key management")."""


class EncryptionKey(Construct):
    """The key, its alias, and the key policy."""

    def __init__(self, scope: Construct, profile: Profile) -> None:
        super().__init__(scope, "Encryption")
        self.key = kms.Key(
            self,
            "Key",
            alias=f"alias/{profile.prefix}",
            description=f"Seals what {profile.prefix} keeps: logs, alarms, audit trail, backups.",
            enable_key_rotation=True,
            rotation_period=cdk.Duration.days(ROTATION_DAYS),
            pending_window=cdk.Duration.days(30),
            removal_policy=removal_policy(profile),
        )
        self._allow_log_groups(profile)
        self._allow_publishers(profile)
        self._allow_trail(profile)

    def _allow_log_groups(self, profile: Profile) -> None:
        stack = cdk.Stack.of(self)
        groups = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group"
        self._allow(
            f"logs.{stack.region}.amazonaws.com",
            LOGS_ACTIONS,
            {
                "ArnLike": {
                    "kms:EncryptionContext:aws:logs:arn": [
                        f"{groups}:/aws/*/{profile.prefix}-*",
                        f"{groups}:API-Gateway-Execution-Logs_*/{profile.environment}",
                    ]
                }
            },
        )

    def _allow_publishers(self, profile: Profile) -> None:
        """SNS tells the key which topic it seals for, whoever publishes (SNS Developer Guide, "Key management")."""
        topic = cdk.Stack.of(self).format_arn(service="sns", resource=profile.named(ALARMS_TOPIC))
        own_topic = {"StringEquals": {"kms:EncryptionContext:aws:sns:topicArn": topic}}
        for service in ("cloudwatch.amazonaws.com", "events.amazonaws.com"):
            self._allow(service, PUBLISH_ACTIONS, own_topic)

    def _allow_trail(self, profile: Profile) -> None:
        stack = cdk.Stack.of(self)
        trail_arn = stack.format_arn(service="cloudtrail", resource="trail", resource_name=profile.named(AUDIT_TRAIL))
        own_trail = {"StringEquals": {"aws:SourceArn": trail_arn}}
        self._allow("cloudtrail.amazonaws.com", ("kms:DescribeKey", "kms:GenerateDataKey*"), own_trail)

    def _allow(self, service: str, actions: tuple[str, ...], conditions: Mapping[str, object]) -> None:
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(service)],
                actions=list(actions),
                resources=["*"],  # in a key's policy: this key
                conditions=conditions,
            )
        )
