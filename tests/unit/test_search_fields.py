"""``metadata.KEY=VALUE``: a field by its name or path, equal to a string, a number, or a name such as ``true``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.search import Search
from simple_log_service.core.words import words_of
from unit.searching import plain_values, spelled


def finds(key: str, value: str, metadata: str) -> bool:
    return Search(fields=((key, value),)).matches("", metadata.encode())


@pytest.mark.parametrize(
    ("key", "value", "metadata", "found"),
    [
        ("user", "alice", '{"user":"alice"}', True),
        ("user", "Alice", '{"user":"alice"}', False),
        ("user", "ali", '{"user":"alice"}', False),
        ("user", "alice", '{"name":"alice"}', False),
        ("user", "alice", '{"user":"\\u0061lice"}', True),
        ("user", "alice", '{"us\\u0065r":"alice"}', True),
        ("user", "alice", '{ "user" : "alice" }', True),
        ("user", 'a"b\\c', '{"user":"a\\"b\\\\c"}', True),
        ("user", "a/b", '{"user":"a\\/b"}', True),
        ("user", " alice ", '{"user":" alice "}', True),
        ("user", "é", '{"user":"e\u0301"}', False),
        ("status", "500", '{"status":500}', True),
        ("status", "500", '{"status":"500"}', True),
        ("status", "500.0", '{"status":500}', True),
        ("status", "5e2", '{"status":500.00}', True),
        ("status", "5E+2", '{"status":500}', True),
        ("status", "500.0", '{"status":"500"}', False),
        ("status", "0500", '{"status":500}', False),
        ("status", "0500", '{"status":"0500"}', True),
        ("status", "+500", '{"status":500}', False),
        ("status", "50", '{"status":500}', False),
        ("n", "-0", '{"n":0}', True),
        ("n", "0.1", '{"n":0.10}', True),
        ("n", "0.1", '{"n":0.1000000000000000055511151231257827}', False),
        ("n", "12345678901234567890123456789012345678", '{"n":12345678901234567890123456789012345678}', True),
        ("n", "12345678901234567890123456789012345679", '{"n":12345678901234567890123456789012345678}', False),
        ("n", "1e-9999999999999999999999", '{"n":1e-9999999999999999999999}', False),
        ("n", "1e99999999", '{"n":1}', False),
        ("ok", "true", '{"ok":true}', True),
        ("ok", "true", '{"ok":"true"}', True),
        ("ok", "True", '{"ok":true}', False),
        ("ok", "null", '{"ok":null}', True),
        ("ok", "false", '{"ok":null}', False),
        ("ok", "null", "{}", False),
        ("a.b", "1", '{"a":{"b":1}}', True),
        ("a.b", "1", '{"a.b":1}', True),
        ("a.b", "1", '{"a.b":2,"a":{"b":1}}', False),
        ("a.b.c", "1", '{"a.b":{"c":1}}', True),
        ("a.b.c", "1", '{"a":{"b.c":1}}', True),
        ("a.b.c", "1", '{"a.b":{"c":2},"a":{"b":{"c":1}}}', True),
        ("a.b", "1", '{"a":[{"b":1}]}', False),
        ("a.b", "1", '{"a":"b"}', False),
        ("a.", "1", '{"a":{"":1}}', True),
        (".", "1", '{"":{"":1}}', True),
        ("a", "1", '{"a":[1]}', False),
        ("a", "[1]", '{"a":[1]}', False),
        ("a", "{}", '{"a":{}}', False),
        ("a", "{}", '{"a":"{}"}', True),
        ("a", "2", '{"a":1,"a":2}', True),
        ("a", "1", '{"a":1,"a":2}', False),
        ("日", "志", '{"日":"志"}', True),
    ],
)
def test_a_field_is_found_where_its_value_is_equal(key: str, value: str, metadata: str, found: bool) -> None:
    assert finds(key, value, metadata) is found


def test_all_fields_must_hold() -> None:
    both = Search(fields=(("a", "1"), ("b", "x")))
    assert both.matches("", b'{"a":1,"b":"x"}')
    assert not both.matches("", b'{"a":1,"b":"y"}')
    assert not both.matches("", b'{"b":"x"}')


keys = st.lists(st.sampled_from("ab."), max_size=4).map("".join)
leaves = st.sampled_from(["1", "true", "x y", "", "1.0"]) | st.sampled_from([1, 1.0, True, None, 10])
nested: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    keys,
    st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=1)),
    max_size=3,
)


def plain_at(value: Any, key: str) -> Iterator[Any]:
    if not isinstance(value, dict):
        return
    if key in value:
        yield value[key]
        return
    for name, inner in value.items():
        if key.startswith(name + "."):
            yield from plain_at(inner, key.removeprefix(name + "."))


def plainly_equal(stored: Any, value: str) -> bool:
    if isinstance(stored, str):
        return stored == value
    if stored is None or isinstance(stored, bool):
        return json.dumps(stored) == value
    if isinstance(stored, int | float):
        return value in ("1", "1.0", "10") and Decimal(value) == Decimal(stored)
    return False


@given(keys.filter(bool), st.sampled_from(["1", "1.0", "10", "true", "null", "x y"]), spelled(nested))
def test_what_is_found_is_what_the_plainest_way_of_looking_finds(
    key: str, value: str, metadata: tuple[dict[str, Any], bytes]
) -> None:
    given_as, text = metadata
    search = Search(fields=((key, value),))
    expected = any(plainly_equal(stored, value) for stored in plain_at(given_as, key))
    assert search.matches("", text) is expected
    if expected:
        assert search.required_words <= {word for each in plain_values(given_as) for word in words_of(each)}


def test_words_are_required_of_strings_and_names_and_never_of_numbers() -> None:
    fields = (("user", "Alice B."), ("status", "500"), ("ok", "true"))
    assert Search(fields=fields).required_words == {"alice", "b", "true"}
    assert Search("disk", fields=fields[:1]).required_words == {"disk", "alice", "b"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ((("", "1"),), "After metadata. must come a key of 1 to 256 characters."),
        ((("k" * 257, "1"),), "After metadata. must come a key of 1 to 256 characters."),
        ((("k", ""),), "metadata.k must have 1 to 1024 characters."),
        ((("k", "v" * 1025),), "metadata.k must have 1 to 1024 characters."),
        (tuple((str(number), "1") for number in range(9)), "At most 8 fields"),
    ],
)
def test_fields_past_their_bounds_are_refused(fields: tuple[tuple[str, str], ...], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        Search(fields=fields)


def test_the_longest_fields_are_taken() -> None:
    fields = tuple((f"{number}".ljust(256, "k"), "v" * 1024) for number in range(8))
    assert Search(fields=fields).matches("", json.dumps(dict(fields)).encode())
