"""What a terminal needs: text that cannot command it, colours where they are welcome, errors in one line.

Logs hold whatever their writers put there. Escape sequences could rewrite the screen, line breaks could forge
records, and bidirectional controls could reorder what is read: all are shown as escapes instead.
"""

from __future__ import annotations

import os
import re
import sys
from typing import IO, Any

import click

# C0 but the tab, DEL, C1, line and paragraph separators, and every bidirectional control of Unicode's UAX #9.
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\x1b": "\\e"}


def inert(text: str) -> str:
    r"""The text with everything that a terminal would obey written out: ``\n``, ``\e``, ``\x9b``, ``\u202e``."""
    return _UNSAFE.sub(_written_out, text)


def inert_json(text: str) -> str:
    """JSON with the same meaning and nothing that a terminal would obey; line breaks between tokens stay."""
    return _UNSAFE.sub(_json_escape, text)


def _written_out(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _json_escape(match: re.Match[str]) -> str:
    # JSON allows no raw C0 control within a string, so those here stand between tokens.
    return match[0] if match[0] in "\n\r" else f"\\u{ord(match[0]):04x}"


def is_terminal(stream: IO[Any] | None) -> bool:
    """Whether somebody watches the stream, if it is open at all, on a terminal that can do more than print."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def wants_colour(stream: IO[Any] | None) -> bool:
    """Colours are for terminals, unless NO_COLOR is set and not empty (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def ensure_stdout() -> None:
    """Where the command was started without standard output, have one in its place that cannot be written.

    So data that has nowhere to go ends as on a full disk, and a command that writes none goes through.
    """
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")


def write_stdout(text: str) -> None:
    """Write data, whatever the terminal's encoding lacks written out; raises ``BrokenPipeError``."""
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def say(text: str) -> None:
    """Write one line for the person, on standard error."""
    click.echo(text, err=True)
