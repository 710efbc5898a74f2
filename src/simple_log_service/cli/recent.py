"""``recent``: the newest records, for people or for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from simple_log_service.cli.options import TEXT, Connection, connection_options, level_option, name_option, say_retry
from simple_log_service.cli.pretty import pretty_line
from simple_log_service.cli.terminal import ensure_stdout, inert_json, say, wants_colour, write_stdout
from simple_log_service.core.limits import (
    LOG_TYPE_CHARS_MAX,
    PAGE_RECORDS_DEFAULT,
    READ_HOURS_MAX,
    SERVICE_NAME_CHARS_MAX,
)

ATTEMPTS_MAX = 3
"""Someone is waiting: a service that is down is told of within a second or so."""

_EPILOG = """\b
Outputs:
  pretty  one line a record, the newest last; times in UTC; control characters
          written out (\\n, \\e, \\x9b); coloured by level on a terminal unless NO_COLOR is set
  ndjson  one JSON record a line, the newest first
  json    one JSON array, the newest first

\b
Examples:
  slog recent --level ERROR --since 10m
  slog recent --service shop --since 2026-03-01T08:00:00Z --until 2026-03-01T09:00:00Z
  slog recent --limit 100000 -o ndjson | jq -r .message

Nothing that matches is no error: exit code 0. Exit codes: see slog --help.
"""


@click.command(epilog=_EPILOG)
@name_option("--service", "service_name", SERVICE_NAME_CHARS_MAX, "Only this service.")
@name_option("--type", "log_type", LOG_TYPE_CHARS_MAX, "Only this type.")
@level_option("Only this level.")
@click.option(
    "--since", type=TEXT, metavar="TIME", help="10m, 2h or 3d ago, RFC 3339, or seconds since 1970.  [default: 24h]"
)
@click.option("--until", type=TEXT, metavar="TIME", help="Records before then, in the same forms.")
@click.option("--hours", type=click.IntRange(1, READ_HOURS_MAX), metavar="N", help="The last N hours, up to a week.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=PAGE_RECORDS_DEFAULT,
    show_default=True,
    metavar="N",
    help="Records at most, over as many pages as that takes.",
)
@click.option(
    "--output",
    "-o",
    type=click.Choice(("pretty", "json", "ndjson")),
    default="pretty",
    show_default=True,
    help="See below.",
)
@connection_options
def recent(
    endpoint: str | None, profile: str | None, region: str | None, output: str, limit: int, **filters: Any
) -> None:
    """Show the newest records."""
    ensure_stdout()
    if filters["since"] is not None and filters["hours"] is not None:
        raise click.UsageError("Give either --hours or --since, not both.")
    connection = Connection(endpoint, profile, region)
    with connection.open(attempts_max=ATTEMPTS_MAX, on_retry=say_retry) as client:
        records = (raw for page in client.iter_pages(limit=limit, **filters) for raw in page.raw_logs)
        _OUTPUTS[output](records)


def _print_pretty(records: Iterator[msgspec.Raw]) -> None:
    # The newest comes first from the service and belongs last on a terminal, so all are held until then.
    newest_first = list(records)
    if not newest_first:
        say("No records match.")
    colour = wants_colour(sys.stdout)
    for raw in reversed(newest_first):
        write_stdout(pretty_line(raw, colour=colour) + "\n")


def _print_ndjson(records: Iterator[msgspec.Raw]) -> None:
    for raw in records:
        write_stdout(_json_line(raw) + "\n")


def _print_json(records: Iterator[msgspec.Raw]) -> None:
    before = "[\n"
    for raw in records:
        write_stdout(before + _json_line(raw))
        before = ",\n"
    write_stdout("[]\n" if before == "[\n" else "\n]\n")


def _json_line(raw: msgspec.Raw) -> str:
    """The record's own JSON: nothing in it is read and written anew, so every digit stays."""
    text = bytes(raw).decode()
    return inert_json(text if "\n" not in text else msgspec.json.format(text, indent=-1))


_OUTPUTS = {"pretty": _print_pretty, "json": _print_json, "ndjson": _print_ndjson}
