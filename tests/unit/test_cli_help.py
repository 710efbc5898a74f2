"""The help: quick, complete, and true to the tables behind it."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from simple_log_service import __version__
from simple_log_service.cli.exit_codes import EXIT_CODES
from simple_log_service.cli.main import main


def _help(*path: str) -> str:
    result = CliRunner().invoke(main, [*path, "--help"], prog_name="slog")
    assert result.exit_code == 0, result.output
    return result.output


def test_help_needs_no_more_than_itself() -> None:
    code = (
        "import sys\n"
        "from simple_log_service.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'urllib3', 'msgspec', 'rich', 'pydantic', 'zstandard', 'tenacity', 'botocore', 'asyncio'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_help_lists_every_command_and_every_exit_code() -> None:
    shown = _help()
    for command in ("serve", "send", "recent", "search", "stats", "keys", "erase"):
        assert re.search(rf"^  {command} +\w", shown, re.MULTILINE)
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^ +{code} +{re.escape(meaning)}$", shown, re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    [
        ("serve",),
        ("send",),
        ("recent",),
        ("search",),
        ("stats",),
        ("keys",),
        ("keys", "create"),
        ("keys", "list"),
        ("keys", "disable"),
        ("keys", "delete"),
        ("erase",),
    ],
)
def test_every_command_explains_itself_within_a_screen_s_width(path: tuple[str, ...]) -> None:
    shown = _help(*path)
    assert shown.startswith(f"Usage: slog {' '.join(path)}")
    assert all(len(line) <= 100 for line in shown.splitlines())


@pytest.mark.parametrize("path", [("send",), ("recent",), ("search",), ("stats",), ("keys",), ("erase",)])
def test_every_example_is_a_command_that_parses(path: tuple[str, ...]) -> None:
    """The examples' options exist; what they would do is not done."""
    examples = re.findall(
        r"slog ((?:send|recent|search|stats|keys|erase) [^|)\n]*)", _help(*path).partition("Examples:")[2]
    )
    assert examples
    for example in examples:
        words = re.split(r"\s{2,}", example.strip())[0].split()
        command: click.Command | None = main
        context = click.Context(main)
        while isinstance(command, click.Group):
            command = command.get_command(context, words.pop(0))
        assert command is not None
        known = {"--"} | {flag for parameter in command.params for flag in parameter.opts}
        for word in words:
            assert not word.startswith("--") or word in known, example


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(main, ["--version"], prog_name="slog").output == f"slog {__version__}\n"


def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(main, ["nonsense"], prog_name="slog")
    assert result.exit_code == 2
    assert "No such command 'nonsense'" in result.output
