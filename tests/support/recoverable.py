"""moto's DynamoDB with what it leaves out of a restore: the moment, encryption, time that it takes, and its faults.

``Recoverable`` stands before a botocore client, so that every call's parameters are still checked against the service's
model. What moto answers is changed only where the service is known to answer otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from moto import mock_aws

SOURCE = "simple-log-service-dev-logs"
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
CAPACITY = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
TAGS = [{"Key": "environment", "Value": "dev"}]


def _schema(partition: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": "timestamp", "KeyType": "RANGE"}]


class Recoverable:
    """A DynamoDB that can restore. ``faults`` are error codes that an operation fails with first, one a call.

    ``describes_until_active`` is how often a restored table is still being made; ``calls`` counts operations.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._restores: dict[str, dict[str, Any]] = {}
        self.describes_until_active = 0
        self.faults: dict[str, list[str]] = {}
        self.calls: Counter[str] = Counter()
        self.streams: dict[str, set[str]] = {}
        self.window = (datetime.now(UTC) - timedelta(days=20), datetime.now(UTC) - timedelta(minutes=5))

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if name.startswith(("get_paginator", "meta")):
            return attribute

        def call(**arguments: Any) -> Any:
            self._begin(name)
            return attribute(**arguments)

        return call

    def _begin(self, operation: str) -> None:
        self.calls[operation] += 1
        if self.faults.get(operation):
            code = self.faults[operation].pop(0)
            raise ClientError({"Error": {"Code": code, "Message": "as it happens"}}, operation)

    def restore_table_to_point_in_time(self, **arguments: Any) -> Any:
        self._begin("restore_table_to_point_in_time")
        answer = self._client.restore_table_to_point_in_time(**arguments)
        target, moment = arguments["TargetTableName"], arguments["RestoreDateTime"]
        self._restores[target] = {**arguments, "describes": self.describes_until_active}
        for item in self._client.scan(TableName=target)["Items"]:
            if "received" in item and int(item["received"]["N"]) > moment.timestamp() * 1e6:
                key = {name: item[name] for name in ("service_name", "timestamp")}
                self._client.delete_item(TableName=target, Key=key)
        return answer

    def describe_table(self, *, TableName: str) -> Any:  # noqa: N803 - the service's name for it
        self._begin("describe_table")
        answer = self._client.describe_table(TableName=TableName)
        restore = self._restores.get(TableName)
        if restore is not None:
            table, sealed = answer["Table"], restore["SSESpecificationOverride"]
            table["RestoreSummary"]["RestoreDateTime"] = restore["RestoreDateTime"]
            table["SSEDescription"] = {
                "SSEType": sealed["SSEType"],
                "KMSMasterKeyArn": sealed["KMSMasterKeyId"],
            }
            if restore["describes"] > 0:
                restore["describes"] -= 1
                table["TableStatus"] = "CREATING"
                table["RestoreSummary"]["RestoreInProgress"] = True
        return answer

    def describe_continuous_backups(self, *, TableName: str) -> Any:  # noqa: N803 - the same
        self._begin("describe_continuous_backups")
        answer = self._client.describe_continuous_backups(TableName=TableName)
        recovery = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        recovery["EarliestRestorableDateTime"], recovery["LatestRestorableDateTime"] = self.window
        return answer

    def describe_kinesis_streaming_destination(self, *, TableName: str) -> Any:  # noqa: N803 - the same
        self._begin("describe_kinesis_streaming_destination")
        there = self.streams.get(TableName, set())
        return {"KinesisDataStreamDestinations": [{"StreamArn": arn, "DestinationStatus": "ACTIVE"} for arn in there]}

    def enable_kinesis_streaming_destination(self, *, TableName: str, StreamArn: str) -> None:  # noqa: N803 - the same
        self._begin("enable_kinesis_streaming_destination")
        self.streams.setdefault(TableName, set()).add(StreamArn)


@contextmanager
def recoverable() -> Iterator[Recoverable]:
    """A DynamoDB with the table of logs as it is deployed, empty."""
    with mock_aws():
        client = _session().create_client("dynamodb", region_name="us-east-1")
        index = {
            "IndexName": "TimestampIndex",
            "KeySchema": _schema("log_type"),
            "Projection": {"ProjectionType": "ALL"},
            "ProvisionedThroughput": CAPACITY,
        }
        client.create_table(
            TableName=SOURCE,
            AttributeDefinitions=[
                {"AttributeName": "service_name", "AttributeType": "S"},
                {"AttributeName": "timestamp", "AttributeType": "N"},
                {"AttributeName": "log_type", "AttributeType": "S"},
            ],
            KeySchema=_schema("service_name"),
            GlobalSecondaryIndexes=[index],
            BillingMode="PROVISIONED",
            ProvisionedThroughput=CAPACITY,
            SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY_ARN},
            DeletionProtectionEnabled=False,
            Tags=TAGS,
        )
        recovery = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 35}
        client.update_continuous_backups(TableName=SOURCE, PointInTimeRecoverySpecification=recovery)
        yield Recoverable(client)


@cache
def _session() -> botocore.session.Session:
    """One for all: reading the service's model takes longer than anything else here."""
    session = botocore.session.Session()
    session.set_credentials("ASIATESTING", "secret", "token")
    return session
