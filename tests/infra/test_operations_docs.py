"""The pages for operators say everything there is, and name nothing that is not there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click import Command

from infra.assumptions import ASSUMPTIONS
from infra.profiles import PROFILES, Profile
from infra.restore import __main__ as restore
from infra.smoke import __main__ as smoke
from infra.smoke.scene import SERVICE_PREFIX
from simple_log_service.core.alarms import ALARMS, Alarm
from support.synthesized import template

ROOT = Path(__file__).parents[2]
PAGES = ("DEPLOYMENT", "DISASTER_RECOVERY", "COMPLIANCE")
TEXTS: Mapping[str, str] = {name: (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in PAGES}
DEPLOYMENT, RECOVERY, COMPLIANCE = (TEXTS[name] for name in PAGES)
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
FOR_OPERATORS = {"synth", "deploy", "destroy", "smoke", "restore", "package"}

everywhere = pytest.mark.parametrize("page", PAGES)


def shown(value: Any) -> str:
    """A default as the table writes it."""
    if value is None:
        return "\N{EN DASH}"
    return f"`{value}`" if isinstance(value, str) else f"`{msgspec.json.encode(value).decode()}`"


@pytest.mark.parametrize("setting", [field.name for field in msgspec.structs.fields(Profile)])
def test_every_setting_stands_in_the_deployment_page_with_its_defaults(setting: str) -> None:
    if setting == "environment":
        assert all(f"`{environment}`" in DEPLOYMENT for environment in PROFILES)
        return
    row = next(line for line in DEPLOYMENT.splitlines() if line.startswith(f"| `{setting}` |"))
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[2:4] == [shown(getattr(PROFILES[environment], setting)) for environment in ("dev", "prod")]


def test_no_setting_stands_there_that_is_none() -> None:
    table = DEPLOYMENT.partition("| Setting | dev |")[2].partition("\n\n")[0]
    named = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert named == {field.name for field in msgspec.structs.fields(Profile)} - {"environment"}


def test_what_is_kept_is_kept_for_the_days_of_the_setting() -> None:
    table = COMPLIANCE.partition("## Retention")[2].partition("\n\n#")[0]
    rows = re.findall(r"^\|[^|]+\| (\d+) days[^|]*\| `(\w+)` \|", table, re.MULTILINE)
    assert {setting: int(days) for days, setting in rows} == {
        setting: getattr(PROFILES["prod"], setting)
        for setting in ("retention_days", "log_retention_days", "backup_retention_days")
    }


@pytest.mark.parametrize("environment", list(PROFILES))
def test_every_output_stands_in_the_deployment_page(environment: str) -> None:
    table = DEPLOYMENT.partition("| Output |")[2].partition("\n\n")[0]
    named = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert named == set(template(environment)["Outputs"])


@pytest.mark.parametrize("target", sorted(FOR_OPERATORS))
def test_every_target_for_operators_is_there_and_is_documented(target: str) -> None:
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
    assert f"make {target}" in "".join(TEXTS.values())


@everywhere
def test_every_make_target_that_is_named_is_there(page: str) -> None:
    for target in re.findall(r"^(?:.*`)?make ([a-z]+)", TEXTS[page], re.MULTILINE):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


@pytest.mark.parametrize("command", [smoke.main, restore.main], ids=["smoke", "restore"])
def test_every_option_that_is_named_is_one(command: Command) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    module = "infra.smoke" if command is smoke.main else "infra.restore"
    lines = [line for text in TEXTS.values() for line in text.splitlines() if f"make {module[6:]} " in line]
    named = {option for line in lines for option in re.findall(r"--[a-z-]+", line)}
    assert named <= options


def test_every_option_of_the_smoke_test_stands_in_the_deployment_page() -> None:
    common = {"--env", "-c", "--region", "--profile", "--help"}
    for parameter in smoke.main.params:
        assert set(parameter.opts) & common or f"`{parameter.opts[0]}" in DEPLOYMENT, parameter.opts


def test_every_group_of_checks_stands_in_the_deployment_page() -> None:
    row = next(line for line in DEPLOYMENT.splitlines() if line.startswith("| `--group NAME`"))
    assert set(re.findall(r"`(\w+)`", row)) == set(smoke.GROUPS)
    assert f"`{SERVICE_PREFIX}`" in DEPLOYMENT


def test_every_check_that_is_named_is_one() -> None:
    unproved = COMPLIANCE.partition("## What cannot be proved without an account")[2]
    asked_by = [line.split("|")[2] for line in unproved.splitlines() if line.startswith("| that ")]
    named = {name for cell in asked_by for name in re.findall(r"`([a-z_0-9]+)`", cell)}
    assert len(named) > 10
    assert named - set(smoke.GROUPS) <= {check.name for check in smoke.CHECKS}


def test_what_no_command_can_find_out_is_listed() -> None:
    unproved = COMPLIANCE.partition("## What cannot be proved without an account")[2]
    statuses = {str(status) for each in ASSUMPTIONS if each.probe == "none" for status in each.status}
    assert statuses
    assert all(status in unproved for status in statuses)


@everywhere
def test_every_test_that_is_named_is_there(page: str) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXTS[page]):
        text = (ROOT / path).read_text("utf-8")
        assert not name or f"def {name}(" in text, (path, name)


@everywhere
def test_every_file_that_is_named_is_there(page: str) -> None:
    for path in re.findall(r"`((?:infra|src|docs|scripts)/[\w/.]+\.\w+)`", TEXTS[page]):
        assert (ROOT / path).is_file(), path
    for link in re.findall(r"\]\((\w+\.md)\)", TEXTS[page]):
        assert (ROOT / "docs" / link).is_file(), link


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_every_alarm_is_explained_in_its_own_words(alarm: Alarm) -> None:
    assert f"| the alarm `{alarm.name}` | {alarm.meaning} |" in DEPLOYMENT


def test_an_alarm_that_is_named_is_one() -> None:
    named = set(re.findall(r"the alarm `([\w-]+)`", "".join(TEXTS.values())))
    assert named == {alarm.name for alarm in ALARMS}


def test_the_recovery_page_says_what_the_command_does() -> None:
    for text in ("--drill", "--yes", "restored_table", "RPO", "RTO", "list-backups"):
        assert text in RECOVERY
    assert "make restore ENV=prod TO=" in RECOVERY
    assert "python -m infra.restore --env prod --to" in RECOVERY
