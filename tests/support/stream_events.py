"""What Lambda hands over of a table's Kinesis stream, made of the items that were written."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from simple_log_service.core.retention import Retention
from simple_log_service.stores.dynamodb.chunking import Chunker, Identity
from support.stores import NOON, Given, batch_of

Item = dict[str, Mapping[str, Any]]
STREAM_ARN = "arn:aws:kinesis:eu-central-1:000000000000:stream/simple-log-service-test-changes"


def items_of(records: Sequence[Given], *, arrival: int = NOON // 1000, nonce: int = 7) -> list[Item]:
    """What the store writes for one request with these records: plain items, entries and bodies."""
    writes = Chunker({}, Retention(1)).writes(batch_of(*records), range(len(records)), Identity(arrival, nonce))
    return list(_bodies_first(write.stored for write in writes))


def change(item: Item, event_name: str = "INSERT", *, ttl: bool = False) -> str:
    """The change of an item as DynamoDB puts it into the stream, in base64."""
    image = {name: _in_json(value) for name, value in item.items()}
    keys = {name: image[name] for name in ("service_name", "timestamp")}
    images = {"OldImage": image} if event_name == "REMOVE" else {"NewImage": image}
    if event_name == "MODIFY":
        images["OldImage"] = image
    return encoded(
        {
            "awsRegion": "eu-central-1",
            "eventID": "6b1d4f5a-8e1c-4c11-b5a2-7a0a8c7d0d55",
            "eventName": event_name,
            "userIdentity": {"principalId": "dynamodb.amazonaws.com", "type": "Service"} if ttl else None,
            "recordFormat": "application/json",
            "tableName": "simple-log-service-test-logs",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_749_988_800_123_456,
                "ApproximateCreationDateTimePrecision": "MICROSECOND",
                "Keys": keys,
                "SizeBytes": 300,
                **images,
            },
            "eventSource": "aws:dynamodb",
        }
    )


def encoded(value: object) -> str:
    """JSON in base64."""
    return base64.b64encode(json.dumps(value).encode()).decode()


def event(data: Iterable[str], first: int = 0) -> dict[str, Any]:
    """The event of these changes, the first of which has this place in the stream."""
    return {"Records": [_record(each, place) for place, each in enumerate(data, first)]}


def sequence_number(place: int) -> str:
    """Of the change at this place in the stream."""
    return f"495903382714902566085596925383615710959219895756{place:08d}"


def _record(data: str, place: int) -> dict[str, Any]:
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "6C5BE2E4D7B9F0A1",
            "sequenceNumber": sequence_number(place),
            "data": data,
            "approximateArrivalTimestamp": 1_749_988_801.123,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{sequence_number(place)}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/consume",
        "awsRegion": "eu-central-1",
        "eventSourceARN": STREAM_ARN,
    }


def _bodies_first(stored: Iterable[Any]) -> Iterator[Item]:
    for each in stored:
        if each.body is not None:
            yield each.body
        yield each.entry


def _in_json(value: Mapping[str, Any]) -> dict[str, Any]:
    if "B" in value:
        return {"B": base64.b64encode(value["B"]).decode()}
    return dict(value)
