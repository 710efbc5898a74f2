"""The first minute: what ``make run`` executes shows this machine's logs, tells the truth, and ends cleanly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.command import clean_environ

_CHECKOUT = Path(__file__).parents[2]
_ENDS_WITH = "Ctrl-C stops the service"
_SECONDS_MAX = 60.0


class FirstRun:
    """The script at work; ``shown`` is what it printed until it only serves."""

    def __init__(self, process: subprocess.Popen[str], data_dir: Path, environ: Mapping[str, str]) -> None:
        self.process = process
        self.data_dir = data_dir
        self.environ = environ
        self.shown = ""
        assert process.stdout is not None
        for line in process.stdout:
            self.shown += line
            if line.startswith(_ENDS_WITH):
                return
        pytest.fail(f"it ended before it served:\n{self.shown}")

    @property
    def server_pid(self) -> int:
        return int((self.data_dir / "lock").read_text())

    def what_to_type_next(self) -> str:
        return self.shown.partition("another terminal:\n")[2].partition(_ENDS_WITH)[0]

    def recent(self) -> list[dict[str, Any]]:
        """The stored records as the command line shows them."""
        slog = os.fspath(Path(sys.executable).with_name("slog"))
        done = subprocess.run(
            [slog, "recent", "-o", "json", "--limit", "10000"], env=self.environ, capture_output=True, check=True
        )
        records: list[dict[str, Any]] = json.loads(done.stdout)
        return records

    def end(self, number: int) -> tuple[int, str]:
        """Send the signal; the exit code, and the rest of what was printed."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=_SECONDS_MAX)
        return self.process.returncode, rest


@contextmanager
def _first_run(tmp_path: Path, journal: list[dict[str, Any]] | None = None, *flags: str) -> Iterator[FirstRun]:
    """The script with this journal, which another program than journalctl gives it, or with none."""
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    lines = "".join(json.dumps(entry) + "\n" for entry in journal or [])
    (tmp_path / "journal.json").write_text(lines)
    (programs / "journalctl").write_text(f'#!/bin/sh\nexec cat "{tmp_path}/journal.json"\n')
    (programs / "journalctl").chmod(0o755)
    environ = clean_environ(tmp_path, XDG_CONFIG_HOME=os.fspath(tmp_path / "config"))
    environ["PATH"] = f"{programs}:{environ['PATH']}"
    data_dir = tmp_path / "data"
    command = [sys.executable, "scripts/first_run.py", "--data-dir", os.fspath(data_dir), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--log-dir", os.fspath(tmp_path / "log"), *flags],
        cwd=_CHECKOUT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield FirstRun(process, data_dir, environ)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=_SECONDS_MAX)


