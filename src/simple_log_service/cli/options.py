"""The options that every command of a client has, and the client that they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from simple_log_service.cli.terminal import inert, say
from simple_log_service.client.client import Client
from simple_log_service.client.errors import ClientError
from simple_log_service.core.levels import LEVELS, canonical_level
from simple_log_service.core.validation import name_error

F = TypeVar("F", bound=Callable[..., Any])


class _Text(click.ParamType[str, str]):
    """Text that can be sent: what the shell gives as other bytes than UTF-8 cannot."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail("it is not UTF-8", param, ctx)
        return value


TEXT = _Text()


class Connection(NamedTuple):
    """Where to and as whom, as far as it was said on the command line."""

    endpoint: str | None
    profile: str | None
    region: str | None

    def open(self, *, attempts_max: int, on_retry: Callable[[ClientError, float], None]) -> Client:
        """A client for it; raises ``NotConfigured``."""
        return Client(
            self.endpoint, profile=self.profile, region=self.region, attempts_max=attempts_max, on_retry=on_retry
        )


def connection_options(command: F) -> F:
    """Add ``--endpoint``, ``--profile`` and ``--region``; the command gets them as parameters of these names."""
    options = (
        click.option(
            "--endpoint",
            type=TEXT,
            metavar="URL",
            help="The service's base URL. Default: SIMPLE_LOG_SERVICE_ENDPOINT, or this user's running server.",
        ),
        click.option("--profile", type=TEXT, metavar="NAME", help="A profile of ~/.aws/credentials or ~/.aws/config."),
        click.option(
            "--region", type=TEXT, metavar="REGION", help="The region in signatures. Default: the endpoint's own."
        ),
    )
    return with_options(command, options)


def with_options(command: F, options: Sequence[Callable[[F], F]]) -> F:
    """The command with these options, which its help shows in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def name_option(
    flag: str, parameter: str, chars_max: int, help_text: str, *, default: str | None = None
) -> Callable[[F], F]:
    """An option for a service's or type's name, held to the rule of the contract."""

    def check(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
        error = None if value is None else name_error(value, chars_max)
        if error is not None:
            raise click.BadParameter(error)
        return value

    return click.option(
        flag, parameter, type=TEXT, metavar="NAME", callback=check, help=help_text, default=default, show_default=True
    )


def level_option(help_text: str) -> Callable[[F], F]:
    """An option for a level, in any of its spellings."""

    def check(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
        level = None if value is None else canonical_level(value)
        if value is not None and level is None:
            raise click.BadParameter(f"{value!r} is not one of {', '.join(LEVELS)}")
        return level

    return click.option("--level", metavar="LEVEL", callback=check, help=help_text)


def retry_notice(error: ClientError, seconds: float) -> str:
    """One line about a failed attempt."""
    return inert(f"{error} Trying again in {seconds:.1f} s.")


def say_retry(error: ClientError, seconds: float) -> None:
    """Tell the person why the command takes so long."""
    say(retry_notice(error, seconds))
