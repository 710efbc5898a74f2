"""``search``: the newest records that hold some words, match a pattern, or have some fields."""

from __future__ import annotations

from typing import Any

import click

from simple_log_service.cli.options import TEXT
from simple_log_service.cli.reading import ENDS_HELP, OUTPUTS_HELP, reading_options, show

_EPILOG = f"""\b
Words:
  disk          the word, in the message or in a value of the metadata, in any case
  disk*         a word that begins so
  "disk full"   an argument with white space is a phrase: these words, one after the other
  -- -disk      not the word; what begins with a dash stands behind --
  10.0.0.1      what is no single word is a phrase, too
All words must be there. An argument with a quotation mark in it is taken as it is, such
as '"disk full" -test'.

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


class _Field(click.ParamType[tuple[str, str], str]):
    """``KEY=VALUE``; what stands before the first ``=`` is the key."""

    name = "field"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, text = TEXT.convert(value, param, ctx).partition("=")
        if not key or not equals or not text:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, text


@click.command(epilog=_EPILOG)
@click.argument("words", nargs=-1, metavar="[WORD]...", type=TEXT)
@click.option("--pattern", type=TEXT, metavar="REGEX", help="An RE2 regular expression that the message matches.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    type=_Field(),
    metavar="KEY=VALUE",
    help="A field of the metadata and what it equals; a.b is b in a. May be repeated.",
)
@reading_options
def search(words: tuple[str, ...], pattern: str | None, fields: tuple[tuple[str, str], ...], **asked: Any) -> None:
    """Find the newest records that hold all of the WORDs, match the pattern and have the fields."""
    metadata = dict(fields)
    if len(metadata) < len(fields):
        raise click.UsageError("Each KEY of --field may be given once.")
    if not words and pattern is None and not metadata:
        raise click.UsageError("Say what to search for: words, --pattern or --field.")
    show(q=" ".join(map(_term, words)) if words else None, pattern=pattern, metadata=metadata, **asked)


def _term(argument: str) -> str:
    """The argument as a term of ``q``: a phrase where it has white space, unless it is quoted already."""
    if '"' in argument or not any(map(str.isspace, argument)):
        return argument
    excluded = "-" if argument.startswith("-") else ""
    return f'{excluded}"{argument.removeprefix("-")}"'
