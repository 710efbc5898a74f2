"""What the commands that search have in common: words, a pattern and fields, and what the client is asked for then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from simple_log_service.cli.options import TEXT, with_options

F = TypeVar("F", bound=Callable[..., Any])

WORDS_HELP = """\b
Words:
  disk          the word in any case, in the message or in a metadata value
  disk*         a word that begins so
  "disk full"   an argument with white space is a phrase: these words in a row
  -- -disk      not the word; what begins with a dash stands behind --
  10.0.0.1      what is no single word is a phrase, too
All words must be there. An argument with a quotation mark in it is taken as
it is, such as '"disk full" -test'.
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


def search_options(command: F) -> F:
    """Add words, ``--pattern`` and ``--field``; ``searched`` makes the client's filters of them."""
    options = (
        click.argument("words", nargs=-1, metavar="[WORD]...", type=TEXT),
        click.option(
            "--pattern", type=TEXT, metavar="REGEX", help="An RE2 regular expression that the message matches."
        ),
        click.option(
            "--field",
            "fields",
            multiple=True,
            type=_Field(),
            metavar="KEY=VALUE",
            help="A field of the metadata and what it equals; a.b is b in a. May be repeated.",
        ),
    )
    return with_options(command, options)


def searched(words: tuple[str, ...], pattern: str | None, fields: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The client's filters ``q``, ``pattern`` and ``metadata``, as far as anything is searched for."""
    metadata = dict(fields)
    if len(metadata) < len(fields):
        raise click.UsageError("Each KEY of --field may be given once.")
    given = {"q": " ".join(map(_term, words)) or None, "pattern": pattern, "metadata": metadata or None}
    return {name: value for name, value in given.items() if value is not None}


def _term(argument: str) -> str:
    """The argument as a term of ``q``: a phrase where it has white space, unless it is quoted already."""
    if '"' in argument or not any(map(str.isspace, argument)):
        return argument
    excluded = "-" if argument.startswith("-") else ""
    return f'{excluded}"{argument.removeprefix("-")}"'
