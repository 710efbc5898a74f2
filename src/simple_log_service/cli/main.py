"""The command line: ``simple-log-service``, or ``slog`` for short.

Data goes to standard output, everything else to standard error. Commands are loaded when they are called, so that
``--help`` is quick.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, NamedTuple

import click

from simple_log_service import __version__
from simple_log_service.cli.exit_codes import EXIT_CODES, NOT_ALL, OK, Failed
from simple_log_service.client.errors import ClientError


class _Command(NamedTuple):
    module: str
    name: str
    summary: str


_COMMANDS = {
    "serve": _Command("simple_log_service.cli.serve", "serve", "Run the server on this machine."),
    "send": _Command("simple_log_service.cli.send", "send", "Send log files or standard input."),
    "recent": _Command("simple_log_service.cli.recent", "recent", "Show the newest records."),
    "search": _Command("simple_log_service.cli.search", "search", "Find records by words, pattern or fields."),
    "stats": _Command("simple_log_service.cli.stats", "stats", "Count records over time, by service, type or level."),
    "keys": _Command("simple_log_service.cli.keys", "keys", "Make and manage the access keys of a local server."),
    "erase": _Command("simple_log_service.cli.erase", "erase", "Erase records of a local server, for good."),
}

_EPILOG = """\b
Examples:
  simple-log-service serve                      start a server, data in ./data
  slog send app.log --service shop              send a file, one record a line
  some-program | slog send --service shop       send what a program prints
  slog recent --level ERROR --since 10m         look at the newest errors
  slog search "connection refused" --since 3d   find records by their words
  slog stats --by service --level ERROR         see which services have errors
  slog keys create --name shop --policy ingest  make a key for a program
  slog erase --service shop --since 2h          erase for good; asks twice

\b
Exit codes:
""" + "\n".join(f"  {code:<4}{meaning}" for code, meaning in EXIT_CODES.items())


class _Commands(click.Group):
    """Loads a command when it is called, and turns what went wrong into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(entry.module), entry.name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return self._invoke_and_flush(ctx)
        except (ClientError, KeyboardInterrupt) as error:
            raise Failed.by(error) from None
        except OSError as error:
            # What is still buffered must not fail again when the interpreter exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                # The reader has seen enough.
                ctx.exit(OK)
            raise Failed(f"The output cannot be written: {error.strerror}.", NOT_ALL) from None

    def _invoke_and_flush(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        finally:
            sys.stdout.flush()


@click.group(
    cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Send logs, read logs, run the log service."""
