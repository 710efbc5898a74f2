"""What DynamoDB says of a table: its description, its tags, and what expiry, recovery and tags lack.

A restore looks at these before each step and in its proof, the smoke test at the table that is in use.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from infra.profiles import RECOVERY_DAYS
from simple_log_service.stores.dynamodb.keys import EXPIRES

VERIFIED_TAG = {"Key": "simple-log-service:restore", "Value": "verified"}


def describe(dynamodb: Any, table: str) -> dict[str, Any] | None:
    """The table's description, ``None`` where there is no such table."""
    try:
        found: dict[str, Any] = dynamodb.describe_table(TableName=table)["Table"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise
    return found


def restored_from(table: dict[str, Any]) -> str | None:
    """The name of the table that this one was restored from, if it was."""
    arn = table.get("RestoreSummary", {}).get("SourceTableArn")
    return arn.rpartition("/")[2] if arn else None


def tags_of(dynamodb: Any, arn: str) -> list[dict[str, str]]:
    """All tags of a table."""
    pages = dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn)
    return [tag for page in pages for tag in page["Tags"]]


def own_tags(dynamodb: Any, table: str) -> list[dict[str, str]]:
    """The tags that a restored table has to have, too: not AWS's, which nobody may set, nor the mark of a restore."""
    described = describe(dynamodb, table)
    tags = tags_of(dynamodb, described["TableArn"]) if described else []
    return [tag for tag in tags if not tag["Key"].startswith("aws:") and tag["Key"] != VERIFIED_TAG["Key"]]


def key_of(table: dict[str, Any]) -> str | None:
    """The ARN of the key that seals the table of this description, ``None`` where it is DynamoDB's own."""
    arn: str | None = table.get("SSEDescription", {}).get("KMSMasterKeyArn")
    return arn


def expiry_fault(dynamodb: Any, table: str) -> str | None:
    """What is wrong with the table's time to live, in words; ``None`` where it is on, or being switched on."""
    found = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    if found["TimeToLiveStatus"] not in {"ENABLED", "ENABLING"}:
        return f"time to live is {found['TimeToLiveStatus']}"
    if found.get("AttributeName") != EXPIRES:
        return f"time to live is by {found.get('AttributeName')}"
    return None


def recovery_of(dynamodb: Any, table: str) -> dict[str, Any]:
    """The description of the table's point-in-time recovery."""
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    found: dict[str, Any] = backups.get("PointInTimeRecoveryDescription", {})
    return found


def recovery_fault(recovery: dict[str, Any]) -> str | None:
    """What is wrong with point-in-time recovery so described, in words; ``None`` where nothing is."""
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
        return "point-in-time recovery is off"
    if recovery.get("RecoveryPeriodInDays", RECOVERY_DAYS) != RECOVERY_DAYS:
        return f"point-in-time recovery reaches back {recovery['RecoveryPeriodInDays']} days"
    return None


def tags_missing(dynamodb: Any, source: str, target: str) -> list[str]:
    """The names of the tags that the one table has and the other lacks, or has with another value."""
    there = own_tags(dynamodb, target)
    return [tag["Key"] for tag in own_tags(dynamodb, source) if tag not in there]
