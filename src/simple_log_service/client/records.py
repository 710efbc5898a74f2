"""What a reader gets: records as objects, and the page they come in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from simple_log_service.client.errors import UnexpectedAnswer

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading JSON of any origin can raise."""


class LogRecord(msgspec.Struct, frozen=True):
    """One stored record.

    ``timestamp`` is RFC 3339 in UTC, to the nanosecond. Numbers in ``metadata`` are Python's own; who needs
    every digit of a decimal reads ``Page.raw_logs``.
    """

    service_name: str
    log_type: str
    timestamp: str
    level: str
    message: str
    metadata: dict[str, Any]
    log_id: str

    @property
    def time(self) -> datetime:
        """The timestamp, cut to the microsecond, which is as fine as Python's own type goes."""
        whole, _, fraction = self.timestamp.removesuffix("Z").partition(".")
        return datetime.fromisoformat(f"{whole}.{fraction[:6].ljust(6, '0')}+00:00")


class RawRecord(msgspec.Struct, frozen=True):
    """A record with its metadata as the JSON text that it was given as, digits and all."""

    service_name: str
    log_type: str
    timestamp: str
    level: str
    message: str
    metadata: msgspec.Raw
    log_id: str

    @classmethod
    def of(cls, raw: bytes | msgspec.Raw) -> RawRecord:
        """The record of this JSON text; raises one of ``UNREADABLE``."""
        return _RAW_RECORD.decode(raw)


class Page(msgspec.Struct, frozen=True):
    """Some records, newest first.

    ``next_cursor`` goes on after them; only ``None`` means the end. ``complete`` is false where the service ran out of
    time: going on finds the rest. ``raw_logs`` are the records as JSON, as they came; that they are records is checked
    when the page is made.
    """

    raw_logs: list[msgspec.Raw] = msgspec.field(name="logs")
    next_cursor: str | None = None
    complete: bool = True

    def __post_init__(self) -> None:
        for raw in self.raw_logs:
            RawRecord.of(raw)

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing, though there may be more."""
        return not self.raw_logs

    @property
    def logs(self) -> list[LogRecord]:
        """The records as objects; ``UnexpectedAnswer`` where the metadata of one is more than Python can hold."""
        try:
            return list(map(_RECORD.decode, self.raw_logs))
        except UNREADABLE as error:
            raise UnexpectedAnswer(f"The service answered with a record that cannot be read: {error}.") from None


_RECORD = msgspec.json.Decoder(LogRecord)
_RAW_RECORD = msgspec.json.Decoder(RawRecord)
