"""Stores against a model in plain Python, through restarts, clock jumps and changes of day."""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock
from uuid import uuid4

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from simple_log_service.core.batch import Batch, RetryKey
from simple_log_service.core.errors import IdempotencyMismatch
from simple_log_service.core.limits import DAY_NS, HOUR_NS
from simple_log_service.core.ports import LogStore
from simple_log_service.core.query import Query
from simple_log_service.core.receipts import Receipt, Rejection
from simple_log_service.core.timestamps import format_timestamp
from simple_log_service.stores.embedded import store as embedded_store
from simple_log_service.stores.embedded import tail
from support.dynalite import create_table, delete_table
from support.dynamodb_tables import open_dynamodb
from support.stores import NOON, Given, SetClock, batch_of, generated_ids, open_embedded, read_all, retry_key

SERVICES = st.sampled_from(["shop", "billing"])
LOG_TYPES = st.sampled_from(["application", "access"])
LEVELS = st.sampled_from(["INFO", "ERROR"])
TIMESTAMPS = st.one_of(st.integers(NOON - 3, NOON + 3), st.integers(NOON - 9 * DAY_NS, NOON + 9 * DAY_NS))
GIVEN = st.builds(
    Given,
    message=st.text(max_size=6),
    timestamp=TIMESTAMPS,
    service_name=SERVICES,
    log_type=LOG_TYPES,
    level=LEVELS,
    metadata=st.sampled_from(["{}", '{"a":1}']),
    log_id=st.one_of(st.none(), st.sampled_from("abcdefgh")),
)
GIVENS = st.lists(GIVEN, max_size=6)
REJECTIONS = st.sampled_from([(), (Rejection(1, "TooLarge", "why"),)])
QUERIES = st.builds(
    Query,
    since_ns=st.one_of(st.just(0), TIMESTAMPS),
    until_ns=st.one_of(st.none(), TIMESTAMPS),
    service_name=st.one_of(st.none(), SERVICES),
    log_type=st.one_of(st.none(), LOG_TYPES),
    level=st.one_of(st.none(), LEVELS),
    limit=st.sampled_from([1, 2, 3, 7, 10_000]),
)
STEPS_NS = st.sampled_from([1, HOUR_NS, 11 * HOUR_NS, DAY_NS, 3 * DAY_NS, -1, -HOUR_NS, -2 * DAY_NS])


class Used(msgspec.Struct):
    """A retry key that was used: with what, when, and the receipt that it got."""

    retry: RetryKey
    batch: Batch
    used_ns: int
    receipt: Receipt


class Model:
    """What a store is: records in order of arrival, the ids that callers gave, and the keys that were used."""

    def __init__(self) -> None:
        self.records: list[tuple[Given, str]] = []
        self.given: set[tuple[str, str]] = set()
        self.used: list[Used] = []

    def append(self, asked: Batch, given: list[Given], receipt: Receipt) -> None:
        """Hold a receipt against what had to come of the batch, and take its records in."""
        generated = generated_ids(receipt)
        duplicates = 0
        for index, record in zip(asked.indexes, given, strict=True):
            if record.log_id is None:
                self.records.append((record, generated.pop(index)))
            elif (record.service_name, record.log_id) in self.given:
                duplicates += 1
            else:
                self.given.add((record.service_name, record.log_id))
                self.records.append((record, record.log_id))
        assert generated == {}
        assert (receipt.accepted, receipt.duplicates) == (len(given), duplicates)
        assert receipt.rejected == asked.rejected

    def answer(self, query: Query) -> list[dict[str, Any]]:
        """What has to come back."""
        places = [place for place, (record, _) in enumerate(self.records) if _is_asked_for(record, query)]
        places.sort(key=lambda place: (self.records[place][0].timestamp, place), reverse=True)
        return [_as_answered(*self.records[place]) for place in places]


def _is_asked_for(record: Given, query: Query) -> bool:
    return (
        record.timestamp >= query.since_ns
        and (query.until_ns is None or record.timestamp < query.until_ns)
        and query.service_name in {None, record.service_name}
        and query.log_type in {None, record.log_type}
        and query.level in {None, record.level}
    )


def _as_answered(record: Given, log_id: str) -> dict[str, Any]:
    return {
        "service_name": record.service_name,
        "log_type": record.log_type,
        "timestamp": format_timestamp(record.timestamp),
        "level": record.level,
        "message": record.message,
        "metadata": msgspec.json.decode(record.metadata),
        "log_id": log_id,
    }


