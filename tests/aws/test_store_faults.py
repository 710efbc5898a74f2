"""The DynamoDB store when DynamoDB fails: a clear answer and a metric each time, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from simple_log_service.core.batch import RetryKey
from simple_log_service.core.errors import StoreThrottled, StoreUnavailable
from simple_log_service.core.limits import RECORD_BYTES_MAX, REQUEST_RECORDS_MAX, SECOND_NS
from simple_log_service.core.query import Query
from simple_log_service.core.receipts import THROTTLED as THROTTLED_CODE
from simple_log_service.server.metrics import PrometheusMetrics
from simple_log_service.stores.dynamodb import store as dynamodb_module
from simple_log_service.stores.dynamodb.keys import RESERVED
from simple_log_service.stores.dynamodb.store import DynamoDBStore
from support import faulty_dynamodb as faults
from support.dynalite import create_table, delete_table
from support.dynamodb_tables import open_dynamodb
from support.faulty_dynamodb import FaultyDynamoDB, Json
from support.stores import NOON, Given, SetClock, batch_of, generated_ids, messages, read_all, retry_key

pytestmark = pytest.mark.asyncio


@pytest.fixture
def metrics() -> PrometheusMetrics:
    return PrometheusMetrics()


@pytest_asyncio.fixture
async def store(
    dynamodb_url: str,
    proxy: FaultyDynamoDB,
    clock: SetClock,
    metrics: PrometheusMetrics,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[DynamoDBStore]:
    """A store behind the proxy, which repeats for a moment only."""
    monkeypatch.setattr(dynamodb_module, "DYNAMODB_REPEAT_SECONDS_MAX", 0.3)
    name = f"logs-{uuid4().hex}"
    create_table(dynamodb_url, name)
    store = open_dynamodb(proxy.endpoint_url, name, clock, metrics)
    yield store
    proxy.heal()
    await store.close()
    delete_table(dynamodb_url, name)


def is_body(item: Json) -> bool:
    """Whether the item is the body of an entry."""
    return bool(item["service_name"]["S"].startswith(f"{RESERVED}body"))


def is_of(service_name: str) -> Any:
    """Whether an item is that service's."""
    return lambda item: item["service_name"]["S"] == service_name


def counted(metrics: PrometheusMetrics, code: str) -> float:
    """How many errors with this code were counted."""
    name = "slog_dynamodb_errors"
    family = next(family for family in metrics.collect() if family.name == name)
    return sum(sample.value for sample in family.samples if sample.labels == {"code": code})


async def called(proxy: FaultyDynamoDB, operation: str, times: int) -> None:
    """Return once the operation was called so often."""
    while proxy.count(operation) < times:  # noqa: ASYNC110 - the proxy counts in threads of its own
        await asyncio.sleep(0.001)


def noise(size: int, seed: int = 1) -> str:
    """Text that does not compress."""
    return "".join(
        random.Random(seed).choices("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_", k=size)
    )


@pytest.mark.parametrize(
    "fault",
    [
        faults.THROTTLED,
        faults.THROTTLING,
        faults.INTERNAL_ERROR,
        faults.UNAVAILABLE,
        faults.internal_error_after,
        faults.cut_before,
        faults.cut_after,
        faults.unprocessed(is_of("shop")),
    ],
    ids=["throttled", "throttling", "500", "503", "500 though done", "cut before", "cut after", "unprocessed"],
)
async def test_a_write_that_fails_in_passing_is_repeated_and_stored_once(
    store: DynamoDBStore, proxy: FaultyDynamoDB, fault: faults.Fault
) -> None:
    proxy.inject(fault, "BatchWriteItem", times=2)
    receipt = await store.append(batch_of("a", "b", Given("c", service_name="billing"), retry=retry_key()))
    assert (receipt.accepted, receipt.rejected) == (3, [])
    assert proxy.count("BatchWriteItem") == 3
    ids = generated_ids(receipt)
    assert {record["log_id"] for record in await read_all(store)} == set(ids.values())
    assert await messages(store) == ["c", "b", "a"]


