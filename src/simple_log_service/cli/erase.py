"""``erase``: records go for good, on purpose, asked twice; by the running server, or here where none runs."""

from __future__ import annotations

import os
import pwd
import sys
import time
from pathlib import Path

import click
import msgspec

from simple_log_service.api.parameters import filters_query
from simple_log_service.cli.erasure_desk import Desk
from simple_log_service.cli.exit_codes import NOT_ALL, USAGE, Failed
from simple_log_service.cli.local_folder import data_dir_option, local_settings
from simple_log_service.cli.options import TEXT, name_option
from simple_log_service.cli.terminal import inert, say
from simple_log_service.core.erasure import Erasure
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import LOG_TYPE_CHARS_MAX, SERVICE_NAME_CHARS_MAX
from simple_log_service.core.timestamps import format_timestamp
from simple_log_service.server.erasure_requests import EraseRequest

_NOTHING = "Nothing was erased."

_EPILOG = """\b
Examples:
  slog erase --service shop
  slog erase --type debug --until 2026-03-01T00:00:00Z
  slog erase --service shop --since 2026-03-01T08:00:00Z --until 2026-03-01T09:00:00Z
  slog erase --service shop --confirm shop --yes

The records are counted first, and what arrives after that stays. In a script --confirm is the text that the first
question asks for (the service, else the type, else the number of records), and --yes answers the second.

The server may be running. Each erasure is written to audit.ndjson in the server's folder. Nothing can be erased over
HTTP, or from a DynamoDB table; copies and backups keep what they hold.
"""


@click.command(epilog=_EPILOG)
@data_dir_option
@name_option("--service", "service_name", SERVICE_NAME_CHARS_MAX, "Only this service.")
@name_option("--type", "log_type", LOG_TYPE_CHARS_MAX, "Only this type.")
@click.option("--since", type=TEXT, metavar="TIME", help="10m, 2h or 3d ago, RFC 3339, or seconds since 1970.")
@click.option("--until", type=TEXT, metavar="TIME", help="Records before then, in the same forms.")
@click.option("--confirm", type=TEXT, metavar="TEXT", help="Answer the first question with this.")
@click.option("--yes", is_flag=True, help="Answer the second question with yes.")
def erase(
    data_dir: Path | None,
    service_name: str | None,
    log_type: str | None,
    since: str | None,
    until: str | None,
    confirm: str | None,
    yes: bool,
) -> None:
    """Erase records from a local server's store, for good."""
    erasure = _asked(service_name, log_type, since, until)
    with local_settings(data_dir) as settings:
        desk = Desk(settings)
        counted = desk.counted(erasure)
        if counted.records == 0:
            say("No records match. Nothing was erased.")
            return
        # What arrives from here on was not there when somebody said yes.
        erasure = msgspec.structs.replace(erasure, arrival_last=counted.arrival_last)
        _show(settings.data_dir, erasure, counted.records)
        confirmed = _confirmed(erasure, counted.records, confirm, is_sure=yes)
        erased = desk.erased(_request(erasure, counted.records, confirmed))
    say(f"Erased: {_records(erased.records)}.")
    if erased.unreadable:
        raise Failed(f"Left, since they are damaged and do not open: {_records(erased.unreadable)}.", NOT_ALL)


def _asked(service_name: str | None, log_type: str | None, since: str | None, until: str | None) -> Erasure:
    given = {name: text for name, text in (("since", since), ("until", until)) if text is not None}
    try:
        # Where no beginning is given a reader's range would begin lately; this one begins with time.
        query = filters_query({"since": "0", **given}, None, time.time_ns())
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from None
    erasure = Erasure(service_name, log_type, None if since is None else query.since_ns, query.until_ns)
    if erasure.problem is not None:
        raise click.UsageError(erasure.problem)
    return erasure


def _show(folder: Path, erasure: Erasure, records: int) -> None:
    since = "the first" if erasure.since_ns is None else format_timestamp(erasure.since_ns)
    until = "now; what arrives later stays" if erasure.until_ns is None else format_timestamp(erasure.until_ns)
    rows = {
        "folder": str(folder.absolute()),
        "service": "any" if erasure.service_name is None else repr(erasure.service_name),
        "type": "any" if erasure.log_type is None else repr(erasure.log_type),
        "from": since,
        "until": until,
        "records": f"{records:,}",
    }
    say("This would be erased for good:")
    for name, value in rows.items():
        say(inert(f"  {name:<8} {value}"))


def _confirmed(erasure: Erasure, records: int, confirm: str | None, *, is_sure: bool) -> str:
    """How somebody said yes twice; ends the command where nobody did."""
    # A number is the harder to get right by habit; a name says what it is about.
    expected = erasure.service_name or erasure.log_type or str(records)
    if (confirm is None or not is_sure) and not (sys.stdin is not None and sys.stdin.isatty()):
        raise Failed(f"{_NOTHING} Without a terminal to ask on, it takes --confirm {expected!r} and --yes.", USAGE)
    if confirm is None:
        if _typed(f"Type {inert(repr(expected))} to erase {_records(records)} for good: ") != expected:
            raise Failed(f"That is something else. {_NOTHING}", NOT_ALL)
    elif confirm != expected:
        raise Failed(f"--confirm must be {expected!r} here. {_NOTHING}", USAGE)
    if not is_sure and _typed("Really erase? [y/N] ").lower() not in ("y", "yes"):
        raise Failed(_NOTHING, NOT_ALL)
    how = ("typed" if confirm is None else "--confirm", "typed" if not is_sure else "--yes")
    return " and ".join(dict.fromkeys(how))


def _typed(question: str) -> str:
    """One line from the person; the empty one where standard input ends or is no text."""
    click.echo(question, nl=False, err=True)
    try:
        return sys.stdin.readline().strip()
    except UnicodeDecodeError:
        return ""


def _request(erasure: Erasure, records: int, confirmed: str) -> EraseRequest:
    user_id = os.getuid()
    try:
        user = pwd.getpwuid(user_id).pw_name
    except KeyError:  # In a container users need no name.
        user = ""
    now_ns = time.time_ns()
    return EraseRequest(erasure, records, user, user_id, format_timestamp(now_ns - now_ns % 10**6), confirmed)


def _records(number: int) -> str:
    return f"{number:,} record{'' if number == 1 else 's'}"
