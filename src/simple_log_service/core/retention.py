"""How long records are kept: one number of days for all, others for some services and types.

A service's own rule wins over its type's, a type's over the rule for all. What is older is rejected when it comes,
never returned, and removed.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from simple_log_service.core.limits import DAY_NS, RETENTION_DAYS_DEFAULT
from simple_log_service.core.record import Kind


class Retention(msgspec.Struct, frozen=True):
    """The rules, in days: ``by_service`` and ``by_type`` name the services and types that differ from the rest."""

    days: int = RETENTION_DAYS_DEFAULT
    by_service: Mapping[str, int] = {}
    by_type: Mapping[str, int] = {}

    @property
    def is_uniform(self) -> bool:
        """Whether everything is kept for the same time."""
        return not self.by_service and not self.by_type

    @property
    def longest_days(self) -> int:
        """After this nothing is kept."""
        return max([self.days, *self.by_service.values(), *self.by_type.values()])

    @property
    def longest_ns(self) -> int:
        """The same in nanoseconds."""
        return self.longest_days * DAY_NS

    @property
    def shortest_ns(self) -> int:
        """Until then everything is kept, nanoseconds."""
        return min([self.days, *self.by_service.values(), *self.by_type.values()]) * DAY_NS

    def narrowed(self, service_name: str | None, log_type: str | None) -> Retention:
        """The rules that are left for records of one service, one type, or both; ``None`` is any."""
        if service_name is not None and service_name in self.by_service:
            return Retention(self.by_service[service_name])
        by_service = self.by_service if service_name is None else {}
        if log_type is None:
            return Retention(self.days, by_service, self.by_type)
        return Retention(self.by_type.get(log_type, self.days), by_service)

    def of(self, service_name: str, log_type: str) -> int:
        """How long records of this service and type are kept, nanoseconds."""
        days = self.by_service.get(service_name)
        return (self.by_type.get(log_type, self.days) if days is None else days) * DAY_NS


class Kept(msgspec.Struct, frozen=True):
    """The rules as of a moment."""

    retention: Retention
    now_ns: int

    def keeps(self, time_ns: int) -> bool:
        """Whether everything of this time and later is kept."""
        return time_ns >= self.now_ns - self.retention.shortest_ns

    def oldest_ns(self, kind: Kind) -> int:
        """The oldest timestamp of this kind that is kept."""
        return self.oldest_of(kind.service_name, kind.log_type)

    def oldest_of(self, service_name: str, log_type: str) -> int:
        """The oldest timestamp of this service and type that is kept."""
        return self.now_ns - self.retention.of(service_name, log_type)
