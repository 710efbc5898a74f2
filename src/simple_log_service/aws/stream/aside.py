"""What no repeat can bring through goes aside: into the dead-letter queue, as a pointer to the record.

The record itself stays in the table. A message says what to look for and why it is here, and repeats nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from simple_log_service.core.record import Record
from simple_log_service.core.timestamps import format_timestamp

NAMED_RECORDS_MAX = 10
"""A message names so many of its records, and counts them all."""


class Named(msgspec.Struct):
    """A record by what finds it: service, time and id."""

    service_name: str
    timestamp: str
    log_id: str


class Aside(msgspec.Struct, omit_defaults=True):
    """Why one change of the table did not get somewhere. ``sequence_number`` is its place in the Kinesis stream."""

    sink: str
    reason: str
    sequence_number: str
    count: int = 0
    records: list[Named] = []


def aside_of(sink: str, reason: str, sequence_number: str, records: Sequence[Record] = ()) -> Aside:
    """The message about some records of one change."""
    named = [
        Named(record.kind.service_name, format_timestamp(record.timestamp), record.log_id)
        for record in records[:NAMED_RECORDS_MAX]
    ]
    return Aside(sink, reason, sequence_number, len(records), named)


class DeadLetters:
    """The queue; ``client`` is botocore's."""

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def put(self, aside: Aside) -> bool:
        """Whether the queue has it."""
        try:
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=msgspec.json.encode(aside).decode())
        except (BotoCoreError, ClientError):
            return False
        return True