@pytest.mark.parametrize("fault", [faults.cut_after, faults.internal_error_after])
async def test_a_claim_whose_answer_is_lost_is_still_its_own(
    store: DynamoDBStore, proxy: FaultyDynamoDB, fault: faults.Fault
) -> None:
    proxy.inject(fault, "UpdateItem", times=3)
    receipt = await store.append(batch_of(Given("a", log_id="1"), "b", retry=retry_key()))
    assert (receipt.accepted, receipt.duplicates, receipt.rejected) == (2, 0, [])
    assert await messages(store) == ["b", "a"]


async def test_what_stays_throttled_is_rejected_by_record_and_a_repeat_stores_the_rest(
    store: DynamoDBStore, proxy: FaultyDynamoDB, metrics: PrometheusMetrics
) -> None:
    records = [Given("a"), Given("b", service_name="hot"), Given("c"), Given("d", service_name="hot")]
    proxy.inject(faults.unprocessed(is_of("hot")), "BatchWriteItem")
    partly = await store.append(batch_of(*records, retry=retry_key()))
    assert partly.accepted == 2
    assert [(rejection.index, rejection.code) for rejection in partly.rejected] == [
        (1, THROTTLED_CODE),
        (3, THROTTLED_CODE),
    ]
    assert await messages(store) == ["c", "a"]
    assert counted(metrics, "UnprocessedItem") > 0
    proxy.heal()
    whole = await store.append(batch_of(*records, retry=retry_key()))
    assert (whole.accepted, whole.rejected) == (4, [])
    assert {index: generated_ids(whole)[index] for index in (0, 2)} == generated_ids(partly)
    assert await messages(store) == ["d", "c", "b", "a"]


@pytest.mark.parametrize("throttled", ["bodies", "entries"])
async def test_records_show_whole_or_not_at_all(store: DynamoDBStore, proxy: FaultyDynamoDB, throttled: str) -> None:
    records = [Given(noise(3000, seed), NOON + seed) for seed in range(5)]
    chosen = is_body if throttled == "bodies" else is_of("shop")
    proxy.inject(faults.unprocessed(chosen), "BatchWriteItem")
    receipt = await store.append(batch_of(*records, retry=retry_key()))
    assert (receipt.accepted, {rejection.code for rejection in receipt.rejected}) == (0, {THROTTLED_CODE})
    written = [item for call in proxy.of("BatchWriteItem") for item in faults.written_items(call.parameters)]
    assert any(map(is_body, written))
    assert any(map(is_of("shop"), written)) is (throttled == "entries")
    proxy.heal()
    assert await messages(store) == []
    assert (await store.append(batch_of(*records, retry=retry_key()))).accepted == 5
    assert await messages(store) == [record.message for record in reversed(records)]


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        (faults.MISSING_TABLE, "ResourceNotFoundException", "does not exist"),
        (faults.EXPIRED_TOKEN, "ExpiredTokenException", "credentials"),
        (faults.CLOCK_SKEW, "InvalidSignatureException", "clock"),
        (faults.ACCESS_DENIED, "AccessDeniedException", "role"),
        (faults.INTERNAL_ERROR, "InternalServerError", "unknown"),
        (faults.cut_before, "ConnectionClosedError", "unknown"),
    ],
    ids=["missing table", "expired credentials", "clock", "denied", "500", "no answer"],
)
async def test_what_the_operator_has_to_mend_is_said_and_counted_and_nothing_stays_of_it(
    store: DynamoDBStore, proxy: FaultyDynamoDB, metrics: PrometheusMetrics, fault: faults.Fault, code: str, says: str
) -> None:
    proxy.inject(fault)
    for attempt in (store.append(batch_of("a", retry=retry_key())), store.recent(Query(since_ns=0))):
        with pytest.raises(StoreUnavailable, match=says) as raised:
            await attempt
        for secret in ("Expired: 2021", "123456789012", "assumed-role", "security token"):
            assert secret not in str(raised.value)
    assert counted(metrics, code) > 0
    proxy.heal()
    assert await messages(store) == []
    assert (await store.append(batch_of("a", retry=retry_key()))).accepted == 1
    assert await messages(store) == ["a"]


