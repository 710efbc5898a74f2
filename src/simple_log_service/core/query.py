"""What a reader asks for, and the page that it gets."""

from __future__ import annotations

import msgspec

from simple_log_service.core.limits import PAGE_RECORDS_DEFAULT
from simple_log_service.core.record import Kind, Position, Record
from simple_log_service.core.retention import Kept
from simple_log_service.core.search import Search


class Query(msgspec.Struct, frozen=True):
    """The newest records that match, below a position.

    ``since_ns`` is inclusive, ``until_ns`` exclusive; ``below`` is where the page before ended, and ``reach_ns`` what
    that page said of itself. ``search`` is what the records' texts must hold; ``kept`` says from when on records of
    each kind are kept, where that differs between kinds.
    """

    since_ns: int
    until_ns: int | None = None
    service_name: str | None = None
    log_type: str | None = None
    level: str | None = None
    below: Position | None = None
    limit: int = PAGE_RECORDS_DEFAULT
    reach_ns: int | None = None
    search: Search | None = None
    kept: Kept | None = None

    @property
    def takes_all_kinds(self) -> bool:
        """Whether records of all kinds are asked for, and of all within one range."""
        return (self.service_name, self.log_type, self.level, self.kept) == (None, None, None, None)

    def matches(self, kind: Kind) -> bool:
        """Whether records of this kind are asked for; what their texts hold is another question."""
        return (
            (self.service_name is None or self.service_name == kind.service_name)
            and (self.log_type is None or self.log_type == kind.log_type)
            and (self.level is None or self.level == kind.level)
        )

    def finds(self, record: Record) -> bool:
        """Whether the record's texts hold what is searched for, if anything is."""
        return self.search is None or self.search.matches(record.message, record.metadata)

    def since_of(self, kind: Kind) -> int:
        """From when on records of this kind are asked for, nanoseconds."""
        return self.since_ns if self.kept is None else max(self.since_ns, self.kept.oldest_ns(kind))

    def spans(self, time_min: int, time_max: int) -> bool:
        """Whether everything between two times, both included, is in its range, whatever its kind."""
        below = self.ceiling
        return self.kept is None and time_min >= self.since_ns and (below is None or time_max < below.timestamp)

    @property
    def ceiling(self) -> Position | None:
        """The position that every answer stands strictly below: of the range's end or of the page before."""
        if self.until_ns is None:
            return self.below
        end = Position(self.until_ns, -1)
        return end if self.below is None else min(end, self.below)


class Page(msgspec.Struct, frozen=True):
    """``logs`` are records as JSON objects, newest first; ``below`` is where the next page goes on, if there is one.

    ``reach_ns`` is for stores that keep records in groups: no group whose newest record is after that time holds
    anything below. ``complete`` is false where time ran out before the page was full or the range was looked at.
    """

    logs: list[bytes]
    below: Position | None = None
    complete: bool = True
    reach_ns: int | None = None
