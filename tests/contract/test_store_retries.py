"""Repeating is safe in every store: by a key for the request, by a caller's own id for the record."""

from __future__ import annotations

import asyncio

import pytest

from simple_log_service.core.errors import IdempotencyMismatch
from simple_log_service.core.ports import LogStore
from simple_log_service.core.query import Query
from simple_log_service.core.receipts import Receipt, Rejection
from support.stores import NOON, Given, SetClock, batch_of, generated_ids, messages, read_all, retry_key

pytestmark = pytest.mark.asyncio

REJECTED = [Rejection(1, "InvalidField", "level is not one of them")]
OTHER_OWNER = "arn:aws:iam::000000000000:user/bob"


@pytest.mark.parametrize(
    "records",
    [["a"], ["a", "b", "c"], [Given("a", log_id="1"), "b"], [Given("a", log_id="1"), Given("a", log_id="1")]],
    ids=["one", "several", "with an id", "with an id twice"],
)
@pytest.mark.parametrize("rejected", [[], REJECTED], ids=["all good", "one rejected"])
async def test_the_same_key_and_body_answers_the_first_receipt(
    store: LogStore, records: list[Given | str], rejected: list[Rejection]
) -> None:
    await store.append(batch_of("before"))
    first = await store.append(batch_of(*records, rejected=rejected, retry=retry_key()))
    stored = await read_all(store)
    for _ in range(3):
        assert await store.append(batch_of(*records, rejected=rejected, retry=retry_key())) == first
    assert await read_all(store) == stored


async def test_the_first_receipt_names_the_ids_that_were_stored(store: LogStore, clock: SetClock) -> None:
    await store.append(batch_of("a", "b", retry=retry_key()))
    clock.advance(10**9)
    again = await store.append(batch_of("a", "b", retry=retry_key()))
    assert generated_ids(again) == {int(r["message"] == "b"): r["log_id"] for r in await read_all(store)}


async def test_a_receipt_with_duplicates_is_repeated_as_it_was(store: LogStore) -> None:
    await store.append(batch_of(Given("a", log_id="1")))
    batch = [Given("b", log_id="1"), Given("c", log_id="2"), Given("d")]
    first = await store.append(batch_of(*batch, retry=retry_key()))
    assert (first.accepted, first.duplicates, sorted(generated_ids(first))) == (3, 1, [2])
    assert await store.append(batch_of(*batch, retry=retry_key())) == first
    assert await messages(store) == ["d", "c", "a"]


async def test_a_batch_of_nothing_but_duplicates_has_a_receipt_to_repeat(store: LogStore) -> None:
    await store.append(batch_of(Given("a", log_id="1")))
    first = await store.append(batch_of(Given("a", log_id="1"), retry=retry_key()))
    assert first == Receipt(1, duplicates=1)
    assert await store.append(batch_of(Given("a", log_id="1"), retry=retry_key())) == first
    with pytest.raises(IdempotencyMismatch):
        await store.append(batch_of("other", retry=retry_key(body="other")))


async def test_another_body_under_the_same_key_is_refused_and_not_stored(store: LogStore) -> None:
    first = await store.append(batch_of("a", retry=retry_key()))
    for _ in range(2):
        with pytest.raises(IdempotencyMismatch):
            await store.append(batch_of("b", retry=retry_key(body="other")))
    assert await messages(store) == ["a"]
    assert await store.append(batch_of("a", retry=retry_key())) == first


async def test_a_key_that_was_refused_for_its_body_can_still_repeat_the_first(store: LogStore) -> None:
    first = await store.append(batch_of("a", retry=retry_key()))
    answers = await asyncio.gather(
        store.append(batch_of("b", retry=retry_key(body="other"))),
        store.append(batch_of("a", retry=retry_key())),
        store.append(batch_of("c")),
        return_exceptions=True,
    )
    assert isinstance(answers[0], IdempotencyMismatch)
    assert answers[1] == first
    assert await messages(store) == ["c", "a"]


async def test_the_same_key_of_another_caller_is_another_key(store: LogStore) -> None:
    mine = await store.append(batch_of("mine", retry=retry_key()))
    theirs = await store.append(batch_of("theirs", retry=retry_key(body="other", owner=OTHER_OWNER)))
    same_body = await store.append(batch_of("mine", retry=retry_key(owner="arn:aws:iam::000000000000:user/eve")))
    assert len({str(generated_ids(receipt)) for receipt in (mine, theirs, same_body)}) == 3
    assert await messages(store) == ["mine", "theirs", "mine"]


async def test_owner_and_key_do_not_run_together(store: LogStore) -> None:
    for owner, key in (("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", "")):
        await store.append(batch_of(f"{owner}/{key}", retry=retry_key(key, key, owner)))
    assert len(await messages(store)) == 4


async def test_concurrent_repeats_wait_for_the_first_and_get_its_receipt(store: LogStore) -> None:
    receipts = await asyncio.gather(*(store.append(batch_of("a", "b", retry=retry_key())) for _ in range(30)))
    assert all(receipt == receipts[0] for receipt in receipts)
    assert await messages(store) == ["b", "a"]


