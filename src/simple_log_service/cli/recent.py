"""``recent``: the newest records, for people or for programs."""

from __future__ import annotations

from typing import Any

import click

from simple_log_service.cli.reading import ENDS_HELP, OUTPUTS_HELP, reading_options, show

_EPILOG = f"""{OUTPUTS_HELP}
\b
Examples:
  slog recent --level ERROR --since 10m
  slog recent --since 2026-03-01T08:00:00Z --until 2026-03-01T09:00:00Z
  slog recent --limit 100000 -o ndjson | jq -r .message

{ENDS_HELP}
"""


@click.command(epilog=_EPILOG)
@reading_options
def recent(**asked: Any) -> None:
    """Show the newest records."""
    show(**asked)
