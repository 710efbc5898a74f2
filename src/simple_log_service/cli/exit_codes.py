"""What the command's exit status says to a script: one table, shown by ``--help`` and used everywhere."""

from __future__ import annotations

import click

from simple_log_service.cli.terminal import inert
from simple_log_service.client.errors import ClientError, NotConfigured, RequestRefused

OK = 0
NOT_ALL = 1
USAGE = 2
REFUSED = 3
UNAVAILABLE = 4
INTERRUPTED = 130

EXIT_CODES = {
    OK: "done; for recent, search and stats also if nothing matched",
    NOT_ALL: "a record was rejected or not erased, or a file or key could not be used",
    USAGE: "wrong usage: options, endpoint, credentials, or an invalid request",
    REFUSED: "the service refused the credentials or what they may do (403)",
    UNAVAILABLE: "no answer, or not now (5xx, 429): try again later",
    INTERRUPTED: "interrupted (Ctrl-C)",
}


class Failed(click.ClickException):
    """A command that ends here, with one line on standard error and an exit code of the table."""

    exit_code: int  # type: ignore[misc]  # click declares one for each class, and here each end has its own

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(inert(message))
        self.exit_code = exit_code

    @classmethod
    def by(cls, error: ClientError | KeyboardInterrupt, remark: str = "") -> Failed:
        """The end that this error means; the remark follows what the error says."""
        message = "Interrupted." if isinstance(error, KeyboardInterrupt) else str(error)
        return cls(f"{message} {remark}".rstrip(), _exit_code_of(error))


def _exit_code_of(error: ClientError | KeyboardInterrupt) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, RequestRefused):
        if error.status in {401, 403}:
            return REFUSED
        return UNAVAILABLE if error.status == 429 or error.status >= 500 else USAGE
    return USAGE if isinstance(error, NotConfigured) else UNAVAILABLE
