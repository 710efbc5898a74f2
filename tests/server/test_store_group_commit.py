"""Group commit: many requests share one fsync, and none of them can hurt the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from simple_log_service.core import limits
from simple_log_service.core.errors import IdempotencyMismatch
from simple_log_service.core.receipts import Receipt
from simple_log_service.server.metrics import PrometheusMetrics
from simple_log_service.stores.embedded.store import EmbeddedStore
from support.disk import Disk, disk
from support.stores import NOON, Given, SetClock, batch_of, embedded, generated_ids, messages, open_embedded, retry_key

pytestmark = pytest.mark.asyncio


class Bench:
    """A store on a disk that a test can hold, so that what comes meanwhile gathers."""

    def __init__(self, folder: Path, store: EmbeddedStore, held: Disk, metrics: PrometheusMetrics) -> None:
        self.folder = folder
        self.store = store
        self.disk = held
        self.metrics = metrics

    def commits(self) -> int:
        for line in self.metrics.render().decode().splitlines():
            if line.startswith('slog_commits_total{outcome="ok"}'):
                return int(float(line.rsplit(" ", 1)[1]))
        return 0

    async def hold(self) -> asyncio.Task[Receipt]:
        """Begin a commit that waits for its fsync."""
        self.disk.hold()
        first = asyncio.create_task(self.store.append(batch_of("held")))
        assert await asyncio.to_thread(self.disk.waiting.wait, 10)
        return first


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    metrics = PrometheusMetrics()
    with disk() as made:
        folder = tmp_path / "logs"
        store = await open_embedded(folder, SetClock(), metrics, made.name)
        try:
            await store.append(batch_of("first"))
            yield Bench(folder, store, made, metrics)
        finally:
            made.release()
            await store.close()


async def turn() -> None:
    """Let every task go as far as it can by itself."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_arrives_together_is_committed_together(bench: Bench) -> None:
    before, syncs = bench.commits(), bench.disk.count("sync")
    await asyncio.gather(*(bench.store.append(batch_of(str(n))) for n in range(100)))
    assert bench.commits() == before + 1
    assert bench.disk.count("sync") == syncs + 1


async def test_what_arrives_during_a_commit_is_the_next_one(bench: Bench) -> None:
    before = bench.commits()
    first = await bench.hold()
    rest = [asyncio.create_task(bench.store.append(batch_of(str(n)))) for n in range(50)]
    await turn()
    assert not first.done()
    assert bench.store.queued == 50
    bench.disk.release()
    await asyncio.gather(first, *rest)
    assert bench.commits() == before + 2


