"""What the commands have in common that work on a server's own folder, as its operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from simple_log_service.api.policy import PolicyError
from simple_log_service.cli.exit_codes import NOT_ALL, USAGE, Failed
from simple_log_service.server.files import OperatorError
from simple_log_service.server.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_VARIABLES = "SIMPLE_LOG_SERVICE_"


def data_dir_option(command: F) -> F:
    """Add ``--data-dir``; the command gets it as ``data_dir``."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="The server's folder.  [default: SIMPLE_LOG_SERVICE_DATA_DIR, or data]",
    )(command)


@contextmanager
def local_settings(data_dir: Path | None, *, may_make_dir: bool = False) -> Iterator[Settings]:
    """The settings with the server's folder, which must be there; what goes wrong with it ends the command."""
    try:
        given: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir}
        settings = Settings(**given)
        if not settings.data_dir.is_dir() and not (may_make_dir and data_dir is not None):
            # Made here unasked, what is in it would be of no use: the server reads its own folder.
            raise Failed(f"There is no folder {settings.data_dir}: name the server's with --data-dir.", NOT_ALL)
        yield settings
    except ValidationError as error:
        # Only these parts of it: the whole would quote the value, which may be a secret.
        wrong = "; ".join(
            f"{_VARIABLES}{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors()
        )
        raise Failed(wrong, USAGE) from None
    except (OperatorError, PolicyError) as error:
        raise Failed(str(error), NOT_ALL) from None
