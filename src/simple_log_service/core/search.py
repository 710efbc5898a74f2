"""What records' texts are searched for: words, a pattern, fields of the metadata."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache

import msgspec

from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.fields import Field, check_fields, field_test, field_words
from simple_log_service.core.limits import PATTERN_CHARS_MAX, PATTERN_MEMORY_BYTES_MAX
from simple_log_service.core.words import Test, parse_terms, words_test

_PATTERNS_KEPT = 16


class Search(msgspec.Struct, frozen=True, dict=True):
    """What a record must hold, all of it: ``q`` words, ``pattern`` a regular expression, ``fields`` of the metadata.

    Raises ``InvalidRequest`` where it is made of something that cannot be searched for.
    """

    q: str | None = None
    pattern: str | None = None
    fields: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self.fields)
        self.matches  # noqa: B018 - so that what is wrong with it is said now

    @cached_property
    def matches(self) -> Test:
        """Whether a record with this message and this text of metadata is found."""
        tests = [field_test(field) for field in self.fields]
        if self.q is not None:
            tests.append(words_test(parse_terms(self.q)))
        if self.pattern is not None:
            finds = _compiled(self.pattern)
            tests.append(lambda message, _metadata: finds(message.encode()) is not None)
        if len(tests) == 1:
            return tests[0]
        return lambda message, metadata: all(test(message, metadata) for test in tests)

    @cached_property
    def required_words(self) -> frozenset[str]:
        """Folded words that every record that matches holds in its message or in values of its metadata."""
        words = {word for field in self.fields for word in field_words(field)}
        for term in [] if self.q is None else parse_terms(self.q):
            if not term.is_excluded:
                words.update(term.whole_words)
        return frozenset(words)


@lru_cache(maxsize=_PATTERNS_KEPT)
def _compiled(pattern: str) -> Callable[[bytes], object | None]:
    """What finds the pattern in UTF-8, in time linear in the text (https://github.com/google/re2/wiki/Syntax)."""
    # Imported here: it takes 10 ms, and most processes search for no pattern.
    import re2  # noqa: PLC0415

    if not 1 <= len(pattern) <= PATTERN_CHARS_MAX:
        raise InvalidRequest(f"pattern must have 1 to {PATTERN_CHARS_MAX} characters.")
    options = re2.Options()
    options.max_mem = PATTERN_MEMORY_BYTES_MAX
    options.never_capture = True
    # Else RE2 writes what callers got wrong to standard error.
    options.log_errors = False
    try:
        finds: Callable[[bytes], object | None] = re2.compile(pattern, options).search
    except re2.error as error:
        raise InvalidRequest(f"pattern is not a regular expression of RE2: {_reason(error)}.") from None
    finally:
        # The module keeps many more of them, each with its memory.
        re2.purge()
    return finds


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else b""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
