"""What tests of searching share: metadata in any spelling of JSON, and a search told in the plainest way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

# Characters whose folding is several, another letter's, or a mark that is none; with words that hold each other.
PIECES = [*"abAéÉßİiΣςk_10٣", "ab", "SS", "e\u0301", "\u212a", "\u0345"]
GAPS = [" ", " ", "-", ".", "'", "\n", "\0", '"', "\\", "\u2028", "😀"]

texts = st.lists(st.sampled_from(PIECES + GAPS), max_size=12).map("".join)
scalars = texts | st.none() | st.booleans() | st.integers(-20, 20) | st.sampled_from([1.5, -0.25, 1e30, 1e-7])
objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    texts,
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
    ),
    max_size=4,
)


@st.composite
def spelled(draw: st.DrawFn, given: st.SearchStrategy[dict[str, Any]] = objects) -> tuple[dict[str, Any], bytes]:
    """An object, and its JSON text in one of the ways that it can be written."""
    value = draw(given)
    escape = draw(st.sampled_from([_plain, _ascii, _all_escaped]))
    gap = draw(st.sampled_from(["", " ", "\t"]))
    return value, _dumped(value, escape, gap).encode()


def _dumped(value: Any, escape: Any, gap: str) -> str:
    if isinstance(value, dict):
        members = (f"{escape(name)}{gap}:{gap}{_dumped(inner, escape, gap)}" for name, inner in value.items())
        return f"{{{gap}{f'{gap},{gap}'.join(members)}{gap}}}"
    if isinstance(value, list):
        return f"[{gap}{f'{gap},{gap}'.join(_dumped(inner, escape, gap) for inner in value)}{gap}]"
    return escape(value) if isinstance(value, str) else json.dumps(value)


def _plain(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _ascii(text: str) -> str:
    return json.dumps(text)


def _all_escaped(text: str) -> str:
    units = text.encode("utf-16-be")
    return '"' + "".join(f"\\u{units[at]:02X}{units[at + 1]:02x}" for at in range(0, len(units), 2)) + '"'


def plain_words(text: str) -> list[str]:
    """The words of a text, character by character."""
    words = [""]
    for character in text.casefold():
        if character.isalnum() or character == "_":
            words[-1] += character
        else:
            words.append("")
    return [word for word in words if word]


def plain_values(value: Any) -> Iterator[str]:
    """The texts of all values in an object."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from plain_values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from plain_values(inner)
    else:
        yield value if isinstance(value, str) else json.dumps(value)


def plainly_in(wanted: list[str], text: str, *, is_prefix: bool) -> bool:
    """Whether the words follow each other in the text, of the last only the beginning where ``is_prefix``."""
    words = plain_words(text)
    for start in range(len(words) - len(wanted) + 1):
        found = words[start : start + len(wanted)]
        if found[:-1] == wanted[:-1] and (found[-1] == wanted[-1] or (is_prefix and found[-1].startswith(wanted[-1]))):
            return True
    return False
