"""Merging comes to an end, loses nothing, and leaves few blocks over each other, whatever came in whatever order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core.limits import DAY_NS
from simple_log_service.stores.embedded import merge_plan
from simple_log_service.stores.embedded.blocks import BlockRow
from simple_log_service.stores.embedded.merge_plan import FreshChunk, next_merge

BLOCK_RECORDS, MERGE_RECORDS = 8, 32
OVERLAPPING = 6
SMALL_BLOCKS = 8


@pytest.fixture(autouse=True, scope="module")
def few_records_fill_a_block() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(merge_plan, "BLOCK_RECORDS_MAX", BLOCK_RECORDS)
        patched.setattr(merge_plan, "_SMALL_RECORDS", BLOCK_RECORDS // 4)
        patched.setattr(merge_plan, "MERGE_RECORDS_MAX", MERGE_RECORDS)
        yield


class Simulated:
    """A file whose chunks and blocks are lists of times; ``slices`` cuts the times of a merge as merging does."""

    def __init__(self, chunks: Sequence[list[int]]) -> None:
        self.chunks = dict(enumerate(chunks, 10**9))
        self.blocks: dict[int, list[int]] = {}
        self.left_alone: set[int] = set()
        self.merges = 0
        self.written = 0

    def settle(self, *, is_due: bool) -> None:
        """Merge until nothing is left to do."""
        bound = 20 + 10 * sum(map(len, [*self.chunks.values(), *self.blocks.values()]))
        while (sources := self._next(is_due=is_due)) is not None:
            self.merges += 1
            assert self.merges < bound, "merging does not end"
            self._merge(*sources)

    def rows(self) -> list[BlockRow]:
        return [_row(block_id, times) for block_id, times in self.blocks.items()]

    def times(self) -> Counter[int]:
        return Counter(time for times in [*self.chunks.values(), *self.blocks.values()] for time in times)

    def _next(self, *, is_due: bool) -> tuple[list[int], list[int]] | None:
        chunks = [FreshChunk(chunk, len(times)) for chunk, times in self.chunks.items()]
        rows = [row for row in self.rows() if row.id not in self.left_alone]
        return next_merge(chunks, rows, is_due=is_due)

    def _merge(self, chunks: list[int], blocks: list[int]) -> None:
        assert chunks or len(blocks) > 1
        assert not (chunks and blocks)
        sources = [*(self.chunks.pop(chunk) for chunk in chunks), *(self.blocks.pop(block) for block in blocks)]
        assert sum(map(len, sources)) <= 2 * MERGE_RECORDS or len(sources) <= 2
        times = sorted(time for source in sources for time in source)
        made = [piece for within in _sliced(sources, times) for piece in _pieces(within)]
        ids = range(self.written, self.written + len(made))
        self.written += len(made)
        self.blocks.update(zip(ids, made, strict=True))
        rows = [_row(block_id, self.blocks[block_id]) for block_id in ids]
        if not chunks and next_merge([], rows, is_due=False) is not None:
            self.left_alone.update(ids)


def _row(block_id: int, times: list[int]) -> BlockRow:
    return BlockRow(block_id, 1, min(times), max(times), 0, 0, len(times), 100, 40, 50)


def _sliced(sources: list[list[int]], times: list[int]) -> Iterator[list[int]]:
    """Slices by what is known of the sources alone, which may be far from what is in them; they end where days do."""
    spread = sorted(
        min(source) + (max(source) - min(source)) * place // len(source)
        for source in sources
        for place in range(len(source))
    )
    days = range(times[0] // DAY_NS * DAY_NS + DAY_NS, times[-1] + 1, DAY_NS)
    for low, high in pairwise(sorted({times[0], *spread[7::7], *days, times[-1] + 1})):
        within = [time for time in times if low <= time < high]
        if within:
            yield within


def _pieces(times: list[int]) -> Iterator[list[int]]:
    for at in range(0, len(times), BLOCK_RECORDS):
        yield times[at : at + BLOCK_RECORDS]


def depth(rows: Sequence[BlockRow]) -> int:
    """How many blocks cover the moment that most blocks cover."""
    return max((sum(row.time_min <= each.time_min <= row.time_max for row in rows) for each in rows), default=0)


def at_one_moment(file: Simulated) -> int:
    """So many full blocks the records of one moment make."""
    return -(-max(file.times().values(), default=0) // BLOCK_RECORDS)


moments = (
    st.integers(0, 20)
    | st.integers(0, 10**6)
    | st.sampled_from([0, DAY_NS - 1, DAY_NS, DAY_NS + 1, 3 * DAY_NS])
    | st.integers(-3, 3).map((5 * DAY_NS).__add__)
)
chunks_drawn = st.lists(st.lists(moments, min_size=1, max_size=12), max_size=60)


def assert_settled(file: Simulated, before: Counter[int]) -> None:
    assert file.times() == before
    assert not file.chunks
    assert all(len(times) <= BLOCK_RECORDS for times in file.blocks.values())
    assert all(row.time_min // DAY_NS == row.time_max // DAY_NS for row in file.rows())
    # Of one moment there may be more records than these blocks hold: they stay over each other.
    assert depth(file.rows()) <= OVERLAPPING + 2 * at_one_moment(file)
    small: Counter[int] = Counter()
    for row in file.rows():
        if row.id not in file.left_alone:
            small[row.time_min // DAY_NS] += row.records < BLOCK_RECORDS // 4
    assert all(each < SMALL_BLOCKS for each in small.values())


@given(chunks_drawn)
def test_merging_all_at_once_ends_and_loses_nothing(chunks: list[list[int]]) -> None:
    file = Simulated(chunks)
    before = file.times()
    file.settle(is_due=True)
    assert_settled(file, before)


@given(st.lists(st.tuples(st.lists(moments, min_size=1, max_size=12), st.booleans()), max_size=60))
def test_merging_as_chunks_come_ends_and_loses_nothing(arriving: list[tuple[list[int], bool]]) -> None:
    file = Simulated([])
    before: Counter[int] = Counter()
    for number, (times, is_due) in enumerate(arriving):
        file.chunks[10**9 + number] = times
        before.update(times)
        file.settle(is_due=is_due)
    file.settle(is_due=True)
    assert_settled(file, before)


@given(chunks_drawn, st.integers(0, 2**32))
def test_blocks_of_any_ranges_come_to_rest(blocks: list[list[int]], seed: int) -> None:
    """As they may lie in a file that another version of the program wrote, or that was left alone before a restart."""
    file = Simulated([])
    pieces = [[time for time in block if time // DAY_NS == block[0] // DAY_NS][:BLOCK_RECORDS] for block in blocks]
    random.Random(seed).shuffle(pieces)
    file.blocks = dict(enumerate(pieces))
    file.written = len(pieces)
    before = file.times()
    file.settle(is_due=False)
    assert_settled(file, before)


def test_late_records_leave_no_more_blocks_over_each_other_than_reads_can_bear() -> None:
    chance = random.Random(1)
    file = Simulated([])
    for number in range(600):
        file.chunks[10**9 + number] = [chance.randrange(10**9) for _ in range(8)]
        file.settle(is_due=False)
        assert depth(file.rows()) <= OVERLAPPING
    written = sum(map(len, file.blocks.values()))
    assert written == 4800
    assert file.merges < 6 * 600, "each record is written anew a few times at most"


def test_records_in_order_are_merged_once() -> None:
    file = Simulated([])
    for number in range(200):
        file.chunks[10**9 + number] = list(range(number * 8, number * 8 + 8))
        file.settle(is_due=False)
    assert file.merges == 200
    assert depth(file.rows()) == 1


def test_fresh_chunks_wait_until_they_fill_a_block_or_are_due() -> None:
    chunks = [FreshChunk(number, 1) for number in range(7)]
    assert next_merge(chunks, [], is_due=False) is None
    assert next_merge(chunks, [], is_due=True) == (list(range(7)), [])
    assert next_merge([*chunks, FreshChunk(7, 1)], [], is_due=False) == (list(range(8)), [])
    assert next_merge([], [], is_due=True) is None


def test_one_merge_takes_no_more_chunks_than_its_bound_but_one_at_least() -> None:
    chunks = [FreshChunk(number, 10) for number in range(9)]
    assert next_merge(chunks, [], is_due=False) == ([0, 1, 2], [])
    assert next_merge([FreshChunk(4, 1000), *chunks], [], is_due=False) == ([4], [])


def test_fresh_chunks_come_before_blocks() -> None:
    deep = [_row(number, [0, 9, 9, 9]) for number in range(OVERLAPPING + 1)]
    assert next_merge([FreshChunk(77, 8)], deep, is_due=False) == ([77], [])
    merged = next_merge([FreshChunk(77, 7)], deep, is_due=False)
    assert merged is not None
    assert sorted(merged.blocks) == [row.id for row in deep]


def test_blocks_that_only_touch_do_not_lie_over_each_other_but_in_one_moment() -> None:
    apart = [_row(number, [10 * number, 10 * number + 9] * 2) for number in range(50)]
    assert next_merge([], apart, is_due=True) is None
    touching = [_row(number, [100, 100 + number] * 2) for number in range(OVERLAPPING)]
    assert next_merge([], touching, is_due=True) is None
    assert next_merge([], [*touching, _row(99, [0, 100] * 2)], is_due=True) is not None
