"""A leaf gives back what was packed into it: texts as they were, metadata with the same meaning."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simple_log_service.core.columns import Columns
from simple_log_service.core.record import Kind
from simple_log_service.core.words import words_of
from simple_log_service.stores.embedded.leaves import LEAF_RECORDS_MAX, Leaf, pack_leaf
from simple_log_service.stores.packing import FrameDamaged, compress
from unit.searching import spelled
from unit.strategies import texts

KINDS = [Kind("api", "access", "INFO"), Kind("api", "audit", "WARN"), Kind("ümlaut", "access", "INFO")]
Row = tuple[int, int, int, str, bytes, str | None]
"""Kind place, timestamp, arrival, message, metadata, log id."""


def columns_of(rows: list[Row]) -> tuple[Columns, list[int]]:
    kind_places, timestamps, arrivals, messages, metadata, log_ids = map(list, zip(*rows, strict=True))
    given_ids = {place: log_id for place, log_id in enumerate(log_ids) if log_id is not None}
    return Columns(KINDS, kind_places, timestamps, messages, metadata, given_ids), arrivals


def meaning(metadata: bytes) -> Any:
    """What JSON text says, numbers as decimals."""
    return json.loads(metadata, parse_int=Decimal, parse_float=Decimal)


def packed_and_opened(rows: list[Row]) -> Leaf:
    columns, arrivals = columns_of(rows)
    return Leaf(pack_leaf(columns, arrivals, set()))


def assert_same(rows: list[Row]) -> None:
    leaf = packed_and_opened(rows)
    opened = leaf.columns(KINDS)
    size = len(rows)
    assert len(opened) == len(opened.metadata) == size
    found = [
        (
            opened.kind_places[place],
            opened.timestamps[place],
            leaf.arrivals()[place],
            opened.messages[place],
            meaning(opened.metadata[place]),
            opened.log_ids.get(place),
        )
        for place in range(size)
    ]
    assert found == [(*row[:4], meaning(row[4]), row[5]) for row in rows]
    assert opened.kinds == KINDS
    assert leaf.timestamps() == [row[1] for row in rows]
    assert leaf.kind_places() == [row[0] for row in rows]
    assert leaf.records == size
    assert leaf.memory_bytes > sum(len(row[3]) for row in rows)


def rows_of(messages: list[str], metadata: list[str] | None = None) -> list[Row]:
    texts_of_metadata = metadata or ["{}"] * len(messages)
    numbered = zip(count(), messages, texts_of_metadata)
    return [(0, 10 + place, 100 + place, message, text.encode(), None) for place, message, text in numbered]


metadata_texts = spelled().map(lambda drawn: drawn[1]) | st.sampled_from(
    [
        b"{}",
        b"{ }",
        b'{"%s":1,"%%":"%b","100%":[1.50 , 1e2]}',
        b'{"a":{},"b":[],"c":{"a":{"b":[{}]}}}',
        b'{"a" : 1 ,\t"b":\r"x" }',
        b'{"\\u0041":"\\uD83D\\uDE00","":"\\u0000\\n"}',
        b'{"a":12345678901234567890123456789012345678,"b":-0.10,"c":1E-30}',
        json.dumps({f"key {number}": number for number in range(40)}).encode(),
    ]
)
rows = st.lists(
    st.tuples(
        st.integers(0, len(KINDS) - 1),
        st.integers(0, 4 * 10**18),
        st.integers(0, 2**62),
        texts() | st.sampled_from(["", "\n", "\0", "a\nb", "\n\n", "😀\n", "\r\n", "%s"]),
        metadata_texts,
        st.none() | st.text(min_size=1, max_size=64),
    ),
    min_size=1,
    max_size=12,
)


@given(rows)
@example(rows_of([""]))
@example(rows_of(["", ""]))
@example(rows_of(["\n"]))
@example(rows_of(["a", "b\n", "\nc", "", "d\ne\nf"]))
@example(rows_of(["\0", "😀", "\ud7ff\U0010ffff", "ÿ"]))
def test_a_leaf_gives_back_what_was_packed(drawn: list[Row]) -> None:
    assert_same(drawn)


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 64, LEAF_RECORDS_MAX])
@pytest.mark.parametrize("message", ["plain", "with\nnewlines\n", ""])
def test_a_leaf_of_any_size_gives_back_each_record(size: int, message: str) -> None:
    messages = [f"{message}{place if message else ''}" for place in range(size)]
    assert_same(rows_of(messages, [f'{{"n":{place},"s":"{place}"}}' for place in range(size)]))


@pytest.mark.parametrize("keys", [31, 32, 33, 200])
def test_a_leaf_of_many_keys_gives_back_each_value(keys: int) -> None:
    alike = [json.dumps({f"k{key}": f"{place}-{key}" for key in range(keys)}) for place in range(5)]
    apart = [json.dumps({f"k{key}": key}) for key in range(keys)]
    assert_same(rows_of([str(place) for place in range(5 + keys)], alike + apart))


def test_every_record_may_have_a_shape_of_its_own() -> None:
    own = [json.dumps({f"k{place}": place, "all": place}) for place in range(LEAF_RECORDS_MAX)]
    assert_same(rows_of([str(place) for place in range(LEAF_RECORDS_MAX)], own))


@pytest.mark.parametrize(
    "values",
    [
        ["0af3", "ffff", "0000"],
        ["0af3", "FFFF", "0000"],
        ["0af3", "ff f", "0000"],
        ["0af3", "fff", "00000"],
        ["0af", "fff", "000"],
        ["", "", ""],
        ["4bf92f3577b34da6a3ce929d0e0e4736"] * 3,
        ["ab" * 5000, "cd" * 5000, "ef" * 5000],
        ["0af3", 4096, "0000"],
        ["0af3", ["ffff"], None],
        ["12\n3", "abcd", "ffff"],
    ],
    ids=lambda values: str(values)[:40],
)
def test_values_that_look_like_hexadecimal_come_back_as_they_were(values: list[Any]) -> None:
    for size in (1, 2, 3):
        assert_same(rows_of(["m"] * size, [json.dumps({"trace": value, "n": 1}) for value in values[:size]]))


def test_the_last_of_a_doubled_key_counts() -> None:
    assert_same(rows_of(["a", "b"], ['{"x":1,"y":2,"x":3}', '{"y":{"z":1,"z":2}}']))


def test_texts_are_given_in_any_order_in_slices_and_more_than_once() -> None:
    texts_of_messages = [f"message {place}" for place in range(100)]
    opened = packed_and_opened(rows_of(texts_of_messages, [f'{{"n":{n}}}' for n in range(100)])).columns(KINDS)
    for place in (99, 0, 50, 50, 1, 98):
        assert opened.messages[place] == texts_of_messages[place]
        assert meaning(opened.metadata[place]) == {"n": place}
    assert list(opened.messages[10:90:7]) == texts_of_messages[10:90:7]
    assert [meaning(text) for text in opened.metadata[3:5]] == [{"n": 3}, {"n": 4}]
    assert [meaning(text) for text in opened.metadata] == [{"n": place} for place in range(100)]


def test_iterating_over_messages_ends() -> None:
    opened = packed_and_opened(rows_of(["a", "b", "c"])).columns(KINDS)
    # zip asks for no more than it is told: an iterator without an end would not hang the test.
    assert [message for _, message in zip(range(10), opened.messages, strict=False)] == ["a", "b", "c"]


@given(rows)
def test_the_words_of_a_leaf_are_those_of_its_texts(drawn: list[Row]) -> None:
    columns, arrivals = columns_of(drawn)
    words: set[bytes] = set()
    pack_leaf(columns, arrivals, words)
    for message, metadata in zip(columns.messages, columns.metadata, strict=True):
        wanted = {word for text in [message, *values_in(json.loads(metadata))] for word in words_of(text)}
        assert {word.encode() for word in wanted} <= words


def values_in(value: Any) -> list[str]:
    """The strings among the values of something decoded, nested ones included."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in values_in(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in values_in(inner)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("data", [b"", b"x", b"\x93\xc4\x00\xc4\x00\x90", compress(b"text")])
def test_what_is_no_leaf_is_told(data: bytes) -> None:
    with pytest.raises(FrameDamaged):
        Leaf(data)


def test_a_leaf_without_its_texts_is_told_when_they_are_asked_for() -> None:
    columns, arrivals = columns_of(rows_of(["a", "b"]))
    head, messages, values = msgspec.msgpack.decode(pack_leaf(columns, arrivals, set()))
    leaf = Leaf(msgspec.msgpack.encode([head, messages[:-1], values]))
    assert leaf.timestamps() == [10, 11]
    with pytest.raises(FrameDamaged):
        leaf.columns(KINDS)
