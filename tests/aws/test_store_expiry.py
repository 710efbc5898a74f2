"""When what lies in DynamoDB expires, each item with its service's and type's retention, and what that means before
time to live has removed it: DynamoDB may take days, and takes an entry and its body apart.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from simple_log_service.core.limits import DAY_NS, SECOND_NS
from simple_log_service.core.query import Query
from simple_log_service.core.retention import Kept, Retention
from simple_log_service.stores.dynamodb.keys import EXPIRES, TYPES_PARTITION, body_partition, log_id_key
from simple_log_service.stores.dynamodb.store import DynamoDBStore
from support.dynalite import create_table, delete_table, dynamodb_client
from support.dynamodb_tables import open_dynamodb
from support.stores import NOON, Given, SetClock, batch_of, messages

pytestmark = pytest.mark.asyncio

NOON_SECONDS = NOON // SECOND_NS
DAY_SECONDS = DAY_NS // SECOND_NS
RULES = Retention(10, {"debug-app": 3}, {"audit": 20})
KINDS = {
    ("shop", "application"): 10,
    ("shop", "audit"): 20,
    ("debug-app", "application"): 3,
    ("debug-app", "audit"): 3,
}
SETTLED_NS = 21 * SECOND_NS
"""After this an id may be taken over from who holds it without having a record."""


@pytest.fixture
def table(dynamodb_url: str) -> Iterator[str]:
    name = f"logs-{uuid4().hex}"
    create_table(dynamodb_url, name)
    yield name
    delete_table(dynamodb_url, name)


class Table:
    """Stores over one table, each with its own rules, and what lies in it."""

    def __init__(self, endpoint_url: str, name: str, clock: SetClock) -> None:
        self.clock = clock
        self._endpoint_url = endpoint_url
        self._name = name

    @asynccontextmanager
    async def store(self, retention: Retention = RULES) -> AsyncIterator[DynamoDBStore]:
        """A store over it with these rules, closed in the end."""
        store = open_dynamodb(self._endpoint_url, self._name, self.clock, retention=retention)
        try:
            yield store
        finally:
            await store.close()

    def expiries(self) -> dict[str, set[int]]:
        """Of each partition, the seconds at which its items expire."""
        found: dict[str, set[int]] = {}
        for item in self._items():
            found.setdefault(item["service_name"]["S"], set()).add(int(item[EXPIRES]["N"]))
        return found

    def forget(self, partition: str) -> int:
        """Remove all items of a partition, as time to live does; how many there were."""
        gone = [item for item in self._items() if item["service_name"]["S"] == partition]
        with dynamodb_client(self._endpoint_url) as client:
            for item in gone:
                key = {name: item[name] for name in ("service_name", "timestamp")}
                client.delete_item(TableName=self._name, Key=key)
        return len(gone)

    def _items(self) -> list[dict[str, Any]]:
        with dynamodb_client(self._endpoint_url) as client:
            items: list[dict[str, Any]] = client.scan(TableName=self._name)["Items"]
            return items


@pytest.fixture
def logs(dynamodb_url: str, table: str, clock: SetClock) -> Table:
    return Table(dynamodb_url, table, clock)


def bulky(service_name: str, log_type: str = "application") -> list[Given]:
    """Records that take a body, as they do not compress."""
    chance = random.Random(1)
    return [Given(chance.randbytes(3000).hex(), NOON, service_name, log_type) for _ in range(2)]


def kept(clock: SetClock, retention: Retention = RULES) -> Query:
    """The query for everything, as the service makes it."""
    return Query(clock.now_ns - retention.longest_ns, kept=Kept(retention, clock.now_ns))


@pytest.mark.parametrize("kind", KINDS)
async def test_every_item_of_a_record_expires_with_its_kinds_retention(logs: Table, kind: tuple[str, str]) -> None:
    service_name, _ = kind
    async with logs.store() as store:
        await store.append(batch_of(Given("plain", NOON, *kind), *bulky(*kind)))
        await store.append(batch_of(Given("alone", NOON, *kind, log_id="mine")))
    expiry = NOON_SECONDS + KINDS[kind] * DAY_SECONDS
    expiries = logs.expiries()
    assert expiries[service_name] == expiries[body_partition(service_name)] == {expiry}
    assert expiries[log_id_key(service_name, "mine").partition] == {expiry}


async def test_kinds_of_one_batch_expire_apart_and_its_types_with_the_longest(logs: Table) -> None:
    async with logs.store() as store:
        await store.append(batch_of(*(Given("", NOON, *kind) for kind in KINDS)))
    expiries = logs.expiries()
    assert expiries["shop"] == {NOON_SECONDS + days * DAY_SECONDS for days in (10, 20)}
    assert expiries["debug-app"] == {NOON_SECONDS + 3 * DAY_SECONDS}
    midnight = (NOON // DAY_NS + 1) * DAY_SECONDS
    assert expiries[TYPES_PARTITION] == {midnight + 20 * DAY_SECONDS}


@pytest.mark.parametrize("filters", [{}, {"service_name": "debug-app"}, {"log_type": "application"}])
async def test_an_expired_entry_whose_body_is_gone_already_is_no_damage(
    logs: Table, clock: SetClock, filters: dict[str, str]
) -> None:
    async with logs.store() as store:
        await store.append(batch_of(*bulky("debug-app"), Given("other", NOON, "shop")))
        clock.advance(4 * DAY_NS)
        assert logs.forget(body_partition("debug-app")) == 1
        shown = await messages(store, msgspec.structs.replace(kept(clock), **filters))
    assert shown == ([] if "service_name" in filters else ["other"])


@pytest.mark.parametrize("kind", KINDS)
async def test_an_id_is_taken_until_its_record_is_past_its_own_retention(
    logs: Table, clock: SetClock, kind: tuple[str, str]
) -> None:
    service_name, _ = kind
    async with logs.store() as store:
        await store.append(batch_of(Given("first", NOON, *kind, log_id="id")))
        clock.now_ns = NOON + KINDS[kind] * DAY_NS
        for log_type in ("application", "audit"):
            again = batch_of(Given("again", clock.now_ns, service_name, log_type, log_id="id"))
            receipt = await store.append(again)
            assert (receipt.accepted, receipt.duplicates) == (1, 1)
        clock.advance(1)
        receipt = await store.append(batch_of(Given("new", clock.now_ns, *kind, log_id="id")))
        assert (receipt.accepted, receipt.duplicates) == (1, 0)
        assert await messages(store, kept(clock)) == ["new"]


@pytest.mark.parametrize("now", [Retention(2), Retention(10, {"shop": 2}), Retention(10, by_type={"application": 2})])
async def test_an_id_is_free_as_soon_as_a_shorter_retention_hides_its_record(
    logs: Table, clock: SetClock, now: Retention
) -> None:
    async with logs.store(Retention(10)) as store:
        await store.append(batch_of(Given("first", NOON, log_id="id")))
    clock.advance(3 * DAY_NS)
    async with logs.store(now) as store:
        receipt = await store.append(batch_of(Given("second", clock.now_ns, log_id="id")))
        assert (receipt.accepted, receipt.duplicates) == (1, 0)
        assert await messages(store, kept(clock, now)) == ["second"]


async def test_an_id_that_was_taken_in_vain_can_be_had_though_the_rules_have_changed(
    logs: Table, clock: SetClock
) -> None:
    async with logs.store(Retention(10)) as store:
        await store.append(batch_of(Given("in vain", NOON, log_id="id")))
    assert logs.forget("shop") == 1
    clock.advance(SETTLED_NS)
    async with logs.store(Retention(20)) as store:
        receipt = await store.append(batch_of(Given("second", clock.now_ns, log_id="id")))
        assert (receipt.accepted, receipt.duplicates, receipt.rejected) == (1, 0, [])
