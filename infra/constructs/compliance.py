"""AWS Config's rules about encryption and versions, and a message for each resource that breaks one.

Config looks at all resources of account and region, whoever made them. It needs a recorder, one for account and region:
the profile says whether it is made here, and the deployment refuses to begin where there is none.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_config as config
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.buckets import let_write, sealed_bucket
from infra.profiles import Profile

MANAGED_RULES = {
    "dynamodb-encryption": "DYNAMODB_TABLE_ENCRYPTED_KMS",
    "log-encryption": "CLOUDWATCH_LOG_GROUP_ENCRYPTED",
    "s3-encryption": "S3_BUCKET_SERVER_SIDE_ENCRYPTION_ENABLED",
    "s3-versioning": "S3_BUCKET_VERSIONING_ENABLED",
}
"""By our names, the identifiers of rules that AWS keeps."""
LAMBDA_RULE = "lambda-encryption"
LAMBDA_POLICY = """\
rule variables_are_sealed_with_a_customer_managed_key when resourceType == "AWS::Lambda::Function" {
    configuration.kmsKeyArn exists
    configuration.kmsKeyArn == /^arn:[^:]+:kms:/
}
"""
"""In Guard's language: AWS keeps no rule about this."""
RECORDER_POLICY = "service-role/AWS_ConfigRole"
RECORDS_KEEP_DAYS = 365
PREFIX = "config"


class Compliance(Construct):
    """The rules, the message, and the recorder where the profile wants one."""

    def __init__(self, scope: Construct, profile: Profile, topic: sns.ITopic, key: kms.IKey) -> None:
        super().__init__(scope, "Compliance")
        names = [profile.named(rule) for rule in (*MANAGED_RULES, LAMBDA_RULE)]
        rules = [self._managed(profile, rule, identifier) for rule, identifier in MANAGED_RULES.items()]
        rules.append(self._lambda_rule(profile))
        self._tell(profile, names, topic)
        if profile.config_recorder:
            recorder = self._recorder(profile, key)
            for rule in rules:
                rule.node.add_dependency(recorder)

    def _managed(self, profile: Profile, rule: str, identifier: str) -> Construct:
        return config.ManagedRule(
            self, rule.title().replace("-", ""), config_rule_name=profile.named(rule), identifier=identifier
        )

    def _lambda_rule(self, profile: Profile) -> Construct:
        return config.CustomPolicy(
            self,
            LAMBDA_RULE.title().replace("-", ""),
            config_rule_name=profile.named(LAMBDA_RULE),
            description="Functions seal their environment variables with a customer-managed key.",
            policy_text=LAMBDA_POLICY,
            rule_scope=config.RuleScope.from_resources([config.ResourceType.LAMBDA_FUNCTION]),
        )

    def _tell(self, profile: Profile, rule_names: list[str], topic: sns.ITopic) -> None:
        """The L1 rule: the L2 target would add a statement of its own to the topic's policy."""
        events.CfnRule(
            self,
            "Violations",
            name=profile.named("violations"),
            description="A resource breaks a rule of AWS Config.",
            event_pattern={
                "source": ["aws.config"],
                "detail-type": ["Config Rules Compliance Change"],
                "detail": {
                    "messageType": ["ComplianceChangeNotification"],
                    "configRuleName": rule_names,
                    "newEvaluationResult": {"complianceType": ["NON_COMPLIANT"]},
                },
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="topic",
                    arn=topic.topic_arn,
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map={
                            "rule": "$.detail.configRuleName",
                            "type": "$.detail.resourceType",
                            "resource": "$.detail.resourceId",
                            "account": "$.account",
                            "region": "$.region",
                        },
                        input_template='"<type> <resource> in <account>, <region>, breaks the rule <rule>."',
                    ),
                )
            ],
        )

    def _recorder(self, profile: Profile, key: kms.IKey) -> Construct:
        """A recorder and where it puts its records: for an account and region that have none."""
        recording = Construct(self, "Recording")
        bucket = sealed_bucket(recording, key, keep_days=RECORDS_KEEP_DAYS)
        let_write(bucket, "config.amazonaws.com", PREFIX, None)
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("config.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            )
        )
        role = iam.Role(
            recording,
            "Role",
            assumed_by=iam.ServicePrincipal("config.amazonaws.com"),
            description=f"With which AWS Config looks at resources for {profile.prefix}.",
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(RECORDER_POLICY)],
        )
        recorder = config.CfnConfigurationRecorder(
            recording,
            "Recorder",
            name=profile.named("recorder"),
            role_arn=role.role_arn,
            recording_group=config.CfnConfigurationRecorder.RecordingGroupProperty(
                all_supported=False,
                resource_types=["AWS::DynamoDB::Table", "AWS::Lambda::Function", "AWS::S3::Bucket"],
            ),
        )
        channel = config.CfnDeliveryChannel(
            recording,
            "Channel",
            name=profile.named("channel"),
            s3_bucket_name=bucket.bucket_name,
            s3_key_prefix=PREFIX,
            s3_kms_key_arn=key.key_arn,
        )
        assert bucket.policy is not None
        channel.node.add_dependency(bucket.policy)
        return recorder
