"""What watches the deployment, as it is deployed: log groups, metrics, alarms, Config, CloudTrail, backups."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.smoke.findings import Check, NotTested, checks_of, expect
from infra.smoke.scene import Scene
from simple_log_service.core.alarms import ALARMS, Figure
from simple_log_service.core.signals import RECORDS_ACCEPTED

_METRIC_POLL_SECONDS = 10.0
_MILLISECONDS = 1000
"""CloudWatch's unit of duration, where ours is the second."""


def _resources(scene: Scene, kind: str, what: str) -> list[str]:
    found = scene.stack.resources(kind)
    expect(found, f"the stack has no {what}")
    return found


def _optional(scene: Scene, kind: str, why: str) -> list[str]:
    found = scene.stack.resources(kind)
    if not found:
        raise NotTested(why)
    return found


def _own_functions(scene: Scene) -> list[str]:
    """The service's own: the CDK adds functions that run during a deploy alone."""
    names = _resources(scene, "AWS::Lambda::Function", "functions")
    return [name for name in names if name.startswith(scene.stack.profile.prefix)]


def functions(scene: Scene) -> str:
    """The functions are active, traced, and their variables are encrypted with the stack's key."""
    names = _own_functions(scene)
    for name in names:
        found = scene.stack.client("lambda").get_function_configuration(FunctionName=name)
        expect(found["State"] == "Active", f"{name}: {found['State']}")
        expect(found.get("KMSKeyArn"), f"{name}: its variables are not encrypted with a key of yours")
        expect(found["TracingConfig"]["Mode"] == "Active", f"{name}: tracing is {found['TracingConfig']['Mode']}")
    return ", ".join(names)


def log_groups(scene: Scene) -> str:
    """Every log group is encrypted with a key of the account's own, and forgets after the profile's days."""
    names = _resources(scene, "AWS::Logs::LogGroup", "log groups")
    days = scene.stack.profile.log_retention_days
    logs = scene.stack.client("logs")
    for name in names:
        found = {each["logGroupName"]: each for each in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]}
        group = found.get(name, {})
        expect(group.get("kmsKeyId"), f"{name} is not encrypted with a key of yours")
        expect(group.get("retentionInDays") == days, f"{name} keeps {group.get('retentionInDays')} days")
    return ", ".join(names)


def metrics(scene: Scene) -> str:
    """The functions' log lines become metrics: the records of this run are counted."""
    stack = scene.stack
    namespace = stack.profile.metrics_namespace
    deadline = time.monotonic() + scene.settle_seconds
    while True:
        points = stack.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=RECORDS_ACCEPTED.name,
            StartTime=scene.began - timedelta(minutes=1),
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        if points:
            return f"{namespace}: {sum(point['Sum'] for point in points):,.0f} records accepted"
        expect(
            time.monotonic() < deadline, f"no {RECORDS_ACCEPTED.name} in {namespace} after {scene.settle_seconds:.0f} s"
        )
        time.sleep(_METRIC_POLL_SECONDS)


def alarms(scene: Scene) -> str:
    """Every alarm is there, with its threshold, is on, and tells the topic."""
    names = _resources(scene, "AWS::CloudWatch::Alarm", "alarms")
    found: dict[str, dict[str, Any]] = {}
    for some in _by_hundred(names):
        answer = scene.stack.client("cloudwatch").describe_alarms(AlarmNames=some)
        found |= {each["AlarmName"]: each for each in (*answer["MetricAlarms"], *answer.get("CompositeAlarms", []))}
    expect(found.keys() == set(names), f"missing: {sorted(set(names) - found.keys())}")
    for rule in ALARMS:
        alarm = found.get(scene.stack.profile.named(rule.name), {})
        threshold = rule.threshold * (_MILLISECONDS if rule.figure is Figure.HANDLER_SECONDS else 1)
        expect(alarm.get("Threshold") == threshold, f"{rule.name}: {alarm.get('Threshold')} instead of {threshold}")
    topics = set(scene.stack.resources("AWS::SNS::Topic"))
    for name, alarm in found.items():
        expect(alarm["ActionsEnabled"] and set(alarm["AlarmActions"]) & topics, f"{name} tells nobody of the stack's")
    states = sorted({f"{each['StateValue']}: {name}" for name, each in found.items() if each["StateValue"] == "ALARM"})
    return f"{len(names)} alarms" + (f", of which now in alarm: {', '.join(states)}" if states else ", none in alarm")


