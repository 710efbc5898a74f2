"""``search``: the newest records that hold some words, match a pattern, or have some fields."""

from __future__ import annotations

from typing import Any

import click

from simple_log_service.cli.reading import ENDS_HELP, OUTPUTS_HELP, reading_options, show
from simple_log_service.cli.searching import WORDS_HELP, search_options, searched

_EPILOG = f"""{WORDS_HELP}
{OUTPUTS_HELP}
\b
Examples:
  slog search timeout --service shop --since 3d
  slog search "connection refused" 10.0.0.1
  slog search --field user.id=4711 --level ERROR
  slog search --pattern 'took [0-9]{{4,}} ms' --since 1h -o ndjson
  slog search refused --limit 1000 -- -test

{ENDS_HELP}
"""


@click.command(epilog=_EPILOG)
@search_options
@reading_options
def search(words: tuple[str, ...], pattern: str | None, fields: tuple[tuple[str, str], ...], **asked: Any) -> None:
    """Find the newest records that hold all of the WORDs, match the pattern and have the fields."""
    sought = searched(words, pattern, fields)
    if not sought:
        raise click.UsageError("Say what to search for: words, --pattern or --field.")
    show(**sought, **asked)
