"""Restoring the table: a new one made whole and proved, with every fault on the way survived or told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.profiles import DEV
from infra.restore.plan import Plan, RestoreRefused, parse_moment, plan_restore
from infra.restore.procedure import Declined, restore
from infra.restore.proof import shortcomings
from infra.restore.steps import RESTORE_SECONDS_MAX, Restoration
from infra.restore.table import VERIFIED_TAG, tags_of
from simple_log_service.core.limits import LOG_TYPES_PER_DAY_MAX
from simple_log_service.core.record import Position
from simple_log_service.stores.dynamodb.keys import TYPES_PARTITION, day_of, number_of, type_slots
from support.recoverable import CAPACITY, KEY_ARN, SOURCE, TAGS, Recoverable, recoverable

MOMENT = (datetime.now(UTC) - timedelta(hours=2)).replace(microsecond=0)


@pytest.fixture
def dynamodb() -> Iterator[Recoverable]:
    with recoverable() as made:
        yield made


class Operator:
    """Agrees to everything but what ``declines`` names; hears what is said; time passes when somebody sleeps."""

    def __init__(self, *declines: str) -> None:
        self.declines = declines
        self.asked: list[str] = []
        self.heard: list[str] = []
        self.seconds = 0.0

    def confirm(self, what: str) -> bool:
        self.asked.append(what)
        return not any(each in what for each in self.declines)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def restoration(self, dynamodb: Recoverable, plan: Plan) -> Restoration:
        return Restoration(dynamodb, plan, self.heard.append, sleep=self.sleep, clock=lambda: self.seconds)

    def restore(self, dynamodb: Recoverable, plan: Plan) -> Restoration:
        restoration = self.restoration(dynamodb, plan)
        restore(restoration, DEV.type_shards, self.confirm)
        return restoration


def plan(dynamodb: Recoverable, moment: datetime | None = MOMENT, *, is_drill: bool = False) -> Plan:
    return plan_restore(dynamodb, SOURCE, moment, is_drill=is_drill)


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def put(dynamodb: Recoverable, at: datetime, received: datetime, log_type: str = "audit") -> dict[str, Any]:
    """An entry and its type in the registry, as the store writes them."""
    item = {
        "service_name": {"S": "shop"},
        "timestamp": {"N": number_of(Position(ns(at), 7))},
        "log_type": {"S": log_type},
        "received": {"N": str(ns(received) // 1000)},
    }
    dynamodb.put_item(TableName=SOURCE, Item=item)
    slot = type_slots(day_of(ns(received))).start + sum(log_type.encode()) % LOG_TYPES_PER_DAY_MAX
    known = {"service_name": {"S": TYPES_PARTITION}, "timestamp": {"N": str(slot)}, "name": {"S": log_type}}
    dynamodb.put_item(TableName=SOURCE, Item=known)
    return item


def test_a_restored_table_has_everything_that_its_source_has(dynamodb: Recoverable) -> None:
    dynamodb.streams[SOURCE] = {"arn:aws:kinesis:us-east-1:123456789012:stream/logs"}
    dynamodb.describes_until_active = 3
    put(dynamodb, MOMENT - timedelta(hours=1), MOMENT - timedelta(hours=1))
    operator = Operator()
    made = plan(dynamodb)
    restoration = operator.restore(dynamodb, made)
    assert made.target == f"{SOURCE}-restored-{MOMENT:%Y%m%dT%H%M%SZ}"
    assert shortcomings(dynamodb, made) == []
    table = dynamodb.describe_table(TableName=made.target)["Table"]
    assert table["DeletionProtectionEnabled"]
    assert table["SSEDescription"]["KMSMasterKeyArn"] == KEY_ARN
    assert {each: table["ProvisionedThroughput"][each] for each in CAPACITY} == CAPACITY
    assert [each["IndexName"] for each in table["GlobalSecondaryIndexes"]] == ["TimestampIndex"]
    ttl = dynamodb.describe_time_to_live(TableName=made.target)["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "expires")
    recovery = dynamodb.describe_continuous_backups(TableName=made.target)["ContinuousBackupsDescription"]
    assert recovery["PointInTimeRecoveryDescription"]["RecoveryPeriodInDays"] == 35
    assert tags_of(dynamodb, table["TableArn"]) == TAGS
    assert dynamodb.streams[made.target] == dynamodb.streams[SOURCE]
    assert any("the newest record, of shop" in line for line in operator.heard)
    restoration.mark_verified()
    assert VERIFIED_TAG in tags_of(dynamodb, table["TableArn"])


def test_the_latest_moment_is_named_in_utc_wherever_the_operator_is(dynamodb: Recoverable) -> None:
    """botocore gives times in the machine's own zone."""
    earliest, latest = dynamodb.window
    in_new_york = timezone(timedelta(hours=-5))
    dynamodb.window = (earliest.astimezone(in_new_york), latest.astimezone(in_new_york))
    assert plan(dynamodb, None).target == f"{SOURCE}-restored-{latest:%Y%m%dT%H%M%SZ}"


