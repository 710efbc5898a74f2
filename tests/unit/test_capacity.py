"""The capacity calculator against tables worked out by hand from AWS's rules; the arithmetic is in the comments."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.stores.dynamodb.capacity import (
    Units,
    get_units,
    index_bytes,
    item_bytes,
    put_units,
    query_units,
    table_bytes,
    update_units,
)
from simple_log_service.stores.dynamodb.items import Item

SIZES: list[tuple[dict[str, Any], int]] = [
    # Nothing at all: no names, no values.
    ({}, 0),
    # A name of 1 and a text of 5 make 6.
    ({"a": {"S": "hello"}}, 6),
    # The name é is 2 bytes of UTF-8, the text of a snowman and a rocket 3 and 4: 9.
    ({"é": {"S": "☃🚀"}}, 9),
    # An empty text costs its name: 1.
    ({"a": {"S": ""}}, 1),
    # Four digits are two pairs, and 1 more: 3, with the name 4.
    ({"n": {"N": "1234"}}, 4),
    # Three digits begin a second pair: 2 and 1, with the name 4.
    ({"n": {"N": "123"}}, 4),
    # Zeros at the end are trimmed: 5000000 is one digit, so 1 and 1, with the name 3.
    ({"n": {"N": "5000000"}}, 3),
    # So are those at the front: 0.0005 is one digit: 3.
    ({"n": {"N": "0.0005"}}, 3),
    # A minus sign is counted as a byte more: one pair, 1 and 1, with the name 4.
    ({"n": {"N": "-12"}}, 4),
    # 110 are the digits 1 and 1, but in two pairs (01 and 10): 2 and 1, with the name 4.
    ({"n": {"N": "110"}}, 4),
    # 19 digits before the point are 10 pairs, 19 behind it another 10, and 1: the most a key can take, 21 + name 1.
    ({"n": {"N": "1764000000123456789.1234567890123456789"}}, 22),
    # However it is written: 1.5e3 is 15 and 00, one pair that counts, 1 and 1; 25e-4 is 00 and 25, the same.
    ({"n": {"N": "1.5e3"}}, 3),
    ({"n": {"N": "25E-4"}}, 3),
    # Nought takes the least there is: 1 and 1.
    ({"n": {"N": "0"}}, 3),
    # Raw bytes count as they are: 10 and the name.
    ({"b": {"B": bytes(10)}}, 11),
    # A boolean and a null take a byte each, and their names.
    ({"t": {"BOOL": True}, "u": {"NULL": True}}, 4),
    # An empty map is 3 of overhead, and its name.
    ({"m": {"M": {}}}, 4),
    # Overhead 3; INFO is 4, its count 7 takes 2, the element 1; WARN with 12 another 4, 2 and 1; the name 1: 18.
    ({"m": {"M": {"INFO": {"N": "7"}, "WARN": {"N": "12"}}}}, 18),
    # Overhead 3; the text ab 2 and 1 for the element, the number 9 takes 2 and 1; the name 1: 10.
    ({"l": {"L": [{"S": "ab"}, {"N": "9"}]}}, 10),
    # A list in a map: 3, the key k 1 and 1 for the element, the list's 3, its text x 1 and 1; the name 1: 11.
    ({"m": {"M": {"k": {"L": [{"S": "x"}]}}}}, 11),
]


@pytest.mark.parametrize(("item", "size_bytes"), SIZES)
def test_an_item_is_as_large_as_worked_out_by_hand(item: Item, size_bytes: int) -> None:
    assert item_bytes(item) == size_bytes


def test_storage_has_a_hundred_bytes_of_overhead_for_the_item_and_for_its_index_entry() -> None:
    # log_type is 8 and app 3: 11 bytes and 100, in the table and in the index.
    assert table_bytes({"log_type": {"S": "app"}}) == index_bytes({"log_type": {"S": "app"}}) == 111
    # Not in the index: 6 bytes and 100, in the table alone.
    assert (table_bytes({"a": {"S": "hello"}}), index_bytes({"a": {"S": "hello"}})) == (106, 0)


def test_a_set_is_refused_since_the_table_has_none() -> None:
    with pytest.raises(ValueError, match="SS"):
        item_bytes({"a": {"SS": ["b"]}})


def outside(size_bytes: int) -> Item:
    """An item of exactly so many bytes that has no index entry."""
    return {"b": {"B": bytes(size_bytes - 1)}}


def indexed(size_bytes: int, log_type: str = "app") -> Item:
    """An item of exactly so many bytes with an index entry."""
    return {"log_type": {"S": log_type}, "b": {"B": bytes(size_bytes - 9 - len(log_type))}}


WRITES: list[tuple[Item | None, Item | None, float, float]] = [
    # A new item of at most a KiB is one unit; without log_type the index has no part in it.
    (None, outside(1), 1, 0),
    (None, outside(1024), 1, 0),
    # One byte over a KiB begins the second.
    (None, outside(1025), 2, 0),
    # The same in the index: its entry is the whole item.
    (None, indexed(1024), 1, 1),
    (None, indexed(1025), 2, 2),
    # 32 KiB and a byte: 33.
    (None, indexed(32 * 1024 + 1), 33, 33),
    # The larger of before and after counts: 3 KiB replaced by 1 KiB are 3, and so for the entry that changes.
    (indexed(3072), indexed(1024), 3, 3),
    (indexed(1024), indexed(3072), 3, 3),
    # Written again unchanged: the table's unit is spent, the index's is not.
    (indexed(2048), indexed(2048), 2, 0),
    # Another log_type takes one entry away and puts one: 2 KiB out and 2 KiB in.
    (indexed(2048), indexed(2048, "web"), 2, 4),
    # An item that gets a log_type gets an entry, one that loses it loses it: one write each.
    (outside(1024), indexed(1500), 2, 2),
    (indexed(1500), outside(1024), 2, 2),
    # A deletion costs what was there; the entry goes with it.
    (indexed(2048), None, 2, 2),
    (outside(2048), None, 2, 0),
    # Deleting what is not there costs the least there is.
    (None, None, 1, 0),
]


@pytest.mark.parametrize(("before", "after", "table", "index"), WRITES)
def test_a_write_costs_as_worked_out_by_hand(
    before: Item | None, after: Item | None, table: float, index: float
) -> None:
    assert update_units(before, after) == Units(table_write=table, index_write=index)


def test_a_put_is_billed_by_the_larger_of_the_item_and_what_it_replaces() -> None:
    assert put_units(outside(100)) == Units(table_write=1)
    assert put_units(outside(100), replaced=outside(1025)) == Units(table_write=2)


def test_a_failed_condition_costs_what_stands_there() -> None:
    # 1.5 KiB stand there: two units of the table, and the index is not touched.
    assert update_units(indexed(1536), indexed(1536)) == Units(table_write=2)
    # Nothing stands there: one unit.
    assert update_units(None, None) == Units(table_write=1)


GETS: list[tuple[Item | None, float]] = [
    # A unit for each 4 KiB that is begun, whatever is missing from it.
    (outside(1), 1),
    (outside(4096), 1),
    (outside(4097), 2),
    (outside(32 * 1024 + 1), 9),
    # What is not there costs the least there is.
    (None, 1),
]


@pytest.mark.parametrize(("item", "units"), GETS)
def test_a_get_costs_as_worked_out_by_hand_and_half_where_it_may_be_stale(item: Item | None, units: float) -> None:
    assert get_units(item, consistent=True) == Units(table_read=units)
    assert get_units(item, consistent=False) == Units(table_read=units / 2)


def test_a_batch_of_gets_rounds_item_by_item_and_a_query_once() -> None:
    # Five items of 1 KiB: five units one by one; together 5 KiB, which is two.
    items = [outside(1024)] * 5
    assert sum((get_units(item, consistent=True) for item in items), Units()) == Units(table_read=5)
    assert query_units(items, consistent=True, index=False) == Units(table_read=2)


QUERIES: list[tuple[list[Item], float]] = [
    # Nothing found is one unit.
    ([], 1),
    # 4 KiB in four items are one; a byte more is two.
    ([indexed(1024)] * 4, 1),
    ([indexed(1024)] * 4 + [indexed(13)], 2),
    # A hundred entries of 250 bytes are 25,000 bytes: six times 4 KiB are 24,576, so seven.
    ([indexed(250)] * 100, 7),
]


@pytest.mark.parametrize(("items", "units"), QUERIES)
def test_a_query_costs_as_worked_out_by_hand(items: list[Item], units: float) -> None:
    assert query_units(items, consistent=True, index=False) == Units(table_read=units)
    assert query_units(items, consistent=False, index=False) == Units(table_read=units / 2)
    assert query_units(items, consistent=False, index=True) == Units(index_read=units / 2)


def test_the_index_has_no_consistent_reads() -> None:
    with pytest.raises(ValueError, match="consistent"):
        query_units([], consistent=True, index=True)


numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**37), max_value=10**37, places=1).map(str)
scalars = st.one_of(
    st.text(max_size=50).map(lambda text: {"S": text}),
    numbers.map(lambda text: {"N": text}),
    st.binary(max_size=3000).map(lambda data: {"B": data}),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.dictionaries(st.text(max_size=5), inner, max_size=4).map(lambda content: {"M": content}),
        st.lists(inner, max_size=4).map(lambda content: {"L": content}),
    ),
    max_leaves=6,
)
plain_items = st.dictionaries(st.text(min_size=1, max_size=8), values, max_size=5)
items = st.one_of(plain_items, plain_items.map(lambda item: item | {"log_type": {"S": "app"}}))


@given(plain_items, plain_items)
def test_the_size_of_disjoint_attributes_together_is_the_sum_of_their_sizes(one: Item, other: Item) -> None:
    renamed = {f"another {name}": value for name, value in other.items()}
    apart = {name: value for name, value in one.items() if name not in renamed}
    assert item_bytes(apart | renamed) == item_bytes(apart) + item_bytes(renamed)


@given(numbers)
def test_a_number_is_never_counted_below_the_rule_and_at_most_two_bytes_above_it(text: str) -> None:
    digits = len("".join(map(str, Decimal(text).as_tuple().digits)).strip("0")) or 1
    rule = -(-digits // 2) + 1
    assert rule <= item_bytes({"": {"N": text}}) <= rule + 2


@given(items, st.binary(max_size=5000))
def test_more_in_an_item_never_costs_less(item: Item, more: bytes) -> None:
    larger = {**item, "another attribute": {"B": more}}
    assert item_bytes(larger) >= item_bytes(item)
    for units, fewer in (
        (put_units(larger), put_units(item)),
        (get_units(larger, consistent=True), get_units(item, consistent=True)),
        (query_units([larger], consistent=False, index=True), query_units([item], consistent=False, index=True)),
    ):
        assert all(a >= b for a, b in zip(parts(units), parts(fewer), strict=True))


@given(st.lists(items, max_size=6))
def test_a_query_never_costs_less_for_reading_further_nor_more_than_reading_one_by_one(found: list[Item]) -> None:
    costs = [query_units(found[:end], consistent=True, index=False).table_read for end in range(len(found) + 1)]
    assert all(before <= after for before, after in pairwise(costs))
    one_by_one = sum((get_units(item, consistent=True) for item in found), Units())
    assert costs[-1] <= max(1, one_by_one.table_read)


@given(items, items)
def test_an_update_costs_at_least_either_put_and_at_most_both(before: Item, after: Item) -> None:
    units = update_units(before, after)
    both = put_units(before) + put_units(after)
    assert units.table_write == max(put_units(before).table_write, put_units(after).table_write)
    assert units.index_write <= both.index_write
    assert update_units(after, before) == units


@given(st.lists(st.builds(Units, *[st.integers(0, 1000).map(float)] * 4), max_size=5), st.randoms())
def test_units_add_up_in_any_order(many: list[Units], random: Any) -> None:
    shuffled = random.sample(many, len(many))
    total = sum(many, Units())
    assert total == sum(shuffled, Units())
    assert total.index_write == sum(each.index_write for each in many)


def parts(units: Units) -> tuple[float, float, float, float]:
    return units.table_read, units.index_read, units.table_write, units.index_write
