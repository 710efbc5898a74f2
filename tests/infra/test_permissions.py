"""Who may do what, without an account: each policy as a table of exactly these actions on exactly these resources."""

from __future__ import annotations

from typing import Any

import pytest

from support.cloudformation import properties, resources, statements
from support.synthesized import ENVIRONMENTS, template

environments = pytest.mark.parametrize("env", ENVIRONMENTS)

Row = tuple[str, tuple[str, ...], tuple[str, ...], Any]

KEY = "{EncryptionKey.Arn}"
BY_DYNAMODB = {"StringEquals": {"kms:ViaService": "dynamodb.{Region}.amazonaws.com"}}
TOKENLESS = {"Null": {"aws:TokenIssueTime": "true"}}
AWS_POLICY = "arn:{Partition}:iam::aws:policy/service-role"


def table_arn(env: str) -> str:
    return f"arn:{{Partition}}:dynamodb:{{Region}}:{{AccountId}}:table/simple-log-service-{env}-logs"


def ingest_may(env: str) -> list[Row]:
    write = ("BatchGetItem", "BatchWriteItem", "GetItem", "Query", "UpdateItem")
    seal = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo")
    return [
        ("Allow", actions("dynamodb", *write), (table_arn(env),), None),
        ("Allow", actions("kms", *seal), (KEY,), BY_DYNAMODB),
        *every_function_may(env, "ingest"),
    ]


def read_may(env: str) -> list[Row]:
    return [
        ("Allow", actions("dynamodb", "BatchGetItem", "Query"), (table_arn(env),), None),
        ("Allow", actions("dynamodb", "Query"), (f"{table_arn(env)}/index/TimestampIndex",), None),
        ("Allow", actions("kms", "Decrypt", "DescribeKey"), (KEY,), BY_DYNAMODB),
        *every_function_may(env, "read"),
    ]


def every_function_may(env: str, part: str) -> list[Row]:
    function = f"arn:{{Partition}}:lambda:{{Region}}:{{AccountId}}:function:simple-log-service-{env}-{part}"
    own_variables = {"StringEquals": {"kms:EncryptionContext:aws:lambda:FunctionArn": function}}
    group = f"{{Functions{part.title()}LogGroup.Arn}}"
    return [
        ("Allow", actions("kms", "Decrypt"), (KEY,), own_variables),
        ("Allow", actions("logs", "CreateLogStream", "PutLogEvents"), (group,), None),
        ("Allow", actions("xray", "PutTelemetryRecords", "PutTraceSegments"), ("*",), None),
    ]