def test_each_step_that_changes_something_asks_first_and_the_others_do_not(dynamodb: Recoverable) -> None:
    operator = Operator()
    operator.restore(dynamodb, plan(dynamodb))
    changes = ("restore", "time to live", "point-in-time recovery", "protect", "tags")
    assert len(operator.asked) == len(changes)
    assert all(change in what for change, what in zip(changes, operator.asked, strict=True))


@pytest.mark.parametrize("declined", ["restore", "time to live", "point-in-time recovery", "protect", "tags"])
def test_a_restore_that_was_stopped_goes_on_where_it_ended(dynamodb: Recoverable, declined: str) -> None:
    with pytest.raises(Declined):
        Operator(declined).restore(dynamodb, plan(dynamodb, None))
    first = dynamodb.calls["restore_table_to_point_in_time"]
    assert first == (declined != "restore")
    operator = Operator()
    again = plan(dynamodb, None)
    operator.restore(dynamodb, again)
    assert dynamodb.calls["restore_table_to_point_in_time"] == 1
    assert declined in operator.asked[0]
    assert shortcomings(dynamodb, again) == []


def test_going_on_with_a_moment_finds_the_restore_of_that_moment_alone(dynamodb: Recoverable) -> None:
    earlier = MOMENT - timedelta(hours=3)
    for moment in (earlier, MOMENT):
        with pytest.raises(Declined):
            Operator("tags").restore(dynamodb, plan(dynamodb, moment))
    assert plan(dynamodb, earlier).moment == earlier
    assert plan(dynamodb, None).moment == MOMENT
    assert plan(dynamodb, MOMENT - timedelta(hours=5)).target not in dynamodb.list_tables()["TableNames"]


def test_a_finished_restore_is_not_begun_again(dynamodb: Recoverable) -> None:
    made = plan(dynamodb)
    Operator().restore(dynamodb, made).mark_verified()
    with pytest.raises(RestoreRefused, match="is there already"):
        plan(dynamodb)


def test_somebody_elses_table_of_that_name_is_left_alone(dynamodb: Recoverable) -> None:
    target = plan(dynamodb).target
    dynamodb.create_table(
        TableName=target,
        AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(RestoreRefused, match="is there already"):
        plan(dynamodb)
    with pytest.raises(RestoreRefused, match="was not restored from"):
        Operator().restore(dynamodb, Plan(SOURCE, target, MOMENT, is_drill=False))


# --- What cannot be restored. ---


def test_without_point_in_time_recovery_there_is_nothing_to_restore_from(dynamodb: Recoverable) -> None:
    off = {"PointInTimeRecoveryEnabled": False}
    dynamodb.update_continuous_backups(TableName=SOURCE, PointInTimeRecoverySpecification=off)
    with pytest.raises(RestoreRefused, match="DISASTER_RECOVERY"):
        plan(dynamodb)


def test_a_table_that_is_not_there_is_told(dynamodb: Recoverable) -> None:
    with pytest.raises(RestoreRefused, match="no table simple-log-service-prod-logs"):
        plan_restore(dynamodb, "simple-log-service-prod-logs", None, is_drill=False)


@pytest.mark.parametrize("outside", [timedelta(days=40), timedelta(minutes=1)])
def test_a_moment_outside_the_window_is_refused_with_the_window(dynamodb: Recoverable, outside: timedelta) -> None:
    with pytest.raises(RestoreRefused, match=f"{dynamodb.window[0]:%Y-%m-%dT%H:%M:%SZ} to"):
        plan(dynamodb, datetime.now(UTC) - outside)
    assert dynamodb.calls["restore_table_to_point_in_time"] == 0


@pytest.mark.parametrize("text", ["yesterday", "2026-01-01", "2026-01-01T00:00:00", ""])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(RestoreRefused, match="is no moment"):
        parse_moment(text)


def test_a_moment_is_read_with_its_offset() -> None:
    assert parse_moment("2026-01-31T13:00:00+01:00") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert parse_moment("latest") is None


# --- Faults on the way. ---


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("describe_table", "ThrottlingException"),
        ("restore_table_to_point_in_time", "LimitExceededException"),
        ("update_time_to_live", "ResourceInUseException"),
        ("update_continuous_backups", "ContinuousBackupsUnavailableException"),
        ("update_table", "ResourceInUseException"),
        ("tag_resource", "InternalServerError"),
    ],
)
def test_what_passes_by_itself_is_waited_for(dynamodb: Recoverable, operation: str, code: str) -> None:
    made = plan(dynamodb)
    dynamodb.faults[operation] = [code] * 3
    operator = Operator()
    operator.restore(dynamodb, made)
    assert operator.heard.count(f"{code}: trying again") == 3
    assert shortcomings(dynamodb, made) == []


def test_what_does_not_pass_is_told_at_once(dynamodb: Recoverable) -> None:
    made = plan(dynamodb)
    dynamodb.faults["update_time_to_live"] = ["AccessDeniedException"]
    with pytest.raises(ClientError, match="AccessDeniedException"):
        Operator().restore(dynamodb, made)


