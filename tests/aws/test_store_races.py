"""The DynamoDB store where time, repeats and others get in its way: nothing is lost, doubled, or read without end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from simple_log_service.core.errors import StoreBusy
from simple_log_service.core.limits import DAY_NS, DYNAMODB_ENTRY_RECORDS_MAX, SECOND_NS
from simple_log_service.core.query import Query
from simple_log_service.core.receipts import THROTTLED as THROTTLED_CODE
from simple_log_service.stores.dynamodb import store as dynamodb_module
from simple_log_service.stores.dynamodb.store import DynamoDBStore
from support import faulty_dynamodb as faults
from support.dynalite import create_table, delete_table
from support.dynamodb_tables import RETENTION_DAYS, open_dynamodb
from support.faulty_dynamodb import FaultyDynamoDB, Json
from support.stores import NOON, Given, SetClock, batch_of, decoded, messages, read_all, retry_key

pytestmark = pytest.mark.asyncio

ROUND_NS = 2**26 * 1000
"""After which the part of a key that counts microseconds begins anew."""
OF_SHOP = Query(since_ns=0, service_name="shop")


@pytest.fixture
def table(dynamodb_url: str) -> Iterator[str]:
    name = f"logs-{uuid4().hex}"
    create_table(dynamodb_url, name)
    yield name
    delete_table(dynamodb_url, name)


@pytest_asyncio.fixture
async def store(
    table: str, proxy: FaultyDynamoDB, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DynamoDBStore]:
    """A store behind the proxy, which repeats for a moment only."""
    monkeypatch.setattr(dynamodb_module, "DYNAMODB_REPEAT_SECONDS_MAX", 0.3)
    store = open_dynamodb(proxy.endpoint_url, table, clock)
    yield store
    proxy.heal()
    await store.close()


@pytest_asyncio.fixture
async def other(table: str, dynamodb_url: str, clock: SetClock, store: DynamoDBStore) -> AsyncIterator[DynamoDBStore]:
    """Another process over the same table, which nothing disturbs."""
    other = open_dynamodb(dynamodb_url, table, clock)
    yield other
    await other.close()


def items_read(proxy: FaultyDynamoDB) -> int:
    """How many items all Queries have read: that is what they cost."""
    return sum(len((call.response or {}).get("Items", [])) for call in proxy.of("Query"))


async def test_records_of_one_timestamp_do_not_meet_when_ties_come_round(store: DynamoDBStore, clock: SetClock) -> None:
    """As an import of lines that have a date and no time would bring them."""
    for n in range(20):
        await store.append(batch_of(f"{n}"))
        clock.now_ns = NOON + ROUND_NS * (n + 1)
    assert sorted(map(int, await messages(store))) == list(range(20))


async def test_where_ids_find_no_capacity_what_got_in_is_stored(store: DynamoDBStore, proxy: FaultyDynamoDB) -> None:
    taken = 0

    def for_ten(exchange: faults.Exchange) -> tuple[int, Json] | None:
        nonlocal taken
        taken += 1
        return exchange.forward() if taken <= 10 else faults.THROTTLED(exchange)

    await store.append(batch_of("makes the type known"))
    proxy.inject(for_ten, "UpdateItem", when=lambda parameters: "id" in parameters["Key"]["service_name"]["S"])
    receipt = await store.append(batch_of(*(Given(f"{n}", log_id=f"{n}") for n in range(40))))
    assert receipt.accepted == 10
    assert {rejection.code for rejection in receipt.rejected} == {THROTTLED_CODE}
    rejected = {rejection.index for rejection in receipt.rejected}
    proxy.heal()
    rest = [Given(f"{n}", log_id=f"{n}") for n in sorted(rejected)]
    assert (await store.append(batch_of(*rest))).accepted == 30
    assert len(await messages(store)) == 41


async def test_an_id_whose_record_has_expired_is_free_though_nothing_was_swept_yet(
    store: DynamoDBStore, clock: SetClock
) -> None:
    await store.append(batch_of(Given("old", log_id="id")))
    clock.advance((RETENTION_DAYS + 1) * DAY_NS)
    receipt = await store.append(batch_of(Given("new", clock.now_ns, log_id="id")))
    assert (receipt.accepted, receipt.duplicates) == (1, 0)
    assert await messages(store, Query(since_ns=NOON + 1)) == ["new"]


async def test_a_repeat_that_still_writes_keeps_its_ids(
    store: DynamoDBStore, other: DynamoDBStore, proxy: FaultyDynamoDB, clock: SetClock
) -> None:
    mine = batch_of(Given("first", log_id="id"), retry=retry_key())
    proxy.inject(faults.THROTTLED, "BatchWriteItem")
    assert (await store.append(mine)).accepted == 0
    proxy.heal()
    clock.advance(60 * SECOND_NS)
    gate = threading.Event()
    rule = proxy.inject(faults.held(gate), "BatchWriteItem")
    repeat = asyncio.create_task(store.append(mine))
    while not rule.acted:  # noqa: ASYNC110 - the proxy counts in threads of its own
        await asyncio.sleep(0.001)
    late = await other.append(batch_of(Given("second", NOON + 1, log_id="id")))
    assert [rejection.code for rejection in late.rejected] == [THROTTLED_CODE]
    gate.set()
    assert ((await repeat).accepted, (await repeat).duplicates) == (1, 0)
    assert await messages(other) == ["first"]
    assert (await other.append(batch_of(Given("third", NOON + 2, log_id="id")))).duplicates == 1


async def test_what_a_repeat_groups_anew_is_read_once(
    store: DynamoDBStore, other: DynamoDBStore, proxy: FaultyDynamoDB, clock: SetClock
) -> None:
    proxy.inject(faults.THROTTLED, "BatchWriteItem")
    await store.append(batch_of(Given("died", log_id="id")))
    proxy.heal()
    mine = batch_of(Given("x", log_id="id"), Given("one", NOON + 1), Given("two", NOON + 2), retry=retry_key())
    assert (await store.append(mine)).accepted == 2
    clock.advance(30 * SECOND_NS)
    assert (await store.append(mine)).accepted == 3
    for query in (OF_SHOP, Query(since_ns=0), msgspec.structs.replace(OF_SHOP, limit=1)):
        assert [record["message"] for record in await read_all(other, query)] == ["two", "one", "x"]


async def test_paging_reads_each_item_about_once(store: DynamoDBStore, proxy: FaultyDynamoDB) -> None:
    """And not the last minute again with every page."""
    for n in range(150):
        await store.append(batch_of(Given(f"{n}", NOON + n * SECOND_NS // 10)))
    query = msgspec.structs.replace(OF_SHOP, limit=10)
    before, found = items_read(proxy), 0
    while True:
        page = await store.recent(query)
        found += len(page.logs)
        if page.below is None:
            break
        query = msgspec.structs.replace(query, below=page.below, reach_ns=page.reach_ns)
    assert found == 150
    # A page of ten reads a first page of 32 items, of which the others are read again.
    assert items_read(proxy) - before <= 150 * 32 / 10 + 32


async def test_pages_with_their_reach_lose_nothing_where_entries_overlap(store: DynamoDBStore) -> None:
    for start in range(0, 120, 8):
        records = [Given(f"{start + n}", NOON + (start * 3 + n * 7 % 50) * SECOND_NS) for n in range(8)]
        await store.append(batch_of(*records))
    wanted = await messages(store, OF_SHOP)
    assert len(wanted) == 120
    for limit in (1, 7, 30):
        query, found = msgspec.structs.replace(OF_SHOP, limit=limit), []
        while True:
            page = await store.recent(query)
            found += [record["message"] for record in decoded(page)]
            if page.below is None:
                break
            query = msgspec.structs.replace(query, below=page.below, reach_ns=page.reach_ns)
        assert found == wanted


async def test_looking_for_ids_far_apart_reads_nothing_between_them(
    store: DynamoDBStore, proxy: FaultyDynamoDB
) -> None:
    ends = [Given("early", NOON - 20 * DAY_NS, log_id="early"), Given("late", NOON, log_id="late")]
    await store.append(batch_of(*ends))
    for n in range(1, 100):
        await store.append(batch_of(Given(f"{n}", NOON - n * DAY_NS // 5)))
    before = items_read(proxy)
    assert (await store.append(batch_of(*ends))).duplicates == 2
    assert items_read(proxy) - before <= 10


async def test_many_tiny_records_stand_in_many_entries(store: DynamoDBStore, proxy: FaultyDynamoDB) -> None:
    """A page opens whole entries: none may hold more than a page should."""
    assert (await store.append(batch_of(*[""] * 9999))).accepted == 9999
    written = [item for call in proxy.of("BatchWriteItem") for item in faults.written_items(call.parameters)]
    counts = [int(item["count"]["N"]) for item in written if "count" in item]
    assert sum(counts) == 9999
    assert max(counts) <= DYNAMODB_ENTRY_RECORDS_MAX
    assert len((await store.recent(Query(since_ns=0, limit=10_000))).logs) == 9999


async def test_a_read_that_finds_nothing_for_too_long_says_how_far_it_came(
    store: DynamoDBStore, proxy: FaultyDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_module, "DYNAMODB_READ_SECONDS_MAX", 0.0)
    for n in range(100):
        await store.append(batch_of(Given(f"{n}", NOON - n * SECOND_NS)))
    query = Query(since_ns=0, service_name="shop", log_type="another")
    pages = 0
    while True:
        page = await store.recent(query)
        assert page.logs == []
        if page.below is None:
            break
        assert not page.complete
        assert query.below is None or page.below < query.below
        pages += 1
        query = msgspec.structs.replace(query, below=page.below, reach_ns=page.reach_ns)
    assert pages > 0


async def test_reads_leave_room_for_writes(
    store: DynamoDBStore, proxy: FaultyDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_module, "DYNAMODB_READS_AT_ONCE_MAX", 2)
    await store.append(batch_of("a"))
    gate = threading.Event()
    rule = proxy.inject(faults.held(gate), "Query")
    reads = [asyncio.create_task(store.recent(OF_SHOP)) for _ in range(2)]
    while rule.acted < 2:  # noqa: ASYNC110 - the proxy counts in threads of its own
        await asyncio.sleep(0.001)
    with pytest.raises(StoreBusy):
        await store.recent(OF_SHOP)
    assert (await store.append(batch_of("b"))).accepted == 1
    gate.set()
    pages = await asyncio.gather(*reads)
    assert {len(page.logs) for page in pages} <= {1, 2}