class StoreMachine(RuleBasedStateMachine):
    """Whatever is done in whatever order, the store answers as the model does."""

    store: LogStore

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.clock = SetClock()
        self.latest_ns = self.clock.now_ns
        self.runner = asyncio.Runner()

    async def opened(self) -> LogStore:
        """The store, as it was left."""
        raise NotImplementedError

    def assert_same(self, found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
        """Hold what was read against what had to be."""
        assert found == expected

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()

    @rule(given=GIVENS, rejected=REJECTIONS)
    def append(self, given: list[Given], rejected: tuple[Rejection, ...]) -> None:
        batch = batch_of(*given, rejected=rejected if given else ())
        self.model.append(batch, given, self.runner.run(self.store.append(batch)))

    @rule(given=GIVENS, rejected=REJECTIONS)
    def append_with_a_key(self, given: list[Given], rejected: tuple[Rejection, ...]) -> None:
        retry = retry_key(f"key-{len(self.model.used)}")
        batch = batch_of(*given, rejected=rejected if given else (), retry=retry)
        receipt = self.runner.run(self.store.append(batch))
        self.model.append(batch, given, receipt)
        if given:
            self.model.used.append(Used(retry, batch, self.latest_ns, receipt))

    @precondition(lambda self: self.model.used)
    @rule(data=st.data(), times=st.integers(1, 3))
    def repeat(self, data: st.DataObject, times: int) -> None:
        """A key is remembered for a day at least; what happens later is nobody's promise."""
        used = data.draw(st.sampled_from(self.model.used))
        if self.latest_ns - used.used_ns <= DAY_NS:
            receipts = self.runner.run(_gathered(self.store.append(used.batch) for _ in range(times)))
            assert receipts == [used.receipt] * times

    @precondition(lambda self: self.model.used)
    @rule(data=st.data(), given=GIVENS)
    def use_a_key_otherwise(self, data: st.DataObject, given: list[Given]) -> None:
        used = data.draw(st.sampled_from(self.model.used))
        if self.latest_ns - used.used_ns <= DAY_NS:
            other = retry_key(used.retry.key, "another body")
            with pytest.raises(IdempotencyMismatch):
                self.runner.run(self.store.append(batch_of(*given, retry=other)))

    @rule(step_ns=STEPS_NS)
    def let_the_clock_jump(self, step_ns: int) -> None:
        self.clock.advance(step_ns)
        self.latest_ns = max(self.latest_ns, self.clock.now_ns)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(self.opened())

    @rule(query=QUERIES)
    def read(self, query: Query) -> None:
        self.assert_same(self.runner.run(read_all(self.store, query)), self.model.answer(query))

    @invariant()
    def everything_is_there(self) -> None:
        query = Query(since_ns=0, limit=10_000)
        self.assert_same(self.runner.run(read_all(self.store, query)), self.model.answer(query))


async def _gathered(appends: Any) -> list[Receipt]:
    return list(await asyncio.gather(*appends))


class EmbeddedStoreMachine(StoreMachine):
    """The embedded store, with a memory tail or almost without."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.patches: list[Any] = []

    async def opened(self) -> LogStore:
        return await open_embedded(Path(self.folder.name) / "logs", self.clock)

    @initialize(has_tail=st.booleans())
    def open(self, has_tail: bool) -> None:
        if not has_tail:
            self.patches = [
                mock.patch.object(embedded_store, "TAIL_BYTES_MAX", 0),
                mock.patch.object(embedded_store, "TAIL_LOAD_BYTES_MAX", 1),
                mock.patch.object(tail, "_RUN_RECORDS_MIN", 1),
            ]
        for patch in self.patches:
            patch.start()
        self.store = self.runner.run(self.opened())

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()
        for patch in self.patches:
            patch.stop()

    @rule(groups=st.lists(GIVENS, min_size=2, max_size=5))
    def append_at_once(self, groups: list[list[Given]]) -> None:
        """Concurrent appends are committed in the order in which they came."""
        batches = [batch_of(*given) for given in groups]
        receipts = self.runner.run(_gathered(self.store.append(batch) for batch in batches))
        for batch, given, receipt in zip(batches, groups, receipts, strict=True):
            self.model.append(batch, given, receipt)


class DynamoDBStoreMachine(StoreMachine):
    """The DynamoDB store. Of equal timestamps it keeps the order of arrival within a minute only."""

    endpoint_url: str

    @initialize()
    def open(self) -> None:
        self.table_name = f"logs-{uuid4().hex}"
        create_table(self.endpoint_url, self.table_name)
        self.store = self.runner.run(self.opened())

    def teardown(self) -> None:
        super().teardown()
        delete_table(self.endpoint_url, self.table_name)

    async def opened(self) -> LogStore:
        return open_dynamodb(self.endpoint_url, self.table_name, self.clock, type_shards={"access": 2})

    def assert_same(self, found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
        assert [record["timestamp"] for record in found] == [record["timestamp"] for record in expected]
        by_id = operator.itemgetter("service_name", "log_id")
        assert sorted(found, key=by_id) == sorted(expected, key=by_id)


TestEmbeddedStoreAgainstItsModel = EmbeddedStoreMachine.TestCase
TestEmbeddedStoreAgainstItsModel.settings = settings(max_examples=40, stateful_step_count=30)


def test_the_dynamodb_store_answers_as_the_model_does(dynamodb_url: str) -> None:
    class Machine(DynamoDBStoreMachine):
        endpoint_url = dynamodb_url

    run_state_machine_as_test(Machine, settings=settings(max_examples=12, stateful_step_count=25))
