"""The first minute with the service, which is what ``make run`` shows.

Starts the service with its store in a folder, takes in log lines of this machine through the ordinary client, shows the
newest of them, says what to type next, and serves until Ctrl-C. Run again it goes on with the same store.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from simple_log_service import Client, ClientError
from simple_log_service.cli.terminal import inert, wants_colour
from simple_log_service.client.credentials import file_credentials
from simple_log_service.client.local_endpoint import read_endpoint

if TYPE_CHECKING:
    from scripts.sample_logs import log_files, this_machine_s_logs
else:
    # Python finds it beside this script, a type checker from the top of the checkout.
    from sample_logs import log_files, this_machine_s_logs

_SAYS = "simple-log-service: "
_LISTENING = f"{_SAYS}listening on "
_STARTED = f"{_SAYS}credentials in "
"""How the server's last line at its start begins."""

_NEXT = """\
cd {folder}

{bold}# The command line{plain}
{slog} recent --since 1h
{slog} send {file}

{bold}# HTTP: curl signs with the key in {credentials}{plain}
signed() {{ awk -F' = ' '/key_id/ {{ id = $2 }} /secret/ {{ print "user = \\"" id ":" $2 "\\"" }}' {credentials} |
  curl -sS -K - --aws-sigv4 aws:amz:{region}:execute-api "$@"; echo; }}
signed {endpoint}/logs -d '{{"service_name": "shop", "log_type": "application", "message": "hello from curl"}}'
signed '{endpoint}/logs/recent?limit=3&service_name=shop'

{bold}# Python{plain}
{python} - <<'END'
from simple_log_service import Client
with Client() as client:
    client.send([{{"service_name": "shop", "log_type": "application", "message": "hello from Python"}}])
    print(*client.iter_recent(service_name="shop", limit=3), sep="\\n")
END
"""
"""Flush left and with its headings as comments: any part of it can be pasted into a shell."""


class NotServing(Exception):
    """The server did not start; the text says why."""


def main() -> int:
    """Run it all; gives the exit code, 0 where Ctrl-C ended it."""
    arguments = _arguments()
    _take_as_ctrl_c(signal.SIGINT, signal.SIGTERM)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # As nohup has it.
        _take_as_ctrl_c(signal.SIGHUP)
    try:
        with _server(arguments.data_dir, arguments.port) as (process, endpoint):
            _say(
                f"{_bold('Simple Log Service')} runs at {_bold(endpoint)}, its store is {_path(arguments.data_dir)}/\n"
            )
            _take_in(endpoint, arguments)
            _show_newest()
            _say_what_next(endpoint, arguments)
            exit_code = process.wait()
        sys.stderr.write(f"The server has ended by itself, with exit code {exit_code}.\n")
    except KeyboardInterrupt:
        return 0
    except (NotServing, ClientError) as error:
        sys.stderr.write(f"{inert(str(error))}\n")
    return 1


def _take_as_ctrl_c(*numbers: signal.Signals) -> None:
    """Have these signals raise ``KeyboardInterrupt``, also where a shell started the script with them ignored."""
    for number in numbers:
        signal.signal(number, signal.default_int_handler)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Start the service, with this machine's log lines to look at.")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of the store (default: data)")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one (default: 8080)")
    parser.add_argument(
        "--log-dir", type=Path, default=Path("/var/log"), help="where to look where there is no journal (/var/log)"
    )
    return parser.parse_args()


@contextmanager
def _server(data_dir: Path, port: int | None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server while the context is open, and its endpoint; raises ``NotServing`` where it does not start."""
    program, folder = _program("simple-log-service"), os.fspath(data_dir)
    command = [program, "serve", "--data-dir", folder, "--access-log", os.fspath(data_dir / "access.log")]
    if port is not None:
        command += ["--port", str(port)]
    # In a process group of its own, Ctrl-C reaches it through this script alone: once, and when it can answer.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, process_group=0)
    assert process.stderr is not None
    relay = threading.Thread(target=_relay, args=(process.stderr,))
    try:
        endpoint = _wait_until_ready(process.stderr)
        relay.start()
        yield process, endpoint
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if sys.stderr.isatty() and process.poll() is None:
            sys.stderr.write("\n")  # Behind the ^C that the terminal shows.
        process.terminate()
        process.wait()
        if relay.ident is not None:
            relay.join()
        process.stderr.close()


def _wait_until_ready(stderr: IO[str]) -> str:
    """The endpoint, once the server listens there."""
    endpoint, others = "", ""
    for line in stderr:
        if line.startswith(_STARTED):
            sys.stderr.write(others)
            return endpoint
        if line.startswith(_LISTENING):
            endpoint = line.removeprefix(_LISTENING).strip()
        else:
            others += line
    if " is in use: " in others:
        raise NotServing(
            "Another program listens on the port already (another `make run`?). "
            "Stop it, or choose another port: SIMPLE_LOG_SERVICE_PORT=8081 make run"
        )
    raise NotServing(others.strip() or "The server ended without a word.")


def _relay(stderr: IO[str]) -> None:
    for line in stderr:
        sys.stderr.write(line)


def _take_in(endpoint: str, arguments: argparse.Namespace) -> None:
    sample = this_machine_s_logs(arguments.log_dir)
    credentials = file_credentials(arguments.data_dir / "credentials")
    began = time.perf_counter()
    with Client(endpoint, region=_region(), credentials=credentials) as client:
        receipts = [sent.receipt for sent in client.send_all(sample.records)]
    seconds = time.perf_counter() - began
    _say(f"Took in {len(sample.records):,} records {sample.description}, in {seconds:.2f} s.")
    duplicates = sum(receipt.duplicates for receipt in receipts)
    if duplicates:
        _say(f"{duplicates:,} were there from before, and are not stored twice.")
    rejected = [each for receipt in receipts for each in receipt.rejected]
    if rejected:
        _say(inert(f"{len(rejected):,} were rejected, the first because {rejected[0].reason}."))


def _show_newest() -> None:
    command = [_program("slog"), "recent", "--since", "30d", "--limit", "10"]
    _say(f"The newest, as {_bold(shlex.join(command))} shows them:\n")
    subprocess.run(command, check=False)


def _say_what_next(endpoint: str, arguments: argparse.Namespace) -> None:
    bold, plain = ("\x1b[1m", "\x1b[0m") if wants_colour(sys.stdout) else ("", "")
    files = log_files(arguments.log_dir)
    _say(f"\nIt works. What to type next, in {_bold('another terminal')}:\n")
    _say(
        _NEXT.format(
            folder=_path(Path.cwd()),
            slog=_path(Path(_program("slog"))),
            file=_path(files[-1] if files else Path("README.md")),
            credentials=_path(arguments.data_dir / "credentials"),
            python=_path(Path(_program("python"))),
            endpoint=endpoint,
            region=_region(),
            bold=bold,
            plain=plain,
        )
    )
    _say(f"{_bold('Ctrl-C')} stops the service; the next `make run` goes on with the same store.")


def _region() -> str:
    """The one that the server has noted for this user's clients."""
    noted = read_endpoint()
    return "us-east-1" if noted is None else noted.region


def _program(name: str) -> str:
    """A program of this Python's environment, as it is called from here."""
    path = Path(sys.executable).with_name(name)
    return os.fspath(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _path(path: Path) -> str:
    return shlex.quote(os.fspath(path))


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if wants_colour(sys.stdout) else text


def _say(text: str) -> None:
    """Print at once, so that it stands before what other programs print."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