def topics(scene: Scene) -> str:
    """Topics are encrypted with a key of the account's own."""
    for arn in _resources(scene, "AWS::SNS::Topic", "topic"):
        attributes = scene.stack.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
        expect(attributes.get("KmsMasterKeyId"), f"{arn} is not encrypted")
        waiting = attributes.get("SubscriptionsPending", "0")
        if waiting != "0":
            return f"encrypted; {waiting} subscriptions wait to be confirmed by e-mail"
    return "encrypted"


def dashboard(scene: Scene) -> str:
    """The dashboard is there."""
    for name in _resources(scene, "AWS::CloudWatch::Dashboard", "dashboard"):
        scene.stack.client("cloudwatch").get_dashboard(DashboardName=name)
    return ", ".join(scene.stack.resources("AWS::CloudWatch::Dashboard"))


def config_rules(scene: Scene) -> str:
    """Config's rules are active, a recorder feeds them, and none finds anything non-compliant."""
    names = _resources(scene, "AWS::Config::ConfigRule", "Config rules")
    config = scene.stack.client("config")
    recorders = config.describe_configuration_recorder_status()["ConfigurationRecordersStatus"]
    expect(any(each["recording"] for each in recorders), "no recorder is recording: the rules are never evaluated")
    rules = config.describe_config_rules(ConfigRuleNames=names)["ConfigRules"]
    states = {each["ConfigRuleName"]: each["ConfigRuleState"] for each in rules}
    expect(set(states.values()) == {"ACTIVE"} and len(states) == len(names), states)
    answer = config.describe_compliance_by_config_rule(ConfigRuleNames=names)["ComplianceByConfigRules"]
    found = {each["ConfigRuleName"]: each["Compliance"]["ComplianceType"] for each in answer}
    expect("NON_COMPLIANT" not in found.values(), found)
    return ", ".join(f"{name}: {kind}" for name, kind in sorted(found.items()))


def audit_trail(scene: Scene) -> str:
    """CloudTrail is logging."""
    for name in _resources(scene, "AWS::CloudTrail::Trail", "trail"):
        status = scene.stack.client("cloudtrail").get_trail_status(Name=name)
        expect(status["IsLogging"], f"{name} is not logging")
        expect(not status.get("LatestDeliveryError"), f"{name}: {status.get('LatestDeliveryError')}")
    return ", ".join(scene.stack.resources("AWS::CloudTrail::Trail"))


def buckets(scene: Scene) -> str:
    """Every bucket is encrypted, versioned and closed to the public."""
    names = _resources(scene, "AWS::S3::Bucket", "buckets")
    s3 = scene.stack.client("s3")
    for name in names:
        rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
        used = [each["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for each in rules]
        expect(used == ["aws:kms"], f"{name} is encrypted with {used}")
        expect(s3.get_bucket_versioning(Bucket=name).get("Status") == "Enabled", f"{name} keeps no versions")
        closed = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        expect(all(closed.values()), f"{name}: {closed}")
    return ", ".join(names)


def backups(scene: Scene) -> str:
    """AWS Backup has a plan with rules, in a vault with a key."""
    backup = scene.stack.client("backup")
    plans = _resources(scene, "AWS::Backup::BackupPlan", "backup plan")
    rules = [rule for each in plans for rule in backup.get_backup_plan(BackupPlanId=each)["BackupPlan"]["Rules"]]
    expect(rules, "the plan has no rule")
    for name in _optional(scene, "AWS::Backup::BackupVault", "the plan uses a vault from elsewhere"):
        vault = backup.describe_backup_vault(BackupVaultName=name)
        expect(vault.get("EncryptionKeyArn"), f"{name} has no key")
    return f"{len(rules)} rules"


def _by_hundred(names: list[str]) -> Iterable[list[str]]:
    return (names[start : start + 100] for start in range(0, len(names), 100))


WATCH_CHECKS: tuple[Check[Scene], ...] = checks_of(
    "watch",
    functions,
    log_groups,
    alarms,
    topics,
    dashboard,
    config_rules,
    audit_trail,
    buckets,
    backups,
    metrics,
)
