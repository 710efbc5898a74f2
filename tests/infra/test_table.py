"""The log table: keys, index, capacity, and what keeps its items safe."""

from __future__ import annotations

import pytest

from simple_log_service.stores.dynamodb import keys
from support.cloudformation import properties, resources
from support.synthesized import ENVIRONMENTS, create_table_arguments, table_properties, template

SCALING = {
    "MinCapacity": 5,
    "MaxCapacity": 100,
    "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 70},
}
WRITES = {"WriteCapacityAutoScalingSettings": SCALING}
READS = {"ReadCapacityAutoScalingSettings": SCALING}
RESTORED = ("restored_table=simple-log-service-dev-logs-restored",)

environments = pytest.mark.parametrize("env", ENVIRONMENTS)


@environments
def test_the_table_is_keyed_by_service_and_time_and_the_index_by_type_and_time(env: str) -> None:
    table = create_table_arguments(env)
    assert table["TableName"] == f"simple-log-service-{env}-logs"
    assert table["KeySchema"] == [
        {"AttributeName": "service_name", "KeyType": "HASH"},
        {"AttributeName": "timestamp", "KeyType": "RANGE"},
    ]
    (index,) = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "TimestampIndex"
    assert index["KeySchema"] == [
        {"AttributeName": "log_type", "KeyType": "HASH"},
        {"AttributeName": "timestamp", "KeyType": "RANGE"},
    ]
    assert index["Projection"] == {"ProjectionType": "ALL"}
    types = {attribute["AttributeName"]: attribute["AttributeType"] for attribute in table["AttributeDefinitions"]}
    assert types == {"service_name": "S", "timestamp": "N", "log_type": "S"}


@environments
def test_table_and_index_are_provisioned_alike_and_scale_at_70_percent_from_5_to_100(env: str) -> None:
    table = table_properties(env)
    (index,) = table["GlobalSecondaryIndexes"]
    (own,) = table["Replicas"]
    (own_index,) = own["GlobalSecondaryIndexes"]
    assert table["BillingMode"] == "PROVISIONED"
    assert table["WriteProvisionedThroughputSettings"] == WRITES
    assert index["WriteProvisionedThroughputSettings"] == WRITES
    assert own["ReadProvisionedThroughputSettings"] == READS
    assert own_index["ReadProvisionedThroughputSettings"] == READS
    assert own_index["IndexName"] == index["IndexName"]


@environments
def test_the_table_is_sealed_recoverable_for_35_days_protected_and_forgets_by_itself(env: str) -> None:
    table = properties(template(env), "AWS::DynamoDB::GlobalTable")
    (own,) = table["Replicas"]
    assert own["Region"] == "{Region}"
    assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}
    assert own["SSESpecification"] == {"KMSMasterKeyId": "{EncryptionKey.Arn}"}
    assert own["PointInTimeRecoverySpecification"] == {
        "PointInTimeRecoveryEnabled": True,
        "RecoveryPeriodInDays": 35,
    }
    assert own["DeletionProtectionEnabled"] is True
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}


@environments
def test_the_table_is_marked_as_everything_else_is(env: str) -> None:
    """The CDK marks what it knows; the tags of a global table belong to its replicas, which it leaves alone."""
    (own,) = table_properties(env)["Replicas"]
    (topic,) = resources(template(env), "AWS::SNS::Topic").values()
    expected = [{"Key": "environment", "Value": env}, {"Key": "service", "Value": "simple-log-service"}]
    assert sorted(own["Tags"], key=lambda tag: str(tag["Key"])) == expected
    assert topic["Properties"]["Tags"] == expected


@pytest.mark.parametrize(("env", "policy"), [("dev", "Delete"), ("prod", "Retain")])
def test_what_becomes_of_the_table_with_its_stack_is_the_profiles_choice(env: str, policy: str) -> None:
    (table,) = resources(template(env), "AWS::DynamoDB::GlobalTable").values()
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == (policy, policy)


def test_the_store_uses_the_attributes_that_the_table_is_made_with() -> None:
    named = {attribute["AttributeName"] for attribute in table_properties("dev")["AttributeDefinitions"]}
    assert named == {keys.PARTITION_KEY, keys.SORT_KEY, keys.INDEX_KEY}
    assert table_properties("dev")["TimeToLiveSpecification"]["AttributeName"] == keys.EXPIRES


def test_with_a_restored_table_none_is_made_and_that_one_is_scaled() -> None:
    restored = template("dev", *RESTORED)
    name = "simple-log-service-dev-logs-restored"
    assert resources(restored, "AWS::DynamoDB::GlobalTable") == {}
    targets = resources(restored, "AWS::ApplicationAutoScaling::ScalableTarget")
    found = {
        (target["Properties"]["ResourceId"], target["Properties"]["ScalableDimension"]): (
            target["Properties"]["MinCapacity"],
            target["Properties"]["MaxCapacity"],
        )
        for target in targets.values()
    }
    assert found == {
        (f"table/{name}", "dynamodb:table:ReadCapacityUnits"): (5, 100),
        (f"table/{name}", "dynamodb:table:WriteCapacityUnits"): (5, 100),
        (f"table/{name}/index/TimestampIndex", "dynamodb:index:ReadCapacityUnits"): (5, 100),
        (f"table/{name}/index/TimestampIndex", "dynamodb:index:WriteCapacityUnits"): (5, 100),
    }
    policies = resources(restored, "AWS::ApplicationAutoScaling::ScalingPolicy").values()
    tracked = [policy["Properties"]["TargetTrackingScalingPolicyConfiguration"] for policy in policies]
    assert (
        sorted(
            (policy["PredefinedMetricSpecification"]["PredefinedMetricType"], policy["TargetValue"])
            for policy in tracked
        )
        == [("DynamoDBReadCapacityUtilization", 70)] * 2 + [("DynamoDBWriteCapacityUtilization", 70)] * 2
    )


def test_everything_that_names_the_table_follows_a_restored_one() -> None:
    name, made = "simple-log-service-dev-logs-restored", "simple-log-service-dev-logs"
    before, after = (str(template("dev", *settings)) for settings in ((), RESTORED))
    # Its own name and the scaling's stand in resources that the other one has not.
    assert before.count(f"{made}'") + before.count(f"{made}/") > 0
    assert f"{made}'" not in after
    assert f"{made}/" not in after
    functions = resources(template("dev", *RESTORED), "AWS::Lambda::Function").values()
    for function in functions:
        assert function["Properties"]["Environment"]["Variables"]["SIMPLE_LOG_SERVICE_TABLE_NAME"] == name
