"""The six levels and the names that map onto them, in any case.

The aliases are those of syslog (RFC 5424, table 2), of Python's logging and of the usual loggers.
"""

from __future__ import annotations

LEVELS: tuple[str, ...] = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
"""In rising severity; a level's number in storage is its place here."""

LEVEL_DEFAULT = "INFO"

_ALIASES = {
    "WARNING": "WARN",
    "CRITICAL": "FATAL",
    "CRIT": "FATAL",
    "NOTICE": "INFO",
    "INFORMATION": "INFO",
    "INFORMATIONAL": "INFO",
    "ERR": "ERROR",
    "ALERT": "FATAL",
    "EMERG": "FATAL",
    "EMERGENCY": "FATAL",
    "PANIC": "FATAL",
}

_CANONICAL = {name: name for name in LEVELS} | _ALIASES


def canonical_level(name: str) -> str | None:
    """The level that ``name`` means, or ``None`` where it means none."""
    # ASCII only: str.upper() would otherwise turn other scripts' letters into ours.
    return _CANONICAL.get(name.upper()) if name.isascii() else None
