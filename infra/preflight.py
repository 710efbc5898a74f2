"""What must be there before a deployment can succeed, asked of the account: CloudFormation would find out later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from infra.profiles import Profile
from infra.restore.table import describe, key_of

ClientOf = Callable[[str], Any]
"""A botocore client by the service's name."""

BOOTSTRAP_PARAMETER = "/cdk-bootstrap/hnb659fds/version"


def problems(profile: Profile, client_of: ClientOf) -> list[str]:
    """What stands in the way of deploying this profile, each with what to do; empty where nothing does.

    Raises botocore's errors where the account cannot be asked.
    """
    found = [
        _bootstrap_problem(client_of("ssm")),
        _recorder_problem(profile, client_of("config")),
        _account_role_problem(profile, client_of("apigateway")),
        _restored_table_problem(profile, client_of("dynamodb")),
    ]
    return [problem for problem in found if problem is not None]


def warnings(profile: Profile, client_of: ClientOf) -> list[str]:
    """What a deployment of this profile leaves to be done by hand, each with how. Raises as ``problems`` does."""
    if profile.restored_table is None:
        return []
    table = describe(client_of("dynamodb"), profile.restored_table)
    key = _stack_key(profile, client_of("cloudformation"))
    if table is None or (key is not None and key_of(table) == key):
        return []
    name = profile.restored_table
    warning = (
        f"The table {name} is under another key than this stack's, as one is that another stack left: the functions "
        f"cannot read it until it has this one. After the deployment: aws dynamodb update-table --table-name {name} "
        f"--sse-specification Enabled=true,SSEType=KMS,KMSMasterKeyId={key or 'KeyArn-from-the-outputs'}"
    )
    return [warning]


def _stack_key(profile: Profile, cloudformation: Any) -> str | None:
    """The ARN of the stack's key; ``None`` where there is no stack yet, which will make one."""
    try:
        (stack,) = cloudformation.describe_stacks(StackName=profile.prefix)["Stacks"]
    except ClientError as error:
        # CloudFormation's way to say that there is none.
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        return None
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    return outputs.get("KeyArn")


def _bootstrap_problem(ssm: Any) -> str | None:
    try:
        ssm.get_parameter(Name=BOOTSTRAP_PARAMETER)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        return "The CDK has no bucket and roles in this account and region yet: make bootstrap."
    return None


def _recorder_problem(profile: Profile, config: Any) -> str | None:
    """AWS Config takes rules only where it records, and has one recorder in an account and region."""
    states = config.describe_configuration_recorder_status()["ConfigurationRecordersStatus"]
    own = profile.named("recorder")
    recorders = {state["name"]: state["recording"] for state in states}
    if not recorders:
        if profile.config_recorder:
            return None
        return "AWS Config has no recorder here, and its rules need one: add -c config_recorder=true to make it."
    if own in recorders and not profile.config_recorder:
        return f"The recorder {own} would be deleted: keep -c config_recorder=true."
    if own not in recorders and profile.config_recorder:
        return f"AWS Config has the recorder {', '.join(recorders)} already: leave config_recorder out."
    if not any(recorders.values()):
        return f"AWS Config's recorder {', '.join(recorders)} is stopped: start it, or its rules look at nothing."
    return None


def _account_role_problem(profile: Profile, gateway: Any) -> str | None:
    if gateway.get_account().get("cloudwatchRoleArn") or profile.api_gateway_account_role:
        return None
    return "API Gateway has no role for logs here: add -c api_gateway_account_role=true to make it."


def _restored_table_problem(profile: Profile, dynamodb: Any) -> str | None:
    if profile.restored_table is None or describe(dynamodb, profile.restored_table) is not None:
        return None
    return f"There is no table {profile.restored_table} here: make restore makes one."
