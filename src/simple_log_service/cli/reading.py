"""What the commands that read have in common: their options, walking through pages, and printing records.

What was found is printed however the walk ends, and that it ended early is said: nothing that was not looked at is
passed off as nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click
import msgspec

from simple_log_service.cli.exit_codes import Failed
from simple_log_service.cli.options import (
    TEXT,
    Connection,
    connection_options,
    level_option,
    name_option,
    say_retry,
    with_options,
)
from simple_log_service.cli.pretty import pretty_line
from simple_log_service.cli.progress import LookingBack
from simple_log_service.cli.terminal import ensure_stdout, inert_json, say, wants_colour, write_stdout
from simple_log_service.client.errors import ClientError
from simple_log_service.client.records import Page
from simple_log_service.client.stats import StatsPage
from simple_log_service.core.cursor import time_of
from simple_log_service.core.limits import (
    LOG_TYPE_CHARS_MAX,
    PAGE_RECORDS_DEFAULT,
    READ_HOURS_MAX,
    SECOND_NS,
    SERVICE_NAME_CHARS_MAX,
)
from simple_log_service.core.timestamps import format_timestamp

F = TypeVar("F", bound=Callable[..., Any])

ATTEMPTS_MAX = 3
"""Someone is waiting: a service that is down is told of within a second or so."""

OUTPUTS_HELP = """\b
Outputs:
  pretty  one line a record, the newest last; times in UTC; control characters
          written out (\\n, \\e, \\x9b); on a terminal coloured by level, unless
          NO_COLOR is set
  ndjson  one JSON record a line, the newest first, as they are found
  json    one JSON array, the newest first
"""
ENDS_HELP = "Nothing that matches is no error: exit code 0. Exit codes: see slog --help."


def filter_options(command: F) -> F:
    """Add the options that say which records; the command gets them as the client's filters."""
    options: tuple[Callable[[F], F], ...] = (
        name_option("--service", "service_name", SERVICE_NAME_CHARS_MAX, "Only this service."),
        name_option("--type", "log_type", LOG_TYPE_CHARS_MAX, "Only this type."),
        level_option("Only this level."),
        click.option(
            "--since",
            type=TEXT,
            metavar="TIME",
            help="10m, 2h or 3d ago, RFC 3339, or seconds since 1970.  [default: 24h]",
        ),
        click.option("--until", type=TEXT, metavar="TIME", help="Records before then, in the same forms."),
        click.option(
            "--hours", type=click.IntRange(1, READ_HOURS_MAX), metavar="N", help="The last N hours, up to a week."
        ),
    )
    return with_options(command, options)


def reading_options(command: F) -> F:
    """Add the options that ``show`` takes."""
    options: tuple[Callable[[F], F], ...] = (
        filter_options,
        click.option(
            "--limit",
            type=click.IntRange(1),
            default=PAGE_RECORDS_DEFAULT,
            show_default=True,
            metavar="N",
            help="Records at most, over as many pages as that takes.",
        ),
        click.option(
            "--output",
            "-o",
            type=click.Choice(tuple(_OUTPUTS)),
            default="pretty",
            show_default=True,
            help="See below.",
        ),
        connection_options,
    )
    return with_options(command, options)


def reached(page: Page | StatsPage) -> str | None:
    """How far back a page reaches, to the second; ``None`` where it is the last one."""
    reached_ns = None if page.next_cursor is None else time_of(page.next_cursor)
    return None if reached_ns is None else format_timestamp(reached_ns // SECOND_NS * SECOND_NS)


def show(
    *, endpoint: str | None, profile: str | None, region: str | None, output: str, limit: int, **filters: Any
) -> None:
    """Print the newest records that match; ``filters`` are the client's."""
    ensure_stdout()
    if filters["since"] is not None and filters["hours"] is not None:
        raise click.UsageError("Give either --hours or --since, not both.")
    connection = Connection(endpoint, profile, region)
    with connection.open(attempts_max=ATTEMPTS_MAX, on_retry=say_retry) as client, LookingBack() as looking:
        walk = _Walk(client.iter_pages(limit=limit, **filters), looking)
        try:
            _OUTPUTS[output](walk)
        except KeyboardInterrupt as error:
            walk.stop = walk.stop or error
    if walk.stop is not None:
        raise Failed.by(walk.stop, walk.where_it_stopped())


class _Walk:
    """The records of pages, one by one; ``stop`` is what ended it before the end."""

    def __init__(self, pages: Iterator[Page], looking: LookingBack) -> None:
        self._pages = pages
        self._looking = looking
        self._reached: str | None = None
        self.stop: ClientError | KeyboardInterrupt | None = None

    def __iter__(self) -> Iterator[msgspec.Raw]:
        try:
            for page in self._pages:
                self._looking.clear()
                yield from page.raw_logs
                # Whoever reads a pipe gets what was found before the next page is waited for.
                sys.stdout.flush()
                self._note(page)
        except (ClientError, KeyboardInterrupt) as error:
            self.stop = error
        finally:
            self._looking.clear()

    def where_it_stopped(self) -> str:
        """How far the walk got, as a sentence, if it got anywhere."""
        return f"Looked back to {self._reached}, and at nothing older." if self._reached else ""

    def _note(self, page: Page) -> None:
        back_to = reached(page)
        if back_to is not None:
            self._reached = back_to
            if not page.complete:
                self._looking.show(back_to)


def _print_pretty(walk: _Walk) -> None:
    # The newest comes first from the service and belongs last on a terminal, so all are held until then.
    newest_first = list(walk)
    if not newest_first and walk.stop is None:
        say("No records match.")
    colour = wants_colour(sys.stdout)
    for raw in reversed(newest_first):
        write_stdout(pretty_line(raw, colour=colour) + "\n")


def _print_ndjson(records: Iterable[msgspec.Raw]) -> None:
    for raw in records:
        write_stdout(_json_line(raw) + "\n")


def _print_json(walk: _Walk) -> None:
    before = "[\n"
    for raw in walk:
        write_stdout(before + _json_line(raw))
        before = ",\n"
    if before == ",\n":
        write_stdout("\n]\n")
    elif walk.stop is None:
        write_stdout("[]\n")


def _json_line(raw: msgspec.Raw) -> str:
    """The record's own JSON: nothing in it is read and written anew, so every digit stays."""
    text = bytes(raw).decode()
    return inert_json(text if "\n" not in text else msgspec.json.format(text, indent=-1))


_OUTPUTS: dict[str, Callable[[_Walk], None]] = {"pretty": _print_pretty, "json": _print_json, "ndjson": _print_ndjson}
