"""Which records an operator wants erased: those of a service, of a type, of a range of time, or of what these share."""

from __future__ import annotations

from typing import Annotated

import msgspec

from simple_log_service.core.limits import LOG_TYPE_CHARS_MAX, SERVICE_NAME_CHARS_MAX
from simple_log_service.core.query import Query
from simple_log_service.core.record import Kind
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from simple_log_service.core.validation import name_error

EVERYTHING_ARRIVED = 2**63 - 1

_Moment = Annotated[int, msgspec.Meta(ge=0, le=TIMESTAMP_NS_MAX)]
_Arrival = Annotated[int, msgspec.Meta(ge=0, le=EVERYTHING_ARRIVED)]


class Erasure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Records of this service and type, ``None`` being any, from ``since_ns`` up to but not at ``until_ns``.

    What arrived after ``arrival_last`` stays: nothing goes that was not there when somebody said yes.
    """

    service_name: str | None = None
    log_type: str | None = None
    since_ns: _Moment | None = None
    until_ns: _Moment | None = None
    arrival_last: _Arrival = EVERYTHING_ARRIVED

    @property
    def query(self) -> Query:
        """What finds these records, and those that arrived later."""
        return Query(self.since_ns or 0, self.until_ns, self.service_name, self.log_type)

    @property
    def problem(self) -> str | None:
        """Why it cannot be carried out, as a sentence; ``None`` where it can."""
        if (self.service_name, self.log_type, self.since_ns, self.until_ns) == (None, None, None, None):
            return "Say what to erase: a service, a type, or a range of time."
        if self.since_ns is not None and self.until_ns is not None and self.until_ns <= self.since_ns:
            return "The range must begin before it ends."
        for field, name, chars_max in (
            ("service", self.service_name, SERVICE_NAME_CHARS_MAX),
            ("type", self.log_type, LOG_TYPE_CHARS_MAX),
        ):
            error = None if name is None else name_error(name, chars_max)
            if error is not None:
                return f"The {field}'s name {error}."
        return None

    def matches(self, kind: Kind) -> bool:
        """Whether records of this kind go, where their time and arrival say so, too."""
        return self.service_name in (None, kind.service_name) and self.log_type in (None, kind.log_type)

    def has(self, timestamp: int, arrival: int) -> bool:
        """Whether a record of this time and arrival goes, where its kind says so, too."""
        return (
            (self.since_ns or 0) <= timestamp
            and (self.until_ns is None or timestamp < self.until_ns)
            and arrival <= self.arrival_last
        )
