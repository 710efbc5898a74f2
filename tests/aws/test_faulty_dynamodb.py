"""The proxy that fails as DynamoDB does: each fault reaches botocore as what it is, and does what it says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import urllib3
from botocore.exceptions import ClientError, ConnectionClosedError

from support import faulty_dynamodb as faults
from support.dynalite import create_table, delete_table, dynamodb_client
from support.faulty_dynamodb import FaultyDynamoDB, Json


@pytest.fixture
def client(proxy: FaultyDynamoDB) -> Iterator[Any]:
    with dynamodb_client(proxy.endpoint_url) as made:
        yield made


@pytest.fixture
def table(dynamodb_url: str) -> Iterator[str]:
    name = f"tests-{uuid4()}"
    create_table(dynamodb_url, name)
    yield name
    delete_table(dynamodb_url, name)


def item(number: int) -> Json:
    return {"service_name": {"S": "a"}, "timestamp": {"N": str(number)}}


def batch(table: str, *numbers: int) -> Json:
    return {table: [{"PutRequest": {"Item": item(number)}} for number in numbers]}


def stored(client: Any, table: str) -> list[int]:
    return sorted(int(each["timestamp"]["N"]) for each in client.scan(TableName=table)["Items"])


def is_odd(found: Json) -> bool:
    return int(found["timestamp"]["N"]) % 2 == 1


def test_without_rules_it_is_the_engine_and_remembers(client: Any, table: str, proxy: FaultyDynamoDB) -> None:
    client.put_item(TableName=table, Item=item(1))
    found = client.get_item(TableName=table, Key=item(1), ConsistentRead=True)["Item"]
    assert found == item(1)
    put, get = proxy.calls
    assert (put.operation, put.parameters, put.status, put.response) == (
        "PutItem",
        {"TableName": table, "Item": item(1)},
        200,
        {},
    )
    assert (get.parameters["ConsistentRead"], get.response) == (True, {"Item": item(1)})
    assert proxy.count("PutItem") == proxy.count("GetItem") == 1


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (faults.THROTTLED, "ProvisionedThroughputExceededException", 400),
        (faults.THROTTLING, "ThrottlingException", 400),
        (faults.EXPIRED_TOKEN, "ExpiredTokenException", 400),
        (faults.CLOCK_SKEW, "InvalidSignatureException", 400),
        (faults.ACCESS_DENIED, "AccessDeniedException", 400),
        (faults.MISSING_TABLE, "ResourceNotFoundException", 400),
        (faults.VALIDATION, "ValidationException", 400),
        (faults.INTERNAL_ERROR, "InternalServerError", 500),
        (faults.UNAVAILABLE, "ServiceUnavailable", 503),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_a_refusal_is_told_once_and_carries_nothing_out(
    client: Any, table: str, proxy: FaultyDynamoDB, fault: faults.Fault, code: str, status: int
) -> None:
    rule = proxy.inject(fault, "PutItem", times=1)
    with pytest.raises(ClientError) as caught:
        client.put_item(TableName=table, Item=item(1))
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0
    client.put_item(TableName=table, Item=item(2))
    assert (stored(client, table), rule.acted) == ([2], 1)
    assert [call.carried_out for call in proxy.of("PutItem")] == [False, True]


def test_rules_choose_their_calls(client: Any, table: str, proxy: FaultyDynamoDB) -> None:
    proxy.inject(faults.THROTTLED, "PutItem", after=1, times=1)
    proxy.inject(faults.VALIDATION, when=faults.writes(is_odd))
    codes = []
    for number in (2, 4, 5, 6):
        try:
            client.put_item(TableName=table, Item=item(number))
        except ClientError as error:
            codes.append((number, error.response["Error"]["Code"]))
    assert codes == [(4, "ProvisionedThroughputExceededException"), (5, "ValidationException")]
    with pytest.raises(ClientError):
        client.batch_write_item(RequestItems=batch(table, 8, 9))
    proxy.heal()
    client.batch_write_item(RequestItems=batch(table, 8, 9))
    assert stored(client, table) == [2, 6, 8, 9]


def test_chosen_items_stay_unprocessed(client: Any, table: str, proxy: FaultyDynamoDB) -> None:
    proxy.inject(faults.unprocessed(is_odd), "BatchWriteItem", times=2)
    answer = client.batch_write_item(RequestItems=batch(table, 1, 2, 3))
    assert answer["UnprocessedItems"] == batch(table, 1, 3)
    assert stored(client, table) == [2]
    with pytest.raises(ClientError) as caught:
        client.batch_write_item(RequestItems=answer["UnprocessedItems"])
    assert caught.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert client.batch_write_item(RequestItems=answer["UnprocessedItems"])["UnprocessedItems"] == {}
    assert stored(client, table) == [1, 2, 3]


def test_chosen_keys_stay_unread(client: Any, table: str, proxy: FaultyDynamoDB) -> None:
    client.batch_write_item(RequestItems=batch(table, 1, 2))
    proxy.inject(faults.unread(is_odd), "BatchGetItem", times=1)
    asked = {table: {"Keys": [item(1), item(2)], "ConsistentRead": True}}
    answer = client.batch_get_item(RequestItems=asked)
    assert answer["Responses"] == {table: [item(2)]}
    assert answer["UnprocessedKeys"] == {table: {"Keys": [item(1)], "ConsistentRead": True}}
    assert client.batch_get_item(RequestItems=answer["UnprocessedKeys"])["Responses"] == {table: [item(1)]}


@pytest.mark.parametrize(("fault", "expected"), [(faults.cut_before, []), (faults.cut_after, [1])])
def test_a_connection_is_cut_before_or_after(
    client: Any, table: str, proxy: FaultyDynamoDB, fault: faults.Fault, expected: list[int]
) -> None:
    proxy.inject(fault, "PutItem", times=1)
    with pytest.raises(ConnectionClosedError):
        client.put_item(TableName=table, Item=item(1))
    assert stored(client, table) == expected
    (call,) = proxy.of("PutItem")
    assert (call.status, call.response, call.carried_out) == (None, None, bool(expected))


def test_an_error_after_the_write_leaves_it_written(client: Any, table: str, proxy: FaultyDynamoDB) -> None:
    proxy.inject(faults.internal_error_after, "PutItem", times=1)
    with pytest.raises(ClientError):
        client.put_item(TableName=table, Item=item(1))
    assert stored(client, table) == [1]


def test_a_call_may_be_held_while_others_pass(client: Any, table: str, proxy: FaultyDynamoDB) -> None:
    gate = threading.Event()
    proxy.inject(faults.held(gate), "PutItem", times=1)
    proxy.inject(faults.delayed(0.001), "PutItem")
    with ThreadPoolExecutor(1) as threads:
        try:
            first = threads.submit(client.put_item, TableName=table, Item=item(1))
            while not proxy._rules[0].acted:
                assert not first.done()
            client.put_item(TableName=table, Item=item(2))
            assert stored(client, table) == [2]
        finally:
            gate.set()
        first.result(timeout=10)
    assert stored(client, table) == [1, 2]


def test_a_call_that_is_not_signed_for_dynamodb_is_refused(proxy: FaultyDynamoDB) -> None:
    headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Authorization": "AWS4-HMAC-SHA256 Credential=a/b"}
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("POST", proxy.endpoint_url, body=b"{}", headers=headers)
    assert answer.status == 400
    assert answer.json()["__type"].endswith("#MissingAuthenticationTokenException")
    assert proxy.calls == []
