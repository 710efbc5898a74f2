"""The alarms, as data: one line each. On AWS CloudWatch evaluates them; whoever keeps the figures can do so elsewhere.

An alarm is raised when its figure, over one window, is above the threshold. No figure means nothing happened.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple

WINDOW_SECONDS = 300


class Figure(Enum):
    """What is watched; each home says where it finds it."""

    HANDLER_ERRORS = "requests that ended in an unexpected error"
    HANDLER_SECONDS = "seconds that answering one request took"
    STORE_THROTTLES = "reads and writes that the store turned away for want of capacity"
    CLIENT_ERRORS = "answers with a status of 4xx"
    SERVER_ERRORS = "answers with a status of 5xx"


class Alarm(NamedTuple):
    """One alarm: its name, what it watches, how a window's values become one, and above what it is raised."""

    name: str
    figure: Figure
    statistic: Literal["sum", "maximum"]
    threshold: float
    window_seconds: int = WINDOW_SECONDS

    @property
    def meaning(self) -> str:
        """The alarm in words, for whoever gets the message."""
        kind = "Number of" if self.statistic == "sum" else "Largest number of"
        return f"{kind} {self.figure.value}: above {self.threshold:g} in {self.window_seconds // 60} minutes."


ALARMS: tuple[Alarm, ...] = (
    Alarm("function-errors", Figure.HANDLER_ERRORS, "sum", 5),
    Alarm("function-duration", Figure.HANDLER_SECONDS, "maximum", 5),
    Alarm("table-throttles", Figure.STORE_THROTTLES, "sum", 10),
    Alarm("api-4xx", Figure.CLIENT_ERRORS, "sum", 50),
    Alarm("api-5xx", Figure.SERVER_ERRORS, "sum", 5),
)