def _entry(number: int, **fields: Any) -> dict[str, Any]:
    """An entry as journalctl writes it, of a minute ago."""
    return {
        "__CURSOR": f"s=1;i={number}",
        "__REALTIME_TIMESTAMP": str(time.time_ns() // 1000 - 60_000_000 + number),
        "SYSLOG_IDENTIFIER": "sshd",
        "PRIORITY": "6",
        "MESSAGE": f"message {number}",
        **fields,
    }


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_script_and_server_without_a_complaint(number: int, tmp_path: Path) -> None:
    if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("under nohup it goes on, as it should")
    with _first_run(tmp_path, [_entry(1)]) as run:
        server_pid = run.server_pid
        exit_code, rest = run.end(number)
    assert exit_code == 0
    assert rest.splitlines()[-2:] == [
        "simple-log-service: stopping: answering what was accepted",
        "simple-log-service: stopped",
    ]
    assert "Traceback" not in rest
    assert _is_gone(server_pid)


def test_what_it_says_to_type_next_works_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "tool.log").write_text("one line\n")
    with _first_run(tmp_path, [_entry(1)]) as run:
        commands = run.what_to_type_next()
        done = subprocess.run(
            ["bash", "-euo", "pipefail"], input=commands, env=run.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == "sent 1 record: 1 accepted, 0 rejected\n"
        assert "sshd/journal  message 1" in done.stdout
        assert '"message":"Log ingested successfully"' in done.stdout
        assert '"message":"hello from curl"' in done.stdout
        assert "message='hello from Python'" in done.stdout
        assert {record["service_name"] for record in run.recent()} == {"sshd", "tool", "shop"}
    assert f"{tmp_path}/log/tool.log" in commands


def test_the_journal_keeps_its_times_levels_and_texts(tmp_path: Path) -> None:
    entries = [
        _entry(1, PRIORITY="3", _PID="12", _SYSTEMD_UNIT="ssh.service", _HOSTNAME="host"),
        _entry(2, MESSAGE=list(b"bytes \xff \x1b[31m")),
        _entry(3, MESSAGE=None, SYSLOG_IDENTIFIER=None, _COMM="cron"),
        _entry(4, MESSAGE=["twice", "given"], SYSLOG_IDENTIFIER="two\nlines ", PRIORITY="nonsense"),
        _entry(5, SYSLOG_IDENTIFIER=""),
    ]
    with _first_run(tmp_path, entries) as run:
        stored = [(record["service_name"], record["level"], record["message"]) for record in reversed(run.recent())]
        oldest = run.recent()[-1]
    assert stored == [
        ("sshd", "ERROR", "message 1"),
        ("sshd", "INFO", "bytes \\xff \x1b[31m"),
        ("cron", "INFO", ""),
        ("two lines", "INFO", "twice given"),
        ("unknown", "INFO", "message 5"),
    ]
    assert oldest["metadata"] == {"host": "host", "pid": "12", "unit": "ssh.service"}
    assert "Took in 5 records from this machine's journal" in run.shown
    assert "\x1b" not in run.shown


def test_a_second_run_goes_on_with_the_store_and_stores_nothing_twice(tmp_path: Path) -> None:
    with _first_run(tmp_path, [_entry(1), _entry(2)]) as run:
        first = run.recent()
        run.end(signal.SIGINT)
    with _first_run(tmp_path, [_entry(1), _entry(2), _entry(3)]) as run:
        assert "2 were there from before" in run.shown
        assert [record["message"] for record in run.recent()] == ["message 3", "message 2", "message 1"]
        assert run.recent()[1:] == first


def test_without_a_journal_it_shows_the_ends_of_log_files(tmp_path: Path) -> None:
    (tmp_path / "log" / "sub").mkdir(parents=True)
    long = "".join(f"line {number:05}\n" for number in range(10_000))
    (tmp_path / "log" / "long.log").write_text(long)
    (tmp_path / "log" / "sub" / "other.log").write_bytes(b"not UTF-8: \xff\r\n\nunended")
    (tmp_path / "log" / "binary.log").write_bytes(b"\0\1\2")
    with _first_run(tmp_path) as run:
        by_service: dict[str, list[str]] = {"long": [], "other": []}
        for record in reversed(run.recent()):
            by_service[record["service_name"]].append(record["message"])
    assert by_service["other"] == ["not UTF-8: \\xff", "unended"]
    assert 1000 < len(by_service["long"]) < 10_000
    assert by_service["long"] == long.splitlines()[-len(by_service["long"]) :]
    assert "time of receipt" in run.shown


def test_records_that_are_made_up_are_said_to_be(tmp_path: Path) -> None:
    with _first_run(tmp_path) as run:
        assert "300 records that are made up" in run.shown
        assert all(record["metadata"]["made_up"] is True for record in run.recent())


def test_a_port_that_is_taken_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "scripts/first_run.py", "--port", str(taken.getsockname()[1]), "--data-dir", tmp_path],
            cwd=_CHECKOUT,
            env=clean_environ(tmp_path, XDG_CONFIG_HOME=os.fspath(tmp_path / "config")),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Another program listens on the port already")
    assert len(done.stderr.splitlines()) == 1