async def test_a_request_that_is_throttled_before_it_writes_leaves_nothing(
    store: DynamoDBStore, proxy: FaultyDynamoDB
) -> None:
    proxy.inject(faults.THROTTLED, "UpdateItem")
    with pytest.raises(StoreThrottled):
        await store.append(batch_of("a", retry=retry_key()))
    proxy.heal()
    assert (await store.append(batch_of("other", retry=retry_key(body="other")))).accepted == 1
    assert await messages(store) == ["other"]


async def test_one_poisoned_record_is_rejected_and_keeps_no_other_out(
    store: DynamoDBStore, proxy: FaultyDynamoDB, metrics: PrometheusMetrics
) -> None:
    records = [Given(f"{n}", service_name="poisoned" if n == 17 else f"service-{n}") for n in range(40)]
    proxy.inject(faults.VALIDATION, "BatchWriteItem", when=faults.writes(is_of("poisoned")))
    receipt = await store.append(batch_of(*records))
    assert receipt.accepted == 39
    assert [(rejection.index, rejection.code) for rejection in receipt.rejected] == [(17, "Refused")]
    assert sorted(await messages(store), key=int) == [f"{n}" for n in range(40) if n != 17]
    assert counted(metrics, "ValidationException") == 2


async def test_with_little_time_left_nothing_new_is_begun(
    dynamodb_url: str, proxy: FaultyDynamoDB, clock: SetClock
) -> None:
    name = f"logs-{uuid4().hex}"
    create_table(dynamodb_url, name)
    over = open_dynamodb(proxy.endpoint_url, name, clock, deadline=lambda: 0.0)
    for attempt in (over.append(batch_of("a")), over.recent(Query(since_ns=0, service_name="shop"))):
        with pytest.raises(StoreThrottled):
            await attempt
    assert proxy.calls == []
    await over.close()


async def test_what_no_time_is_left_for_is_rejected_and_the_rest_is_stored(
    dynamodb_url: str, proxy: FaultyDynamoDB, clock: SetClock
) -> None:
    """The time ends while the bodies are written: their entries would come too late."""
    name, ended = f"logs-{uuid4().hex}", threading.Event()
    create_table(dynamodb_url, name)
    store = open_dynamodb(proxy.endpoint_url, name, clock, deadline=lambda: 0.0 if ended.is_set() else float("inf"))

    def write_and_end(exchange: faults.Exchange) -> tuple[int, Json]:
        ended.set()
        return exchange.forward()

    await store.append(batch_of("before"))
    proxy.inject(write_and_end, "BatchWriteItem", times=1)
    receipt = await store.append(batch_of("a", retry=retry_key()))
    assert receipt.accepted == 1
    with pytest.raises(StoreThrottled):
        await store.append(batch_of("b", retry=retry_key("other")))
    ended.clear()
    assert await messages(store) == ["a", "before"]
    await store.close()


