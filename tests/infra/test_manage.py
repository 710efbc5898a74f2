"""Bootstrap, deploy and destroy, before an account that is scripted answer by answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber
from click.testing import CliRunner, Result

from infra import cdk_cli
from infra.manage import Tools, main, own_clients
from infra.profiles import Profile

OUTPUTS = {
    "Endpoint": "https://abc123.execute-api.eu-central-1.amazonaws.com/dev",
    "Region": "eu-central-1",
    "TableName": "simple-log-service-dev-logs",
}
KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"
ROLE = "arn:aws:iam::123456789012:role/gateway-logs"
SESSION = botocore.session.Session()
RECORDING = [{"name": "default", "recording": True}]


class Account:
    """Answers what a deployment asks; botocore itself checks that questions and answers are well formed."""

    def __init__(self, region: str = "eu-central-1") -> None:
        self.region = region
        self.is_bootstrapped = True
        self.recorders: list[dict[str, Any]] = RECORDING
        self.account_role: str | None = ROLE
        self.tables: set[str] = set()
        self.table_key: str | None = KEY
        self.stack_key: str | None = KEY
        self.refuses: str | None = None

    def client_of(self, service: str) -> Any:
        client = SESSION.create_client(
            service, region_name=self.region, aws_access_key_id="ASIATEST", aws_secret_access_key="none"
        )
        stub = Stubber(client)
        if service == self.refuses:
            operation = {"ssm": "get_parameter", "sts": "get_caller_identity"}[service]
            stub.add_client_error(operation, "AccessDeniedException", "not allowed")
        else:
            getattr(self, f"_{service}")(stub)
        stub.activate()
        return client

    def _sts(self, stub: Stubber) -> None:
        stub.add_response("get_caller_identity", {"Account": "123456789012"})

    def _ssm(self, stub: Stubber) -> None:
        if self.is_bootstrapped:
            stub.add_response("get_parameter", {"Parameter": {"Value": "30"}})
        else:
            stub.add_client_error("get_parameter", "ParameterNotFound")

    def _config(self, stub: Stubber) -> None:
        stub.add_response("describe_configuration_recorder_status", {"ConfigurationRecordersStatus": self.recorders})

    def _apigateway(self, stub: Stubber) -> None:
        stub.add_response("get_account", {"cloudwatchRoleArn": self.account_role} if self.account_role else {})

    def _dynamodb(self, stub: Stubber) -> None:
        if self.tables:
            sealed = {"SSEDescription": {"KMSMasterKeyArn": self.table_key}} if self.table_key else {}
            stub.add_response("describe_table", {"Table": {"TableName": next(iter(self.tables)), **sealed}})
        else:
            stub.add_client_error("describe_table", "ResourceNotFoundException")

    def _cloudformation(self, stub: Stubber) -> None:
        if self.stack_key is None:
            stub.add_client_error("describe_stacks", "ValidationError")
            return
        stack = {
            "StackName": "simple-log-service-dev",
            "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
            "StackStatus": "CREATE_COMPLETE",
            "Outputs": [{"OutputKey": "KeyArn", "OutputValue": self.stack_key}],
        }
        stub.add_response("describe_stacks", {"Stacks": [stack]})


class Bench:
    """The commands, with all that they start recorded in order instead."""

    def __init__(self, output: Path) -> None:
        self.account = Account()
        self.output = output
        self.started: list[list[str]] = []
        self.failing: str | None = None

    def run_cdk(self, arguments: Sequence[str]) -> int:
        self.started.append(["cdk", *arguments])
        if "--outputs-file" in arguments:
            Path(arguments[-1]).write_text(json.dumps({"simple-log-service-dev": OUTPUTS}))
        return 7 if arguments[0] == self.failing else 0

    def build_package(self, profile: Profile) -> int:
        self.started.append(["package", profile.architecture, profile.python_version])
        return 7 if self.failing == "package" else 0

    def synthesize(self, environment: str, context: Sequence[str], assembly: Path) -> int:
        self.started.append(["synthesize", environment, *context])
        return 7 if self.failing == "synthesize" else 0

    def run(self, *arguments: str, answer: str = "") -> Result:
        tools = Tools(self.run_cdk, self.build_package, self.synthesize, self.account.client_of, self.output)
        return CliRunner().invoke(main, arguments, obj=tools, input=answer)

    @property
    def names(self) -> list[str]:
        return [command[1] if command[0] == "cdk" else command[0] for command in self.started]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_deployment_shows_the_difference_asks_and_deploys_what_was_checked(bench: Bench) -> None:
    done = bench.run("deploy", "--env", "dev", "-c", "alarm_email=ops@example.com", answer="y\n")
    assert done.exit_code == 0, done.output
    assembly = str(bench.output / "dev")
    assert bench.started[:3] == [
        ["package", "arm64", "3.11"],
        ["synthesize", "dev", "alarm_email=ops@example.com"],
        ["cdk", "diff", "--all", "--app", assembly],
    ]
    assert bench.started[3][:5] == ["cdk", "deploy", "--all", "--app", assembly]


def test_a_deployment_ends_with_what_a_client_needs(bench: Bench) -> None:
    done = bench.run("deploy", "--env", "dev", answer="y\n")
    settings = bench.output / "dev.env"
    assert settings.read_text().splitlines() == [
        f"export SIMPLE_LOG_SERVICE_ENDPOINT={OUTPUTS['Endpoint']}",
        "export AWS_REGION=eu-central-1",
    ]
    assert done.output.endswith(f"For clients in this shell: . {settings}\n")
    assert f"Endpoint {OUTPUTS['Endpoint']}" in done.output


def test_without_a_yes_nothing_is_deployed(bench: Bench) -> None:
    for answer in ("", "\n", "n\n"):
        assert bench.run("deploy", "--env", "dev", answer=answer).exit_code == 1
    assert set(bench.names) == {"package", "synthesize", "diff"}


@pytest.mark.parametrize("step", ["package", "synthesize", "diff", "deploy"])
def test_what_fails_ends_the_deployment_with_its_exit_code(bench: Bench, step: str) -> None:
    bench.failing = step
    assert bench.run("deploy", "--env", "dev", answer="y\n").exit_code == 7
    assert bench.names[-1] == step


def test_a_missing_recorder_is_noticed_before_anything_is_begun(bench: Bench) -> None:
    bench.account.recorders = []
    done = bench.run("deploy", "--env", "dev", answer="y\n")
    assert done.exit_code == 1
    assert "AWS Config has no recorder here" in done.output
    assert "-c config_recorder=true" in done.output
    assert bench.started == []


@pytest.mark.parametrize(
    ("recorders", "asked", "said"),
    [
        ([], True, None),
        (RECORDING, False, None),
        (RECORDING, True, "the recorder default already"),
        ([{"name": "default", "recording": False}], False, "default is stopped"),
        ([{"name": "simple-log-service-dev-recorder", "recording": True}], True, None),
        ([{"name": "simple-log-service-dev-recorder", "recording": True}], False, "would be deleted"),
    ],
)
def test_a_recorder_is_made_where_there_is_none_and_kept_where_it_is_ours(
    bench: Bench, recorders: list[dict[str, Any]], asked: bool, said: str | None
) -> None:
    bench.account.recorders = recorders
    done = bench.run("deploy", "--env", "dev", "-c", f"config_recorder={str(asked).lower()}", answer="y\n")
    if said is None:
        assert done.exit_code == 0, done.output
    else:
        assert said in done.output
        assert bench.started == []


def test_everything_that_stands_in_the_way_is_said_at_once(bench: Bench) -> None:
    bench.account.recorders, bench.account.account_role, bench.account.is_bootstrapped = [], None, False
    done = bench.run("deploy", "--env", "dev", "-c", "restored_table=simple-log-service-dev-logs-restored")
    for said in ("make bootstrap", "config_recorder=true", "api_gateway_account_role=true", "There is no table"):
        assert said in done.output
    assert bench.started == []


def test_an_account_role_that_is_asked_for_need_not_be_there(bench: Bench) -> None:
    bench.account.account_role = None
    assert bench.run("deploy", "--env", "dev", "-c", "api_gateway_account_role=true", answer="y\n").exit_code == 0


@pytest.mark.parametrize(
    ("table_key", "stack_key", "wanted"),
    [
        (KEY, KEY, None),
        (KEY.replace("1", "2"), KEY, KEY),
        (None, KEY, KEY),
        (KEY, None, "KeyArn-from-the-outputs"),
    ],
    ids=["the stack's key", "another key", "DynamoDB's own key", "no stack yet"],
)
def test_a_restored_table_is_taken_with_a_warning_where_the_functions_could_not_read_it(
    bench: Bench, table_key: str | None, stack_key: str | None, wanted: str | None
) -> None:
    table = "simple-log-service-dev-logs-restored"
    bench.account.tables, bench.account.table_key, bench.account.stack_key = {table}, table_key, stack_key
    done = bench.run("deploy", "--env", "dev", "-c", f"restored_table={table}", answer="y\n")
    assert done.exit_code == 0, done.output
    assert ("under another key" in done.output) == (wanted is not None)
    if wanted is not None:
        warning = done.output.partition("Deploy simple-log-service-dev?")[0]
        assert f"--table-name {table} --sse-specification Enabled=true,SSEType=KMS,KMSMasterKeyId={wanted}\n" in warning


def test_an_account_that_refuses_to_answer_is_told_in_one_line(bench: Bench) -> None:
    bench.account.refuses = "ssm"
    done = bench.run("deploy", "--env", "dev")
    assert done.exit_code == 1
    assert "The account could not be asked" in done.output
    assert "not allowed" in done.output


def test_missing_credentials_are_told_in_one_line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(service: str) -> Any:
        raise NoCredentialsError

    monkeypatch.setattr(bench.account, "client_of", without)
    done = bench.run("deploy", "--env", "dev")
    assert done.exit_code == 1
    assert "Unable to locate credentials" in done.output


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_is_taken_from_either_variable(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "eu-north-1")
    assert own_clients()("sts").meta.region_name == "eu-north-1"


@pytest.mark.parametrize("arguments", [("bootstrap",), ("deploy", "--env", "dev")], ids=["bootstrap", "deploy"])
def test_without_a_region_the_message_says_to_set_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(bench.account, "client_of", own_clients())
    done = bench.run(*arguments)
    assert done.exit_code == 1
    assert "set AWS_REGION" in done.output
    assert bench.started == []


def test_a_setting_that_cannot_be_is_refused_before_the_account_is_asked(bench: Bench) -> None:
    bench.account.refuses = "ssm"
    done = bench.run("deploy", "--env", "dev", "-c", "capacity_units_min=0")
    assert "capacity_units_min" in done.output
    assert "could not be asked" not in done.output


def test_bootstrap_is_for_the_account_and_region_of_the_credentials(bench: Bench) -> None:
    assert bench.run("bootstrap").exit_code == 0
    assert bench.started == [["cdk", "bootstrap", "aws://123456789012/eu-central-1"]]


def test_destroying_dev_says_that_the_table_goes_and_what_keeps_it(bench: Bench) -> None:
    done = bench.run("destroy", "--env", "dev", answer="\n")
    assert done.exit_code == 1
    assert "THE TABLE simple-log-service-dev-logs GOES" in done.output
    assert 'CONTEXT="-c deletion_protection=false"' in done.output
    assert bench.started == []


def test_destroying_prod_says_what_stays_and_how_to_use_it_again(bench: Bench) -> None:
    done = bench.run("destroy", "--env", "prod", answer="n\n")
    assert "The table simple-log-service-prod-logs stays" in done.output
    assert "The key and the vault of backups stay" in done.output
    assert "-c restored_table=simple-log-service-prod-logs" in done.output
    assert "GOES" not in done.output


def test_destroying_goes_on_when_the_environment_was_typed(bench: Bench) -> None:
    done = bench.run("destroy", "--env", "dev", "-c", "deletion_protection=false", answer="dev\n")
    assert done.exit_code == 0, done.output
    assert "Deletion protection" not in done.output
    assert bench.started == [
        ["synthesize", "dev", "deletion_protection=false"],
        ["cdk", "destroy", "--all", "--app", str(bench.output / "dev"), "--force"],
    ]


def test_destroying_leaves_a_restored_table_and_warns_that_its_key_goes(bench: Bench) -> None:
    done = bench.run("destroy", "--env", "dev", "-c", "restored_table=kept-table", answer="\n")
    assert "The table kept-table stays" in done.output
    assert "THE KEY GOES 30 DAYS LATER" in done.output


def test_the_cdk_is_pinned_to_one_version_without_an_address() -> None:
    asked = json.loads((cdk_cli.FOLDER / "package.json").read_text())["dependencies"]["aws-cdk"]
    lock = json.loads((cdk_cli.FOLDER / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/aws-cdk"]["version"] == asked
    for package in lock["packages"].values():
        assert "resolved" not in package


def test_the_cdk_reads_what_the_app_writes(tmp_path: Path) -> None:
    """The library's assemblies have a version that an older command line refuses."""
    from support.synthesized import synthesize

    assert synthesize(tmp_path, "env=dev").returncode == 0
    assert cdk_cli.run_cdk(["list", "--app", str(tmp_path)]) == 0
