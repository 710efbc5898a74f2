"""The rules of a log record, applied to one record at a time, with a reason for each refusal.

This is the careful way: it takes any JSON and explains. ``decode`` has the quick way for columns of plain records and
comes here for whatever it does not recognise; a property test holds the two equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Raw

from simple_log_service.core import limits
from simple_log_service.core.batch import METADATA_EMPTY, Batch
from simple_log_service.core.levels import LEVEL_DEFAULT, LEVELS, canonical_level
from simple_log_service.core.receipts import Rejection
from simple_log_service.core.retention import Kept
from simple_log_service.core.timestamps import format_timestamp, parse_timestamp

FIELDS = frozenset(("service_name", "log_type", "message", "level", "timestamp", "metadata", "log_id"))

# What a program reads of a rejection; the reason beside it is for people.
MALFORMED: Final = "Malformed"
MISSING_FIELD: Final = "MissingField"
INVALID_FIELD: Final = "InvalidField"
TOO_LARGE: Final = "TooLarge"
TOO_OLD: Final = "TimestampTooOld"
TOO_NEW: Final = "TimestampTooNew"
WRONG_SERVICE: Final = "WrongService"

_NO_CONTROLS = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)
_ANY_OBJECT = msgspec.json.Decoder(dict[str, Any])
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_LONG_INTEGER = re.compile(rb"[\[,:]-?[0-9]{%d,}[\],}]" % (limits.INTEGER_DIGITS_MAX + 1))
_WHITE_SPACE = b" \t\n\r"
_ALIKE = bytes.maketrans(b"[]{}", b"()()")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

# RecursionError is what msgspec raises for JSON nested deeper than the interpreter can follow.
JSON_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Rules(msgspec.Struct, frozen=True):
    """What the records of one request are held to.

    ``service_name`` is the one of the path, if it names one. ``now_ns`` is the time of receipt, in nanoseconds, and
    records must be in ``oldest_ns`` to ``newest_ns``. Where some kinds are kept for longer than others, ``kept`` says
    which records before ``oldest_ns`` are good all the same.
    """

    now_ns: int
    oldest_ns: int
    newest_ns: int
    service_name: str | None = None
    kept: Kept | None = None

    def oldest_of(self, service_name: str, log_type: str) -> int:
        """The oldest timestamp that a record of this service and type may have, nanoseconds."""
        return self.oldest_ns if self.kept is None else min(self.oldest_ns, self.kept.oldest_of(service_name, log_type))


class BadRecord(Exception):
    """Why one record is rejected."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def name_error(name: str, chars_max: int) -> str | None:
    """What is wrong with a service's or type's name, as the end of a sentence; ``None`` where nothing is."""
    # Outside the cache, which must not keep names of any length.
    return _characters_error(name) if 1 <= len(name) <= chars_max else f"must have 1 to {chars_max} characters"


def retention_error(by_service: Iterable[str], by_type: Iterable[str]) -> tuple[str, str] | None:
    """The setting that has a rule for a name that no record can have, which would never apply, and what is wrong."""
    for setting, names, chars_max in (
        ("retention_by_service", by_service, limits.SERVICE_NAME_CHARS_MAX),
        ("retention_by_type", by_type, limits.LOG_TYPE_CHARS_MAX),
    ):
        error = names_error(names, chars_max)
        if error is not None:
            return setting, error
    return None


def names_error(names: Iterable[str], chars_max: int) -> str | None:
    """What is wrong with the first bad one of some names, which it quotes; ``None`` where nothing is."""
    errors = ((name, name_error(name, chars_max)) for name in names)
    return next((f"{name!r} {error}" for name, error in errors if error is not None), None)


@lru_cache(maxsize=4096)
def _characters_error(name: str) -> str | None:
    if _NO_CONTROLS.fullmatch(name) is None:
        return "must not hold control characters"
    if name != name.strip():
        return "must not begin or end with white space"
    return None


def validate_each(raws: list[bytes | Raw], rules: Rules, *, single: bool) -> Batch:
    """Validate records one at a time; the good ones in columns, the others as rejections."""
    batch = Batch([], [], [], [], [], [], None, [], [], single=single)
    indexes: list[int] = []
    log_ids: list[str | None] = []
    for index, raw in enumerate(raws):
        try:
            service_name, log_type, level, timestamp, message, metadata, log_id = _validate(raw, index, rules)
        except BadRecord as bad:
            batch.rejected.append(Rejection(index, bad.code, bad.reason))
            continue
        indexes.append(index)
        batch.service_names.append(service_name)
        batch.log_types.append(log_type)
        batch.levels.append(level)
        batch.timestamps.append(timestamp)
        batch.messages.append(message)
        batch.metadata.append(metadata)
        log_ids.append(log_id)
    batch.indexes = indexes if batch.rejected else range(len(indexes))
    batch.log_ids = log_ids if any(log_id is not None for log_id in log_ids) else None
    return batch


