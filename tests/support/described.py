"""A deployment in good order, as AWS's services would describe it: what the smoke test looks at behind an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.session import Session

from infra.profiles import DEV, Profile
from infra.smoke.stack import Stack
from simple_log_service.core.alarms import ALARMS, Figure
from support.canned_aws import Answers, CannedAws

KEY_ARN = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
TOPIC_ARN = "arn:aws:sns:eu-west-1:123456789012:simple-log-service-dev-alarms"
TABLE = DEV.named("logs")
CAPACITY = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
GROUPS = [f"/aws/lambda/{DEV.named('ingest')}", f"/aws/apigateway/{DEV.named('access')}"]
RULE = DEV.named("dynamodb-encryption")
OUTPUTS = {
    "Endpoint": "https://api.example/dev",
    "Region": "eu-west-1",
    "TableName": TABLE,
    "KeyArn": KEY_ARN,
    "IngestOnlyPolicyArn": "arn:aws:iam::123456789012:policy/ingest-only",
    "ReadOnlyPolicyArn": "arn:aws:iam::123456789012:policy/read-only",
}


def _schema(partition: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": "timestamp", "KeyType": "RANGE"}]


def _resources() -> list[tuple[str, str]]:
    return [
        ("AWS::ApiGateway::RestApi", "api"),
        ("AWS::DynamoDB::GlobalTable", TABLE),
        ("AWS::Lambda::Function", DEV.named("ingest")),
        ("AWS::Lambda::Function", DEV.named("read")),
        ("AWS::Lambda::Function", "helper-of-the-cdk"),
        *(("AWS::Logs::LogGroup", name) for name in GROUPS),
        *(("AWS::CloudWatch::Alarm", DEV.named(alarm.name)) for alarm in ALARMS),
        ("AWS::SNS::Topic", TOPIC_ARN),
        ("AWS::CloudWatch::Dashboard", DEV.prefix),
        ("AWS::Config::ConfigRule", RULE),
        ("AWS::CloudTrail::Trail", DEV.named("audit")),
        ("AWS::S3::Bucket", "audit-bucket"),
        ("AWS::Backup::BackupPlan", "plan-id"),
        ("AWS::Backup::BackupVault", DEV.named("vault")),
    ]


def _log_groups(params: Mapping[str, Any]) -> dict[str, Any]:
    prefix = params["body"].decode() if isinstance(params["body"], bytes) else params["body"]
    groups = [
        {"logGroupName": name, "kmsKeyId": KEY_ARN, "retentionInDays": DEV.log_retention_days}
        for name in GROUPS
        if name in prefix
    ]
    return {"logGroups": groups}


def _scalable(path: str, owner: str) -> list[dict[str, Any]]:
    return [
        {
            "ServiceNamespace": "dynamodb",
            "ResourceId": path,
            "ScalableDimension": f"dynamodb:{owner}:{unit}CapacityUnits",
            "MinCapacity": DEV.capacity_units_min,
            "MaxCapacity": DEV.capacity_units_max,
            "RoleARN": "arn:aws:iam::123456789012:role/scaling",
            "CreationTime": datetime.now(UTC),
        }
        for unit in ("Read", "Write")
    ]


def _policy(number: int) -> dict[str, Any]:
    return {
        "PolicyARN": f"arn:policy:{number}",
        "PolicyName": str(number),
        "ServiceNamespace": "dynamodb",
        "ResourceId": f"table/{TABLE}",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {"TargetValue": float(DEV.capacity_target_percent)},
        "CreationTime": datetime.now(UTC),
    }


def healthy() -> dict[str, Any]:
    """Everything as it should be; tests break one answer at a time."""
    index = {
        "IndexName": "TimestampIndex",
        "KeySchema": _schema("log_type"),
        "Projection": {"ProjectionType": "ALL"},
        "ProvisionedThroughput": CAPACITY,
    }
    alarms = [
        {
            "AlarmName": DEV.named(alarm.name),
            "Threshold": float(alarm.threshold) * (1000 if alarm.figure is Figure.HANDLER_SECONDS else 1),
            "ActionsEnabled": True,
            "AlarmActions": [TOPIC_ARN],
            "StateValue": "OK",
        }
        for alarm in ALARMS
    ]
    return {
        "cloudformation.DescribeStacks": {
            "Stacks": [
                {
                    "StackName": DEV.prefix,
                    "StackStatus": "UPDATE_COMPLETE",
                    "CreationTime": datetime.now(UTC),
                    "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in OUTPUTS.items()],
                }
            ]
        },
        "cloudformation.ListStackResources": {
            "StackResourceSummaries": [
                {
                    "LogicalResourceId": f"R{number}",
                    "ResourceType": kind,
                    "PhysicalResourceId": name,
                    "ResourceStatus": "CREATE_COMPLETE",
                    "LastUpdatedTimestamp": datetime.now(UTC),
                }
                for number, (kind, name) in enumerate(_resources())
            ]
        },
        "apigateway.GetRestApi": {
            "id": "api",
            "endpointConfiguration": {"types": ["REGIONAL"]},
            "securityPolicy": "TLS_1_2",
            "binaryMediaTypes": ["*/*"],
        },
        "apigateway.GetStage": {
            "stageName": "dev",
            "tracingEnabled": True,
            "accessLogSettings": {"destinationArn": "arn:aws:logs:eu-west-1:123456789012:log-group:access"},
            "methodSettings": {
                "*/*": {
                    "throttlingRateLimit": 10_000.0,
                    "throttlingBurstLimit": 5_000,
                    "metricsEnabled": True,
                    "dataTraceEnabled": False,
                }
            },
        },
        "apigateway.GetAccount": {"throttleSettings": {"rateLimit": 10_000.0, "burstLimit": 5_000}},
        "dynamodb.DescribeTable": {
            "Table": {
                "TableName": TABLE,
                "TableStatus": "ACTIVE",
                "ItemCount": 1234,
                "KeySchema": _schema("service_name"),
                "ProvisionedThroughput": CAPACITY,
                "GlobalSecondaryIndexes": [index],
                "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY_ARN},
                "DeletionProtectionEnabled": True,
            }
        },
        "dynamodb.DescribeTimeToLive": {
            "TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
        },
        "dynamodb.DescribeContinuousBackups": {
            "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": {
                    "PointInTimeRecoveryStatus": "ENABLED",
                    "RecoveryPeriodInDays": 35,
                    "LatestRestorableDateTime": datetime.now(UTC),
                },
            }
        },
        "application-autoscaling.DescribeScalableTargets": {
            "ScalableTargets": [
                *_scalable(f"table/{TABLE}", "table"),
                *_scalable(f"table/{TABLE}/index/TimestampIndex", "index"),
            ]
        },
        "application-autoscaling.DescribeScalingPolicies": {"ScalingPolicies": [_policy(1), _policy(2)]},
        "kms.DescribeKey": {
            "KeyMetadata": {"KeyId": KEY_ARN, "Arn": KEY_ARN, "KeyManager": "CUSTOMER", "KeyState": "Enabled"}
        },
        "kms.GetKeyRotationStatus": {"KeyRotationEnabled": True, "RotationPeriodInDays": 365},
        "lambda.GetFunctionConfiguration": {
            "State": "Active",
            "KMSKeyArn": KEY_ARN,
            "TracingConfig": {"Mode": "Active"},
        },
        "logs.DescribeLogGroups": _log_groups,
        "cloudwatch.DescribeAlarms": {"MetricAlarms": alarms},
        "cloudwatch.GetDashboard": {"DashboardName": DEV.prefix, "DashboardBody": "{}"},
        "cloudwatch.GetMetricStatistics": {"Datapoints": [{"Timestamp": datetime.now(UTC), "Sum": 42.0}]},
        "sns.GetTopicAttributes": {"Attributes": {"KmsMasterKeyId": KEY_ARN, "SubscriptionsPending": "0"}},
        "config.DescribeConfigurationRecorderStatus": {
            "ConfigurationRecordersStatus": [{"name": "default", "recording": True}]
        },
        "config.DescribeConfigRules": {
            "ConfigRules": [{"ConfigRuleName": RULE, "ConfigRuleState": "ACTIVE", "Source": {"Owner": "AWS"}}]
        },
        "config.DescribeComplianceByConfigRule": {
            "ComplianceByConfigRules": [{"ConfigRuleName": RULE, "Compliance": {"ComplianceType": "COMPLIANT"}}]
        },
        "cloudtrail.GetTrailStatus": {"IsLogging": True},
        "s3.GetBucketEncryption": {
            "ServerSideEncryptionConfiguration": {
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
            }
        },
        "s3.GetBucketVersioning": {"Status": "Enabled"},
        "s3.GetPublicAccessBlock": {
            "PublicAccessBlockConfiguration": dict.fromkeys(
                ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
            )
        },
        "backup.GetBackupPlan": {
            "BackupPlan": {
                "BackupPlanName": "plan",
                "Rules": [{"RuleName": "daily", "TargetBackupVaultName": DEV.named("vault")}],
            }
        },
        "backup.DescribeBackupVault": {"EncryptionKeyArn": KEY_ARN},
    }


class DescribedStack(Stack):
    """The stack whose services answer from a table; ``clients`` are asked before it."""

    def __init__(self, answers: Answers, profile: Profile = DEV) -> None:
        self._aws = CannedAws(answers)
        self.clients: dict[str, Any] = {}
        super().__init__(Session(), "eu-west-1", profile)

    def _client(self, service: str) -> Any:
        return self.clients.get(service) or self._aws.client(service)
