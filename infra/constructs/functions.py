"""The two Lambda functions, Ingest and Read, made alike but for what each may do.

A function's role holds exactly what is written here: the CDK may add nothing to it. ARNs are made from names, since a
role that named its function's resource would wait for the function, which waits for the role.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.log_groups import log_group
from infra.constructs.table import LogTable
from infra.package import Package
from infra.profiles import Profile
from simple_log_service.stores.dynamodb.keys import INDEX_NAME

MEMORY_MIB = 256
TIMEOUT_SECONDS = 30
INGEST_ACTIONS = (
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:GetItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
"""Reading, too: whoever finds a caller's id taken looks whether the record that holds it is there."""
READ_ACTIONS = ("dynamodb:BatchGetItem", "dynamodb:Query")
KEY_READ_ACTIONS = ("kms:Decrypt", "kms:DescribeKey")
KEY_WRITE_ACTIONS = (
    *KEY_READ_ACTIONS,
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
"""What DynamoDB does with the key for who reads, and for who writes (its Developer Guide, "Encryption at rest")."""


class Functions(Construct):
    """``ingest`` answers what writes, ``read`` what reads."""

    def __init__(self, scope: Construct, profile: Profile, table: LogTable, key: kms.IKey, package: Package) -> None:
        super().__init__(scope, "Functions")
        through = {"StringEquals": {"kms:ViaService": f"dynamodb.{cdk.Stack.of(self).region}.amazonaws.com"}}
        self.ingest = log_function(
            self,
            "ingest",
            profile,
            table,
            key,
            package,
            (allow(INGEST_ACTIONS, table.arn), allow(KEY_WRITE_ACTIONS, key.key_arn, through)),
        )
        self.read = log_function(
            self,
            "read",
            profile,
            table,
            key,
            package,
            (
                allow(READ_ACTIONS, table.arn),
                allow(("dynamodb:Query",), table.index_arn),
                allow(KEY_READ_ACTIONS, key.key_arn, through),
            ),
        )


def log_function(
    scope: Construct,
    part: str,
    profile: Profile,
    table: LogTable,
    key: kms.IKey,
    package: Package,
    may: Sequence[iam.PolicyStatement],
    folder: str = "aws",
) -> lambda_.Function:
    """The function of ``simple_log_service.{folder}.{part}``, which may do what all may, and what ``may`` says."""
    own = Construct(scope, part.title())
    name = profile.named(part)
    group = log_group(own, f"/aws/lambda/{name}", profile, key)
    function = lambda_.Function(
        own,
        "Function",
        function_name=name,
        description=f"{part.title()} of {profile.prefix}.",
        code=package.code,
        handler=f"simple_log_service.{folder}.{part}.handler",
        runtime=lambda_.Runtime(f"python{profile.python_version}", lambda_.RuntimeFamily.PYTHON),
        architecture=_ARCHITECTURES[profile.architecture],
        memory_size=MEMORY_MIB,
        timeout=cdk.Duration.seconds(TIMEOUT_SECONDS),
        tracing=lambda_.Tracing.ACTIVE,
        log_group=group,
        role=_role(own, name, key, group, may).without_policy_updates(),
        environment=_environment(profile, table),
        environment_encryption=key,
    )
    if not package.is_deployable:
        cdk.Annotations.of(function).add_warning_v2(
            f"{profile.prefix}:sources-alone", "Not deployable: the code is the bare source folder. Run `make package`."
        )
    return function


def allow(actions: Sequence[str], arn: str, conditions: Mapping[str, object] | None = None) -> iam.PolicyStatement:
    """A statement that allows these actions on this one resource."""
    return iam.PolicyStatement(actions=list(actions), resources=[arn], conditions=conditions)


def _role(
    scope: Construct, name: str, key: kms.IKey, group: logs.ILogGroup, may: Sequence[iam.PolicyStatement]
) -> iam.Role:
    stack = cdk.Stack.of(scope)
    arn = stack.format_arn(
        service="lambda", resource="function", resource_name=name, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
    )
    # Lambda seals a function's variables in the context of its ARN (Lambda Developer Guide, "Environment variables").
    own_variables = {"StringEquals": {"kms:EncryptionContext:aws:lambda:FunctionArn": arn}}
    statements = (
        *may,
        allow(("kms:Decrypt",), key.key_arn, own_variables),
        allow(("logs:CreateLogStream", "logs:PutLogEvents"), group.log_group_arn),
        # X-Ray knows no resources to name here (Service Authorization Reference, "AWS X-Ray").
        allow(("xray:PutTelemetryRecords", "xray:PutTraceSegments"), "*"),
    )
    return iam.Role(
        scope,
        "Role",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description=f"What {name} may do.",
        inline_policies={"own": iam.PolicyDocument(statements=list(statements))},
    )


def _environment(profile: Profile, table: LogTable) -> dict[str, str]:
    return {
        "SIMPLE_LOG_SERVICE_TABLE_NAME": table.name,
        "SIMPLE_LOG_SERVICE_INDEX_NAME": INDEX_NAME,
        "SIMPLE_LOG_SERVICE_RETENTION_DAYS": str(profile.retention_days),
        "SIMPLE_LOG_SERVICE_RETENTION_BY_SERVICE": json.dumps(profile.retention_by_service, sort_keys=True),
        "SIMPLE_LOG_SERVICE_RETENTION_BY_TYPE": json.dumps(profile.retention_by_type, sort_keys=True),
        "SIMPLE_LOG_SERVICE_TYPE_SHARDS": json.dumps(profile.type_shards, sort_keys=True),
        "SIMPLE_LOG_SERVICE_METRICS_NAMESPACE": profile.metrics_namespace,
    }


_ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}