async def test_of_concurrent_bodies_under_one_key_one_is_stored(store: LogStore) -> None:
    answers = await asyncio.gather(
        *(store.append(batch_of(f"{n % 3}", retry=retry_key(body=f"{n % 3}"))) for n in range(30)),
        return_exceptions=True,
    )
    receipts = [answer for answer in answers if isinstance(answer, Receipt)]
    assert len(receipts) == 10
    assert all(receipt == receipts[0] for receipt in receipts)
    assert sum(isinstance(answer, IdempotencyMismatch) for answer in answers) == 20
    assert len(await messages(store)) == 1


async def test_a_batch_with_nothing_good_in_it_leaves_its_key_free(store: LogStore) -> None:
    rejected = [Rejection(0, "InvalidField", "why")]
    assert await store.append(batch_of(rejected=rejected, retry=retry_key())) == Receipt(0, rejected=rejected)
    assert (await store.append(batch_of("a", retry=retry_key(body="mended")))).accepted == 1


async def test_a_repeat_whose_records_are_all_rejected_by_now_gets_the_first_receipt(store: LogStore) -> None:
    """A record can be too old when its request is repeated."""
    first = await store.append(batch_of("a", retry=retry_key()))
    too_old = batch_of(rejected=[Rejection(0, "TimestampTooOld", "why")], retry=retry_key(), received_ns=NOON + 1)
    too_old.as_of = lambda received_ns: batch_of("a", received_ns=received_ns)
    assert await store.append(too_old) == first


async def test_a_key_is_remembered_for_a_day(store: LogStore, clock: SetClock) -> None:
    first = await store.append(batch_of("a", retry=retry_key()))
    for hour in range(24):
        clock.advance(3600 * 10**9)
        await store.append(batch_of(Given(str(hour), NOON + hour)))
        assert await store.append(batch_of("a", retry=retry_key())) == first


async def test_the_first_record_with_an_id_is_the_one_that_stays(store: LogStore) -> None:
    first = await store.append(batch_of(Given("first", log_id="id")))
    again = await store.append(batch_of(Given("second", NOON + 5, level="ERROR", log_id="id")))
    assert (first.accepted, first.duplicates) == (1, 0)
    assert (again.accepted, again.duplicates) == (1, 1)
    assert [(r["message"], r["level"]) for r in await read_all(store)] == [("first", "INFO")]


async def test_an_id_given_twice_in_a_batch_is_stored_once(store: LogStore) -> None:
    batch = batch_of(Given("a", log_id="id"), "b", Given("c", log_id="id"), Given("d", log_id="other"), "e")
    receipt = await store.append(batch)
    assert (receipt.accepted, receipt.duplicates) == (5, 1)
    ids = {record["message"]: record["log_id"] for record in await read_all(store)}
    assert list(ids) == ["e", "d", "b", "a"]
    assert generated_ids(receipt) == {1: ids["b"], 4: ids["e"]}


async def test_an_id_given_in_many_concurrent_batches_is_stored_once(store: LogStore) -> None:
    receipts = await asyncio.gather(
        *(store.append(batch_of(Given(f"{n}", log_id="id"), Given(f"own-{n}"))) for n in range(50))
    )
    assert sum(receipt.duplicates for receipt in receipts) == 49
    assert all(receipt.accepted == 2 for receipt in receipts)
    found = await messages(store)
    assert len([text for text in found if not text.startswith("own-")]) == 1
    assert len(found) == 51


async def test_the_same_id_of_another_service_is_another_record(store: LogStore) -> None:
    names = ("shop", "billing", "sho", "shopi")
    given = [Given(name, service_name=name, log_id="id") for name in names]
    given.append(Given("joined", service_name="shop", log_id="iid"))
    receipt = await store.append(batch_of(*given))
    assert receipt.duplicates == 0
    assert sorted(await messages(store)) == sorted([*names, "joined"])
    again = await store.append(batch_of(*given))
    assert (again.accepted, again.duplicates) == (5, 5)


async def test_an_id_of_a_refused_request_stays_free(store: LogStore) -> None:
    await store.append(batch_of("a", retry=retry_key()))
    answers = await asyncio.gather(
        store.append(batch_of(Given("refused", log_id="id"), retry=retry_key(body="other"))),
        store.append(batch_of(Given("stored", log_id="id"))),
        return_exceptions=True,
    )
    assert isinstance(answers[0], IdempotencyMismatch)
    assert isinstance(answers[1], Receipt)
    assert answers[1].duplicates == 0
    assert await messages(store) == ["stored", "a"]


async def test_an_id_is_remembered_over_days(store: LogStore, clock: SetClock) -> None:
    await store.append(batch_of(Given("first", log_id="id")))
    for day in range(1, 5):
        clock.advance(86_400 * 10**9)
        receipt = await store.append(batch_of(Given(f"day {day}", NOON, log_id="id"), Given(f"own {day}", NOON + day)))
        assert receipt.duplicates == 1
    assert await messages(store) == ["own 4", "own 3", "own 2", "own 1", "first"]
    assert await messages(store, Query(since_ns=0, until_ns=NOON + 1)) == ["first"]


async def test_an_id_that_looks_generated_is_the_callers_own(store: LogStore) -> None:
    (generated,) = generated_ids(await store.append(batch_of("a"))).values()
    receipt = await store.append(batch_of(Given("b", log_id=generated)))
    assert (receipt.accepted, receipt.duplicates, receipt.log_ids) == (1, 0, [])
    assert {r["log_id"] for r in await read_all(store)} == {generated}