async def test_the_largest_requests_fit(store: DynamoDBStore, proxy: FaultyDynamoDB) -> None:
    many = [Given(f"{n}", NOON + n * SECOND_NS // 50, f"s{n % 7}", f"t{n % 3}") for n in range(REQUEST_RECORDS_MAX)]
    assert (await store.append(batch_of(*many))).accepted == REQUEST_RECORDS_MAX
    large = [Given(noise(RECORD_BYTES_MAX - 600, seed), service_name="large") for seed in range(16)]
    assert (await store.append(batch_of(*large))).accepted == 16
    assert await messages(store, Query(since_ns=0, service_name="large")) == [g.message for g in reversed(large)]
    of_one_type = await messages(store, Query(since_ns=0, log_type="t1"))
    assert sorted(map(int, of_one_type)) == list(range(1, REQUEST_RECORDS_MAX, 3))
    for call in proxy.of("BatchWriteItem"):
        keys = [(item["service_name"]["S"], item["timestamp"]["N"]) for item in faults.written_items(call.parameters)]
        assert len(set(keys)) == len(keys) <= 25
        assert call.status == 200


async def test_equal_records_are_never_one(store: DynamoDBStore) -> None:
    for _ in range(3):
        batch = batch_of(*[Given("same")] * 30, *[Given("same", log_type=f"t{n}") for n in range(30)])
        assert (await store.append(batch)).accepted == 60
    assert await messages(store, Query(since_ns=0, service_name="shop")) == ["same"] * 180


async def test_a_repeat_that_groups_otherwise_stores_nothing_twice(store: DynamoDBStore) -> None:
    a, b, c = (Given(name, NOON + place, log_id=name) for place, name in enumerate("abc"))
    assert (await store.append(batch_of(a, b))).accepted == 2
    assert (await store.append(batch_of(b, "x"))).duplicates == 1
    assert (await store.append(batch_of(c, a, b))).duplicates == 2
    assert (await store.append(batch_of(b))).duplicates == 1
    assert sorted(await messages(store)) == ["a", "b", "c", "x"]
    assert sorted(await messages(store, Query(since_ns=0, service_name="shop"))) == ["a", "b", "c", "x"]


async def test_an_id_whose_request_died_is_free_again_once_that_cannot_be_writing(
    store: DynamoDBStore, proxy: FaultyDynamoDB, clock: SetClock
) -> None:
    proxy.inject(faults.cut_before, "BatchWriteItem")
    with pytest.raises(StoreUnavailable):
        await store.append(batch_of(Given("lost", log_id="id")))
    proxy.heal()
    soon = await store.append(batch_of(Given("second", NOON + 1, log_id="id"), "beside"))
    assert (soon.accepted, [rejection.code for rejection in soon.rejected]) == (1, [THROTTLED_CODE])
    clock.advance(21 * SECOND_NS)
    later = await store.append(batch_of(Given("third", NOON + 2, log_id="id")))
    assert (later.accepted, later.duplicates) == (1, 0)
    assert (await store.append(batch_of(Given("fourth", NOON + 3, log_id="id")))).duplicates == 1
    assert await messages(store) == ["third", "beside"]


async def test_an_id_that_another_request_is_writing_is_waited_for(
    store: DynamoDBStore, proxy: FaultyDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_module, "DYNAMODB_REPEAT_SECONDS_MAX", 30.0)
    gate = threading.Event()
    proxy.inject(faults.held(gate), "BatchWriteItem", times=1)
    first = asyncio.create_task(store.append(batch_of(Given("first", log_id="id"))))
    await called(proxy, "UpdateItem", 2)
    second = asyncio.create_task(store.append(batch_of(Given("second", NOON + 1, log_id="id"))))
    await called(proxy, "Query", 2)
    gate.set()
    assert [(receipt.accepted, receipt.duplicates) for receipt in await asyncio.gather(first, second)] == [
        (1, 0),
        (1, 1),
    ]
    assert await messages(store) == ["first"]


async def test_a_clock_that_is_behind_gives_a_repeat_the_first_time_of_receipt(
    store: DynamoDBStore, clock: SetClock
) -> None:
    first = await store.append(batch_of(Given("a", NOON), retry=retry_key(), received_ns=NOON))
    clock.advance(-3600 * SECOND_NS)
    repeat = batch_of(Given("a", NOON - 3600 * SECOND_NS), retry=retry_key(), received_ns=NOON - 3600 * SECOND_NS)
    repeat.as_of = lambda received_ns: batch_of(Given("a", received_ns), received_ns=received_ns)
    assert await store.append(repeat) == first
    assert await messages(store) == ["a"]


@pytest.mark.parametrize("fault", [faults.THROTTLED, faults.INTERNAL_ERROR, faults.cut_after])
@pytest.mark.parametrize("operation", ["Query", "BatchGetItem"])
async def test_a_read_that_fails_in_passing_is_repeated(
    store: DynamoDBStore, proxy: FaultyDynamoDB, fault: faults.Fault, operation: str
) -> None:
    records = [Given(noise(3000, seed), NOON + seed) for seed in range(4)]
    await store.append(batch_of(*records))
    before = proxy.count(operation)
    proxy.inject(fault, operation, times=2)
    assert len(await messages(store, Query(since_ns=0, service_name="shop"))) == 4
    assert proxy.count(operation) == before + 3


async def test_keys_that_a_read_leaves_unprocessed_are_asked_for_again(
    store: DynamoDBStore, proxy: FaultyDynamoDB
) -> None:
    for place in range(6):
        records = [Given(noise(3000, seed), NOON + (10 * place + seed) * SECOND_NS) for seed in range(2)]
        await store.append(batch_of(*records))
    every_other = faults.unread(lambda key: int(key["timestamp"]["N"].partition(".")[0]) // SECOND_NS % 20 < 10)
    proxy.inject(every_other, "BatchGetItem", times=1)
    assert len(await messages(store, Query(since_ns=0, service_name="shop"))) == 12
    assert proxy.count("BatchGetItem") == 2


async def test_a_read_that_stays_throttled_says_so(store: DynamoDBStore, proxy: FaultyDynamoDB) -> None:
    await store.append(batch_of("a"))
    proxy.inject(faults.THROTTLED, "Query")
    with pytest.raises(StoreThrottled):
        await store.recent(Query(since_ns=0, service_name="shop"))


async def test_a_body_that_is_gone_is_said_and_never_passed_over(store: DynamoDBStore, proxy: FaultyDynamoDB) -> None:
    def forget_bodies(exchange: faults.Exchange) -> tuple[int, Json]:
        status, answer = exchange.forward()
        return status, {**answer, "Responses": {}}

    await store.append(batch_of(*(Given(noise(3000, seed)) for seed in range(2))))
    proxy.inject(forget_bodies, "BatchGetItem")
    with pytest.raises(StoreUnavailable, match="missing"):
        await store.recent(Query(since_ns=0, service_name="shop"))


async def test_a_day_has_at_most_64_types_however_many_writers_there_are(
    dynamodb_url: str, store: DynamoDBStore, proxy: FaultyDynamoDB, clock: SetClock
) -> None:
    table_name = proxy_table_name(store)
    others = [open_dynamodb(proxy.endpoint_url, table_name, clock) for _ in range(3)]
    writers = [store, *others]
    receipts = await asyncio.gather(
        *(writers[n % 4].append(batch_of(Given(f"{n}", log_type=f"type {n % 70}"))) for n in range(140))
    )
    codes = [rejection.code for receipt in receipts for rejection in receipt.rejected]
    assert (sum(receipt.accepted for receipt in receipts), codes) == (128, ["TooManyTypes"] * 12)
    assert len(await messages(store)) == 128
    next_day = await store.append(batch_of(Given("tomorrow", NOON + 86_400 * SECOND_NS, log_type="one more")))
    assert next_day.accepted == 1
    for other in others:
        await other.close()


def proxy_table_name(store: DynamoDBStore) -> str:
    """The table behind a store."""
    return store._table.name


async def test_a_hot_type_is_read_whole_from_all_its_shards(
    dynamodb_url: str, proxy: FaultyDynamoDB, clock: SetClock
) -> None:
    name = f"logs-{uuid4().hex}"
    create_table(dynamodb_url, name)
    plain = open_dynamodb(proxy.endpoint_url, name, clock)
    sharded = open_dynamodb(proxy.endpoint_url, name, clock, type_shards={"access": 4})
    await plain.append(batch_of(Given("before", NOON - 1, log_type="access")))
    for n in range(40):
        await sharded.append(batch_of(Given(f"{n}", NOON + n, log_type="access")))
    values = {
        item["log_type"]["S"] for call in proxy.of("BatchWriteItem") for item in faults.written_items(call.parameters)
    }
    assert values == {"access", *(f"access{RESERVED}0{shard}" for shard in range(4))}
    expected = [f"{n}" for n in range(39, -1, -1)] + ["before"]
    for query in (
        Query(since_ns=0, log_type="access", limit=7),
        Query(since_ns=0),
        Query(since_ns=0, service_name="shop"),
    ):
        records = await read_all(sharded, query)
        assert [record["message"] for record in records] == expected
        assert {record["log_type"] for record in records} == {"access"}
    await plain.close()
    await sharded.close()


async def test_concurrent_tries_of_one_request_write_the_same(store: DynamoDBStore, proxy: FaultyDynamoDB) -> None:
    proxy.inject(faults.unprocessed(is_of("shop")), "BatchWriteItem", times=3)
    key: RetryKey = retry_key()
    tries = [batch_of(*(Given(f"{n}", NOON + n % 3) for n in range(50)), retry=key) for _ in range(6)]
    receipts = await asyncio.gather(*map(store.append, tries))
    assert all(receipt == receipts[0] for receipt in receipts)
    assert len(await messages(store)) == 50
