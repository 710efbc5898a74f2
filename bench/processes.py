"""The servers under load, each a process of its own, and what Linux knows of such a process and its children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from simple_log_service.api.signer import Credentials
from simple_log_service.client.credentials import file_credentials

_LISTENING = "listening on http://"
_SAMPLE_SECONDS = 0.05


class NotServing(Exception):
    """A server did not start; the text is what it said."""


class Server:
    """A running one. ``pid`` and ``data_dir`` are ``None`` where nobody told them: of a server started by others."""

    def __init__(self, host: str, pid: int | None = None, data_dir: Path | None = None, began: float = 0.0) -> None:
        self.host, self.pid, self.data_dir = host, pid, data_dir
        self.began = began
        """When its process was started, as ``time.perf_counter`` counts."""
        self.stop_seconds = 0.0
        """How long it took to stop, once it has."""

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        name, _, port = self.host.rpartition(":")
        return name, int(port)

    @property
    def credentials(self) -> Credentials:
        """The administrator's."""
        assert self.data_dir is not None
        return file_credentials(self.data_dir / "credentials")

    @property
    def cpu_seconds(self) -> float | None:
        """User and system time so far, of all its threads and processes, those that have ended included."""
        return None if self.pid is None else sum(map(_cpu_seconds, family(self.pid)))

    @property
    def stored_bytes(self) -> int | None:
        """Size of the store's files."""
        if self.data_dir is None:
            return None
        logs = self.data_dir / "logs"
        return _size_bytes(logs if logs.exists() else self.data_dir)


class PeakMemory:
    """The most memory that a server and its children had resident together, looked at often, from a thread."""

    def __init__(self, server: Server) -> None:
        self._pid = server.pid
        self.bytes_max: int | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while self._pid is not None:
            self.bytes_max = max(self.bytes_max or 0, sum(map(_rss_bytes, family(self._pid))))
            if self._stopped.wait(_SAMPLE_SECONDS):
                return


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for each in found:
        try:
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:  # It, or its thread, has just ended.
            continue
    return found


@contextmanager
def log_server(folder: Path) -> Iterator[Server]:
    """The real service over this folder, new or not, its throttle and its access log off; stopped at the end."""
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
def signals_held() -> Iterator[None]:
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


@contextmanager
def _serving(command: Sequence[str], folder: Path) -> Iterator[Server]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("SIMPLE_LOG_SERVICE_")}
    environ = {**own, "XDG_CONFIG_HOME": os.fspath(folder / "config")}
    process: subprocess.Popen[str] | None = None
    server: Server | None = None
    try:
        began = time.perf_counter()
        with signals_held():
            # In a process group of its own, Ctrl-C does not reach it: it is stopped below, whatever happens.
            process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True, process_group=0)
        server = Server(_announced(process), process.pid, folder / "data", began)
        yield server
    finally:
        if process is not None:
            began = time.perf_counter()
            process.terminate()
            process.wait()
            if server is not None:
                server.stop_seconds = time.perf_counter() - began
            assert process.stderr is not None
            process.stderr.close()


def _announced(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if _LISTENING in line:
            return line.partition(_LISTENING)[2].strip()
    raise NotServing(said)


def _cpu_seconds(pid: int) -> float:
    """Fields 14 to 17 of proc(5)'s stat: its own time, and that of children it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # It has just ended.
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _size_bytes(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size if path.is_file() else 0
        except OSError:  # A server may delete its files at any time.
            continue
    return size
