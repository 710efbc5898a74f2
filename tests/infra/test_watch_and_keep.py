"""What is watched and kept beside the service itself: key, compliance, audit trail, backups."""

from __future__ import annotations

from typing import Any

import pytest

from support.cloudformation import properties, resources
from support.synthesized import ENVIRONMENTS, template

environments = pytest.mark.parametrize("env", ENVIRONMENTS)

WITH_RECORDER = ("api_gateway_account_role=true", "config_recorder=true", "alarm_email=ops@example.com")
RULES = {
    "dynamodb-encryption": "DYNAMODB_TABLE_ENCRYPTED_KMS",
    "lambda-encryption": "CUSTOM_POLICY",
    "log-encryption": "CLOUDWATCH_LOG_GROUP_ENCRYPTED",
    "s3-encryption": "S3_BUCKET_SERVER_SIDE_ENCRYPTION_ENABLED",
    "s3-versioning": "S3_BUCKET_VERSIONING_ENABLED",
}


@environments
def test_the_key_is_the_customers_and_turns_once_a_year(env: str) -> None:
    key = properties(template(env), "AWS::KMS::Key")
    alias = properties(template(env), "AWS::KMS::Alias")
    assert key["EnableKeyRotation"] is True
    assert key["RotationPeriodInDays"] == 365
    assert key["PendingWindowInDays"] == 30
    assert alias == {"AliasName": f"alias/simple-log-service-{env}", "TargetKeyId": "{EncryptionKey.Arn}"}


@environments
def test_config_checks_encryption_of_four_kinds_and_versions(env: str) -> None:
    rules = config_rules(env)
    assert {name: rule["Source"].get("SourceIdentifier", "CUSTOM_POLICY") for name, rule in rules.items()} == RULES


@environments
def test_the_rule_about_functions_looks_for_their_key(env: str) -> None:
    rule = config_rules(env)["lambda-encryption"]
    policy = rule["Source"]["CustomPolicyDetails"]
    assert rule["Source"]["Owner"] == "CUSTOM_POLICY"
    assert rule["Scope"] == {"ComplianceResourceTypes": ["AWS::Lambda::Function"]}
    assert policy["PolicyRuntime"] == "guard-2.x.x"
    assert "configuration.kmsKeyArn exists" in policy["PolicyText"]
    assert {row["MessageType"] for row in rule["Source"]["SourceDetails"]} >= {"ConfigurationItemChangeNotification"}


@environments
def test_a_violation_is_told_to_the_topic(env: str) -> None:
    rule = properties(template(env), "AWS::Events::Rule")
    assert rule["Name"] == f"simple-log-service-{env}-violations"
    assert rule["EventPattern"]["source"] == ["aws.config"]
    assert rule["EventPattern"]["detail-type"] == ["Config Rules Compliance Change"]
    detail = rule["EventPattern"]["detail"]
    assert detail["newEvaluationResult"] == {"complianceType": ["NON_COMPLIANT"]}
    assert set(detail["configRuleName"]) == {f"simple-log-service-{env}-{name}" for name in RULES}
    (target,) = rule["Targets"]
    assert target["Arn"] == "{NotificationsTopic}"
    assert "RoleArn" not in target


@environments
def test_no_recorder_is_made_unasked(env: str) -> None:
    for kind in ("ConfigurationRecorder", "DeliveryChannel"):
        assert resources(template(env), f"AWS::Config::{kind}") == {}


def test_a_recorder_that_is_asked_for_records_into_a_sealed_bucket_before_any_rule() -> None:
    asked = template("dev", *WITH_RECORDER)
    recorder = properties(asked, "AWS::Config::ConfigurationRecorder")
    channel = properties(asked, "AWS::Config::DeliveryChannel")
    assert recorder["RoleARN"] == "{ComplianceRecordingRole.Arn}"
    assert {"AWS::DynamoDB::Table", "AWS::Lambda::Function", "AWS::S3::Bucket"} == set(
        recorder["RecordingGroup"]["ResourceTypes"]
    )
    assert channel["S3BucketName"] == "{ComplianceRecordingBucket}"
    assert channel["S3KmsKeyArn"] == "{EncryptionKey.Arn}"
    for rule in resources(asked, "AWS::Config::ConfigRule").values():
        assert any(name.startswith("ComplianceRecordingRecorder") for name in rule["DependsOn"])


@pytest.mark.parametrize("settings", [(), WITH_RECORDER])
def test_every_bucket_is_sealed_versioned_private_and_stays(settings: tuple[str, ...]) -> None:
    buckets = resources(template("dev", *settings), "AWS::S3::Bucket")
    assert len(buckets) == (2 if settings else 1)
    for bucket in buckets.values():
        made = bucket["Properties"]
        (rule,) = made["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": "{EncryptionKey.Arn}",
        }
        assert made["VersioningConfiguration"] == {"Status": "Enabled"}
        assert set(made["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["DeletionPolicy"] == "Retain"


@pytest.mark.parametrize(("env", "has_accesses"), [("dev", False), ("prod", True)])
def test_the_trail_has_management_events_and_in_prod_every_access_to_the_table(env: str, has_accesses: bool) -> None:
    trail = properties(template(env), "AWS::CloudTrail::Trail")
    assert trail["TrailName"] == f"simple-log-service-{env}-audit"
    assert trail["IsLogging"] is True
    assert trail["EnableLogFileValidation"] is True
    assert trail["KMSKeyId"] == "{EncryptionKey.Arn}"
    assert trail["S3BucketName"] == "{AuditBucket}"
    found = [
        {row["Field"]: row["Equals"] for row in selector["FieldSelectors"]}
        for selector in trail["AdvancedEventSelectors"]
    ]
    table = f"arn:{{Partition}}:dynamodb:{{Region}}:{{AccountId}}:table/simple-log-service-{env}-logs"
    accesses = {"eventCategory": ["Data"], "resources.type": ["AWS::DynamoDB::Table"], "resources.ARN": [table]}
    assert found == [{"eventCategory": ["Management"]}, *([accesses] if has_accesses else [])]


def test_accesses_can_be_recorded_in_dev_too() -> None:
    trail = properties(template("dev", "table_data_events=true"), "AWS::CloudTrail::Trail")
    assert len(trail["AdvancedEventSelectors"]) == 2


@environments
def test_the_table_is_backed_up_daily_into_a_sealed_vault(env: str) -> None:
    synthesized = template(env)
    vault = properties(synthesized, "AWS::Backup::BackupVault")
    (rule,) = properties(synthesized, "AWS::Backup::BackupPlan")["BackupPlan"]["BackupPlanRule"]
    selection = properties(synthesized, "AWS::Backup::BackupSelection")["BackupSelection"]
    assert vault["EncryptionKeyArn"] == "{EncryptionKey.Arn}"
    assert rule["ScheduleExpression"] == "cron(0 5 * * ? *)"
    assert rule["Lifecycle"] == {"DeleteAfterDays": 7}
    assert rule["TargetBackupVault"] == "{BackupsVault.BackupVaultName}"
    assert selection["Resources"] == [
        f"arn:{{Partition}}:dynamodb:{{Region}}:{{AccountId}}:table/simple-log-service-{env}-logs"
    ]
    assert selection["IamRoleArn"] == "{BackupsRole.Arn}"


def config_rules(env: str) -> dict[str, Any]:
    """By name without the environment's prefix."""
    found = resources(template(env), "AWS::Config::ConfigRule").values()
    prefix = f"simple-log-service-{env}-"
    return {rule["Properties"]["ConfigRuleName"].removeprefix(prefix): rule["Properties"] for rule in found}