async def test_a_group_is_bounded_by_records(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simple_log_service.stores.embedded.committer.GROUP_RECORDS_MAX", 10)
    assert limits.GROUP_RECORDS_MAX > 10
    before = bench.commits()
    await asyncio.gather(*(bench.store.append(batch_of("a", "b", "c")) for _ in range(40)))
    assert bench.commits() == before + 10
    assert len(await messages(bench.store)) == 121


async def test_nothing_is_answered_or_shown_before_its_fsync(bench: Bench) -> None:
    first = await bench.hold()
    await turn()
    assert not first.done()
    assert await messages(bench.store) == ["first"]
    bench.disk.release()
    await first
    assert await messages(bench.store) == ["held", "first"]


async def test_each_request_of_a_group_gets_its_own_answer(bench: Bench) -> None:
    used = await bench.store.append(batch_of("used", retry=retry_key("used")))
    await bench.store.append(batch_of(Given("known", log_id="known")))
    appends = [
        bench.store.append(batch_of("plain")),
        bench.store.append(batch_of("used", retry=retry_key("used"))),
        bench.store.append(batch_of("other", retry=retry_key("used", "other"))),
        bench.store.append(batch_of(Given("known again", log_id="known"), Given("new", log_id="new"))),
        bench.store.append(batch_of(Given("new again", log_id="new"), "beside")),
        bench.store.append(batch_of("keyed", retry=retry_key("fresh"))),
    ]
    plain, again, other, known, new, keyed = await asyncio.gather(*appends, return_exceptions=True)
    assert again == used
    assert isinstance(other, IdempotencyMismatch)
    for receipt, accepted, duplicates in ((plain, 1, 0), (known, 2, 1), (new, 2, 1), (keyed, 1, 0)):
        assert isinstance(receipt, Receipt)
        assert (receipt.accepted, receipt.duplicates) == (accepted, duplicates)
    assert await messages(bench.store) == ["keyed", "beside", "new", "plain", "known", "used", "first"]


async def test_a_request_that_cannot_be_encoded_does_not_hurt_the_others(bench: Bench) -> None:
    """The decoder lets no such record through; if one ever came, only its own request may fail."""
    bad = batch_of("good beside it", "\ud800", retry=retry_key("bad"))
    appends = [bench.store.append(batch_of(str(n), retry=retry_key(str(n)))) for n in range(10)]
    appends.insert(5, bench.store.append(bad))
    answers = await asyncio.gather(*appends, return_exceptions=True)
    assert [type(answer) for answer in answers] == [*[Receipt] * 5, UnicodeEncodeError, *[Receipt] * 5]
    assert await messages(bench.store) == [*map(str, range(9, -1, -1)), "first"]
    with pytest.raises(UnicodeEncodeError):
        await bench.store.append(bad)
    await bench.store.append(batch_of("mended", retry=retry_key("bad", "mended")))
    assert bench.store.failure is None


async def test_a_waiter_that_goes_away_while_it_waits_is_not_stored(bench: Bench) -> None:
    first = await bench.hold()
    tasks = [asyncio.create_task(bench.store.append(batch_of(str(n)))) for n in range(6)]
    await turn()
    for task in tasks[::2]:
        task.cancel()
    bench.disk.release()
    answers = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert [isinstance(answer, Receipt) for answer in answers] == [True, False, True, False, True, False, True]
    assert await messages(bench.store) == ["5", "3", "1", "held", "first"]


async def test_a_waiter_that_goes_away_during_its_commit_does_not_stop_the_next(bench: Bench) -> None:
    first = await bench.hold()
    second = asyncio.create_task(bench.store.append(batch_of("second")))
    await turn()
    first.cancel()
    await turn()
    bench.disk.release()
    await second
    await bench.store.append(batch_of("third"))
    assert await messages(bench.store) == ["third", "second", "held", "first"]


@pytest.mark.parametrize("when", ["queued", "committing"])
async def test_whoever_goes_away_and_repeats_with_the_key_is_stored_once(bench: Bench, when: str) -> None:
    batch = batch_of("a", "b", retry=retry_key())
    if when == "queued":
        held = await bench.hold()
        first = asyncio.create_task(bench.store.append(batch))
    else:
        bench.disk.hold()
        first = held = asyncio.create_task(bench.store.append(batch))
        assert await asyncio.to_thread(bench.disk.waiting.wait, 10)
    await turn()
    first.cancel()
    await turn()
    again = [asyncio.create_task(bench.store.append(batch)) for _ in range(3)]
    await turn()
    bench.disk.release()
    receipts = await asyncio.gather(*again)
    await asyncio.gather(held, return_exceptions=True)
    assert receipts == [receipts[0]] * 3
    found = await messages(bench.store)
    assert [found.count("a"), found.count("b")] == [1, 1]


async def test_repeats_whose_first_goes_away_are_answered(bench: Bench) -> None:
    held = await bench.hold()
    tasks = [asyncio.create_task(bench.store.append(batch_of("a", retry=retry_key()))) for _ in range(4)]
    await turn()
    tasks[0].cancel()
    tasks[2].cancel()
    bench.disk.release()
    answers = await asyncio.gather(held, *tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [
        Receipt,
        asyncio.CancelledError,
        Receipt,
        asyncio.CancelledError,
        Receipt,
    ]
    assert answers[2] == answers[4]
    assert (await messages(bench.store)).count("a") == 1


async def test_closing_finishes_what_was_accepted(tmp_path: Path) -> None:
    with disk() as made:
        store = await open_embedded(tmp_path / "logs", SetClock(), vfs=made.name)
        await store.append(batch_of("first"))
        made.hold()
        tasks = [asyncio.create_task(store.append(batch_of(str(n)))) for n in range(10)]
        assert await asyncio.to_thread(made.waiting.wait, 10)
        tasks += [asyncio.create_task(store.append(batch_of(str(n)))) for n in range(10, 20)]
        await turn()
        closing = asyncio.create_task(store.close())
        await turn()
        assert not closing.done()
        made.release()
        receipts = await asyncio.gather(*tasks)
        await closing
    async with embedded(tmp_path / "logs") as reopened:
        assert len(receipts) == 20
        assert sorted(await messages(reopened)) == sorted(["first", *map(str, range(20))])


async def test_a_group_of_nothing_but_repeats_commits_nothing(bench: Bench) -> None:
    receipt = await bench.store.append(batch_of("a", retry=retry_key()))
    writes = bench.disk.count("write")
    assert await bench.store.append(batch_of("a", retry=retry_key())) == receipt
    assert bench.disk.count("write") == writes


async def test_receipts_within_a_group_name_what_each_request_stored(bench: Bench) -> None:
    batches = [batch_of(*(Given(f"{n}-{m}", NOON + n) for m in range(n % 4 + 1))) for n in range(40)]
    receipts = await asyncio.gather(*map(bench.store.append, batches))
    named = {
        log_id: f"{n}-{place}" for n, receipt in enumerate(receipts) for place, log_id in generated_ids(receipt).items()
    }
    await bench.store.close()
    async with embedded(bench.folder) as reopened:
        assert sorted(await messages(reopened)) == sorted(["first", *named.values()])


async def test_a_group_is_bounded_by_bytes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simple_log_service.stores.embedded.committer.GROUP_TEXT_BYTES_MAX", 1000)
    held = await bench.hold()
    before = bench.commits()
    tasks = [asyncio.create_task(bench.store.append(batch_of("x" * 400))) for _ in range(9)]
    await asyncio.sleep(0)
    bench.disk.release()
    await asyncio.gather(held, *tasks)
    # Three of them pass the bound: a group ends there.
    assert bench.commits() - before == 1 + 3
