"""The steps of a restore, in their order; each looks first whether it is done, so a run can go on where one ended.

A table that DynamoDB restores has neither time to live, nor point-in-time recovery, nor protection, tags or a stream:
these steps give it what its source has. Autoscaling, alarms, grants, backups and the audit of its data follow in the
deploy that names the new table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from infra.profiles import RECOVERY_DAYS
from infra.restore.plan import Plan, RestoreRefused
from infra.restore.table import (
    VERIFIED_TAG,
    describe,
    expiry_fault,
    own_tags,
    recovery_fault,
    recovery_of,
    restored_from,
    tags_missing,
)
from simple_log_service.stores.dynamodb.keys import EXPIRES

POLL_SECONDS = 15.0
RESTORE_SECONDS_MAX = 6 * 3600.0
SETTLE_SECONDS_MAX = 900.0
"""How long a change to an active table may take."""
_BUSY = frozenset(
    {
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "LimitExceededException",
        "InternalServerError",
        "ServiceUnavailable",
        "ResourceInUseException",
        "ContinuousBackupsUnavailableException",
    }
)
"""Errors that pass by themselves: what they refused is tried again."""


class Step(NamedTuple):
    """``is_done`` looks, ``act`` changes; ``what`` says in plain words what is about to be changed."""

    what: str
    is_done: Callable[[], bool]
    act: Callable[[], None]


class Restoration:
    """The restore of ``plan`` on its way. ``say`` gets lines of progress; ``sleep`` and ``clock`` count in seconds."""

    def __init__(
        self,
        dynamodb: Any,
        plan: Plan,
        say: Callable[[str], None],
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dynamodb = dynamodb
        self.plan = plan
        self.say = say
        self._sleep = sleep
        self._clock = clock

    def steps(self) -> list[Step]:
        """All steps up to verification, in order."""
        source, target = self.plan.source, self.plan.target
        return [
            Step(f"restore {source} as of {self.plan.moment:%Y-%m-%dT%H:%M:%SZ} into the new table {target}",
                 self._is_begun, self._begin),
            Step(f"switch on time to live of {target} by `{EXPIRES}`", self._has_ttl, self._set_ttl),
            Step(f"switch on point-in-time recovery of {target}, {RECOVERY_DAYS} days", self._has_recovery,
                 self._set_recovery),
            Step(f"protect {target} from deletion", lambda: self._is_protected(target), lambda: self._protect(target)),
            Step(f"copy the tags of {source}", self._has_tags, self._copy_tags),
            Step("send its changes to the same Kinesis streams", self._has_streams, self._copy_streams),
        ]  # fmt: skip

    def protect_source(self) -> Step:
        """The old table must outlive the switch, whatever the stack would do with it."""
        source = self.plan.source
        return Step(
            f"protect {source} from deletion", lambda: self._is_protected(source), lambda: self._protect(source)
        )

    def wait_until_restored(self) -> None:
        """Wait until table and index are active, with a line now and then. Raises ``RestoreRefused`` after hours."""
        began = self._clock()
        self._until(self._is_restored, RESTORE_SECONDS_MAX, lambda: f"restoring for {self._clock() - began:.0f} s")

    def mark_verified(self) -> None:
        """Set the tag that says: this restore is finished."""
        self._retrying(lambda: self.dynamodb.tag_resource(ResourceArn=self._arn_of_target(), Tags=[VERIFIED_TAG]))

    def delete_drill(self) -> None:
        """Delete what a drill made, and only that. Raises ``RestoreRefused`` for any other table."""
        target = self.plan.target
        table = self._described(target)
        if not self.plan.is_drill or restored_from(table) != self.plan.source or "-drill-" not in target:
            raise RestoreRefused(f"{target} was not made by this drill: it stays.")
        if table.get("DeletionProtectionEnabled"):
            self._retrying(lambda: self.dynamodb.update_table(TableName=target, DeletionProtectionEnabled=False))
        self._settled(target)
        self._retrying(lambda: self.dynamodb.delete_table(TableName=target))
        self._until(lambda: describe(self.dynamodb, target) is None, SETTLE_SECONDS_MAX, lambda: f"deleting {target}")

    # --- The restore itself. ---

    def _is_begun(self) -> bool:
        table = describe(self.dynamodb, self.plan.target)
        if table is not None and restored_from(table) != self.plan.source:
            raise RestoreRefused(f"The table {self.plan.target} was not restored from {self.plan.source}.")
        return table is not None

    def _begin(self) -> None:
        source = self._described(self.plan.source)
        capacity = _capacity(source)
        self.dynamodb.restore_table_to_point_in_time(
            SourceTableName=self.plan.source,
            TargetTableName=self.plan.target,
            RestoreDateTime=self.plan.moment,
            BillingModeOverride="PROVISIONED",
            ProvisionedThroughputOverride=capacity,
            GlobalSecondaryIndexOverride=[
                {
                    "IndexName": index["IndexName"],
                    "KeySchema": index["KeySchema"],
                    "Projection": index["Projection"],
                    "ProvisionedThroughput": _capacity(index),
                }
                for index in source.get("GlobalSecondaryIndexes", [])
            ],
            SSESpecificationOverride={
                "Enabled": True,
                "SSEType": "KMS",
                "KMSMasterKeyId": source["SSEDescription"]["KMSMasterKeyArn"],
            },
        )

    def _is_restored(self) -> bool:
        table = self._described(self.plan.target)
        indexes = table.get("GlobalSecondaryIndexes", [])
        states = {table["TableStatus"], *(index.get("IndexStatus", "ACTIVE") for index in indexes)}
        return states == {"ACTIVE"} and not table.get("RestoreSummary", {}).get("RestoreInProgress", False)

    # --- What a restore does not carry. ---

    def _has_ttl(self) -> bool:
        return expiry_fault(self.dynamodb, self.plan.target) is None

    def _set_ttl(self) -> None:
        wanted = {"Enabled": True, "AttributeName": EXPIRES}
        self.dynamodb.update_time_to_live(TableName=self.plan.target, TimeToLiveSpecification=wanted)

    def _has_recovery(self) -> bool:
        return recovery_fault(recovery_of(self.dynamodb, self.plan.target)) is None

    def _set_recovery(self) -> None:
        wanted = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": RECOVERY_DAYS}
        self.dynamodb.update_continuous_backups(TableName=self.plan.target, PointInTimeRecoverySpecification=wanted)

    def _is_protected(self, table: str) -> bool:
        return bool(self._described(table).get("DeletionProtectionEnabled"))

    def _protect(self, table: str) -> None:
        self.dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
        self._settled(table)

    def _has_tags(self) -> bool:
        return not tags_missing(self.dynamodb, self.plan.source, self.plan.target)

    def _copy_tags(self) -> None:
        tags = own_tags(self.dynamodb, self.plan.source)
        self.dynamodb.tag_resource(ResourceArn=self._arn_of_target(), Tags=tags)

    def _has_streams(self) -> bool:
        return self._streams(self.plan.source) <= self._streams(self.plan.target)

    def _copy_streams(self) -> None:
        for arn in sorted(self._streams(self.plan.source) - self._streams(self.plan.target)):
            self.dynamodb.enable_kinesis_streaming_destination(TableName=self.plan.target, StreamArn=arn)

    def _streams(self, table: str) -> set[str]:
        found = self.dynamodb.describe_kinesis_streaming_destination(TableName=table)
        return {
            each["StreamArn"]
            for each in found.get("KinesisDataStreamDestinations", [])
            if each["DestinationStatus"] in {"ACTIVE", "ENABLING"}
        }

    # --- Patience. ---

    def run(self, step: Step) -> None:
        """Act, again and again while DynamoDB says that it is busy, until the step is done."""
        self._retrying(step.act)
        self._until(step.is_done, SETTLE_SECONDS_MAX, lambda: step.what)

    def is_done(self, step: Step) -> bool:
        """Look, again and again while DynamoDB says that it is busy."""
        return bool(self._retrying(step.is_done))

    def _retrying(self, attempt: Callable[[], Any]) -> Any:
        deadline = self._clock() + SETTLE_SECONDS_MAX
        while True:
            try:
                return attempt()
            except ClientError as error:
                if error.response["Error"]["Code"] not in _BUSY or self._clock() > deadline:
                    raise
                self.say(f"{error.response['Error']['Code']}: trying again")
            self._sleep(POLL_SECONDS)

    def _until(self, is_so: Callable[[], bool], seconds_max: float, progress: Callable[[], str]) -> None:
        deadline = self._clock() + seconds_max
        while not self._retrying(is_so):
            if self._clock() > deadline:
                raise RestoreRefused(f"Not done after {seconds_max:.0f} s: {progress()}. Run it again to go on.")
            self.say(progress())
            self._sleep(POLL_SECONDS)

    def _settled(self, table: str) -> None:
        self._until(
            lambda: self._described(table)["TableStatus"] == "ACTIVE", SETTLE_SECONDS_MAX, lambda: f"updating {table}"
        )

    def _described(self, table: str) -> dict[str, Any]:
        found = describe(self.dynamodb, table)
        if found is None:
            raise RestoreRefused(f"The table {table} is not there.")
        return found

    def _arn_of_target(self) -> str:
        return str(self._described(self.plan.target)["TableArn"])


def _capacity(owner: dict[str, Any]) -> dict[str, int]:
    found = owner["ProvisionedThroughput"]
    return {each: found[each] for each in ("ReadCapacityUnits", "WriteCapacityUnits")}
