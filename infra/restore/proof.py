"""The proof of a restore: the new table described beside its source, and the newest record that must be in it.

No scan: the registry names the types, and each type's newest entry is the first of one index query.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from infra.restore.plan import Plan, RestoreRefused
from infra.restore.table import describe, expiry_fault, recovery_fault, recovery_of, tags_missing
from simple_log_service.core.limits import SECOND_NS
from simple_log_service.stores.dynamodb.keys import (
    INDEX_KEY,
    INDEX_NAME,
    PARTITION_KEY,
    SORT_KEY,
    TYPES_PARTITION,
    day_of,
    index_values,
    type_slots,
)

LATE_MARGIN = timedelta(seconds=10)
"""What was received so shortly before the moment of the restore may or may not be in it."""
_ENTRIES_LOOKED_AT_MAX = 50
_DAYS_LOOKED_AT = 7


def shortcomings(dynamodb: Any, plan: Plan) -> list[str]:
    """What the restored table lacks of what its source has, in words; empty where nothing does."""
    source, target = describe(dynamodb, plan.source), describe(dynamodb, plan.target)
    if source is None or target is None:
        return [f"{plan.source if source is None else plan.target} is not there"]
    wrong = [
        f"{what} is {_of(target, path)!r} instead of {_of(source, path)!r}"
        for what, path in (
            ("the key", ("KeySchema",)),
            ("the key-encryption key", ("SSEDescription", "KMSMasterKeyArn")),
            ("the encryption", ("SSEDescription", "SSEType")),
        )
        if _of(target, path) != _of(source, path)
    ]
    if _indexes(target) != _indexes(source):
        wrong.append(f"the indexes are {_indexes(target)} instead of {_indexes(source)}")
    if target.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED") != "PROVISIONED":
        wrong.append("its capacity is not provisioned")
    if not target.get("DeletionProtectionEnabled"):
        wrong.append("it is not protected from deletion")
    return wrong + _beside_the_description(dynamodb, plan)


def newest_record(dynamodb: Any, table: str, shards: Mapping[str, int], until: datetime) -> dict[str, Any] | None:
    """The primary key of the newest entry of those received until then, ``None`` where there is none.

    ``shards`` are the profile's ``type_shards``: over how many partitions of the index a log type is spread.
    """
    newest: dict[str, Any] | None = None
    for log_type in _types(dynamodb, table, until):
        for value in index_values(log_type, shards.get(log_type, 1)):
            key = _newest_of(dynamodb, table, value, until)
            if key is not None and (newest is None or _moment(key) > _moment(newest)):
                newest = key
    return newest


def prove_newest(dynamodb: Any, plan: Plan, shards: Mapping[str, int]) -> str:
    """Find in the target the newest record that the source had at that moment. Raises ``RestoreRefused``.

    What the source received in the last seconds before may be missing, and is not asked for.
    """
    wanted = newest_record(dynamodb, plan.source, shards, plan.moment - LATE_MARGIN)
    if wanted is None:
        return f"{plan.source} holds no record of before that moment any more"
    item = dynamodb.get_item(TableName=plan.target, Key=wanted, ConsistentRead=True).get("Item")
    moment = datetime.fromtimestamp(int(_moment(wanted)) / 1e9).astimezone()
    if item is None:
        raise RestoreRefused(
            f"The newest record of {plan.source}, of {wanted[PARTITION_KEY]['S']} at {moment:%Y-%m-%dT%H:%M:%S%z}, is "
            f"not in {plan.target}: do not switch to it."
        )
    return f"the newest record, of {wanted[PARTITION_KEY]['S']} at {moment:%Y-%m-%dT%H:%M:%S%z}, is there"


def _beside_the_description(dynamodb: Any, plan: Plan) -> list[str]:
    faults = (expiry_fault(dynamodb, plan.target), recovery_fault(recovery_of(dynamodb, plan.target)))
    missing = tags_missing(dynamodb, plan.source, plan.target)
    return [fault for fault in faults if fault is not None] + [f"the tag {name} is missing" for name in missing]


def _types(dynamodb: Any, table: str, until: datetime) -> list[str]:
    """The log types of the days before, each once; the registry holds at most so many a day."""
    slots = type_slots(day_of(_ns(until)))
    found = dynamodb.query(
        TableName=table,
        KeyConditionExpression="#partition = :types AND #slot < :end",
        ExpressionAttributeNames={"#partition": PARTITION_KEY, "#slot": SORT_KEY},
        ExpressionAttributeValues={":types": {"S": TYPES_PARTITION}, ":end": {"N": str(slots.stop)}},
        ScanIndexForward=False,
        Limit=_DAYS_LOOKED_AT * len(slots),
    )
    return list(dict.fromkeys(item["name"]["S"] for item in found["Items"]))


def _newest_of(dynamodb: Any, table: str, index_value: str, until: datetime) -> dict[str, Any] | None:
    found = dynamodb.query(
        TableName=table,
        IndexName=INDEX_NAME,
        KeyConditionExpression="#type = :type AND #timestamp <= :until",
        ExpressionAttributeNames={"#type": INDEX_KEY, "#timestamp": SORT_KEY},
        ExpressionAttributeValues={":type": {"S": index_value}, ":until": {"N": str(_ns(until))}},
        ScanIndexForward=False,
        Limit=_ENTRIES_LOOKED_AT_MAX,
    )
    # Late records lie among the older ones, though they were not there at that moment.
    there = (item for item in found["Items"] if int(item["received"]["N"]) * 1000 <= _ns(until))
    return next(({name: item[name] for name in (PARTITION_KEY, SORT_KEY)} for item in there), None)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND_NS


def _moment(key: dict[str, Any]) -> int:
    return int(key[SORT_KEY]["N"].partition(".")[0])


def _of(table: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = table
    for name in path:
        value = value.get(name, {})
    return value or None


def _indexes(table: dict[str, Any]) -> list[tuple[Any, ...]]:
    return sorted(
        (index["IndexName"], str(index["KeySchema"]), index["Projection"]["ProjectionType"])
        for index in table.get("GlobalSecondaryIndexes", [])
    )
