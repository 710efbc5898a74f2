"""What counting in DynamoDB asks the table: entries in pages, bodies only at edges, and never a scan."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from simple_log_service.core.limits import KIB, SECOND_NS
from simple_log_service.core.query import Query
from simple_log_service.core.stats import StatsQuery
from simple_log_service.stores.dynamodb.store import DynamoDBStore
from support import faulty_dynamodb as faults
from support.dynalite import create_table, delete_table
from support.dynamodb_tables import open_dynamodb
from support.faulty_dynamodb import FaultyDynamoDB
from support.stores import NOON, Given, SetClock, batch_of, read_all, retry_key

pytestmark = pytest.mark.asyncio

CHUNKS = 40
OF_SHOP = Query(since_ns=0, service_name="shop")


@pytest.fixture
def table(dynamodb_url: str) -> Iterator[str]:
    name = f"logs-{uuid4().hex}"
    create_table(dynamodb_url, name)
    yield name
    delete_table(dynamodb_url, name)


@pytest_asyncio.fixture
async def store(table: str, proxy: FaultyDynamoDB, clock: SetClock) -> AsyncIterator[DynamoDBStore]:
    """A store behind the proxy."""
    store = open_dynamodb(proxy.endpoint_url, table, clock)
    yield store
    proxy.heal()
    await store.close()


@pytest_asyncio.fixture
async def filled(store: DynamoDBStore) -> DynamoDBStore:
    """Chunks of three records within ten seconds each, too large for their entries: each has a body."""
    for n in range(CHUNKS):
        times = (NOON + (10 * n + second) * SECOND_NS for second in (0, 4, 9))
        await store.append(batch_of(*(Given(secrets.token_hex(2 * KIB), time) for time in times)))
    return store


def bodies_asked(proxy: FaultyDynamoDB) -> int:
    return sum(
        len(keys["Keys"]) for call in proxy.of("BatchGetItem") for keys in call.parameters["RequestItems"].values()
    )


@pytest.mark.parametrize("query", [OF_SHOP, Query(since_ns=0), Query(since_ns=0, log_type="application", level="INFO")])
async def test_no_body_is_fetched_where_nothing_cuts_a_chunk(
    filled: DynamoDBStore, proxy: FaultyDynamoDB, query: Query
) -> None:
    stats = await filled.stats(StatsQuery(query, "level", 10 * SECOND_NS))
    assert [bucket.counts for bucket in stats.buckets] == [{"INFO": 3}] * CHUNKS
    assert (bodies_asked(proxy), proxy.of("Scan")) == (0, [])


async def test_only_the_chunks_at_the_edges_of_a_range_are_opened(filled: DynamoDBStore, proxy: FaultyDynamoDB) -> None:
    query = msgspec.structs.replace(OF_SHOP, since_ns=NOON + 12 * SECOND_NS, until_ns=NOON + 108 * SECOND_NS)
    stats = await filled.stats(StatsQuery(query))
    assert sum(bucket.count for bucket in stats.buckets) == 2 + 8 * 3 + 2
    assert bodies_asked(proxy) == 2


async def test_the_chunks_at_the_edges_of_buckets_are_fetched_together(
    filled: DynamoDBStore, proxy: FaultyDynamoDB
) -> None:
    stats = await filled.stats(StatsQuery(OF_SHOP, None, 5 * SECOND_NS))
    assert sum(bucket.count for bucket in stats.buckets) == 3 * CHUNKS
    assert bodies_asked(proxy) == CHUNKS
    assert len(proxy.of("BatchGetItem")) <= -(-CHUNKS // 16)


async def test_what_a_repeat_groups_anew_counts_twice_at_most(
    store: DynamoDBStore, proxy: FaultyDynamoDB, clock: SetClock
) -> None:
    """The difference that the contract names: nobody looks at records to count them."""
    proxy.inject(faults.THROTTLED, "BatchWriteItem")
    await store.append(batch_of(Given("died", log_id="id")))
    proxy.heal()
    mine = batch_of(Given("x", log_id="id"), Given("one", NOON + 1), Given("two", NOON + 2), retry=retry_key())
    await store.append(mine)
    clock.advance(30 * SECOND_NS)
    await store.append(mine)
    (bucket,) = (await store.stats(StatsQuery(OF_SHOP))).buckets
    assert len(await read_all(store, OF_SHOP)) == 3 <= bucket.count <= 5
