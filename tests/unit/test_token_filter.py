"""Token filters never say no to a word that is there, and seldom yes to one that is not."""

from __future__ import annotations

import json
import string
from collections.abc import Collection

from hypothesis import example, given
from hypothesis import strategies as st

from simple_log_service.core.columns import Columns
from simple_log_service.core.record import Kind
from simple_log_service.core.search import Search
from simple_log_service.core.words import values_of, words_of
from simple_log_service.stores.embedded.leaves import Leaf, pack_leaf
from simple_log_service.stores.embedded.token_filter import (
    FILTER_WORDS,
    WORD_BYTES_MIN,
    build_filter,
    folded_words,
    may_hold,
    probes,
)
from unit.searching import spelled
from unit.searching import texts as odd_texts
from unit.strategies import texts

KINDS = [Kind("api", "access", "INFO")]
FALSE_POSITIVES_MAX = 0.06

any_text = texts(40) | odd_texts | st.text(string.printable, max_size=40)
odd_metadata = st.sampled_from(
    [
        rb'{"a":"\u0041bcdef","b":"\\u0041bcdef"}',
        rb'{"a":"tab\tbed word\nline","b":"quo\"ted\\back\/slash"}',
        rb'{"a":["Stra\u00dfe",{"b":"STRASSE"}],"c":1.50e10,"d":true,"e":null}',
        rb'{"\u0061key":{"inner":"\u212aelvin sign"},"x":"fu\u0308r"}',
        rb'{"a":"one","a":"\u0074woo"}',
        b'{"a":{"x":"first","x":"\\u006cast"}}',
    ]
)
metadata_texts = spelled().map(lambda drawn: drawn[1]) | odd_metadata
records = st.lists(st.tuples(any_text, metadata_texts), min_size=1, max_size=6)


def packed(drawn: list[tuple[str, bytes]]) -> tuple[Leaf, set[bytes]]:
    words: set[bytes] = set()
    messages, metadata = [message for message, _ in drawn], [text for _, text in drawn]
    numbers = list(range(len(drawn)))
    leaf = pack_leaf(Columns(KINDS, [0] * len(drawn), numbers, messages, metadata, {}), numbers, words)
    return Leaf(leaf), words


def words_in(message: str, metadata: bytes) -> set[str]:
    """Every word that a search may find in a record."""
    folded = [message, *values_of(metadata)]
    return {word for text in folded for word in words_of(text)}


def may_stand(leaf: Leaf, words: Collection[str], place: int) -> bool:
    """Whether a leaf would have a record looked at for these words."""
    places = leaf.places_with(words)
    return places is None or place in places


@given(records)
@example([("ÀÉÎ straße İstanbul ΣΑΣ ﬁne", b'{"a":"\\u0130stanbul"}')])
@example([("", b"{}")])
@example([("plain ASCII words_and 12345", b'{"level":"WARNING","code":50000}')])
def test_every_word_of_a_record_is_found(drawn: list[tuple[str, bytes]]) -> None:
    leaf, words = packed(drawn)
    token_filter = build_filter(words)
    for place, (message, metadata) in enumerate(drawn):
        wanted = words_in(message, metadata)
        assert may_hold(token_filter, probes(wanted))
        assert may_stand(leaf, wanted, place)
        for word in wanted:
            assert may_hold(token_filter, probes([word])), word
            assert may_stand(leaf, [word], place), word


@given(st.lists(st.tuples(odd_texts, metadata_texts), min_size=1, max_size=3), st.data())
def test_whatever_a_search_matches_passes_the_filter(drawn: list[tuple[str, bytes]], data: st.DataObject) -> None:
    leaf, words = packed(drawn)
    candidates = sorted({word for record in drawn for word in words_in(*record)})
    if not candidates:
        return
    word = data.draw(st.sampled_from(candidates))
    fields = [(key, value) for _, text in drawn for key, value in _string_members(text)]
    searches = [Search(q=word), Search(q=f'"{word}"'), Search(q=word[:1] + "*"), *map(_field_search, fields)]
    for search in searches:
        for place, (message, metadata) in enumerate(drawn):
            if search.matches(message, metadata):
                assert may_hold(build_filter(words), probes(search.required_words))
                assert may_stand(leaf, search.required_words, place)


def _string_members(metadata: bytes) -> list[tuple[str, str]]:
    members = json.loads(metadata).items()
    return [(key, value) for key, value in members if key and isinstance(value, str) and value]


def _field_search(field: tuple[str, str]) -> Search:
    return Search(fields=(field,))


@given(any_text)
def test_folded_words_are_the_words_of_a_search(text: str) -> None:
    assert set(folded_words(text.encode())) == {word.encode() for word in words_of(text)}


def test_a_full_filter_says_yes_to_few_words_that_are_not_there() -> None:
    inside = {f"word{number}" for number in range(FILTER_WORDS)}
    token_filter = build_filter(set(map(str.encode, inside)))
    assert all(may_hold(token_filter, probes([word])) for word in inside)
    absent = [f"absent{number}x" for number in range(20_000)]
    wrong = sum(may_hold(token_filter, probes([word])) for word in absent)
    assert 0 < wrong / len(absent) < FALSE_POSITIVES_MAX


def test_two_absent_words_are_hardly_ever_found_together() -> None:
    token_filter = build_filter({f"word{number}".encode() for number in range(FILTER_WORDS)})
    pairs = [(f"absent{number}x", f"missing{number}y") for number in range(10_000)]
    assert sum(may_hold(token_filter, probes(pair)) for pair in pairs) / len(pairs) < FALSE_POSITIVES_MAX / 5


def test_an_empty_filter_holds_nothing_but_what_is_too_short_to_tell() -> None:
    empty = build_filter(set())
    assert len(empty) == len(build_filter({b"word"}))
    assert may_hold(empty, probes([]))
    assert may_hold(empty, probes(["x" * (WORD_BYTES_MIN - 1)]))
    assert not may_hold(empty, probes(["x" * WORD_BYTES_MIN]))


def test_a_leaf_names_the_records_to_look_at() -> None:
    leaf, _ = packed(
        [
            ("connection refused", b'{"host":"db-1","code":50000}'),
            ("Connection accepted", b'{"code":200}'),
            ("nothing", b'{"code":404,"why":"CONNECTION lost"}'),
            ("", b"{}"),
        ]
    )
    assert leaf.places_with(["connection"]) == {0, 1, 2}
    assert leaf.places_with(["connection", "50000"]) == {0, 1, 2}
    assert leaf.places_with(["accepted"]) == {1}
    assert leaf.places_with(["50000"]) == {0}
    assert leaf.places_with(["connection", "absent"]) == set()
    assert leaf.places_with([]) is None
