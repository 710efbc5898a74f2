"""moto as a second witness: what dynalite does not know of DynamoDB (streams, expiry, recovery), and the store's calls.

It takes less seriously what dynalite refuses (39 digits, 26 items), so it is never the only one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from simple_log_service.core.query import Query
from simple_log_service.server.metrics import PrometheusMetrics
from simple_log_service.server.offload import offload_to
from simple_log_service.stores.dynamodb.keys import EXPIRES
from simple_log_service.stores.dynamodb.store import DynamoDBStore, TableSettings
from support.dynalite import REGION
from support.dynamodb_tables import CREDENTIALS, RETENTION, THREADS
from support.stores import NOON, Given, SetClock, batch_of, messages, read_all, retry_key
from support.synthesized import create_table_arguments, table_properties

TABLE = "simple-log-service-dev-logs"


@pytest.fixture
def _moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS in this process; the credentials are nobody's, and no file of the user's is read."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with mock_aws():
        yield


@pytest.fixture
def dynamodb(_moto: None) -> Iterator[Any]:
    client = botocore.session.get_session().create_client("dynamodb", region_name=REGION)
    yield client
    client.close()


@pytest.fixture
def table(dynamodb: Any) -> dict[str, Any]:
    """The template's table as CreateTable takes it, with all that this call can say of it."""
    own = table_properties("dev")["Replicas"][0]
    made: dict[str, Any] = dynamodb.create_table(
        **create_table_arguments("dev"),
        SSESpecification={"Enabled": True, "SSEType": "KMS"},
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        DeletionProtectionEnabled=own["DeletionProtectionEnabled"],
        Tags=own["Tags"],
    )["TableDescription"]
    return made


def test_the_templates_table_is_made_with_its_index_and_is_protected(dynamodb: Any, table: dict[str, Any]) -> None:
    described = dynamodb.describe_table(TableName=TABLE)["Table"]
    assert described["KeySchema"] == [
        {"AttributeName": "service_name", "KeyType": "HASH"},
        {"AttributeName": "timestamp", "KeyType": "RANGE"},
    ]
    (index,) = described["GlobalSecondaryIndexes"]
    assert (index["IndexName"], index["Projection"]) == ("TimestampIndex", {"ProjectionType": "ALL"})
    capacity = described["ProvisionedThroughput"]
    assert (capacity["ReadCapacityUnits"], capacity["WriteCapacityUnits"]) == (5, 5)
    assert described["SSEDescription"]["SSEType"] == "KMS"
    with pytest.raises(ClientError) as caught:
        dynamodb.delete_table(TableName=TABLE)
    assert "DeletionProtectionEnabled" in caught.value.response["Error"]["Message"]


def test_items_expire_by_the_attribute_that_the_store_writes(dynamodb: Any, table: dict[str, Any]) -> None:
    expiry = table_properties("dev")["TimeToLiveSpecification"]
    assert expiry == {"AttributeName": EXPIRES, "Enabled": True}
    dynamodb.update_time_to_live(TableName=TABLE, TimeToLiveSpecification=expiry)
    found = dynamodb.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]
    assert (found["TimeToLiveStatus"], found["AttributeName"]) == ("ENABLED", EXPIRES)


def test_recovery_to_a_point_in_time_can_be_switched_on_as_the_template_has_it(
    dynamodb: Any, table: dict[str, Any]
) -> None:
    recovery = table_properties("dev")["Replicas"][0]["PointInTimeRecoverySpecification"]
    dynamodb.update_continuous_backups(TableName=TABLE, PointInTimeRecoverySpecification=recovery)
    found = dynamodb.describe_continuous_backups(TableName=TABLE)["ContinuousBackupsDescription"]
    assert found["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def store_over(name: str) -> DynamoDBStore:
    """The store as in Lambda: no endpoint of its own, credentials from the environment."""
    settings = TableSettings(name, REGION, RETENTION)
    return DynamoDBStore.open(settings, clock=SetClock(), metrics=PrometheusMetrics(), offload=offload_to(THREADS))


@pytest.mark.asyncio
async def test_the_stores_calls_are_taken_and_what_is_stored_comes_back(dynamodb: Any, table: dict[str, Any]) -> None:
    store = store_over(TABLE)
    try:
        many = [Given(str(number), timestamp=NOON - number * 10**9) for number in range(150)]
        await store.append(batch_of(*many, retry=retry_key()))
        again = await store.append(batch_of(*many, retry=retry_key()))
        assert again.accepted == 150
        await store.append(batch_of(Given("mine", log_id="1", service_name="desk"), Given("x" * 50_000)))
        await store.append(batch_of(Given("mine too", log_id="1", service_name="desk")))
        assert await messages(store, Query(since_ns=0, limit=100, service_name="desk")) == ["mine"]
        assert len(await read_all(store, Query(since_ns=0, limit=100, service_name="shop"))) == 151
        assert len(await read_all(store, Query(since_ns=0, limit=100, log_type="application"))) == 152
        # A read without a filter has to be asked of dynalite: moto gives numbers back as they were written.
    finally:
        await store.close()


@pytest.mark.asyncio
async def test_the_stream_tells_of_every_entry_and_body_in_the_order_of_their_writing(
    dynamodb: Any, table: dict[str, Any]
) -> None:
    store = store_over(TABLE)
    try:
        await store.append(batch_of(*(Given(random.Random(number).randbytes(200).hex()) for number in range(50))))
    finally:
        await store.close()
    # Account ids stand in the host names of newer endpoints, which moto does not know.
    config = Config(account_id_endpoint_mode="disabled")
    streams = botocore.session.get_session().create_client("dynamodbstreams", region_name=REGION, config=config)
    try:
        (shard,) = streams.describe_stream(StreamArn=table["LatestStreamArn"])["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=table["LatestStreamArn"], ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = streams.get_records(ShardIterator=iterator)["Records"]
    finally:
        streams.close()
    items = dynamodb.scan(TableName=TABLE)["Items"]
    # Of items that are updated into being, moto's stream shows less than DynamoDB's.
    told = [each for each in records if each["dynamodb"]["NewImage"].keys() & {"frame", "log_type"}]
    body, entry = (record["dynamodb"]["NewImage"] for record in told)
    assert ("frame" in body, "log_type" in entry) == (True, True)
    assert body in items
    assert entry in items
    assert {record["eventName"] for record in told} == {"INSERT"}
