"""The engine that stands in for DynamoDB: it is a real one, and refuses what the real one refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from support.dynalite import ENGINE, create_table, delete_table, dynamodb_client

KEY = {"service_name": {"S": "a"}, "timestamp": {"N": "1"}}


@pytest.fixture
def client(dynamodb_url: str) -> Iterator[Any]:
    with dynamodb_client(dynamodb_url) as made:
        yield made


@pytest.fixture
def table(dynamodb_url: str) -> Iterator[str]:
    name = f"tests-{uuid4()}"
    create_table(dynamodb_url, name)
    yield name
    delete_table(dynamodb_url, name)


def refused(call: Any, **arguments: Any) -> str:
    """The text of the ValidationException that must come."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return str(caught.value.response["Error"]["Message"])


def put(number: int) -> dict[str, Any]:
    return {"PutRequest": {"Item": {**KEY, "timestamp": {"N": str(number)}}}}


def test_38_digits_come_back_and_39_are_refused(client: Any, table: str) -> None:
    digits = "1234567890123456789.0123456789012345678"
    client.put_item(TableName=table, Item={**KEY, "timestamp": {"N": digits}})
    (found,) = client.scan(TableName=table)["Items"]
    assert found["timestamp"]["N"] == digits
    longer = {**KEY, "timestamp": {"N": digits + "1"}}
    assert "38 significant digits" in refused(client.put_item, TableName=table, Item=longer)


def test_zeros_are_trimmed(client: Any, table: str) -> None:
    client.put_item(TableName=table, Item={**KEY, "timestamp": {"N": "0012.3400"}})
    (found,) = client.scan(TableName=table)["Items"]
    assert found["timestamp"]["N"] == "12.34"


def test_a_batch_of_25_is_written_and_one_of_26_is_refused(client: Any, table: str) -> None:
    assert client.batch_write_item(RequestItems={table: [put(n) for n in range(25)]})["UnprocessedItems"] == {}
    message = refused(client.batch_write_item, RequestItems={table: [put(n) for n in range(26)]})
    assert "less than or equal to 25" in message
    assert client.scan(TableName=table)["Count"] == 25


def test_equal_keys_in_a_batch_are_refused(client: Any, table: str) -> None:
    assert "duplicates" in refused(client.batch_write_item, RequestItems={table: [put(1), put(1)]})


def test_an_item_of_400_kb_is_written_and_a_larger_one_is_refused(client: Any, table: str) -> None:
    overhead = len("service_name" + "a" + "timestamp" + "frame") + 2
    frame = b"x" * (400 * 1024 - overhead)
    client.put_item(TableName=table, Item={**KEY, "frame": {"B": frame}})
    larger = {**KEY, "frame": {"B": frame + b"xx"}}
    assert "size has exceeded the maximum" in refused(client.put_item, TableName=table, Item=larger)


def test_a_reserved_word_needs_a_name_of_its_own(client: Any, table: str) -> None:
    expression = "SET #c = if_not_exists(#c, :one), received = :one"
    client.update_item(
        TableName=table,
        Key=KEY,
        UpdateExpression=expression,
        ExpressionAttributeNames={"#c": "count"},
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    message = refused(
        client.update_item,
        TableName=table,
        Key=KEY,
        UpdateExpression=expression.replace("#c", "count"),
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    assert "reserved" in message


def test_the_index_holds_what_has_a_type_newest_first(client: Any, table: str) -> None:
    for number, log_type in ((1, "a"), (3, "a"), (2, "a"), (4, "b"), (5, None)):
        item = {**KEY, "timestamp": {"N": str(number)}, **({"log_type": {"S": log_type}} if log_type else {})}
        client.put_item(TableName=table, Item=item)
    found = client.query(
        TableName=table,
        IndexName="TimestampIndex",
        KeyConditionExpression="log_type = :a",
        ExpressionAttributeValues={":a": {"S": "a"}},
        ScanIndexForward=False,
    )
    assert [item["timestamp"]["N"] for item in found["Items"]] == ["3", "2", "1"]


def test_a_missing_table_is_told(client: Any) -> None:
    with pytest.raises(ClientError) as caught:
        client.get_item(TableName="nowhere", Key=KEY)
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (ENGINE / "package-lock.json").read_text()
