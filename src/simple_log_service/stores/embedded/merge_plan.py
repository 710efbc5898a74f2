"""Which chunks and blocks are to be merged next: a decision from numbers alone.

Fresh chunks first, as soon as they fill a block, or earlier where nothing more seems to come. Then blocks that overlap:
late records make blocks that lie over each other, and every read opens all that cover its time. Last small blocks, of
which a quiet service leaves many. Each record is so written anew a few times at most, whatever the order it came in.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from simple_log_service.core.limits import BLOCK_RECORDS_MAX, DAY_NS, MERGE_RECORDS_MAX, MERGE_TEXT_BYTES_MAX
from simple_log_service.stores.embedded.blocks import BlockRow

_OVERLAPPING_MAX = 6
"""So many blocks may cover a moment before they are merged."""
_SMALL_RECORDS = BLOCK_RECORDS_MAX // 4
_SMALL_BYTES = MERGE_TEXT_BYTES_MAX // 16
"""A block of few large records is not small."""
_SMALL_BLOCKS_MAX = 8
"""So many blocks may be small before they are merged."""


class FreshChunk(NamedTuple):
    """A chunk that is not merged yet."""

    id: int
    records: int


class Sources(NamedTuple):
    """What to merge, by number."""

    chunks: list[int]
    blocks: list[int]


def next_merge(chunks: Iterable[FreshChunk], blocks: Sequence[BlockRow], *, is_due: bool) -> Sources | None:
    """What to merge next in a file, if anything; ``chunks`` come as they arrived, and are due however few they are."""
    taken: list[int] = []
    records = 0
    for chunk in chunks:
        if taken and records + chunk.records > MERGE_RECORDS_MAX:
            break
        taken.append(chunk.id)
        records += chunk.records
    if records >= BLOCK_RECORDS_MAX or (taken and is_due):
        return Sources(taken, [])
    together = _overlapping(blocks) or _small(blocks)
    return Sources([], [block.id for block in together]) if together else None


def _overlapping(blocks: Sequence[BlockRow]) -> list[BlockRow]:
    """The blocks that cover the moment that most blocks cover, where those are too many."""
    ending: list[tuple[int, int, BlockRow]] = []
    deepest: list[BlockRow] = []
    for block in sorted(blocks, key=lambda block: block.time_min):
        while ending and ending[0][0] < block.time_min:
            heapq.heappop(ending)
        heapq.heappush(ending, (block.time_max, block.id, block))
        if len(ending) > len(deepest):
            deepest = [each for _, _, each in ending]
    return _within_bound(deepest) if len(deepest) > _OVERLAPPING_MAX else []


def _small(blocks: Sequence[BlockRow]) -> list[BlockRow]:
    """The small blocks of the day that has most of them: a block never holds records of two days."""
    by_day: dict[int, list[BlockRow]] = {}
    for block in sorted(blocks, key=lambda block: block.time_min):
        if block.records < _SMALL_RECORDS and block.size_bytes < _SMALL_BYTES:
            by_day.setdefault(block.time_min // DAY_NS, []).append(block)
    most = max(by_day.values(), key=len, default=[])
    return _within_bound(most) if len(most) >= _SMALL_BLOCKS_MAX else []


def _within_bound(blocks: Iterable[BlockRow]) -> list[BlockRow]:
    """The first of the blocks, as many as one merge takes, two at least."""
    taken: list[BlockRow] = []
    records = 0
    for block in blocks:
        records += block.records
        if len(taken) >= 2 and records > 2 * MERGE_RECORDS_MAX:
            break
        taken.append(block)
    return taken