def _validate(raw: bytes | Raw, index: int, rules: Rules) -> tuple[str, str, str, int, str, bytes, str | None]:
    if memoryview(raw).nbytes > limits.RECORD_JSON_BYTES_MAX:
        # Before anything looks into it: a million distinct names cost a second of one call that nothing interrupts.
        raise BadRecord(TOO_LARGE, f"the record's JSON has more than {limits.RECORD_JSON_BYTES_MAX} bytes")
    try:
        fields = _OBJECT.decode(raw)
    except msgspec.ValidationError:
        raise BadRecord(INVALID_FIELD, "a record must be a JSON object") from None
    except JSON_ERRORS as error:
        raise BadRecord(MALFORMED, f"not valid JSON: {_explain(error)}") from None
    service_name = _service_name(fields, rules)
    log_type = _name(fields, "log_type", limits.LOG_TYPE_CHARS_MAX)
    message = _text(fields, "message")
    level = _level(fields)
    timestamp = _timestamp(fields, rules.now_ns + index)
    log_id = _log_id(fields)
    metadata = _metadata(fields)
    size = len(message.encode()) + len(metadata)
    size += sum(len(name.encode()) for name in (service_name, log_type, log_id or ""))
    _require_size(size)
    if timestamp < rules.oldest_of(service_name, log_type):
        raise BadRecord(TOO_OLD, f"timestamp is older than the retention: {format_timestamp(timestamp)}")
    if timestamp > rules.newest_ns:
        minutes = limits.FUTURE_NS_MAX // (60 * limits.SECOND_NS)
        raise BadRecord(TOO_NEW, f"timestamp is more than {minutes} minutes ahead: {format_timestamp(timestamp)}")
    return service_name, log_type, level, timestamp, message, metadata, log_id


def _text(fields: dict[str, Raw], name: str) -> str:
    raw = fields.get(name)
    if raw is None:
        raise BadRecord(MISSING_FIELD, f"{name} is missing")
    try:
        return _TEXT.decode(raw)
    except msgspec.ValidationError:
        raise BadRecord(INVALID_FIELD, f"{name} must be a string") from None
    except JSON_ERRORS as error:
        raise BadRecord(INVALID_FIELD, f"{name} is not valid text: {_explain(error)}") from None


def _name(fields: dict[str, Raw], field: str, chars_max: int) -> str:
    name = _text(fields, field)
    error = name_error(name, chars_max)
    if error is not None:
        raise BadRecord(INVALID_FIELD, f"{field} {error}")
    return name


def _service_name(fields: dict[str, Raw], rules: Rules) -> str:
    if rules.service_name is None:
        return _name(fields, "service_name", limits.SERVICE_NAME_CHARS_MAX)
    if "service_name" not in fields:
        return rules.service_name
    if _text(fields, "service_name") != rules.service_name:
        raise BadRecord(WRONG_SERVICE, "service_name is not the service of the path")
    return rules.service_name


def _level(fields: dict[str, Raw]) -> str:
    if "level" not in fields:
        return LEVEL_DEFAULT
    level = canonical_level(_text(fields, "level"))
    if level is None:
        raise BadRecord(INVALID_FIELD, f"level is not one of {', '.join(LEVELS)}")
    return level


def _timestamp(fields: dict[str, Raw], default_ns: int) -> int:
    raw = fields.get("timestamp")
    if raw is None:
        return default_ns
    try:
        return parse_timestamp(bytes(raw).decode())
    except ValueError as error:
        raise BadRecord(INVALID_FIELD, str(error)) from None


def _log_id(fields: dict[str, Raw]) -> str | None:
    if "log_id" not in fields:
        return None
    log_id = _text(fields, "log_id")
    if not 1 <= len(log_id) <= limits.LOG_ID_CHARS_MAX:
        raise BadRecord(INVALID_FIELD, f"log_id must have 1 to {limits.LOG_ID_CHARS_MAX} characters")
    return log_id


def _metadata(fields: dict[str, Raw]) -> bytes:
    """The metadata's text, unknown fields folded in; a field that is there already wins."""
    given = fields.get("metadata")
    unknown = {name: value for name, value in fields.items() if name not in FIELDS}
    if given is None and not unknown:
        return METADATA_EMPTY
    text = METADATA_EMPTY if given is None else bytes(given)
    if text[:1] != b"{":
        raise BadRecord(INVALID_FIELD, "metadata must be a JSON object")
    try:
        if unknown:
            text = msgspec.json.encode(unknown | _OBJECT.decode(text))
        # A record's metadata is one line in storage; white space between tokens has no meaning.
        if b"\n" in text:
            text = msgspec.json.format(text, indent=-1)
        # Before parsing, which takes many times the room of the text.
        _require_size(len(text))
        _ANY_OBJECT.decode(text)
    except JSON_ERRORS as error:
        raise BadRecord(INVALID_FIELD, f"metadata is not valid JSON: {_explain(error)}") from None
    bad = _metadata_error(text)
    if bad is not None:
        raise BadRecord(INVALID_FIELD, bad)
    return text


def _require_size(size_bytes: int) -> None:
    if size_bytes > limits.RECORD_BYTES_MAX:
        raise BadRecord(TOO_LARGE, f"the record has {size_bytes} bytes; at most {limits.RECORD_BYTES_MAX} are allowed")


def _metadata_error(text: bytes) -> str | None:
    """What is wrong with an object that is valid JSON; by its text, since walking through 100,000 values takes long."""
    structure = _STRING.sub(b'""', text).translate(None, _WHITE_SPACE)
    if _LONG_INTEGER.search(structure) is not None:
        return f"metadata holds an integer of more than {limits.INTEGER_DIGITS_MAX} digits"
    # Each round takes away the innermost level, whichever brackets it has.
    levels = structure.translate(_ALIKE, _NO_BRACKETS)
    for _ in range(limits.METADATA_DEPTH_MAX):
        levels = levels.replace(b"()", b"")
    return f"metadata is nested more than {limits.METADATA_DEPTH_MAX} deep" if levels else None


def _explain(error: Exception) -> str:
    """The decoder's own words, without positions inside a fragment that the caller cannot see."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return str(error).split(" - at ", maxsplit=1)[0].split(" (byte ", maxsplit=1)[0]
