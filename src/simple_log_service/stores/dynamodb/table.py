"""The table's calls: each repeated while that helps, counted in capacity units, its errors translated at this edge.

Every write may be repeated: an item's key and content are the same each time, and a claim is taken by the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from simple_log_service.core import signals
from simple_log_service.core.errors import StoreThrottled, StoreUnavailable
from simple_log_service.core.ports import Metrics
from simple_log_service.core.receipts import REFUSED, THROTTLED
from simple_log_service.core.record import Position
from simple_log_service.stores.dynamodb.capacity import Units, get_units, put_units, query_units, update_units
from simple_log_service.stores.dynamodb.client import CALLS_AT_ONCE_MAX
from simple_log_service.stores.dynamodb.faults import ConditionFailed, ItemRefused, Unanswered, code_of, translated
from simple_log_service.stores.dynamodb.items import Item, key_item, key_of
from simple_log_service.stores.dynamodb.keys import INDEX_KEY, PARTITION_KEY, SORT_KEY, Key, number_of
from simple_log_service.stores.dynamodb.patience import Patience

T = TypeVar("T")
R = TypeVar("R")

BATCH_WRITE_ITEMS_MAX = 25
"""DynamoDB's own bound, of items in a call."""


class Table:
    """One table with its index. Blocking: to be called from a thread. ``close`` ends the threads of its own."""

    def __init__(self, client: Any, name: str, index_name: str, metrics: Metrics) -> None:
        self.name = name
        self._client = client
        self._index_name = index_name
        self._metrics = metrics
        self._calls = ThreadPoolExecutor(CALLS_AT_ONCE_MAX, thread_name_prefix="slog-dynamodb")

    def close(self) -> None:
        """Let go of threads and connections."""
        self._calls.shutdown()
        self._client.close()

    def claim(self, key: Key, attributes: Item, patience: Patience) -> Item:
        """Set the attributes where nobody has yet, in one call; the item that stands there then."""
        names, values = _placeholders(attributes)
        settings = ", ".join(f"#{place} = if_not_exists(#{place}, :{place})" for place in range(len(names)))
        item = self._update(key, f"SET {settings}", names, values, patience)
        self._count(update_units(None, item))
        return item

    def claim_all(self, claims: Sequence[tuple[Key, Item]], patience: Patience) -> list[Item | None]:
        """Many claims, side by side; ``None`` for those that there was no capacity or time for."""

        def claim(wanted: tuple[Key, Item]) -> Item | None:
            try:
                return self.claim(*wanted, patience)
            except StoreThrottled:
                return None

        return [claim(claims[0])] if len(claims) == 1 else list(self._calls.map(claim, claims))

    def side_by_side(self, work: Callable[[T], R], things: Iterable[T]) -> Iterator[R]:
        """The results of some work that calls the table, for each of these things."""
        return self._calls.map(work, things)

    def take_over(self, key: Key, attributes: Item, holder: Item, patience: Patience) -> bool:
        """Set the attributes if they still are what ``holder`` says; whether they were."""
        names, values = _placeholders(attributes)
        held = {f":held{place}": holder[name] for place, name in enumerate(attributes)}
        settings = ", ".join(f"#{place} = :{place}" for place in range(len(names)))
        condition = " AND ".join(f"#{place} = :held{place}" for place in range(len(names)))
        try:
            item = self._update(key, f"SET {settings}", names, {**values, **held}, patience, condition)
        except ConditionFailed:
            self._count(update_units(holder, holder))
            return False
        self._count(update_units(holder, item))
        return True

    def get(self, key: Key, patience: Patience) -> Item | None:
        """The item under a key, as of now."""
        answer = self._patiently(patience, "get_item", Key=key_item(key), ConsistentRead=True)
        item: Item | None = answer.get("Item")
        self._count(get_units(item, consistent=True))
        return item

    def get_all(self, keys: Iterable[Key], patience: Patience) -> dict[Key, Item]:
        """The items that there are under at most 100 keys, DynamoDB's own bound, as of now."""
        found: dict[Key, Item] = {}
        asked: Any = {self.name: {"Keys": [key_item(key) for key in keys], "ConsistentRead": True}}
        failures = 0
        while asked:
            answer = self._patiently(patience, "batch_get_item", of_table=False, RequestItems=asked)
            items = answer["Responses"].get(self.name, [])
            found.update((key_of(item), item) for item in items)
            rest = answer.get("UnprocessedKeys") or {}
            misses = _keys_in(asked, self.name) - _keys_in(rest, self.name) - len(items)
            self._count(sum((get_units(item, consistent=True) for item in [*items, *[None] * misses]), Units()))
            asked = rest
            if asked and not patience.wait(failures):
                raise StoreThrottled("The table has no capacity left for this read; it may be sent again.")
            failures += 1
        return found

    def pages(
        self, partition: str, low: Position, high: Position, sizes: Iterator[int], patience: Patience, *, index: bool
    ) -> Iterator[list[Item]]:
        """The items of a partition from ``high`` down to ``low``, both included, in pages of these sizes.

        Of the table as of now, of the index eventually.
        """
        if low > high:
            return
        asked: dict[str, Any] = {
            "KeyConditionExpression": "#partition = :partition AND #sort BETWEEN :low AND :high",
            "ExpressionAttributeNames": {"#partition": INDEX_KEY if index else PARTITION_KEY, "#sort": SORT_KEY},
            "ExpressionAttributeValues": {
                ":partition": {"S": partition},
                ":low": {"N": number_of(low)},
                ":high": {"N": number_of(high)},
            },
            "ScanIndexForward": False,
        }
        asked |= {"IndexName": self._index_name} if index else {"ConsistentRead": True}
        while True:
            answer = self._patiently(patience, "query", **asked, Limit=next(sizes))
            self._count(query_units(answer["Items"], consistent=not index, index=index))
            yield answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def write_all(self, items: Sequence[Item], patience: Patience) -> dict[int, str]:
        """Write items with distinct keys; by place, the codes of those that are not stored.

        Raises ``StoreUnavailable`` where it is unknown what is.
        """
        places = range(len(items))
        parts = [places[start : start + BATCH_WRITE_ITEMS_MAX] for start in places[::BATCH_WRITE_ITEMS_MAX]]
        if len(parts) == 1:
            return self._write(items, parts[0], patience)
        lost: dict[int, str] = {}
        for each in self._calls.map(lambda part: self._write(items, part, patience), parts):
            lost |= each
        return lost

    def _write(self, items: Sequence[Item], places: Sequence[int], patience: Patience) -> dict[int, str]:
        left, failures = {key_of(items[place]): place for place in places}, 0
        while not patience.is_over:
            try:
                left = self._batch_write(items, left)
            except StoreThrottled:
                pass
            except Unanswered:
                if not patience.wait(failures):
                    raise
                failures += 1
                continue
            except ItemRefused:
                if len(left) == 1:
                    return dict.fromkeys(left.values(), REFUSED)
                # One bad item must not keep out the others of its call.
                return {p: code for place in left.values() for p, code in self._write(items, [place], patience).items()}
            if not left or not patience.wait(failures):
                break
            failures += 1
        return dict.fromkeys(left.values(), THROTTLED)

    def _batch_write(self, items: Sequence[Item], left: Mapping[Key, int]) -> dict[Key, int]:
        """What is left unprocessed of these."""
        requests = [{"PutRequest": {"Item": items[place]}} for place in left.values()]
        answer = self._call("batch_write_item", RequestItems={self.name: requests})
        unprocessed = answer.get("UnprocessedItems", {}).get(self.name, [])
        keys = [key_of(request["PutRequest"]["Item"]) for request in unprocessed]
        rest = {key: left[key] for key in keys}
        self._count(sum((put_units(items[place]) for key, place in left.items() if key not in rest), Units()))
        if rest:
            self._metrics.count(signals.DYNAMODB_ERRORS, len(rest), "UnprocessedItem")
        return rest

    def _update(
        self,
        key: Key,
        expression: str,
        names: Mapping[str, str],
        values: Item,
        patience: Patience,
        condition: str | None = None,
    ) -> Item:
        parameters: dict[str, Any] = {
            "Key": key_item(key),
            "UpdateExpression": expression,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_NEW",
        }
        if condition is not None:
            parameters["ConditionExpression"] = condition
        answer = self._patiently(patience, "update_item", **parameters)
        item: Item = answer["Attributes"]
        return item

    def _patiently(self, patience: Patience, operation: str, *, of_table: bool = True, **parameters: Any) -> Any:
        failures = 0
        while True:
            if patience.is_over:
                raise StoreThrottled("There was no time left for the request; it may be sent again.")
            try:
                return self._call(operation, **({"TableName": self.name} if of_table else {}), **parameters)
            except (StoreThrottled, Unanswered):
                if not patience.wait(failures):
                    raise
                failures += 1

    def _call(self, operation: str, **parameters: Any) -> Any:
        began = monotonic()
        try:
            return getattr(self._client, operation)(**parameters)
        except ClientError as error:
            self._metrics.count(signals.DYNAMODB_ERRORS, 1, code_of(error))
            raise translated(error, self.name) from None
        except (NoCredentialsError, PartialCredentialsError):
            self._metrics.count(signals.DYNAMODB_ERRORS, 1, "NoCredentials")
            raise StoreUnavailable("The service finds no credentials for DynamoDB.") from None
        except BotoCoreError as error:
            self._metrics.count(signals.DYNAMODB_ERRORS, 1, type(error).__name__)
            raise Unanswered("DynamoDB did not answer; whether the request was stored is unknown.") from None
        finally:
            self._metrics.observe(signals.DYNAMODB_SECONDS, monotonic() - began, operation)

    def _count(self, units: Units) -> None:
        count = self._metrics.count
        for target, kind, amount in (
            ("table", "read", units.table_read),
            ("index", "read", units.index_read),
            ("table", "write", units.table_write),
            ("index", "write", units.index_write),
        ):
            if amount:
                count(signals.DYNAMODB_UNITS, amount, target, kind)


def _keys_in(asked: Any, table_name: str) -> int:
    return len(asked[table_name]["Keys"]) if asked else 0


def _placeholders(attributes: Item) -> tuple[dict[str, str], Item]:
    names = {f"#{place}": name for place, name in enumerate(attributes)}
    return names, {f":{place}": value for place, value in enumerate(attributes.values())}
