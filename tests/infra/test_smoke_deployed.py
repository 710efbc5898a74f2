"""What stands behind the endpoint: a deployment in good order holds, each thing that can be wrong does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from infra.profiles import DEV
from infra.smoke import __main__ as smoke
from infra.smoke.deployed_api import API_CHECKS
from infra.smoke.deployed_table import TABLE_CHECKS
from infra.smoke.deployed_watch import WATCH_CHECKS
from infra.smoke.drill import DRILL_CHECKS
from infra.smoke.findings import Finding, Outcome, run_checks
from infra.smoke.scene import Scene
from infra.smoke.stack import NoStack
from simple_log_service.api.signer import Credentials
from simple_log_service.client.endpoint import Endpoint
from support.canned_aws import Failure
from support.described import DescribedStack, healthy
from support.recoverable import SOURCE, recoverable

DEPLOYED_CHECKS = (*API_CHECKS, *TABLE_CHECKS, *WATCH_CHECKS)


def looked_at(answers: dict[str, Any], *names: str, **settings: Any) -> list[Finding]:
    scene = Scene(
        Endpoint.parse("https://api.example/dev"),
        "eu-west-1",
        {"caller": Credentials("ASIAEXAMPLE", "secret", "token")},
        stack=DescribedStack(answers),
        settle_seconds=0,
        **settings,
    )
    checks = [check for check in DEPLOYED_CHECKS if not names or check.name in names]
    return list(run_checks(checks, scene, scene.redact))


def test_a_deployment_in_good_order_holds() -> None:
    findings = looked_at(healthy())
    assert len(findings) == len(DEPLOYED_CHECKS)
    assert [each for each in findings if each.outcome is not Outcome.HELD] == []


def put(operation: str, *path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(answers: dict[str, Any]) -> None:
        if not path:
            answers[operation] = value
            return
        owner = answers[operation]
        for step in path[:-1]:
            owner = owner[step]
        owner[path[-1]] = value

    return change


TABLE, INDEX = ("dynamodb.DescribeTable", "Table"), ("GlobalSecondaryIndexes", 0)
RECOVERY = ("dynamodb.DescribeContinuousBackups", "ContinuousBackupsDescription", "PointInTimeRecoveryDescription")
TARGETS = "application-autoscaling.DescribeScalableTargets"
COMPLIANCE = ("config.DescribeComplianceByConfigRule", "ComplianceByConfigRules", 0, "Compliance", "ComplianceType")
EVERY_METHOD = ("apigateway.GetStage", "methodSettings", "*/*")
BROKEN: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "an edge endpoint": (put("apigateway.GetRestApi", "endpointConfiguration", value={"types": ["EDGE"]}), "api"),
    "old TLS": (put("apigateway.GetRestApi", "securityPolicy", value="TLS_1_0"), "api"),
    "any TLS": (put("apigateway.GetRestApi", "securityPolicy", value=""), "api"),
    "bodies as text": (put("apigateway.GetRestApi", "binaryMediaTypes", value=[]), "api"),
    "packing": (put("apigateway.GetRestApi", "minimumCompressionSize", value=0), "api"),
    "another rate": (put(*EVERY_METHOD, "throttlingRateLimit", value=100.0), "throttle"),
    "another burst": (put(*EVERY_METHOD, "throttlingBurstLimit", value=100), "throttle"),
    "a small account": (
        put("apigateway.GetAccount", "throttleSettings", value={"rateLimit": 100.0, "burstLimit": 50}), "throttle",
    ),
    "a small burst of the account": (
        put("apigateway.GetAccount", "throttleSettings", value={"rateLimit": 20_000.0, "burstLimit": 50}), "throttle",
    ),
    "no access log": (put("apigateway.GetStage", "accessLogSettings", value={}), "stage"),
    "a stage that is not traced": (put("apigateway.GetStage", "tracingEnabled", value=False), "stage"),
    "whole requests in the log": (put(*EVERY_METHOD, "dataTraceEnabled", value=True), "stage"),
    "a table that is being deleted": (put(*TABLE, "TableStatus", value="DELETING"), "keys_and_index"),
    "no index": (put(*TABLE, "GlobalSecondaryIndexes", value=[]), "keys_and_index"),
    "an index of keys": (put(*TABLE, *INDEX, "Projection", value={"ProjectionType": "KEYS_ONLY"}), "keys_and_index"),
    "an index short of capacity": (
        put(*TABLE, *INDEX, "ProvisionedThroughput", value={"ReadCapacityUnits": 5, "WriteCapacityUnits": 4}),
        "keys_and_index",
    ),
    "on demand": (put(*TABLE, "BillingModeSummary", value={"BillingMode": "PAY_PER_REQUEST"}), "keys_and_index"),
    "no encryption with a key": (put(*TABLE, "SSEDescription", value={}), "encryption"),
    "another stack's key": (
        put(*TABLE, "SSEDescription", "KMSMasterKeyArn", value="arn:aws:kms:eu-west-1:123456789012:key/other"),
        "encryption",
    ),
    "AWS's own key": (put("kms.DescribeKey", "KeyMetadata", "KeyManager", value="AWS"), "encryption"),
    "a key that is going": (put("kms.DescribeKey", "KeyMetadata", "KeyState", value="PendingDeletion"), "encryption"),
    "no rotation": (put("kms.GetKeyRotationStatus", "KeyRotationEnabled", value=False), "encryption"),
    "slow rotation": (put("kms.GetKeyRotationStatus", "RotationPeriodInDays", value=2560), "encryption"),
    "no time to live": (
        put("dynamodb.DescribeTimeToLive", "TimeToLiveDescription", value={"TimeToLiveStatus": "DISABLED"}),
        "time_to_live",
    ),
    "another attribute": (
        put("dynamodb.DescribeTimeToLive", "TimeToLiveDescription", "AttributeName", value="ttl"), "time_to_live",
    ),
    "no recovery": (put(*RECOVERY, "PointInTimeRecoveryStatus", value="DISABLED"), "point_in_time_recovery"),
    "a short recovery": (put(*RECOVERY, "RecoveryPeriodInDays", value=7), "point_in_time_recovery"),
    "no protection": (put(*TABLE, "DeletionProtectionEnabled", value=False), "deletion_protection"),
    "no scaling": (put(TARGETS, "ScalableTargets", value=[]), "autoscaling"),
    "another bound": (put(TARGETS, "ScalableTargets", 3, "MaxCapacity", value=40), "autoscaling"),
    "no scaling policy": (
        put("application-autoscaling.DescribeScalingPolicies", value={"ScalingPolicies": []}), "autoscaling",
    ),
    "clear variables": (put("lambda.GetFunctionConfiguration", "KMSKeyArn", value=""), "functions"),
    "a function that failed": (put("lambda.GetFunctionConfiguration", "State", value="Failed"), "functions"),
    "no tracing": (
        put("lambda.GetFunctionConfiguration", "TracingConfig", value={"Mode": "PassThrough"}), "functions",
    ),
    "clear log groups": (put("logs.DescribeLogGroups", value={"logGroups": []}), "log_groups"),
    "no metrics": (put("cloudwatch.GetMetricStatistics", value={"Datapoints": []}), "metrics"),
    "no alarms": (put("cloudwatch.DescribeAlarms", value={"MetricAlarms": []}), "alarms"),
    "an alarm that is off": (
        put("cloudwatch.DescribeAlarms", "MetricAlarms", 1, "ActionsEnabled", value=False), "alarms",
    ),
    "an alarm that tells nobody": (
        put("cloudwatch.DescribeAlarms", "MetricAlarms", 2, "AlarmActions", value=[]), "alarms",
    ),
    "another threshold": (put("cloudwatch.DescribeAlarms", "MetricAlarms", 0, "Threshold", value=6.0), "alarms"),
    "a clear topic": (put("sns.GetTopicAttributes", "Attributes", value={}), "topics"),
    "no dashboard": (put("cloudwatch.GetDashboard", value=Failure("ResourceNotFound")), "dashboard"),
    "no recorder": (
        put("config.DescribeConfigurationRecorderStatus", "ConfigurationRecordersStatus", value=[]), "config_rules",
    ),
    "a violation": (put(*COMPLIANCE, value="NON_COMPLIANT"), "config_rules"),
    "a rule that is going": (
        put("config.DescribeConfigRules", "ConfigRules", 0, "ConfigRuleState", value="DELETING"), "config_rules",
    ),
    "a trail that stopped": (put("cloudtrail.GetTrailStatus", value={"IsLogging": False}), "audit_trail"),
    "a trail that cannot write": (
        put("cloudtrail.GetTrailStatus", "LatestDeliveryError", value="AccessDenied"), "audit_trail",
    ),
    "a bucket without versions": (put("s3.GetBucketVersioning", value={}), "buckets"),
    "an open bucket": (
        put("s3.GetPublicAccessBlock", "PublicAccessBlockConfiguration", "BlockPublicPolicy", value=False), "buckets",
    ),
    "a plan without rules": (put("backup.GetBackupPlan", "BackupPlan", "Rules", value=[]), "backups"),
    "a vault without a key": (put("backup.DescribeBackupVault", value={}), "backups"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_does_not_hold(name: str) -> None:
    change, noticed_by = BROKEN[name]
    answers = healthy()
    change(answers)
    (found,) = looked_at(answers, noticed_by)
    assert found.outcome is Outcome.NOT_HELD, found


def test_every_check_of_the_deployment_is_seen_to_fail() -> None:
    assert {noticed_by for _, noticed_by in BROKEN.values()} == {check.name for check in DEPLOYED_CHECKS}


def test_what_one_may_not_look_at_is_not_tested() -> None:
    (found,) = looked_at(healthy() | {"cloudtrail.GetTrailStatus": Failure("AccessDeniedException")}, "audit_trail")
    assert (found.outcome, found.seen) == (Outcome.NOT_TESTED, "you may not call GetTrailStatus")


def test_an_answer_of_another_form_is_a_finding_and_not_the_end() -> None:
    findings = looked_at(healthy() | {"sns.GetTopicAttributes": {}}, "topics", "dashboard")
    assert [each.outcome for each in findings] == [Outcome.NOT_HELD, Outcome.HELD]
    assert findings[0].seen == "an answer of another form: KeyError: 'Attributes'"


def test_a_stack_without_a_part_is_told() -> None:
    answers = healthy()
    answers["cloudformation.ListStackResources"]["StackResourceSummaries"] = []
    parts = {check.name for check in WATCH_CHECKS} - {"metrics"}
    findings = looked_at(answers, *parts)
    assert {each.outcome for each in findings} == {Outcome.NOT_HELD}
    assert all("the stack has no" in each.seen for each in findings)


# --- The stack. ---


def test_a_stack_that_is_not_there_is_told_with_what_to_do() -> None:
    stack = DescribedStack(healthy() | {"cloudformation.DescribeStacks": Failure("ValidationError")})
    with pytest.raises(NoStack, match="make deploy ENV=dev"):
        _ = stack.outputs


def test_outputs_say_where_the_api_is_and_what_callers_may() -> None:
    stack = DescribedStack(healthy())
    assert (stack.endpoint, stack.table) == ("https://api.example/dev", SOURCE)
    assert stack.caller_policies["ingest_only"].endswith("/ingest-only")
    assert stack.caller_policies["read_only"].endswith("/read-only")


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "UPDATE_IN_PROGRESS", "DELETE_COMPLETE"])
def test_a_stack_that_is_not_settled_is_told(status: str) -> None:
    answers = healthy()
    answers["cloudformation.DescribeStacks"]["Stacks"][0]["StackStatus"] = status
    with pytest.raises(NoStack, match=status):
        _ = DescribedStack(answers).outputs


def test_without_a_stack_nothing_behind_the_endpoint_is_tested() -> None:
    scene = Scene(Endpoint.parse("http://127.0.0.1:1"), "us-east-1", {})
    findings = run_checks((*DEPLOYED_CHECKS, *DRILL_CHECKS), scene, str)
    assert {each.outcome for each in findings} == {Outcome.NOT_TESTED}


# --- The command, with a stack. ---


def typed(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], *arguments: str) -> Result:
    keys = {"caller": Credentials("ASIAEXAMPLE", "secret", "token")}
    monkeypatch.setattr(smoke, "Stack", lambda _session, _region, profile: DescribedStack(answers, profile))
    monkeypatch.setattr(smoke, "gather", lambda *_: keys)
    return CliRunner().invoke(smoke.main, ["--env", "dev", *arguments])


def test_the_command_looks_behind_the_endpoint_of_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    result = typed(monkeypatch, healthy(), "--group", "api", "--group", "table")
    assert result.exit_code == 0, result.output
    assert "Smoke test of https://api.example/dev" in result.output
    assert "9 held, 0 did not hold, 0 not tested; 0 requests sent." in result.output


def test_what_is_wrong_behind_it_is_shown_with_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = healthy()
    answers["dynamodb.DescribeTable"]["Table"]["DeletionProtectionEnabled"] = False
    result = typed(monkeypatch, answers, "--group", "table")
    assert result.exit_code == smoke.EXIT_NOT_HELD
    assert "table deletion_protection: The table is protected from deletion" in result.output
    assert "protection is False" in result.output


def test_an_environment_that_is_not_deployed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = healthy() | {"cloudformation.DescribeStacks": Failure("ValidationError")}
    result = typed(monkeypatch, answers)
    assert (result.exit_code, result.output.count("\n")) == (smoke.EXIT_NOT_RUN, 1)
    assert "There is no stack simple-log-service-dev" in result.output


# --- The drill. ---


def drill(dynamodb: Any, *, may_restore: bool) -> Finding:
    stack = DescribedStack(healthy())
    stack.clients["dynamodb"] = dynamodb
    scene = Scene(Endpoint.parse("http://127.0.0.1:1"), "us-east-1", {}, stack=stack, may_restore=may_restore)
    (found,) = run_checks(DRILL_CHECKS, scene, str)
    return found


def test_the_drill_restores_proves_and_leaves_nothing() -> None:
    with recoverable() as dynamodb:
        found = drill(dynamodb, may_restore=True)
        assert found.outcome is Outcome.HELD, found
        assert dynamodb.list_tables()["TableNames"] == [SOURCE]
        assert dynamodb.calls["restore_table_to_point_in_time"] == 1


def test_the_drill_waits_to_be_asked_for() -> None:
    with recoverable() as dynamodb:
        assert drill(dynamodb, may_restore=False).outcome is Outcome.NOT_TESTED
        assert dynamodb.calls["restore_table_to_point_in_time"] == 0


def test_a_drill_without_recovery_does_not_hold() -> None:
    with recoverable() as dynamodb:
        off = {"PointInTimeRecoveryEnabled": False}
        dynamodb.update_continuous_backups(TableName=SOURCE, PointInTimeRecoverySpecification=off)
        assert drill(dynamodb, may_restore=True).outcome is Outcome.NOT_HELD


def test_the_table_that_is_restored_here_is_named_as_devs_is() -> None:
    assert DEV.named("logs") == SOURCE
