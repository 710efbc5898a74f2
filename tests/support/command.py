"""Running the installed command as a person or a script does: under a terminal, or through pipes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SLOG = os.fspath(Path(sys.executable).with_name("slog"))
TIMEOUT_SECONDS = 60.0


class Result(NamedTuple):
    """How the command ended, and what it wrote where."""

    exit_code: int
    stdout: str
    stderr: str


def clean_environ(home: Path, **variables: str) -> dict[str, str]:
    """An environment in which nothing of the user's own is found."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, "HOME": os.fspath(home), "AWS_EC2_METADATA_DISABLED": "true", "TERM": "xterm", **variables}


def run(arguments: list[str | bytes], environ: Mapping[str, str], stdin: bytes = b"") -> Result:
    """Run it with pipes."""
    done = subprocess.run(
        [SLOG, *arguments], env=environ, input=stdin, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def run_in_terminal(arguments: list[str], environ: Mapping[str, str], typed: bytes = b"") -> Result:
    """Run it with standard input, output and error on a terminal each, of which the first has ``typed`` typed in."""
    keyboard, screen, errors = Terminal(), Terminal(), Terminal()
    process = subprocess.Popen(
        [SLOG, *arguments], env=environ, stdin=keyboard.inside, stdout=screen.inside, stderr=errors.inside
    )
    os.write(keyboard.outside, typed)
    for terminal in (keyboard, screen, errors):
        os.close(terminal.inside)
    # A terminal buffers some kilobytes, so tests write less before the next is read.
    stdout, stderr = screen.read(), errors.read()
    os.close(keyboard.outside)
    return Result(process.wait(TIMEOUT_SECONDS), stdout, stderr)


class Terminal:
    """A pseudo-terminal: a program writes ``inside``, the test reads ``outside``."""

    def __init__(self) -> None:
        self.outside, self.inside = pty.openpty()

    def read(self) -> str:
        """Everything that was written, until the last program has let go of it."""
        data = b""
        while True:
            try:
                piece = os.read(self.outside, 4096)
            except OSError:  # Linux's way to say that nobody has the inside open any more.
                piece = b""
            if not piece:
                os.close(self.outside)
                return data.decode()
            data += piece
