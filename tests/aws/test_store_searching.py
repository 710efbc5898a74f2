"""What a search costs over DynamoDB: bodies in large portions, in the order in which they are opened, and no more."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from simple_log_service.core.limits import SECOND_NS
from simple_log_service.core.query import Query
from simple_log_service.core.search import Search
from simple_log_service.stores.dynamodb import store as dynamodb_module
from simple_log_service.stores.dynamodb.store import DynamoDBStore
from support.dynalite import create_table, delete_table
from support.dynamodb_tables import open_dynamodb
from support.faulty_dynamodb import FaultyDynamoDB
from support.stores import NOON, Given, SetClock, batch_of, decoded

pytestmark = pytest.mark.asyncio

BODIES = 96
LOG_TYPES = ("access", "application", "audit")


@pytest.fixture
def table(dynamodb_url: str) -> Iterator[str]:
    name = f"logs-{uuid4().hex}"
    create_table(dynamodb_url, name)
    yield name
    delete_table(dynamodb_url, name)


@pytest_asyncio.fixture
async def store(table: str, proxy: FaultyDynamoDB, clock: SetClock) -> AsyncIterator[DynamoDBStore]:
    """A store behind the proxy, with records of three types, each too large to stand anywhere but in a body."""
    store = open_dynamodb(proxy.endpoint_url, table, clock)
    chance = random.Random(5)
    for number in range(BODIES):
        text = f"number_{number} {chance.randbytes(3000).hex()}"
        await store.append(batch_of(Given(text, NOON - number * SECOND_NS, log_type=LOG_TYPES[number % 3])))
    proxy.calls.clear()
    yield store
    await store.close()


def bodies_read(proxy: FaultyDynamoDB) -> list[int]:
    """How many bodies each call asked for."""
    return [
        len(table["Keys"]) for call in proxy.of("BatchGetItem") for table in call.parameters["RequestItems"].values()
    ]


@pytest.mark.parametrize("service_name", ["shop", None])
async def test_bodies_come_in_large_portions_however_few_records_are_asked_for(
    store: DynamoDBStore, proxy: FaultyDynamoDB, service_name: str | None
) -> None:
    query = Query(since_ns=0, service_name=service_name, search=Search("nothing"), limit=1)
    page = await store.recent(query)
    assert (page.logs, page.below, page.complete) == ([], None, True)
    assert sum(bodies_read(proxy)) == BODIES
    assert len(bodies_read(proxy)) <= BODIES // 16 + 6


@pytest.mark.parametrize("service_name", ["shop", None])
async def test_what_comes_first_is_fetched_first_whatever_its_type(
    store: DynamoDBStore, proxy: FaultyDynamoDB, service_name: str | None
) -> None:
    page = await store.recent(Query(since_ns=0, service_name=service_name, search=Search("number_20"), limit=1))
    assert len(page.logs) == 1
    assert sum(bodies_read(proxy)) <= 32


async def test_a_search_that_takes_too_long_answers_in_time_and_goes_on(
    store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_module, "DYNAMODB_READ_SECONDS_MAX", 0.0)
    query = Query(since_ns=0, service_name="shop", search=Search("number_95"), limit=1)
    pages = 0
    while True:
        page = await store.recent(query)
        pages += 1
        if page.logs:
            break
        assert page.below is not None
        assert not page.complete
        assert query.below is None or page.below < query.below
        query = msgspec.structs.replace(query, below=page.below, reach_ns=page.reach_ns)
    assert pages > BODIES // 2
    assert decoded(page)[0]["message"].startswith("number_95 ")
