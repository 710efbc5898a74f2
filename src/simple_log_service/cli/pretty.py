"""One record as one line for people: time, level, service and type, message, metadata."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from simple_log_service.cli.terminal import inert
from simple_log_service.client.records import RawRecord

LEVEL_STYLES: dict[str, dict[str, Any]] = {
    "TRACE": {"fg": "bright_black"},
    "DEBUG": {"fg": "bright_black"},
    "INFO": {"fg": "cyan"},
    "WARN": {"fg": "yellow"},
    "ERROR": {"fg": "red"},
    "FATAL": {"fg": "red", "reverse": True},
}
_LEVEL_CHARS = max(map(len, LEVEL_STYLES))


def pretty_line(raw: bytes | msgspec.Raw, *, colour: bool) -> str:
    """The record of this JSON text, without a line break, and with nothing in it that a terminal obeys."""
    record = RawRecord.of(raw)
    level = inert(record.level).ljust(_LEVEL_CHARS)
    source = inert(f"{record.service_name}/{record.log_type}")
    time, message = inert(record.timestamp), inert(record.message)
    metadata = bytes(record.metadata).decode()
    metadata = "" if metadata == "{}" else "  " + inert(metadata)
    if colour:
        level = click.style(level, **LEVEL_STYLES.get(record.level, {}))
        time, metadata = click.style(time, dim=True), click.style(metadata, dim=True)
        source = click.style(source, bold=True)
    return f"{time} {level} {source}  {message}{metadata}"
