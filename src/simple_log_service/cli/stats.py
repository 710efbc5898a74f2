"""``stats``: how many records there are, over time and by group, as a histogram or for programs."""

from __future__ import annotations

import csv
import io
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import click
import msgspec

from simple_log_service.api.parameters import filters_query
from simple_log_service.cli.histogram import (
    GROUPS_STACKED_MAX,
    Paint,
    Row,
    bars,
    legend,
    signs_of,
    stacked,
)
from simple_log_service.cli.options import Connection, connection_options, say_retry
from simple_log_service.cli.pretty import LEVEL_STYLES
from simple_log_service.cli.progress import LookingBack
from simple_log_service.cli.reading import ATTEMPTS_MAX, ENDS_HELP, filter_options, reached
from simple_log_service.cli.searching import search_options, searched
from simple_log_service.cli.terminal import (
    ensure_stdout,
    inert,
    inert_json,
    is_terminal,
    say,
    wants_colour,
    write_stdout,
)
from simple_log_service.client.stats import Bucket, Stats, Sum
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import DAY_NS, SECOND_NS, STATS_BUCKETS_MAX
from simple_log_service.core.query import Query
from simple_log_service.core.stats import By, format_interval, interval_for, parse_interval
from simple_log_service.core.timestamps import format_timestamp

ROWS_MAX = 60
"""Of a histogram whose interval was left to the command; there are more than 20 then, mostly."""
GROUPS_LISTED_MAX = 40
"""Of a list of groups on a terminal; the others are one line."""

_BY: dict[str, By] = {"service": "service_name", "type": "log_type", "level": "level"}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue")

_EPILOG = f"""\b
Outputs:
  pretty  a histogram as wide as the terminal, the oldest first, times in UTC;
          with --by and --interval each bar shows its largest groups,
          with --by alone there is a bar for each group
  json    one object: count, by, interval, and the buckets that hold records,
          the oldest first
  csv     one line a bucket and group, with a header

\b
Examples:
  slog stats --since 2d                  records over the last two days
  slog stats --by level --interval 10m   by level, every ten minutes of a day
  slog stats --by service --level ERROR  which services have errors
  slog stats timeout --interval 1h       how often a word came, by the hour
  slog stats --by type --interval 1d --since 30d -o csv > counts.csv

{ENDS_HELP}
"""


class Asked(NamedTuple):
    """What is shown: the range, what records were counted by, and how long a bucket is, 0 for all time."""

    query: Query
    now_ns: int
    by: By | None
    interval_ns: int


