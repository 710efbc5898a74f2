"""The templates before the eyes of others: CloudFormation's linter, cdk-nag's rules, and the last review."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.acknowledgements import ACKNOWLEDGED
from support.snapshots import current, snapshot_file
from support.synthesized import ENVIRONMENTS, ROOT, synthesize, template_file, validation_report

OPTIONAL = ("api_gateway_account_role=true", "config_recorder=true", "alarm_email=ops@example.com")
RESTORED = ("restored_table=simple-log-service-dev-logs-restored",)
LATER = ("stream=true", "search=true", "analytics=true")
DEPLOYMENTS: dict[str, tuple[str, ...]] = {
    "dev": ("dev",),
    "prod": ("prod",),
    "dev with a recorder and an account role": ("dev", *OPTIONAL),
    "dev over a restored table": ("dev", *RESTORED),
    "dev with the later parts": ("dev", *LATER),
}
LINTER = Path(sys.executable).with_name("cfn-lint")
LINTER_IGNORES = {
    "W3005": "The CDK names a function's role as a dependency beside the reference to it; this does no harm.",
}

deployments = pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS.keys())


def test_cloudformations_linter_finds_no_error_and_no_warning() -> None:
    files = [str(template_file(*deployment)) for deployment in DEPLOYMENTS.values()]
    # The names of rules begin with E for errors, W for warnings.
    command = [str(LINTER), "--format", "json", "--ignore-checks", *LINTER_IGNORES, "--", *files]
    linted = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert json.loads(linted.stdout) == [], linted.stderr
    assert linted.returncode == 0


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_linter_would_find_something(env: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text(template_file(env).read_text().replace('"PROVISIONED"', '"PER_HOUR"'))
    command = [str(LINTER), "--format", "json", "--", str(broken)]
    linted = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert "PER_HOUR" in linted.stdout


@deployments
def test_no_finding_of_cdk_nag_is_left(deployment: tuple[str, ...]) -> None:
    report = validation_report(*deployment)
    names = [plugin["pluginName"] for plugin in report["pluginReports"]]
    assert "AwsSolutions" in names
    for plugin in report["pluginReports"]:
        assert plugin["violations"] == []
        assert plugin["conclusion"] == "success"


@deployments
def test_each_acknowledgement_says_why(deployment: tuple[str, ...]) -> None:
    for finding in suppressed(*deployment):
        assert finding["reason"].endswith("."), finding["ruleName"]
        assert len(finding["reason"].split()) >= 5, finding["reason"]


def test_no_acknowledgement_is_for_nothing() -> None:
    in_force = {
        (
            finding["ruleName"].replace("/dev/", "/{environment}/").replace("/prod/", "/{environment}/"),
            finding["reason"],
        )
        for deployment in DEPLOYMENTS.values()
        for finding in suppressed(*deployment)
    }
    assert {(entry.rule, entry.reason) for entry in ACKNOWLEDGED} <= in_force


def test_a_finding_that_nobody_acknowledged_fails_the_synthesis(tmp_path: Path) -> None:
    code = (
        "import sys; from infra import __main__ as program, acknowledgements; acknowledgements.ACKNOWLEDGED = ()\n"
        f"sys.argv[1:] = ['-c', 'env=dev', '-o', {str(tmp_path)!r}]; program.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 1
    assert "AwsSolutions-APIG4" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_template_is_as_it_was_last_reviewed(env: str) -> None:
    assert current(env) == snapshot_file(env).read_text(), "Is the change meant? Then: make snapshots, and review."


def test_a_wrong_setting_is_one_line_without_a_trace(tmp_path: Path) -> None:
    done = synthesize(tmp_path, "env=dev", "capacity=9")
    assert done.returncode == 1
    assert done.stderr.startswith("Unknown setting 'capacity'.")
    assert "Traceback" not in done.stderr


def suppressed(env: str, *settings: str) -> list[dict[str, Any]]:
    report = validation_report(env, *settings)
    return [finding for plugin in report["pluginReports"] for finding in plugin["suppressedViolations"]]
