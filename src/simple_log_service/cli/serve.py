"""``serve``: start the embedded home and keep it running until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import json
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import structlog
import uvloop
from pydantic import ValidationError

from simple_log_service.client.local_endpoint import record_endpoint
from simple_log_service.core.errors import LogServiceError
from simple_log_service.server.data_dir import DataDir
from simple_log_service.server.files import OperatorError
from simple_log_service.server.home import embedded_home
from simple_log_service.server.settings import Settings
from simple_log_service.stores.embedded import interpreter

F = TypeVar("F", bound=Callable[..., Any])

_EPILOG = """\b
Examples:
  simple-log-service serve
  simple-log-service serve --data-dir /var/lib/slog --port 0
  simple-log-service serve --store dynamodb --table my-logs
  simple-log-service serve --host 0.0.0.0 --tls-cert tls.crt --tls-key tls.key
"""


def _flag(setting: str, **attributes: Any) -> Callable[[F], F]:
    """The option of a setting, with the setting's own description and default; unless given, that one decides."""
    field = Settings.model_fields[setting]
    default = f"  [default: {field.default}]" if field.default else ""
    return click.option(f"--{setting.replace('_', '-')}", help=f"{field.description}{default}", **attributes)


@click.command(epilog=_EPILOG)
@_flag("data_dir", type=click.Path(path_type=Path))
@_flag("store", type=click.Choice(["embedded", "dynamodb"]))
@_flag("table", metavar="NAME")
@_flag("endpoint_url", metavar="URL")
@_flag("host")
@_flag("port", type=int)
@_flag("region")
@_flag("throttle_rate", type=float)
@_flag("throttle_burst", type=float)
@_flag("tls_cert", type=click.Path(path_type=Path))
@_flag("tls_key", type=click.Path(path_type=Path))
@_flag("retention_days", type=int)
@_flag("max_store_size", metavar="SIZE")
@_flag("temporary_only", is_flag=True, default=None)
@_flag("access_log", metavar="-|FILE|off")
def serve(**flags: Any) -> None:
    """Start the log service on this machine, with its store in a folder.

    The first start makes the folder, its encryption key and an administrator's access key; client commands of the same
    user find both endpoint and credentials by themselves. Ctrl-C stops it once what it accepted is answered.

    With --store dynamodb the records are in a table, which several servers may share; its credentials are those that
    AWS's tools find.

    Each option can also be set in the environment, as SIMPLE_LOG_SERVICE_PORT for --port; some settings only there:
    SIMPLE_LOG_SERVICE_RETENTION_BY_SERVICE and SIMPLE_LOG_SERVICE_RETENTION_BY_TYPE, as {"audit": 365}, are days of
    their own for some services and types, and SIMPLE_LOG_SERVICE_ENCRYPTION_KEY (base64 of 32 bytes) is used instead
    of the folder's key.
    """
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise click.UsageError("; ".join(_problem(each) for each in error.errors())) from None
    try:
        _run(settings, DataDir(settings.data_dir, settings.encryption_key))
    except (OperatorError, LogServiceError, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            advice = "stop what uses it, or choose another with --port"
            raise click.ClickException(f"port {settings.port} on {settings.host} is in use: {advice}") from None
        raise click.ClickException(str(error)) from None


def _run(settings: Settings, data_dir: DataDir) -> None:
    _prepare_process()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, data_dir))


def _prepare_process() -> None:
    interpreter.tune()
    # A connection is a file descriptor, and the usual soft limit of 1,024 is far below what the listener bounds.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # One JSON object a line on standard error; tracebacks without the values of locals, which may be bodies.
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def _serve(settings: Settings, data_dir: DataDir) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with embedded_home(settings, data_dir) as endpoint:
        try:
            record_endpoint(endpoint, settings.region, data_dir.credentials.absolute())
        except OSError as error:
            _say(f"the endpoint could not be noted for client commands: {error}")
        _say(f"listening on {endpoint}")
        _say(f"credentials in {data_dir.credentials}; Ctrl-C stops")
        await stop.wait()
        _say("stopping: answering what was accepted")
    _say("stopped")


def _say(text: str) -> None:
    sys.stderr.write(f"simple-log-service: {text}\n")
    sys.stderr.flush()


def _problem(error: Any) -> str:
    text = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return text
    setting, *within = error["loc"]
    flags = {option.name: option.opts[0] for option in serve.params}
    name = flags.get(setting, f"SIMPLE_LOG_SERVICE_{setting.upper()}")
    return f"{name}{''.join(f'[{json.dumps(part)}]' for part in within)}: {text}"
