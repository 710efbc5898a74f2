"""What a table with autoscaling carries, second by second: a model of DynamoDB's published behaviour, not of AWS.

Each second the requests that are due (new ones, and those that were turned away and come again) are carried as far as
the table, the index and the hottest partition key allow: a write that either has no capacity for is turned away whole.
Unused capacity of up to 300 seconds is spent in bursts. Once a minute autoscaling looks at what CloudWatch shows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from bench.aws_requests import Shape
from infra.profiles import Profile

PARTITION_WRITE_UNITS = 1000
"""A second and partition, and so a partition key, whatever is provisioned."""
BURST_SECONDS = 300
"""So many seconds of unused capacity are kept; AWS promises none of it."""
OUT_MINUTES = 2
"""Over the target for so many minutes: more capacity."""
IN_MINUTES = 15
IN_BELOW_TARGET = 0.2
"""Under the target by 20 points for so many minutes: less."""
METRIC_DELAY_MINUTES = 1
"""CloudWatch shows a minute one later."""
CHANGE_SECONDS = 60
"""From the alarm to capacity that is there: about a minute."""


class Second(NamedTuple):
    """One second. Requests: new, carried, and waiting to come again. Units: the table's and the index's capacity."""

    offered: float
    carried: float
    backlog: float
    table_capacity: int
    index_capacity: int


class Scaled:
    """The write capacity of the table or of the index: provisioned, saved up for bursts, and scaled."""

    def __init__(self, profile: Profile, provisioned: int) -> None:
        self._profile = profile
        self._target = profile.capacity_target_percent / 100
        self.provisioned = provisioned
        self.saved = float(BURST_SECONDS * provisioned)
        self._minute = 0.0
        self._minutes: list[float] = []
        self._pending: tuple[int, int] | None = None

    @property
    def available(self) -> float:
        """Units that this second can spend: a table has a partition for each 1000 of its capacity."""
        partitions = -(-self.provisioned // PARTITION_WRITE_UNITS)
        return min(self.provisioned + self.saved, float(partitions * PARTITION_WRITE_UNITS))

    def spend(self, second: int, units: float) -> None:
        """End a second in which so many units were spent."""
        self.saved = min(self.provisioned + self.saved - units, float(BURST_SECONDS * self.provisioned))
        self._minute += units
        if self._pending and second >= self._pending[0]:
            self.provisioned, self._pending, self._minutes = self._pending[1], None, []
        if second % 60 == 59:
            self._minutes.append(self._minute / 60)
            self._minute = 0.0
            self._scale(second)

    def _scale(self, second: int) -> None:
        shown = self._minutes[: len(self._minutes) - METRIC_DELAY_MINUTES]
        if self._pending or not shown:
            return
        wanted = math.ceil(shown[-1] / self._target)
        over = [units > self._target * self.provisioned for units in shown[-OUT_MINUTES:]]
        under = [units < (self._target - IN_BELOW_TARGET) * self.provisioned for units in shown[-IN_MINUTES:]]
        if (len(over) == OUT_MINUTES and all(over)) or (len(under) == IN_MINUTES and all(under)):
            wanted = min(max(wanted, self._profile.capacity_units_min), self._profile.capacity_units_max)
            if wanted != self.provisioned:
                self._pending = (second + CHANGE_SECONDS, wanted)


def simulate(profile: Profile, shape: Shape, per_second: float, seconds: int) -> list[Second]:
    """A load that sets in at once on an idle table and stays. Clients send again whatever is turned away."""
    table = Scaled(profile, profile.capacity_units_min)
    index = Scaled(profile, profile.capacity_units_min)
    partition = PARTITION_WRITE_UNITS / max(shape.table_hottest, shape.index_hottest)
    backlog, course = 0.0, []
    for second in range(seconds):
        capacities = table.provisioned, index.provisioned
        due = backlog + per_second
        carried = min(due, table.available / shape.table_units, index.available / shape.index_units, partition)
        table.spend(second, carried * shape.table_units)
        index.spend(second, carried * shape.index_units)
        backlog = due - carried
        course.append(Second(per_second, carried, backlog, *capacities))
    return course


class Outcome(NamedTuple):
    """A course in few figures. ``settled_minutes`` is when nobody waited any more, ``None`` where some still do."""

    carried_share: float
    backlog_max: float
    settled_minutes: float | None
    table_capacity: int
    index_capacity: int


def outcome(course: list[Second]) -> Outcome:
    """What a course came to."""
    offered = math.fsum(second.offered for second in course)
    waiting = [place for place, second in enumerate(course) if second.backlog > 1e-6]
    settled = None if waiting and waiting[-1] == len(course) - 1 else (waiting[-1] + 1 if waiting else 0) / 60
    return Outcome(
        math.fsum(second.carried for second in course) / offered,
        max(second.backlog for second in course),
        settled,
        course[-1].table_capacity,
        course[-1].index_capacity,
    )