def actions(service: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{service}:{name}" for name in names)


@environments
@pytest.mark.parametrize(("part", "may"), [("Ingest", ingest_may), ("Read", read_may)])
def test_a_function_may_do_exactly_this(env: str, part: str, may: Any) -> None:
    role = properties(template(env), "AWS::IAM::Role", f"Functions{part}Role")
    (policy,) = role["Policies"]
    assert statements(policy["PolicyDocument"]) == may(env)
    assert "ManagedPolicyArns" not in role
    assert assumed_by(role) == "lambda.amazonaws.com"


@environments
def test_there_are_no_other_roles_and_no_policy_is_attached_from_outside(env: str) -> None:
    synthesized = template(env)
    assert resources(synthesized, "AWS::IAM::Role").keys() == {
        "FunctionsIngestRole",
        "FunctionsReadRole",
        "BackupsRole",
    }
    assert resources(synthesized, "AWS::IAM::Policy") == {}
    assert resources(synthesized, "AWS::IAM::User") == {}
    for policy in resources(synthesized, "AWS::IAM::ManagedPolicy").values():
        assert not {"Roles", "Users", "Groups"} & policy["Properties"].keys()


@environments
def test_a_function_runs_as_its_own_role(env: str) -> None:
    for part in ("Ingest", "Read"):
        function = properties(template(env), "AWS::Lambda::Function", f"Functions{part}Function")
        assert function["Role"] == f"{{Functions{part}Role.Arn}}"


@environments
def test_backups_are_made_with_the_policy_that_aws_keeps_for_it(env: str) -> None:
    role = properties(template(env), "AWS::IAM::Role", "BackupsRole")
    assert role["ManagedPolicyArns"] == [f"{AWS_POLICY}/AWSBackupServiceRolePolicyForBackup"]
    assert "Policies" not in role
    assert assumed_by(role) == "backup.amazonaws.com"


SEND = ("POST/logs", "POST/services/*/logs")
READ = ("GET/logs/recent", "GET/services/*/logs", "GET/logs/stats")


@environments
@pytest.mark.parametrize(
    ("part", "routes"),
    [("IngestOnly", SEND), ("ReadOnly", READ), ("IngestAndRead", SEND + READ)],
)
def test_a_caller_may_call_exactly_these_routes_and_only_with_temporary_credentials(
    env: str, part: str, routes: tuple[str, ...]
) -> None:
    policy = properties(template(env), "AWS::IAM::ManagedPolicy", f"Callers{part}")
    api = f"arn:{{Partition}}:execute-api:{{Region}}:{{AccountId}}:{{ApiRest}}/{env}"
    assert statements(policy["PolicyDocument"]) == [
        ("Allow", ("execute-api:Invoke",), tuple(f"{api}/{route}" for route in routes), None),
        ("Deny", ("execute-api:Invoke",), (f"{api}/*/*",), TOKENLESS),
    ]
    hyphenated = {"IngestOnly": "ingest-only", "ReadOnly": "read-only", "IngestAndRead": "ingest-and-read"}[part]
    assert policy["ManagedPolicyName"] == f"simple-log-service-{env}-{hyphenated}-{{Region}}"


@environments
def test_the_key_serves_the_account_and_these_services_in_these_contexts(env: str) -> None:
    name, arn = f"simple-log-service-{env}", "{Region}:{AccountId}"
    logs = f"arn:{{Partition}}:logs:{arn}:log-group"
    own_groups = [f"{logs}:/aws/*/{name}-*", f"{logs}:API-Gateway-Execution-Logs_*/{env}"]
    own_topic = {"kms:EncryptionContext:aws:sns:topicArn": f"arn:{{Partition}}:sns:{arn}:{name}-alarms"}
    own_trail = {"aws:SourceArn": f"arn:{{Partition}}:cloudtrail:{arn}:trail/{name}-audit"}
    seal, publish = (
        ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*", "ReEncrypt*"),
        ("Decrypt", "GenerateDataKey*"),
    )
    assert by_principal(properties(template(env), "AWS::KMS::Key")["KeyPolicy"]) == {
        "arn:{Partition}:iam::{AccountId}:root": [("Allow", ("kms:*",), ("*",), None)],
        "logs.{Region}.amazonaws.com": [
            ("Allow", actions("kms", *seal), ("*",), {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": own_groups}})
        ],
        "cloudwatch.amazonaws.com": [("Allow", actions("kms", *publish), ("*",), {"StringEquals": own_topic})],
        "events.amazonaws.com": [("Allow", actions("kms", *publish), ("*",), {"StringEquals": own_topic})],
        "cloudtrail.amazonaws.com": [
            ("Allow", actions("kms", "DescribeKey", "GenerateDataKey*"), ("*",), {"StringEquals": own_trail})
        ],
    }


@environments
def test_only_alarms_and_events_may_publish_and_only_over_tls(env: str) -> None:
    topic = ("{NotificationsTopic}",)
    alarm = f"arn:{{Partition}}:cloudwatch:{{Region}}:{{AccountId}}:alarm:simple-log-service-{env}-*"
    own_alarm = {"ArnLike": {"aws:SourceArn": alarm}, "StringEquals": {"aws:SourceAccount": "{AccountId}"}}
    policy = properties(template(env), "AWS::SNS::TopicPolicy")
    assert policy["Topics"] == list(topic)
    assert by_principal(policy["PolicyDocument"]) == {
        "*": [("Deny", ("sns:Publish",), topic, {"Bool": {"aws:SecureTransport": "false"}})],
        "cloudwatch.amazonaws.com": [("Allow", ("sns:Publish",), topic, own_alarm)],
        "events.amazonaws.com": [("Allow", ("sns:Publish",), topic, None)],
    }


@environments
def test_only_the_trail_may_write_to_its_bucket_and_only_over_tls_1_2(env: str) -> None:
    bucket, content = "{AuditBucket.Arn}", "{AuditBucket.Arn}/*"
    trail = f"arn:{{Partition}}:cloudtrail:{{Region}}:{{AccountId}}:trail/simple-log-service-{env}-audit"
    own = {"aws:SourceAccount": "{AccountId}", "aws:SourceArn": trail}
    written = own | {"s3:x-amz-acl": "bucket-owner-full-control"}
    assert by_principal(properties(template(env), "AWS::S3::BucketPolicy")["PolicyDocument"]) == {
        "*": [
            ("Deny", ("s3:*",), (bucket, content), {"Bool": {"aws:SecureTransport": "false"}}),
            ("Deny", ("s3:*",), (bucket, content), {"NumericLessThan": {"s3:TlsVersion": 1.2}}),
        ],
        "cloudtrail.amazonaws.com": [
            ("Allow", ("s3:GetBucketAcl", "s3:ListBucket"), (bucket,), {"StringEquals": own}),
            ("Allow", ("s3:PutObject",), (f"{bucket}/trail/AWSLogs/{{AccountId}}/*",), {"StringEquals": written}),
        ],
    }


def assumed_by(role: dict[str, Any]) -> str:
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
    return str(statement["Principal"]["Service"])


def by_principal(document: dict[str, Any]) -> dict[str, list[Row]]:
    """A resource's policy: the statements about each principal."""
    found: dict[str, list[Row]] = {}
    for raw, row in zip(document["Statement"], statements(document), strict=True):
        principal = raw["Principal"]
        name = principal if isinstance(principal, str) else next(iter(principal.values()))
        found.setdefault(name, []).append(row)
    return found
