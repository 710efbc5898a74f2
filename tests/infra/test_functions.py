"""The two functions and their log groups."""

from __future__ import annotations

import pytest

from simple_log_service.aws.settings import Settings, read_settings
from simple_log_service.core.retention import Retention
from support.cloudformation import properties, resources
from support.synthesized import ENVIRONMENTS, template

environments = pytest.mark.parametrize("env", ENVIRONMENTS)
functions = pytest.mark.parametrize("part", ["Ingest", "Read"])


@environments
@functions
def test_a_function_has_the_required_size_and_time(env: str, part: str) -> None:
    function = properties(template(env), "AWS::Lambda::Function", f"Functions{part}Function")
    assert function["FunctionName"] == f"simple-log-service-{env}-{part.lower()}"
    assert function["Handler"] == f"simple_log_service.aws.{part.lower()}.handler"
    assert function["Runtime"] == "python3.11"
    assert function["Architectures"] == ["arm64"]
    assert function["MemorySize"] == 256
    assert function["Timeout"] == 30
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert "ReservedConcurrentExecutions" not in function
    assert "Layers" not in function


@environments
@functions
def test_a_functions_environment_is_sealed_and_is_one_that_it_understands(env: str, part: str) -> None:
    function = properties(template(env), "AWS::Lambda::Function", f"Functions{part}Function")
    assert function["KmsKeyArn"] == "{EncryptionKey.Arn}"
    settings = read_settings(function["Environment"]["Variables"] | {"AWS_REGION": "eu-central-1"}, Settings)
    assert settings.table_name == f"simple-log-service-{env}-logs"
    assert settings.index_name == "TimestampIndex"
    assert settings.retention == Retention(30)
    assert settings.type_shards == {}
    assert settings.metrics_namespace == f"SimpleLogService/{env}"


@environments
@functions
def test_a_function_writes_to_a_group_of_its_own(env: str, part: str) -> None:
    function = properties(template(env), "AWS::Lambda::Function", f"Functions{part}Function")
    group = properties(template(env), "AWS::Logs::LogGroup", f"Functions{part}LogGroup")
    assert function["LoggingConfig"] == {"LogGroup": f"{{Functions{part}LogGroup}}"}
    assert group["LogGroupName"] == f"/aws/lambda/simple-log-service-{env}-{part.lower()}"


@environments
def test_every_log_group_is_sealed_and_kept_for_7_days(env: str) -> None:
    groups = resources(template(env), "AWS::Logs::LogGroup")
    assert len(groups) == 4
    for group in groups.values():
        assert group["Properties"]["RetentionInDays"] == 7
        assert group["Properties"]["KmsKeyId"] == "{EncryptionKey.Arn}"
        assert group["DeletionPolicy"] == "Delete"


def test_settings_of_the_profile_reach_the_functions() -> None:
    changed = template(
        "dev",
        "retention_days=90",
        'retention_by_service={"debug-app": 3}',
        'retention_by_type={"audit": 365}',
        'type_shards={"application": 4}',
        "python_version=3.12",
        "architecture=x86_64",
        "log_retention_days=14",
    )
    for part in ("Ingest", "Read"):
        function = properties(changed, "AWS::Lambda::Function", f"Functions{part}Function")
        settings = read_settings(function["Environment"]["Variables"] | {"AWS_REGION": "eu-central-1"}, Settings)
        assert settings.retention == Retention(90, {"debug-app": 3}, {"audit": 365})
        assert settings.type_shards == {"application": 4}
        assert (function["Runtime"], function["Architectures"]) == ("python3.12", ["x86_64"])
        assert properties(changed, "AWS::Logs::LogGroup", f"Functions{part}LogGroup")["RetentionInDays"] == 14