def test_a_fault_that_never_passes_ends_the_waiting(dynamodb: Recoverable) -> None:
    made = plan(dynamodb)
    dynamodb.faults["update_time_to_live"] = ["ThrottlingException"] * 10_000
    with pytest.raises(ClientError, match="ThrottlingException"):
        Operator().restore(dynamodb, made)


def test_a_restore_that_takes_hours_ends_with_how_to_go_on(dynamodb: Recoverable) -> None:
    dynamodb.describes_until_active = 10**6
    operator = Operator()
    with pytest.raises(RestoreRefused, match="Run it again to go on"):
        operator.restore(dynamodb, plan(dynamodb))
    assert operator.seconds > RESTORE_SECONDS_MAX
    assert any(line.startswith("restoring for ") for line in operator.heard)


# --- The proof. ---


def test_a_table_without_the_newest_record_is_not_to_be_switched_to(dynamodb: Recoverable) -> None:
    item = put(dynamodb, MOMENT - timedelta(hours=1), MOMENT - timedelta(hours=1))
    made = plan(dynamodb)
    with pytest.raises(Declined):
        Operator("tags").restore(dynamodb, made)
    dynamodb.delete_item(TableName=made.target, Key={name: item[name] for name in ("service_name", "timestamp")})
    with pytest.raises(RestoreRefused, match="do not switch"):
        Operator().restore(dynamodb, made)


def test_what_came_after_the_moment_is_not_looked_for(dynamodb: Recoverable) -> None:
    put(dynamodb, MOMENT - timedelta(hours=3), MOMENT - timedelta(hours=3))
    put(dynamodb, MOMENT + timedelta(hours=1), MOMENT + timedelta(hours=1), "access")
    put(dynamodb, MOMENT - timedelta(hours=1), MOMENT + timedelta(hours=1), "late")
    operator = Operator()
    operator.restore(dynamodb, plan(dynamodb))
    (proof,) = (line for line in operator.heard if line.startswith("the newest record"))
    assert f"{(MOMENT - timedelta(hours=3)).astimezone():%Y-%m-%dT%H:%M:%S%z}" in proof


def test_an_empty_source_is_said_to_be_empty(dynamodb: Recoverable) -> None:
    operator = Operator()
    operator.restore(dynamodb, plan(dynamodb))
    assert any("holds no record of before that moment" in line for line in operator.heard)


@pytest.mark.parametrize(
    ("operation", "arguments", "told"),
    [
        ("update_table", {"DeletionProtectionEnabled": False}, "not protected"),
        (
            "update_time_to_live",
            {"TimeToLiveSpecification": {"Enabled": False, "AttributeName": "expires"}},
            "time to live is DISABLED",
        ),
        (
            "update_continuous_backups",
            {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False}},
            "recovery is off",
        ),
        (
            "update_continuous_backups",
            {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 7}},
            "reaches back 7 days",
        ),
        (
            "update_table",
            {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "TimestampIndex"}}]},
            "the indexes are",
        ),
    ],
)
def test_the_description_tells_what_is_missing(
    dynamodb: Recoverable, operation: str, arguments: dict[str, Any], told: str
) -> None:
    made = plan(dynamodb)
    Operator().restore(dynamodb, made)
    getattr(dynamodb, operation)(TableName=made.target, **arguments)
    assert [line for line in shortcomings(dynamodb, made) if told in line]


def test_a_missing_tag_is_told(dynamodb: Recoverable) -> None:
    made = plan(dynamodb)
    restoration = Operator().restore(dynamodb, made)
    arn = dynamodb.describe_table(TableName=made.target)["Table"]["TableArn"]
    restoration.mark_verified()
    dynamodb.untag_resource(ResourceArn=arn, TagKeys=["environment"])
    assert shortcomings(dynamodb, made) == ["the tag environment is missing"]


# --- The drill. ---


def test_a_drill_deletes_what_it_made_and_nothing_else(dynamodb: Recoverable) -> None:
    made = plan(dynamodb, is_drill=True)
    assert "-drill-" in made.target
    restoration = Operator().restore(dynamodb, made)
    assert made.target in dynamodb.list_tables()["TableNames"]
    restoration.delete_drill()
    assert dynamodb.list_tables()["TableNames"] == [SOURCE]


def test_only_a_drills_own_table_is_ever_deleted(dynamodb: Recoverable) -> None:
    made = plan(dynamodb)
    restoration = Operator().restore(dynamodb, made)
    for target, is_drill in ((made.target, False), (made.target, True), (SOURCE, True)):
        with pytest.raises(RestoreRefused, match="it stays"):
            Operator().restoration(dynamodb, Plan(SOURCE, target, MOMENT, is_drill)).delete_drill()
    with pytest.raises(RestoreRefused, match="it stays"):
        restoration.delete_drill()
    assert set(dynamodb.list_tables()["TableNames"]) == {SOURCE, made.target}
