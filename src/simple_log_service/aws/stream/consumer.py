"""The consumer of the table's stream: unpacks what was written and puts it wherever else records are wanted.

The rules: what is through in front of the first failure is done with; from there on Lambda brings everything again
(AWS Lambda Developer Guide, "Reporting batch item failures" for Kinesis). So sinks are asked in turn, those first that
a repeat leaves as they are, and each gets only what will not come again because of one before it. A change that
cannot be read and a record that a sink refuses go aside, and hold up nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from simple_log_service.aws.deadline import Deadline
from simple_log_service.aws.handler import Context
from simple_log_service.aws.stream.aside import Aside, aside_of
from simple_log_service.aws.stream.sink import Sink
from simple_log_service.aws.stream.unpacking import Unreadable, unpack
from simple_log_service.core.record import Record
from simple_log_service.stores.dynamodb.patience import Patience

REPEAT_SECONDS_MAX = 15.0
"""How long a sink that is too busy is asked again in an invocation; after that the stream brings it all again."""


class Letters(Protocol):
    """Where what goes aside is put."""

    def put(self, aside: Aside) -> bool:
        """Whether it has it."""


class Change(NamedTuple):
    """One record of the stream, and the log records that were in it."""

    sequence_number: str
    records: Sequence[Record]


def patience_until(deadline: float) -> Patience:
    """What a sink is given, with the invocation's deadline in seconds of ``time.monotonic``."""
    return Patience(deadline, REPEAT_SECONDS_MAX)


class Consumer:
    """Lambda's handler. ``sinks`` in order: those that a repeat leaves as they are come first."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        letters: Letters,
        *,
        write_line: Callable[[str], object],
        patience: Callable[[float], Patience] = patience_until,
    ) -> None:
        self._sinks = sinks
        self._letters = letters
        self._write_line = write_line
        self._patience = patience
        self._deadline = Deadline()

    def __call__(self, event: dict[str, Any], context: Context) -> dict[str, Any]:
        """Answers which record of the stream to go on from: the first that did not get everywhere; none if all did."""
        self._deadline.begin(context.get_remaining_time_in_millis() / 1000)
        brought = [record["kinesis"] for record in event["Records"]]
        counts = {"brought": len(brought), "records": 0, "aside": 0}
        changes = self._unpacked(brought, counts)
        counts["records"] = sum(len(change.records) for change in changes)
        for sink in self._sinks:
            changes = self._through(sink, changes, counts)
        done = len(changes)
        self._write_line(msgspec.json.encode({**counts, "done": done}).decode())
        if done == len(brought):
            return {"batchItemFailures": []}
        return {"batchItemFailures": [{"itemIdentifier": brought[done]["sequenceNumber"]}]}

    def _unpacked(self, brought: Sequence[dict[str, Any]], counts: dict[str, int]) -> list[Change]:
        """The changes, up to the first that could neither be read nor be put aside."""
        changes = []
        for record in brought:
            sequence_number = record["sequenceNumber"]
            try:
                records = unpack(record["data"])
            except Unreadable as unreadable:
                records = ()
                if not self._letters.put(aside_of("consumer", str(unreadable), sequence_number)):
                    break
                counts["aside"] += 1
            changes.append(Change(sequence_number, records))
        return changes

    def _through(self, sink: Sink, changes: list[Change], counts: dict[str, int]) -> list[Change]:
        """Put the changes' records into a sink; the changes before the first that did not get through."""
        records = [record for change in changes for record in change.records]
        owners = [place for place, change in enumerate(changes) for _ in change.records]
        outcome = sink.put(records, self._patience(self._deadline()))
        stop = min((owners[place] for place in outcome.failed), default=len(changes))
        refused: dict[int, list[int]] = {}
        for place in sorted(outcome.refused):
            refused.setdefault(owners[place], []).append(place)
        for owner, places in refused.items():
            if owner >= stop:
                break
            named = [records[place] for place in places]
            aside = aside_of(sink.name, outcome.refused[places[0]], changes[owner].sequence_number, named)
            if not self._letters.put(aside):
                return changes[:owner]
            counts["aside"] += len(places)
        return changes[:stop]
