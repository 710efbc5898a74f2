"""What must be there before a deployment can succeed, asked of the account: CloudFormation would find out later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from infra.profiles import Profile

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
    if profile.restored_table is None:
        return None
    try:
        dynamodb.describe_table(TableName=profile.restored_table)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return f"There is no table {profile.restored_table} here: make restore makes one."
    return None
