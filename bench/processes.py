"""The servers under load, each a process of its own, and what Linux knows of such a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from simple_log_service.api.signer import Credentials
from simple_log_service.client.credentials import file_credentials

_LISTENING = "listening on http://"


class NotServing(Exception):
    """A server did not start; the text is what it said."""


class Server:
    """A running one."""

    def __init__(self, pid: int, host: str, data_dir: Path) -> None:
        self.pid = pid
        self.host = host
        self.data_dir = data_dir

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        name, _, port = self.host.rpartition(":")
        return name, int(port)

    @property
    def credentials(self) -> Credentials:
        """The administrator's."""
        return file_credentials(self.data_dir / "credentials")

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far: fields 14 and 15 of proc(5)'s stat."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_bytes_max(self) -> int:
        """The most memory that it ever had resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@contextmanager
def log_server(folder: Path) -> Iterator[Server]:
    """The real service in this new folder, its throttle and its access log off; stopped at the end."""
    data_dir = folder / "data"
    program = os.fspath(Path(sys.executable).with_name("simple-log-service"))
    flags = ("--port", "0", "--throttle-rate", "0", "--access-log", "off")
    with _serving((program, "serve", "--data-dir", os.fspath(data_dir), *flags), folder) as server:
        yield server


@contextmanager
def listener_alone(folder: Path) -> Iterator[Server]:
    """The service's listener with nothing behind it."""
    with _serving((sys.executable, "-m", "bench.listener_alone"), folder) as server:
        yield server


@contextmanager
def _serving(command: Sequence[str], folder: Path) -> Iterator[Server]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("SIMPLE_LOG_SERVICE_")}
    environ = {**own, "XDG_CONFIG_HOME": os.fspath(folder / "config")}
    process: subprocess.Popen[str] | None = None
    try:
        with _signals_held():
            # In a process group of its own, Ctrl-C does not reach it: it is stopped below, whatever happens.
            process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True, process_group=0)
        yield _started(process, folder)
    finally:
        if process is not None:
            process.terminate()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()


def _started(process: subprocess.Popen[str], folder: Path) -> Server:
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if _LISTENING in line:
            return Server(process.pid, line.partition(_LISTENING)[2].strip(), folder / "data")
    raise NotServing(said)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait: between a process's start and its place in a variable nobody could end it."""
    held: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, lambda number, _: held.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if held:
        raise KeyboardInterrupt
