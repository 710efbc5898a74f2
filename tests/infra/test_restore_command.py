"""The command that restores: what it asks, what it deploys, and how it ends."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from infra.restore import __main__ as command
from infra.restore.__main__ import switch_command
from support.recoverable import SOURCE, Recoverable, recoverable

MOMENT = (datetime.now(UTC) - timedelta(hours=2)).replace(microsecond=0)


@pytest.fixture
def dynamodb() -> Iterator[Recoverable]:
    with recoverable() as made:
        yield made


class Shell:
    """Runs the command against a DynamoDB, without time passing, and keeps the deploys that it would have made."""

    def __init__(self, dynamodb: Recoverable, monkeypatch: pytest.MonkeyPatch, returncode: int = 0) -> None:
        self.deploys: list[list[str]] = []

        def run(arguments: list[str]) -> int:
            self.deploys.append(arguments)
            return returncode

        monkeypatch.setattr(command, "_client", lambda _region, _profile: dynamodb)
        monkeypatch.setattr(command, "run", run)

    def type(self, *arguments: str, answers: str = "") -> Any:
        return CliRunner().invoke(command.main, ["--env", "dev", *arguments], input=answers)


def test_the_command_restores_and_deploys(dynamodb: Recoverable, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell(dynamodb, monkeypatch)
    result = shell.type("--to", f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}", "--yes")
    assert result.exit_code == 0, result.output
    target = f"{SOURCE}-restored-{MOMENT:%Y%m%dT%H%M%SZ}"
    assert shell.deploys == [switch_command("dev", target)]
    assert f"To go back to it: make deploy ENV=dev 'CONTEXT=-c restored_table={SOURCE}'" in result.output
    assert dynamodb.describe_table(TableName=SOURCE)["Table"]["DeletionProtectionEnabled"], "the old one is protected"


def test_the_deploy_keeps_the_other_settings(dynamodb: Recoverable, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell(dynamodb, monkeypatch)
    given = ("restored_table=" + SOURCE, 'type_shards={"audit": 4}', "alarm_email=a$b@example.com")
    result = shell.type("--yes", *(part for each in given for part in ("-c", each)))
    assert result.exit_code == 0, result.output
    ((*_, context),) = shell.deploys
    target = f"{SOURCE}-restored-{dynamodb.window[1]:%Y%m%dT%H%M%SZ}"
    made = subprocess.run(
        ["make", "--no-print-directory", "-f", "-", context],
        input="all:\n\t@printf '%s\\n' $(CONTEXT)\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert made.stdout.splitlines() == [
        "-c", 'type_shards={"audit": 4}', "-c", "alarm_email=a$b@example.com", "-c", f"restored_table={target}",
    ]  # fmt: skip


def test_a_no_ends_the_command_before_anything_changes(dynamodb: Recoverable, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell(dynamodb, monkeypatch)
    result = shell.type(answers="n\n")
    assert result.exit_code == command.EXIT_DECLINED
    assert "Run it again to go on" in result.output
    assert dynamodb.list_tables()["TableNames"] == [SOURCE]
    assert shell.deploys == []


def test_a_deploy_that_fails_is_told_with_how_to_repeat_it(
    dynamodb: Recoverable, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = Shell(dynamodb, monkeypatch, returncode=2).type("--yes")
    assert result.exit_code == command.EXIT_REFUSED
    assert "the deploy failed: repeat it with make deploy ENV=dev" in result.output


def test_a_drill_by_command_leaves_nothing(dynamodb: Recoverable, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell(dynamodb, monkeypatch)
    result = shell.type("--drill", "--yes")
    assert (result.exit_code, shell.deploys) == (0, []), result.output
    assert dynamodb.list_tables()["TableNames"] == [SOURCE]


def test_what_cannot_be_is_one_line_and_an_exit_code(dynamodb: Recoverable, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell(dynamodb, monkeypatch)
    for arguments in (("--to", "tomorrow"), ("-c", "no_such=1"), ("--source", "nowhere")):
        result = shell.type(*arguments)
        assert result.exit_code == command.EXIT_REFUSED
        assert result.output.startswith("Error: ")
        assert "Traceback" not in result.output