def _interval(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_interval(value)
    except InvalidRequest as error:
        raise click.BadParameter(str(error)) from None


@click.command(epilog=_EPILOG)
@click.option("--by", type=click.Choice(tuple(_BY)), help="Count by this.")
@click.option(
    "--interval",
    "interval_ns",
    metavar="LENGTH",
    callback=_interval,
    help="10s, 5m, 1h or 1d: count in buckets of this length.  [default: one that fits; with --by, all together]",
)
@click.option(
    "--output",
    "-o",
    type=click.Choice(("pretty", "json", "csv")),
    default="pretty",
    show_default=True,
    help="See below.",
)
@search_options
@filter_options
@connection_options
def stats(
    endpoint: str | None,
    profile: str | None,
    region: str | None,
    output: str,
    by: str | None,
    interval_ns: int | None,
    **filters: Any,
) -> None:
    """Count records over time, by service, type or level; with WORDs those that hold them, as for slog search."""
    ensure_stdout()
    filters |= searched(filters.pop("words"), filters.pop("pattern"), filters.pop("fields"))
    asked = _asked(by, interval_ns, filters)
    total = Sum()
    connection = Connection(endpoint, profile, region)
    with connection.open(attempts_max=ATTEMPTS_MAX, on_retry=say_retry) as client, LookingBack() as looking:
        interval = format_interval(asked.interval_ns) if asked.interval_ns else None
        for page in client.iter_stats(by=asked.by, interval=interval, **filters):
            total.add(page)
            back_to = reached(page)
            if back_to is not None:
                looking.show(back_to)
    _OUTPUTS[output](asked, total.stats())


def _asked(by: str | None, interval_ns: int | None, filters: Mapping[str, Any]) -> Asked:
    """The range as the service will read it, and the interval that fits it where none was given."""
    now_ns = time.time_ns()
    given = {name: str(filters[name]) for name in ("since", "until", "hours") if filters[name] is not None}
    try:
        query = filters_query(given, None, now_ns)
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from None
    if interval_ns is None and by is None:
        interval_ns = interval_for(query.since_ns, now_ns if query.until_ns is None else query.until_ns, ROWS_MAX)
    return Asked(query, now_ns, None if by is None else _BY[by], interval_ns or 0)


# --- For people. ---


def _print_pretty(asked: Asked, found: Stats) -> None:
    if found.count == 0:
        say("No records match.")
        return
    signs, width = signs_of(sys.stdout.encoding), shutil.get_terminal_size().columns
    paint = _paint(asked, found)
    if not asked.interval_ns:
        lines = bars(_groups(found), width, signs, paint, share=True)
        what = f"records, {len(found.counts):,} {'group' if len(found.counts) == 1 else 'groups'}"
    else:
        rows, what = _rows(asked, found), f"records, {format_interval(asked.interval_ns)} a line, times in UTC"
        if asked.by is None:
            lines = bars(rows, width, signs, paint)
        else:
            groups = list(found.counts.items())[:GROUPS_STACKED_MAX]
            others = found.count - sum(count for _, count in groups)
            names = [group for group, _ in groups]
            lines = [legend(groups, others, signs, paint), *stacked(rows, names, width, signs, paint)]
    for line in [*lines, f"{found.count:,} {what}"]:
        write_stdout(line + "\n")


def _groups(found: Stats) -> list[Row]:
    counts = list(found.counts.items())
    rows = [Row(inert(group), count, {}) for group, count in counts[:GROUPS_LISTED_MAX]]
    others = counts[GROUPS_LISTED_MAX:]
    if others:
        rows.append(Row(f"{len(others):,} others", sum(count for _, count in others), {}))
    return rows


def _rows(asked: Asked, found: Stats) -> list[Row]:
    """A row for each bucket of the range, those without records too, as far as there are not too many of them."""
    interval_ns = asked.interval_ns
    buckets = {bucket.start_ns // interval_ns: bucket for bucket in found.buckets}
    end_ns = asked.now_ns if asked.query.until_ns is None else asked.query.until_ns
    last = max((end_ns - 1) // interval_ns, *buckets)
    spans = (range(first, last + 1) for first in (min(asked.query.since_ns // interval_ns, *buckets), min(buckets)))
    numbers = next((span for span in spans if len(span) <= STATS_BUCKETS_MAX), sorted(buckets))
    none = Bucket("1970-01-01T00:00:00Z", 0)
    filled = [(number, buckets.get(number, none)) for number in numbers]
    return [Row(_label(number * interval_ns, interval_ns), each.count, each.counts) for number, each in filled]


def _label(start_ns: int, interval_ns: int) -> str:
    """As much of the time as the interval has."""
    day, _, clock = format_timestamp(start_ns).rstrip("Z").partition("T")
    if interval_ns % DAY_NS == 0:
        return day
    return f"{day} {clock if interval_ns % (60 * SECOND_NS) else clock[:5]}"


def _paint(asked: Asked, found: Stats) -> Paint:
    """Levels have their own colours; other groups the next one each while they are stacked."""
    if not wants_colour(sys.stdout):
        return lambda text, _: text
    if asked.by == "level":
        return lambda text, group: click.style(text, **LEVEL_STYLES.get(group, {}))
    if asked.by is None or not asked.interval_ns:
        return lambda text, _: click.style(text, fg=_COLOURS[0])
    colours = dict(zip(found.counts, _COLOURS, strict=False))
    return lambda text, group: click.style(text, fg=colours.get(group))


# --- For programs. ---


def _print_json(asked: Asked, found: Stats) -> None:
    answer = {
        "count": found.count,
        "by": asked.by,
        "interval": format_interval(asked.interval_ns) if asked.interval_ns else None,
        "buckets": found.buckets,
    }
    write_stdout(inert_json(msgspec.json.encode(answer).decode()) + "\n")


def _print_csv(asked: Asked, found: Stats) -> None:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["start", *([] if asked.by is None else [asked.by]), "count"])
    for bucket in found.buckets:
        if asked.by is None:
            writer.writerow([bucket.start, bucket.count])
        for group, count in bucket.counts.items():
            writer.writerow([bucket.start, _cell(group), count])
    write_stdout(lines.getvalue())


def _cell(text: str) -> str:
    """A name that no spreadsheet takes for a formula, and no terminal for a command."""
    prefix = "'" if text.startswith(_FORMULA_STARTS) else ""
    # No name has a line break; the module csv leaves a lone CR unquoted.
    return prefix + (inert(text) if is_terminal(sys.stdout) or "\r" in text else text)


_OUTPUTS: dict[str, Callable[[Asked, Stats], None]] = {
    "pretty": _print_pretty,
    "json": _print_json,
    "csv": _print_csv,
}
