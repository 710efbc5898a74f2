"""The documentation says everything there is: routes, settings, metrics, commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from simple_log_service.api.routes import ROUTES, Route
from simple_log_service.cli.main import main
from simple_log_service.cli.serve import serve
from simple_log_service.core.signals import SIGNALS, Signal
from simple_log_service.server.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_stands_in_the_readme(route: Route) -> None:
    assert any(route.method in line and route.path in line for line in README.splitlines())


@pytest.mark.parametrize("setting", Settings.model_fields)
def test_every_setting_stands_in_the_operations_page_with_its_default(setting: str) -> None:
    row = next(line for line in OPERATIONS.splitlines() if f"`SIMPLE_LOG_SERVICE_{setting.upper()}`" in line)
    default = Settings.model_fields[setting].default
    if isinstance(default, str | int | float) and not isinstance(default, bool):
        assert f"`{default:g}`" in row if isinstance(default, float) else f"`{default}`" in row


@pytest.mark.parametrize("option", [option.opts[0] for option in serve.params])
def test_every_flag_of_serve_stands_in_the_operations_page(option: str) -> None:
    assert f"`{option}`" in OPERATIONS


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_every_metric_stands_in_the_operations_page(signal: Signal) -> None:
    assert f"| `{signal.name}`" in OPERATIONS
    assert signal.help in OPERATIONS


def test_every_command_stands_in_the_documentation() -> None:
    for command in main.list_commands(None):  # type: ignore[arg-type]  # our group looks at no context
        assert f"slog {command}" in README + OPERATIONS or f"simple-log-service {command}" in README + OPERATIONS
