"""Blocks hold every record exactly once, are found by every kind, and tell damage instead of answering wrong."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simple_log_service.core.columns import Columns
from simple_log_service.core.errors import StoreUnavailable
from simple_log_service.core.limits import BLOCK_RECORDS_MAX
from simple_log_service.core.query import Query
from simple_log_service.core.record import Kind
from simple_log_service.core.stats import GROUPINGS
from simple_log_service.core.words import words_of
from simple_log_service.stores.embedded import blocks
from simple_log_service.stores.embedded.blocks import BlockFile, BlockRow, BlockWriter, Index, block_path
from simple_log_service.stores.embedded.leaves import LEAF_RECORDS_MAX
from simple_log_service.stores.embedded.sealing import Sealer
from simple_log_service.stores.embedded.sql import translated_errors
from simple_log_service.stores.embedded.token_filter import may_hold, probes

SEALER = Sealer(b"d" * 32, version=1, file_id=b"f" * 16, key_id=7)
BLOCK_ID = 3

Entry = tuple[Kind, int, int, str]
"""Kind, timestamp, arrival, message."""


def entries_of(kinds: list[Kind], timestamps: list[int]) -> list[Entry]:
    numbered = enumerate(zip(kinds, timestamps, strict=True))
    return [(kind, timestamp, 5000 + place, f"word{place} shared") for place, (kind, timestamp) in numbered]


def written(folder: Path, entries: list[Entry], block_id: int = BLOCK_ID) -> BlockRow:
    kinds = list(dict.fromkeys(kind for kind, *_ in entries))
    columns = Columns(
        kinds,
        [kinds.index(kind) for kind, *_ in entries],
        [timestamp for _, timestamp, _, _ in entries],
        [message for *_, message in entries],
        [b'{"n":%d}' % place for place in range(len(entries))],
        {place: f"own {place}" for place in range(0, len(entries), 5)},
    )
    return BlockWriter(folder, block_id, SEALER).write(columns, [arrival for _, _, arrival, _ in entries])


def opened(folder: Path, row: BlockRow) -> tuple[BlockFile, Index]:
    block = BlockFile(block_path(folder, row.id), row, SEALER)
    return block, block.index()


def entries_in(block: BlockFile, index: Index, number: int) -> list[Entry]:
    """A leaf's records, checked to stand in reading order and to be what the index says of them."""
    leaf, entry = block.leaf(index, number), index.leaves[number]
    columns, arrivals = leaf.columns(list(index.leaf_kinds(number))), leaf.arrivals()
    found = [
        (columns.kinds[columns.kind_places[at]], columns.timestamps[at], arrivals[at], columns.messages[at])
        for at in range(len(columns))
    ]
    positions = [(timestamp, arrival) for _, timestamp, arrival, _ in found]
    assert positions == sorted(positions)
    assert (entry.time_min, entry.time_max) == (positions[0][0], positions[-1][0])
    assert index.leaf_kinds(number) == Counter(kind for kind, *_ in found)
    assert 0 < len(found) <= LEAF_RECORDS_MAX
    return found


def assert_whole(folder: Path, entries: list[Entry]) -> None:
    row = written(folder, entries)
    block, index = opened(folder, row)
    numbers = range(len(index.leaves))
    leaves = [entries_in(block, index, number) for number in numbers]
    assert sorted(entry for leaf in leaves for entry in leaf) == sorted(entries)
    assert row.records == len(entries)
    assert (row.time_min, row.time_max) == (min(e[1] for e in entries), max(e[1] for e in entries))
    assert (row.arrival_min, row.arrival_max) == (min(e[2] for e in entries), max(e[2] for e in entries))
    assert row.size_bytes == block_path(folder, row.id).stat().st_size
    assert index.all_kinds() == Counter(kind for kind, *_ in entries)
    assert index.counts(None) == {"": len(entries)}
    for by in GROUPINGS:
        assert index.counts(by) == Counter(getattr(kind, by) for kind, *_ in entries)
    assert_found_by_kind(index, leaves)
    assert_filters_cover(block, index, leaves)


def assert_found_by_kind(index: Index, leaves: list[list[Entry]]) -> None:
    """Whatever kinds are asked for, the leaves named hold every record of them."""
    kinds = {kind for leaf in leaves for kind, *_ in leaf}
    for kind in kinds:
        service_name, log_type, level = kind
        for asked in (
            Query(0, service_name=service_name),
            Query(0, log_type=log_type),
            Query(0, level=level),
            Query(0, service_name=service_name, level=level),
            Query(0, service_name=service_name, log_type=log_type, level=level),
        ):
            holding = {number for number, leaf in enumerate(leaves) if any(asked.matches(each[0]) for each in leaf)}
            named = list(index.leaves_of(asked))
            assert len(named) == len(set(named))
            assert set(named) >= holding
            if asked.log_type is None and asked.level is None:
                assert set(named) == holding
    for absent in ("", "absent", "zzz", "\U0010ffff"):
        assert list(index.leaves_of(Query(0, service_name=absent))) == []
        assert list(index.leaves_of(Query(0, log_type=absent))) == []
    assert list(index.leaves_of(Query(0))) == list(range(len(leaves)))


