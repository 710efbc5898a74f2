"""Fields of the metadata that have to equal a value: ``metadata.KEY=VALUE``.

KEY is a name in the metadata, or, where an object has no such name, names of nested objects joined by dots. VALUE is a
string, character for character; a number, in any of its decimal spellings; or ``true``, ``false``, ``null``. Whole
objects and arrays equal nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

import msgspec
from msgspec import Raw

from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import FIELD_KEY_CHARS_MAX, FIELD_VALUE_CHARS_MAX, FIELDS_MAX
from simple_log_service.core.words import Test, words_of

Field = tuple[str, str]
"""A key and a value."""

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)
# RFC 8259, section 6.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NAMES = frozenset(("true", "false", "null"))


def check_fields(fields: tuple[Field, ...]) -> None:
    """Hold the fields to their bounds; ``InvalidRequest``."""
    if len(fields) > FIELDS_MAX:
        raise InvalidRequest(f"At most {FIELDS_MAX} fields of the metadata may be asked for.")
    for key, value in fields:
        if not 1 <= len(key) <= FIELD_KEY_CHARS_MAX:
            raise InvalidRequest(f"After metadata. must come a key of 1 to {FIELD_KEY_CHARS_MAX} characters.")
        if not 1 <= len(value) <= FIELD_VALUE_CHARS_MAX:
            raise InvalidRequest(f"metadata.{key[:64]} must have 1 to {FIELD_VALUE_CHARS_MAX} characters.")


def field_words(field: Field) -> list[str]:
    """Words that a value which equals the field's must hold: none of a number, which has many spellings."""
    return [] if _number(field[1]) is not None else words_of(field[1])


def field_test(field: Field) -> Test:
    """Whether a record's metadata has the field."""
    key, value = field
    number = _number(value)
    # A look at the text passes over most records: what is not escaped stands in it as it is.
    key_end = (key.rpartition(".")[2] + '"').encode()
    quoted = b"" if number is not None or value in _NAMES else f'"{value}"'.encode()

    def equals(raw: bytes) -> bool:
        if raw[:1] == b'"':
            return _TEXT.decode(raw) == value
        if raw[:1] in b"-0123456789":
            return number is not None and _number(raw.decode()) == number
        return value in _NAMES and raw == value.encode()

    def test(_message: str, metadata: bytes) -> bool:
        if (key_end not in metadata or quoted not in metadata) and b"\\" not in metadata:
            return False
        return any(map(equals, _values_at(metadata, key)))

    return test


def _values_at(text: bytes, key: str) -> Iterator[bytes]:
    """The values in the object under this key, or under the paths that are written so where it has no such key."""
    fields = _OBJECT.decode(text)
    if key in fields:
        yield bytes(fields[key])
        return
    dot = key.find(".")
    while dot != -1:
        inner = bytes(fields.get(key[:dot], b""))
        if inner[:1] == b"{":
            yield from _values_at(inner, key[dot + 1 :])
        dot = key.find(".", dot + 1)


def _number(text: str) -> Decimal | None:
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        # Its exponent has more than 18 digits.
        return None
