"""Log records of this machine for a first look: from its journal, else its log files, else made up.

Real records have ids made from where they stand: taking them in again stores none of them twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

JOURNAL_RECORDS_MAX = 2000
FILES_MAX = 20
FILE_TAIL_BYTES = 32 * 1024
MADE_UP_RECORDS = 300

_LEVELS = ("FATAL", "FATAL", "FATAL", "ERROR", "WARN", "INFO", "INFO", "DEBUG")
"""By the number that syslog gives a priority (RFC 5424, table 2)."""

_MADE_UP = (
    ("shop", "access", "INFO", "GET /basket 200 in 12 ms"),
    ("shop", "application", "INFO", "order 4711 was placed"),
    ("billing", "application", "WARN", "the payment provider took 2.3 s to answer"),
    ("shop", "access", "INFO", "POST /orders 201 in 48 ms"),
    ("billing", "audit", "INFO", "invoice 4711 was sent"),
    ("mail", "application", "ERROR", "the mailbox of customer 42 is full"),
    ("shop", "application", "DEBUG", "cache: 812 hits, 9 misses"),
)


class Sample(NamedTuple):
    """Records to send, and a phrase that says what they are."""

    description: str
    records: list[dict[str, Any]]


def this_machine_s_logs(log_dir: Path) -> Sample:
    """The first source that has something: the journal, the files of ``log_dir``, or the made-up records."""
    sources: tuple[tuple[str, Callable[[], Iterator[dict[str, Any]]]], ...] = (
        ("from this machine's journal, of the last 24 hours", _from_journal),
        (f"from the ends of the files in {log_dir}, stored with the time of receipt", lambda: _from_files(log_dir)),
    )
    for description, source in sources:
        records = list(source())
        if records:
            return Sample(description, records)
    return Sample(
        f"that are made up, since neither a journal nor files in {log_dir} could be read", list(_made_up(time.time()))
    )


def log_files(log_dir: Path) -> list[Path]:
    """The files in the folder and right below it that hold logs, last the one that was written last."""
    paths = (path for pattern in ("*.log", "*/*.log") for path in log_dir.glob(pattern))
    readable = (path for path in paths if path.is_file() and os.access(path, os.R_OK) and path.stat().st_size > 0)
    return sorted(readable, key=lambda path: path.stat().st_mtime)[-FILES_MAX:]


def _from_journal() -> Iterator[dict[str, Any]]:
    # Without --all, journalctl leaves long fields out.
    command = ["journalctl", "--output=json", "--all", "--quiet", "--no-pager", "--since=-24h"]
    try:
        output = subprocess.run([*command, f"--lines={JOURNAL_RECORDS_MAX}"], capture_output=True, check=False).stdout
    except OSError:
        return
    for line in output.splitlines():
        yield _journal_record(json.loads(line))


def _journal_record(entry: dict[str, Any]) -> dict[str, Any]:
    """One entry as a record; the fields are those of systemd.journal-fields(7)."""
    fields = {name: _text(value) for name, value in entry.items()}
    priority = fields.get("PRIORITY", "")
    known = {"host": fields.get("_HOSTNAME"), "pid": fields.get("_PID"), "unit": fields.get("_SYSTEMD_UNIT")}
    return {
        "service_name": _name(fields.get("SYSLOG_IDENTIFIER") or fields.get("_COMM") or ""),
        "log_type": "journal",
        "level": _LEVELS[int(priority)] if priority in tuple("01234567") else "INFO",
        "timestamp": int(fields["__REALTIME_TIMESTAMP"]),
        "message": fields.get("MESSAGE", ""),
        "metadata": {name: value for name, value in known.items() if value},
        "log_id": _id(fields.get("__CURSOR", "")),
    }


def _text(value: Any) -> str:
    """A field's value as text. journalctl writes what is not UTF-8 as a list of bytes, a repeated field as a list."""
    if isinstance(value, list):
        if all(isinstance(each, int) for each in value):
            return bytes(value).decode("utf-8", "backslashreplace")
        return " ".join(map(_text, value))
    return "" if value is None else str(value)


def _from_files(log_dir: Path) -> Iterator[dict[str, Any]]:
    for path in log_files(log_dir):
        try:
            with path.open("rb") as file:
                start = max(0, path.stat().st_size - FILE_TAIL_BYTES)
                file.seek(start)
                data = file.read(FILE_TAIL_BYTES)
        except OSError:
            continue
        if b"\0" not in data:
            yield from _lines(path, start, data)


def _lines(path: Path, start: int, data: bytes) -> Iterator[dict[str, Any]]:
    """Each whole line of the data, which stands at ``start`` in the file, as a record."""
    place = start
    for line in data.splitlines(keepends=True):
        is_whole = place == 0 or place > start
        message = line.decode("utf-8", "backslashreplace").rstrip()
        if is_whole and message:
            yield {
                "service_name": _name(path.stem),
                "log_type": "file",
                "message": message,
                "log_id": _id(f"{path}:{place}:{message}"),
            }
        place += len(line)


def _made_up(now: float) -> Iterator[dict[str, Any]]:
    for number in range(MADE_UP_RECORDS):
        service_name, log_type, level, message = _MADE_UP[number % len(_MADE_UP)]
        yield {
            "service_name": service_name,
            "log_type": log_type,
            "level": level,
            "timestamp": int(now - 10 * (MADE_UP_RECORDS - number)),
            "message": message,
            "metadata": {"made_up": True, "number": number},
        }


def _name(text: str) -> str:
    """The text as a service's name: the service takes no control characters there, and no white space around it."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:128] or "unknown"


def _id(place: str) -> str:
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:32]
