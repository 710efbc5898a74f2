"""Words, and the terms of ``q`` that are made of them.

A word is a maximal run of letters, digits and ``_`` in the text once its case is folded (Unicode's default case
folding, ``str.casefold``). Folding comes first on both sides, so that a character that folds to several, a combining
mark among them, is split alike wherever it stands. Words in a text are consecutive where no other word is between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from json import JSONDecoder

import msgspec

from simple_log_service.core.batch import METADATA_EMPTY
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import SEARCH_CHARS_MAX, SEARCH_TERMS_MAX

Test = Callable[[str, bytes], bool]
"""Whether a record is found, by its message and its metadata's text."""

_WORD = re.compile(r"\w+")
_TERM = re.compile(r'\s*(?P<excluded>-?)(?:"(?P<phrase>[^"]*)"|(?P<bare>[^\s"]+))(?:\s+|\Z)')

# Numbers stay the text that they are; strict JSON was checked when the record came.
_METADATA = JSONDecoder(parse_int=str, parse_float=str, strict=False)
_NAMES = {True: "true", False: "false", None: "null"}


def words_of(text: str) -> list[str]:
    """The words of a text, folded, in their order."""
    return _WORD.findall(text.casefold())


class Term(msgspec.Struct, frozen=True):
    """Consecutive words, the last of them only a beginning where ``is_prefix``."""

    words: tuple[str, ...]
    is_prefix: bool = False
    is_excluded: bool = False

    @property
    def whole_words(self) -> tuple[str, ...]:
        """Those of its words that a text with the term holds as they are."""
        return self.words[:-1] if self.is_prefix else self.words

    def expression(self) -> re.Pattern[str]:
        """What finds the term in a folded text; in linear time, since no character is both within and between words."""
        return re.compile(r"(?<!\w)" + r"\W++".join(self.words) + ("" if self.is_prefix else r"(?!\w)"))


def parse_terms(q: str) -> list[Term]:
    """The terms of ``q``; ``InvalidRequest`` where it has none, too many, or one that cannot be meant."""
    if not 1 <= len(q) <= SEARCH_CHARS_MAX:
        raise InvalidRequest(f"q must have 1 to {SEARCH_CHARS_MAX} characters.")
    if q.count('"') % 2:
        raise InvalidRequest("q has a quotation mark that is not closed.")
    if not q.strip():
        raise InvalidRequest("q must hold a word.")
    terms: list[Term] = []
    at = 0
    while at < len(q):
        match = _TERM.match(q, at)
        if match is None:
            raise InvalidRequest("In q, quotation marks stand around a phrase, with white space before and after it.")
        terms.append(_term(match))
        at = match.end()
        if len(terms) > SEARCH_TERMS_MAX:
            raise InvalidRequest(f"q must have at most {SEARCH_TERMS_MAX} terms.")
    return terms


def _term(match: re.Match[str]) -> Term:
    text = match["bare"] if match["phrase"] is None else match["phrase"]
    folded = text.casefold()
    is_prefix = match["phrase"] is None and folded.endswith("*")
    if is_prefix:
        folded = folded[:-1]
    words = _WORD.findall(folded)
    if not words:
        raise InvalidRequest(f"q has a term without a letter or digit: {match[0].strip()[:64]}")
    if match["phrase"] is None and ("*" in folded or (is_prefix and not folded.endswith(words[-1]))):
        raise InvalidRequest(f"In q, * stands only right after the beginning of a word, not as in {text[:64]}")
    return Term(tuple(words), is_prefix, bool(match["excluded"]))


def words_test(terms: Sequence[Term]) -> Test:
    """Whether a record holds all the terms, and none of the excluded ones, each in its message or in a value."""
    # A look for the term's longest word passes over most records; what is wanted comes first, as it is rarer.
    wanted_first = sorted(terms, key=lambda term: term.is_excluded)
    looks = [(max(term.words, key=len), term.expression().search, not term.is_excluded) for term in wanted_first]

    def test(message: str, metadata: bytes) -> bool:
        folded = message.casefold()
        folded_metadata: str | None = None
        values: list[str] = []
        for needle, search, is_wanted in looks:
            found = needle in folded and search(folded) is not None
            if not found and metadata != METADATA_EMPTY:
                if folded_metadata is None:
                    folded_metadata = metadata.decode().casefold()
                # Of JSON's escapes, these alone can stand for a letter or a digit.
                if needle in folded_metadata or "\\u" in folded_metadata:
                    values = values or values_of(metadata)
                    found = any(map(search, values))
            if found is not is_wanted:
                return False
        return True

    return test


def values_of(metadata: bytes) -> list[str]:
    """The folded texts of all values in a JSON object, nested ones included; of what is not a string, its JSON text."""
    values: list[str] = []
    todo = [_METADATA.decode(metadata.decode())]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
        else:
            values.append(value.casefold() if isinstance(value, str) else _NAMES[value])
    return values