def assert_filters_cover(block: BlockFile, index: Index, leaves: list[list[Entry]]) -> None:
    filters = block.filters()
    for entry, leaf in zip(index.leaves, leaves, strict=True):
        words = {word for *_, message in leaf for word in words_of(message)}
        assert may_hold(filters[entry.filter_place], probes(words))


services = st.sampled_from(["a", "aa", "b", "middle", "z", "é", "😀"])
kinds_drawn = st.builds(Kind, services, st.sampled_from(["access", "audit"]), st.sampled_from(["INFO", "WARN"]))
entries_drawn = st.lists(st.tuples(kinds_drawn, st.integers(0, 30) | st.integers(0, 2**62)), min_size=1, max_size=60)


@given(entries_drawn)
def test_every_record_is_in_a_block_once_with_small_leaves(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[Kind, int]]
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(blocks, "LEAF_RECORDS_MAX", 8)
        patched.setattr(blocks, "_OWN_LEAVES_RECORDS_MIN", 4)
        patched.setattr(blocks, "FILTER_WORDS", 10)
        kinds, timestamps = map(list, zip(*drawn, strict=True))
        assert_whole(tmp_path_factory.getbasetemp(), entries_of(kinds, timestamps))


def mixed(records: int, seed: int = 1) -> list[Entry]:
    """A large service, one of medium size, and many small ones, with many records of the same instant."""
    chance = random.Random(seed)
    small = [f"small-{number:02}" for number in range(40)]
    names = chance.choices(["large", "medium", *small], [records, records / 10, *[records / 100] * 40], k=records)
    kinds = [Kind(name, chance.choice(["access", "audit"]), chance.choice(["INFO", "WARN"])) for name in names]
    return entries_of(kinds, [chance.randrange(records // 4) for _ in range(records)])


def test_every_record_is_in_a_block_once(tmp_path: Path) -> None:
    assert_whole(tmp_path, mixed(20_000))


def test_a_block_may_hold_as_many_kinds_as_records(tmp_path: Path) -> None:
    kinds = [Kind(f"service-{place % 3000}", f"type-{place}", "INFO") for place in range(6000)]
    row = written(tmp_path, entries_of(kinds, list(range(6000))))
    _, index = opened(tmp_path, row)
    assert len(index.all_kinds()) == 6000
    assert index.counts("service_name") == {f"service-{place}": 2 for place in range(3000)}


def test_no_more_records_than_places_are_wide_go_into_a_block(tmp_path: Path) -> None:
    assert BLOCK_RECORDS_MAX <= 2**16
    entries = entries_of([Kind("a", "b", "INFO")] * (BLOCK_RECORDS_MAX + 1), [0] * (BLOCK_RECORDS_MAX + 1))
    with pytest.raises(AssertionError):
        written(tmp_path, entries)


def test_a_service_with_enough_records_shares_no_leaf_and_small_ones_share(tmp_path: Path) -> None:
    block, index = opened(tmp_path, written(tmp_path, mixed(5000)))
    leaves = [entries_in(block, index, number) for number in range(len(index.leaves))]
    names = [{kind.service_name for kind, *_ in leaf} for leaf in leaves]
    assert all(len(each) == 1 for each in names if "large" in each)
    assert max(map(len, names)) > 3
    small = [number for number, each in enumerate(names) if "large" not in each and "medium" not in each]
    records = sum(len(leaves[number]) for number in small)
    assert len(small) <= 2 * records // LEAF_RECORDS_MAX + 2
    for name in {name for each in names for name in each if name.startswith("small")}:
        assert sum(name in each for each in names) == 1, "a small service's records are in one leaf"


def test_only_its_owner_may_read_a_block(tmp_path: Path) -> None:
    row = written(tmp_path, mixed(100))
    assert block_path(tmp_path, row.id).stat().st_mode & 0o777 == 0o600
    assert b"word7" not in block_path(tmp_path, row.id).read_bytes()


# --- Damage: what is read is what was written, or it is told. ---


def everything_in(folder: Path, row: BlockRow) -> list[Entry]:
    """All that a reader may ask of a block."""
    with translated_errors():
        block, index = opened(folder, row)
        block.filters()
        return [entry for number in range(len(index.leaves)) for entry in entries_in(block, index, number)]


def assert_told(folder: Path, row: BlockRow) -> None:
    with pytest.raises(StoreUnavailable):
        everything_in(folder, row)


def test_a_flipped_byte_anywhere_is_told(tmp_path: Path) -> None:
    row = written(tmp_path, mixed(600))
    path = block_path(tmp_path, row.id)
    original = path.read_bytes()
    for place in [*range(0, len(original), len(original) // 150), len(original) - 1, row.index_at, row.index_at - 1]:
        damaged = bytearray(original)
        damaged[place] ^= 0x40
        path.write_bytes(damaged)
        assert_told(tmp_path, row)
    path.write_bytes(original)
    assert len(everything_in(tmp_path, row)) == 600


def test_damage_in_one_leaf_hides_no_other(tmp_path: Path) -> None:
    entries = mixed(2000)
    row = written(tmp_path, entries)
    path, (block, index) = block_path(tmp_path, row.id), opened(tmp_path, row)
    spoilt = 2
    damaged = bytearray(path.read_bytes())
    damaged[index.leaves[spoilt].at + 30] ^= 1
    path.write_bytes(damaged)
    whole = [number for number in range(len(index.leaves)) if number != spoilt]
    found = [entry for number in whole for entry in entries_in(block, index, number)]
    assert len(found) == 2000 - sum(index.leaf_kinds(spoilt).values())
    assert set(found) < set(entries)
    with pytest.raises(StoreUnavailable):
        block.leaf(index, spoilt)
    assert index.counts(None) == {"": 2000}


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.9999])
def test_a_block_cut_short_is_told(tmp_path: Path, keep: float) -> None:
    row = written(tmp_path, mixed(500))
    path = block_path(tmp_path, row.id)
    path.write_bytes(path.read_bytes()[: int(row.size_bytes * keep)])
    assert_told(tmp_path, row)


def test_a_block_that_is_gone_is_told(tmp_path: Path) -> None:
    row = written(tmp_path, mixed(100))
    block_path(tmp_path, row.id).unlink()
    assert_told(tmp_path, row)


def test_another_block_in_its_place_is_told(tmp_path: Path) -> None:
    row, other = written(tmp_path, mixed(300)), written(tmp_path, mixed(300), BLOCK_ID + 1)
    content = block_path(tmp_path, other.id).read_bytes()
    block_path(tmp_path, row.id).write_bytes(content)
    assert_told(tmp_path, row)
    assert_told(tmp_path, other._replace(id=row.id))
    assert len(everything_in(tmp_path, other)) == 300


def test_leaves_of_a_block_in_each_others_place_are_told(tmp_path: Path) -> None:
    row = written(tmp_path, mixed(2000))
    block, index = opened(tmp_path, row)
    index.leaves[1], index.leaves[2] = index.leaves[2], index.leaves[1]
    with pytest.raises(StoreUnavailable):
        block.leaf(index, 1)


CHANGES: dict[str, Callable[[BlockRow], BlockRow]] = {
    "the oldest time": lambda row: row._replace(time_min=row.time_min + 1),
    "the newest time": lambda row: row._replace(time_max=row.time_max - 1),
    "the first arrival": lambda row: row._replace(arrival_min=row.arrival_min - 1),
    "the last arrival": lambda row: row._replace(arrival_max=row.arrival_max + 1),
    "how many records": lambda row: row._replace(records=row.records - 1),
    "the size": lambda row: row._replace(size_bytes=row.size_bytes - 1),
    "a larger size": lambda row: row._replace(size_bytes=row.size_bytes + 1),
    "no size": lambda row: row._replace(size_bytes=0),
    "a negative size": lambda row: row._replace(size_bytes=-(2**62)),
    "where the index is": lambda row: row._replace(index_at=row.index_at - 1),
    "an index at the end": lambda row: row._replace(index_at=row.size_bytes),
    "an index before the beginning": lambda row: row._replace(index_at=-5),
    "its number": lambda row: row._replace(id=row.id + 1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_row_is_told(tmp_path: Path, change: Callable[[BlockRow], BlockRow]) -> None:
    row = written(tmp_path, mixed(300))
    assert_told(tmp_path, change(row))


@settings(max_examples=30)
@given(st.binary(max_size=200))
def test_what_is_no_block_is_told(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    block_path(folder, 99).write_bytes(content)
    row = BlockRow(99, 7, 0, 1, 0, 1, 1, len(content), len(content) // 4, len(content) // 2)
    assert_told(folder, row)


def test_frames_of_another_key_do_not_open(tmp_path: Path) -> None:
    row = written(tmp_path, mixed(100))
    other = Sealer(b"e" * 32, version=1, file_id=b"f" * 16, key_id=7)
    with pytest.raises(StoreUnavailable):
        BlockFile(block_path(tmp_path, row.id), row, other).index()
