"""Where the stream's consumer puts records: what it needs of such a place, and what the place answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from simple_log_service.core.record import Record
from simple_log_service.stores.dynamodb.patience import Patience


class Outcome(NamedTuple):
    """What became of some records, by their places among those that were given; the others are through.

    ``failed`` may get through if they are sent again; ``refused`` never will, and here is why, without a word of what
    they say.
    """

    failed: frozenset[int]
    refused: dict[int, str]


class Sink(Protocol):
    """A place for records, beside the table."""

    @property
    def name(self) -> str:
        """What it is called where something did not get into it."""

    def put(self, records: Sequence[Record], patience: Patience) -> Outcome:
        """Put the records there, going on as long as there is patience; never raises for what a place may answer."""
