"""What is to be restored into what: names, the window of recovery, and a restore that was begun before.

A restore always makes a new table. One that was begun and not finished is known by two marks of its own: DynamoDB says
which table it was restored from, and the tag that the last step sets is not there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from simple_log_service.core.timestamps import parse_rfc3339

VERIFIED_TAG = {"Key": "simple-log-service:restore", "Value": "verified"}
RECOVERY_DAYS = 35
"""How far point-in-time recovery reaches back, of a restored table too."""
INDEX_NAME = "TimestampIndex"
LATEST = "latest"
_SECOND_NS = 10**9


class RestoreRefused(Exception):
    """The restore cannot be made so; the message says why, and what to do instead."""


class Plan(msgspec.Struct, frozen=True):
    """From ``source`` into ``target``, as it was at ``moment``; ``is_drill`` deletes the target in the end."""

    source: str
    target: str
    moment: datetime
    is_drill: bool


class Window(msgspec.Struct, frozen=True):
    """From when to when a table can be restored; the end is typically five minutes ago."""

    earliest: datetime
    latest: datetime


def parse_moment(text: str) -> datetime | None:
    """The moment that ``--to`` names, to the second as DynamoDB takes it; ``None`` for the latest possible one."""
    if text == LATEST:
        return None
    try:
        return datetime.fromtimestamp(parse_rfc3339(text) // _SECOND_NS, UTC)
    except ValueError:
        raise RestoreRefused(f"{text!r} is no moment: write 2026-01-31T12:00:00Z, with an offset, or latest.") from None


def recovery_window(dynamodb: Any, table: str) -> Window:
    """The window of point-in-time recovery. Raises ``RestoreRefused`` where there is none."""
    try:
        found = dynamodb.describe_continuous_backups(TableName=table)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"TableNotFoundException", "ResourceNotFoundException"}:
            raise RestoreRefused(
                f"There is no table {table} here. A table that was deleted left a system backup for 35 days: see "
                "docs/DISASTER_RECOVERY.md."
            ) from None
        raise
    recovery = found["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
        raise RestoreRefused(
            f"Point-in-time recovery of {table} is off, so there is nothing to restore from but the vault of AWS "
            "Backup: see docs/DISASTER_RECOVERY.md."
        )
    return Window(recovery["EarliestRestorableDateTime"], recovery["LatestRestorableDateTime"])


def plan_restore(dynamodb: Any, source: str, moment: datetime | None, *, is_drill: bool) -> Plan:
    """What to do: go on with an unfinished restore of the same kind, else begin a new one. Raises ``RestoreRefused``.

    Without a moment it is the latest possible one, of the restore that is gone on with where there is one.
    """
    stem = f"{source}-{'drill' if is_drill else 'restored'}-"
    begun = _unfinished(dynamodb, source, stem)
    if moment is None and begun:
        return max(begun, key=lambda plan: plan.moment)
    for plan in begun:
        if plan.moment == moment:
            return plan
    window = recovery_window(dynamodb, source)
    chosen = moment or window.latest.replace(microsecond=0)
    if not window.earliest - timedelta(seconds=1) < chosen <= window.latest:
        raise RestoreRefused(
            f"{source} can be restored to moments from {_text(window.earliest)} to {_text(window.latest)}, and "
            f"{_text(chosen)} is not one of them."
        )
    target = f"{stem}{chosen:%Y%m%dT%H%M%SZ}"
    if describe(dynamodb, target) is not None:
        raise RestoreRefused(
            f"The table {target} is there already: it was restored and verified before, or is somebody else's. "
            "Deploy with it, or choose another moment."
        )
    return Plan(source, target, chosen, is_drill)


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


def _unfinished(dynamodb: Any, source: str, stem: str) -> list[Plan]:
    plans = []
    for page in dynamodb.get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
            if not name.startswith(stem):
                continue
            table = describe(dynamodb, name)
            if table is None or restored_from(table) != source or VERIFIED_TAG in tags_of(dynamodb, table["TableArn"]):
                continue
            moment = table["RestoreSummary"]["RestoreDateTime"].astimezone(UTC).replace(microsecond=0)
            plans.append(Plan(source, name, moment, stem.endswith("-drill-")))
    return plans


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
