"""Records into Amazon Data Firehose, which makes Parquet files of them.

Each call and each of its records is bounded (Firehose's quotas), and every record is billed as whole steps of 5 KB: so
many log records go together in one, one JSON object after the other, which the conversion takes (Amazon Data Firehose
Developer Guide, "Convert input data format"). Calls may be taken in part; what was not taken is sent again. A repeat is
stored twice: readers of the files tell by the log id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from simple_log_service.aws.stream.sink import Outcome
from simple_log_service.core.limits import KIB, MIB
from simple_log_service.core.record import Record
from simple_log_service.stores.dynamodb.patience import Patience

RECORD_BYTES_MAX = 1000 * KIB
"""Of one Firehose record (Amazon Data Firehose API Reference, ``PutRecordBatch``)."""
RECORD_BYTES_AIM = 64 * KIB
CALL_RECORDS_MAX = 500
CALL_BYTES_MAX = 5 * MIB // 2
"""A call takes 4 MiB, and base64 makes four bytes of three."""

COLUMNS: tuple[tuple[str, str], ...] = (
    ("service_name", "string"),
    ("log_type", "string"),
    ("level", "string"),
    ("timestamp_ns", "bigint"),
    ("message", "string"),
    ("metadata", "string"),
    ("log_id", "string"),
)
"""The files' columns and their types in Hive's terms. Nanoseconds since the epoch: Hive's own times are coarser."""

_ENCODER = msgspec.json.Encoder()


class Blob(NamedTuple):
    """One Firehose record: some log records by their places, and their JSON."""

    places: list[int]
    data: bytes


class ParquetStream:
    """One Firehose stream as a ``Sink``; ``client`` is botocore's."""

    name = "analytics"

    def __init__(self, client: Any, stream_name: str) -> None:
        self._client = client
        self._stream_name = stream_name

    def put(self, records: Sequence[Record], patience: Patience) -> Outcome:
        """Hand the records over, each at least once."""
        documents = [document(record) for record in records]
        refused = {
            place: "larger than Firehose takes" for place, data in enumerate(documents) if len(data) > RECORD_BYTES_MAX
        }
        failed: set[int] = set()
        for call in _calls(_blobs({place: data for place, data in enumerate(documents) if place not in refused})):
            for blob in self._left_of(call, patience):
                failed.update(blob.places)
        return Outcome(frozenset(failed), refused)

    def _left_of(self, blobs: list[Blob], patience: Patience) -> list[Blob]:
        """Send the blobs until all are taken or patience is over; what is left."""
        failures = 0
        while blobs and not patience.is_over:
            blobs = self._not_taken(blobs)
            if blobs and not patience.wait(failures):
                break
            failures += 1
        return blobs

    def _not_taken(self, blobs: list[Blob]) -> list[Blob]:
        try:
            answer: Mapping[str, Any] = self._client.put_record_batch(
                DeliveryStreamName=self._stream_name, Records=[{"Data": blob.data} for blob in blobs]
            )
        except (BotoCoreError, ClientError):
            return blobs
        responses = answer["RequestResponses"]
        return [blob for blob, response in zip(blobs, responses, strict=True) if response.get("ErrorCode")]


def document(record: Record) -> bytes:
    """The record as a JSON object of the columns, metadata as the text of its own object."""
    kind = record.kind
    values = (
        kind.service_name,
        kind.log_type,
        kind.level,
        record.timestamp,
        record.message,
        record.metadata.decode(),
        record.log_id,
    )
    return _ENCODER.encode({name: value for (name, _), value in zip(COLUMNS, values, strict=True)})


def _blobs(documents: Mapping[int, bytes]) -> Iterator[Blob]:
    places: list[int] = []
    parts: list[bytes] = []
    blob_bytes = 0
    for place, data in documents.items():
        if parts and blob_bytes + len(data) > RECORD_BYTES_AIM:
            yield Blob(places, b"".join(parts))
            places, parts, blob_bytes = [], [], 0
        places.append(place)
        parts.append(data)
        blob_bytes += len(data)
    if parts:
        yield Blob(places, b"".join(parts))


def _calls(blobs: Iterator[Blob]) -> Iterator[list[Blob]]:
    call: list[Blob] = []
    call_bytes = 0
    for blob in blobs:
        if call and (len(call) == CALL_RECORDS_MAX or call_bytes + len(blob.data) > CALL_BYTES_MAX):
            yield call
            call, call_bytes = [], 0
        call.append(blob)
        call_bytes += len(blob.data)
    if call:
        yield call
