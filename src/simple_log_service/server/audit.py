"""The audit file: what operators did that cannot be undone, one JSON object a line, on disk before it is done.

Lines are only ever added. The file is private to the user that runs the server.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from simple_log_service.server.files import PRIVATE_FILE_MODE, sync_directory

AUDIT_FILE_NAME = "audit.ndjson"


def append_line(folder: Path, entry: msgspec.Struct) -> None:
    """Add one line to the folder's audit file and return once a power cut cannot undo it. Raises ``OSError``."""
    # O_NOFOLLOW: the file is here and nowhere else.
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(folder / AUDIT_FILE_NAME, flags, PRIVATE_FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.fchmod(descriptor, PRIVATE_FILE_MODE)
        size = os.fstat(descriptor).st_size
        # A line that a crash cut short must not swallow this one.
        is_cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        line = (b"\n" if is_cut else b"") + msgspec.json.encode(entry) + b"\n"
        if os.write(descriptor, line) < len(line):
            raise OSError(f"{AUDIT_FILE_NAME} took only a part of its line")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(folder)
