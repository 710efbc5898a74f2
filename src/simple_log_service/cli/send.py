"""``send``: log files or standard input, in batches, in order, with an exact receipt at the end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from simple_log_service.cli.exit_codes import NOT_ALL, OK, Failed
from simple_log_service.cli.lines import read_chunks
from simple_log_service.cli.log_input import FORMATS, Entry, Fill, read_records
from simple_log_service.cli.options import Connection, connection_options, level_option, name_option, retry_notice
from simple_log_service.cli.progress import Progress
from simple_log_service.cli.tally import Tally
from simple_log_service.cli.terminal import ensure_stdout, inert, say, write_stdout
from simple_log_service.client.batching import BATCH_RECORDS_DEFAULT, batches
from simple_log_service.client.errors import ClientError
from simple_log_service.core.limits import LOG_TYPE_CHARS_MAX, REQUEST_RECORDS_MAX, SERVICE_NAME_CHARS_MAX
from simple_log_service.core.validation import name_error

ATTEMPTS_MAX = 8
"""About half a minute of a service that is starting again."""
STDIN = "-"

_EPILOG = """\b
Formats:
  lines   each line is one message, stored with the time of receipt; empty
          lines are passed over, and bytes that are not UTF-8 are kept as \\xff
  ndjson  each line is one record: {"message": "...", "level": "ERROR", ...}
  json    an array of records, {"logs": [...]} or one record
  auto    looks at how the input begins

\b
Examples:
  slog send app.log                         service "app", type "application"
  slog send --service shop --type access access.log
  journalctl -f -o cat | slog send --service host
  slog send --time now last-year.ndjson     older than the retention
  slog send --output json app.log | jq .rejected

A request that fails is repeated with its Idempotency-Key, which stores nothing twice. That does not reach from one
run of the command to the next. Exit codes: see slog --help.
"""


class _Options(msgspec.Struct, frozen=True):
    """What was said on the command line, beside the files."""

    service: str | None
    log_type: str
    level: str | None
    log_format: str
    time: str
    batch_records_max: int
    output: str
    quiet: bool
    endpoint: str | None
    profile: str | None
    region: str | None

    def fill(self, file: str) -> Fill:
        """What records of this file get where they lack it."""
        service = self.service or Path(_shown(file)).stem
        return Fill(service, self.log_type, self.level, time_now=self.time == "now")


@click.command(epilog=_EPILOG)
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@name_option(
    "--service", "service", SERVICE_NAME_CHARS_MAX, "Service of records that name none. Default: the file's name."
)
@name_option("--type", "log_type", LOG_TYPE_CHARS_MAX, "Type of records that name none.", default="application")
@level_option("Level of records that name none.")
@click.option("--format", "log_format", type=click.Choice(FORMATS), default="auto", show_default=True)
@click.option(
    "--time",
    type=click.Choice(("keep", "now")),
    default="keep",
    show_default=True,
    help="Keep records' timestamps, or store all with the time of receipt.",
)
@click.option(
    "--batch",
    "batch_records_max",
    type=click.IntRange(1, REQUEST_RECORDS_MAX),
    default=BATCH_RECORDS_DEFAULT,
    show_default=True,
    metavar="N",
    help="Records a request, at most.",
)
@click.option(
    "--output",
    "-o",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="The receipt as text on standard error, or as JSON on standard output.",
)
@click.option("--quiet", "-q", is_flag=True, help="Say nothing unless something goes wrong.")
@connection_options
@click.pass_context
def send(ctx: click.Context, /, files: tuple[str, ...], **given: Any) -> None:
    """Send log files, or standard input where there is no FILE or it is "-".

    Records go out in order. Wherever the input pauses, what has been read is sent at once.
    """
    ensure_stdout()
    options = _Options(**given)
    inputs = files or (STDIN,)
    _check_names(inputs, options)
    if STDIN in inputs and os.isatty(0) and not options.quiet:
        say("Reading from the terminal: each line is sent as it is entered, Ctrl-D ends.")
    tally = Tally()
    with Progress(_bytes_total(inputs), quiet=options.quiet) as progress:
        stop = _send_all(inputs, options, tally, progress)
    exit_code = stop.exit_code if stop is not None else NOT_ALL if tally.rejected else OK
    if exit_code != OK or not options.quiet:
        _report(tally, stop)
    if options.output == "json":
        write_stdout(tally.receipt_json(complete=stop is None) + "\n")
    ctx.exit(exit_code)


def _send_all(inputs: Iterable[str], options: _Options, tally: Tally, progress: Progress) -> Failed | None:
    """Send everything; what stopped it, if something did."""

    def on_retry(error: ClientError, seconds: float) -> None:
        progress.note(retry_notice(error, seconds))

    connection = Connection(options.endpoint, options.profile, options.region)
    try:
        with connection.open(attempts_max=ATTEMPTS_MAX, on_retry=on_retry) as client:
            for batch in batches(_entries(inputs, options, progress), records_max=options.batch_records_max):
                tally.in_flight = batch
                tally.add(batch, client.send_batch(batch))
                progress.answered(len(batch.origins))
    except (ClientError, KeyboardInterrupt) as error:
        tally.stop(error)
        return Failed.by(error)
    except Failed as failed:
        return failed
    return None


def _entries(inputs: Iterable[str], options: _Options, progress: Progress) -> Iterator[Entry | None]:
    for name in inputs:
        try:
            with _open(name) as file:
                chunks = read_chunks(file.fileno(), progress.read)
                yield from read_records(_shown(name), chunks, options.log_format, options.fill(name))
        except OSError as error:
            raise Failed(f"{_shown(name)} cannot be read: {error.strerror}.", NOT_ALL) from None


def _shown(name: str) -> str:
    """The input's name as text that can be sent and printed: a file's may hold bytes that are not UTF-8."""
    return "stdin" if name == STDIN else os.fsencode(name).decode("utf-8", "backslashreplace")


def _open(name: str) -> IO[bytes]:
    return os.fdopen(0, "rb", buffering=0, closefd=False) if name == STDIN else Path(name).open("rb", buffering=0)


def _check_names(inputs: Iterable[str], options: _Options) -> None:
    for name in inputs:
        error = name_error(options.fill(name).service_name, SERVICE_NAME_CHARS_MAX)
        if error is not None:
            raise click.UsageError(
                inert(f"The name of the file {_shown(name)} makes no service's name: it {error}. Give --service.")
            )


def _bytes_total(inputs: Iterable[str]) -> int | None:
    """The size of all inputs; ``None`` where one has no end that is known."""
    total = 0
    for name in inputs:
        if name == STDIN or not Path(name).is_file():
            return None
        total += Path(name).stat().st_size
    return total


def _report(tally: Tally, stop: Failed | None) -> None:
    if stop is None or tally.records:
        for line in tally.lines():
            say(inert(line))
    if stop is not None:
        stop.show()
        say(inert(tally.where_it_stopped()))
