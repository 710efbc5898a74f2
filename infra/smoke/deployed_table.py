"""The table as it is deployed: what DynamoDB, its scaling and its key say of themselves, beside the profile."""

from __future__ import annotations

from typing import Any

from infra.profiles import RECOVERY_DAYS
from infra.restore.table import expiry_fault, recovery_fault, recovery_of
from infra.smoke.findings import Check, checks_of, expect
from infra.smoke.scene import Scene
from simple_log_service.stores.dynamodb.keys import EXPIRES, INDEX_KEY, INDEX_NAME, PARTITION_KEY, SORT_KEY


def described(scene: Scene) -> dict[str, Any]:
    """DynamoDB's description of the table of logs."""
    table: dict[str, Any] = scene.stack.client("dynamodb").describe_table(TableName=scene.stack.table)["Table"]
    return table


def _keys(owner: dict[str, Any]) -> list[str]:
    return [each["AttributeName"] for each in sorted(owner["KeySchema"], key=lambda each: str(each["KeyType"]))]


def keys_and_index(scene: Scene) -> str:
    """The table and its index have the keys of the data model, and provisioned capacity."""
    table = described(scene)
    expect(table["TableStatus"] == "ACTIVE", table["TableStatus"])
    expect(_keys(table) == [PARTITION_KEY, SORT_KEY], table["KeySchema"])
    (index,) = table.get("GlobalSecondaryIndexes") or [{}]
    expect(index.get("IndexName") == INDEX_NAME and _keys(index) == [INDEX_KEY, SORT_KEY], index)
    expect(index["Projection"]["ProjectionType"] == "ALL", index["Projection"])
    mode = table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    expect(mode == "PROVISIONED", mode)
    units = [each["ProvisionedThroughput"]["WriteCapacityUnits"] for each in (table, index)]
    expect(units[1] >= units[0], f"the index has {units[1]} write units, the table {units[0]}: writes would fail")
    return f"{table['ItemCount']:,} items; write units of table and index: {units[0]} and {units[1]}"


def encryption(scene: Scene) -> str:
    """The table is encrypted with the stack's own key, which is rotated yearly."""
    sealed = described(scene).get("SSEDescription", {})
    expect((sealed.get("Status"), sealed.get("SSEType")) == ("ENABLED", "KMS"), sealed)
    kms, arn = scene.stack.client("kms"), sealed["KMSMasterKeyArn"]
    expect(arn == scene.stack.outputs["KeyArn"], f"{arn} is not the stack's: the functions may not use it")
    key = kms.describe_key(KeyId=arn)["KeyMetadata"]
    expect((key["KeyManager"], key["KeyState"]) == ("CUSTOMER", "Enabled"), f"{key['KeyManager']}, {key['KeyState']}")
    rotation = kms.get_key_rotation_status(KeyId=arn)
    days = rotation.get("RotationPeriodInDays", 365)
    expect(rotation["KeyRotationEnabled"] and days <= 366, f"rotation {rotation['KeyRotationEnabled']}, {days} days")
    return f"{arn}, rotated every {days} days"


def time_to_live(scene: Scene) -> str:
    """Expired records are removed by time to live."""
    fault = expiry_fault(scene.stack.client("dynamodb"), scene.stack.table)
    expect(fault is None, fault)
    return f"by {EXPIRES}"


def point_in_time_recovery(scene: Scene) -> str:
    """The table can be restored to any second of the last 35 days."""
    recovery = recovery_of(scene.stack.client("dynamodb"), scene.stack.table)
    fault = recovery_fault(recovery)
    expect(fault is None, fault)
    return f"{RECOVERY_DAYS} days, at the moment up to {recovery.get('LatestRestorableDateTime')}"


def deletion_protection(scene: Scene) -> str:
    """The table is protected from deletion, unless the profile says otherwise."""
    found = bool(described(scene).get("DeletionProtectionEnabled"))
    expect(found or not scene.stack.profile.deletion_protection, f"protection is {found}")
    return f"protection is {found}"


def autoscaling(scene: Scene) -> str:
    """Table and index scale alike, reads and writes, between the profile's bounds."""
    stack, profile = scene.stack, scene.stack.profile
    table = f"table/{stack.table}"
    wanted = {
        (path, f"dynamodb:{owner}:{unit}CapacityUnits")
        for owner, path in (("table", table), ("index", f"{table}/index/{INDEX_NAME}"))
        for unit in ("Read", "Write")
    }
    client = stack.client("application-autoscaling")
    ids = sorted({path for path, _ in wanted})
    targets = client.describe_scalable_targets(ServiceNamespace="dynamodb", ResourceIds=ids)["ScalableTargets"]
    found = {
        (each["ResourceId"], each["ScalableDimension"]): (each["MinCapacity"], each["MaxCapacity"]) for each in targets
    }
    expect(found.keys() == wanted, f"these scale: {sorted(found)}")
    bounds = (profile.capacity_units_min, profile.capacity_units_max)
    expect(set(found.values()) == {bounds}, found)
    for path in ids:
        policies = client.describe_scaling_policies(ServiceNamespace="dynamodb", ResourceId=path)["ScalingPolicies"]
        shares = [each["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] for each in policies]
        expect(shares == [profile.capacity_target_percent] * 2, f"{path}: {shares} %")
    return f"{bounds[0]} to {bounds[1]} units at {profile.capacity_target_percent} %"


TABLE_CHECKS: tuple[Check[Scene], ...] = checks_of(
    "table",
    keys_and_index,
    encryption,
    time_to_live,
    point_in_time_recovery,
    deletion_protection,
    autoscaling,
)
