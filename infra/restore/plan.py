"""What is to be restored into what: names, the window of recovery, and a restore that was begun before.

A restore always makes a new table. One that was begun and not finished is known by two marks of its own: DynamoDB says
which table it was restored from, and the tag that the last step sets is not there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from infra.restore.table import VERIFIED_TAG, describe, recovery_of, restored_from, tags_of
from simple_log_service.core.limits import SECOND_NS
from simple_log_service.core.timestamps import parse_rfc3339

LATEST = "latest"


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
        return datetime.fromtimestamp(parse_rfc3339(text) // SECOND_NS, UTC)
    except ValueError:
        raise RestoreRefused(f"{text!r} is no moment: write 2026-01-31T12:00:00Z, with an offset, or latest.") from None


def recovery_window(dynamodb: Any, table: str) -> Window:
    """The window of point-in-time recovery. Raises ``RestoreRefused`` where there is none."""
    try:
        recovery = recovery_of(dynamodb, table)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"TableNotFoundException", "ResourceNotFoundException"}:
            raise RestoreRefused(
                f"There is no table {table} here. A table that was deleted left a system backup for 35 days: see "
                "docs/DISASTER_RECOVERY.md."
            ) from None
        raise
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
    chosen = moment or window.latest.astimezone(UTC).replace(microsecond=0)
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
