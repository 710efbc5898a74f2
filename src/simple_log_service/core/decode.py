"""From a request's body to a batch: the quick way, in columns.

The whole body is decoded into structs at once, then checked column by column: per record only C code and one
comprehension a column. Whatever is not plain (an unknown field, mixed timestamps, a name out of bounds, a level
spelled unheard of) sends the batch through ``validation``, which looks at each record and explains. Neither way
decides differently: what is quick is only the absence of questions.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from itertools import islice
from operator import ge
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from simple_log_service.core import limits
from simple_log_service.core.batch import METADATA_EMPTY, Batch
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.levels import LEVEL_DEFAULT, canonical_level
from simple_log_service.core.timestamps import parse_column
from simple_log_service.core.validation import JSON_ERRORS, Rules, name_error, validate_each

_WHITE_SPACE = b" \t\n\r"
"""JSON's, RFC 8259, section 2: less than what Python strips by itself."""

_ABSENT = Raw(b"")
_EMPTY = Raw(METADATA_EMPTY)


class _Wire(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A plain record as it stands in a body; the order of fields is the order of columns in ``_columns``.

    What is required ends a body of millions of empty records at the first of them.
    """

    log_type: str
    message: str
    service_name: str | UnsetType = UNSET
    level: str = LEVEL_DEFAULT
    timestamp: Raw = _ABSENT
    metadata: Raw = _EMPTY
    log_id: str | UnsetType = UNSET


class _Envelope(msgspec.Struct, gc=False):
    """What tells ``{"logs": [...]}`` from a record, in any object."""

    logs: Raw = _ABSENT
    message: Raw = _ABSENT


class _OnlyLogs(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    logs: Raw


_RAWS = msgspec.json.Decoder(list[Raw])
_ONE = msgspec.json.Decoder(_Wire)
_MANY = msgspec.json.Decoder(list[_Wire])
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ONLY_LOGS = msgspec.json.Decoder(_OnlyLogs)
_OBJECT = msgspec.json.Decoder(dict[str, Any])

# A run of digits too long for an integer is found by turning every digit into 0 first: much faster than a pattern.
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_INTEGER = b"0" * (limits.INTEGER_DIGITS_MAX + 1)
_NAMES_BYTES_MAX = 4 * (limits.SERVICE_NAME_CHARS_MAX + limits.LOG_TYPE_CHARS_MAX + limits.LOG_ID_CHARS_MAX)


def decode_batch(body: bytes, rules: Rules, *, ndjson: bool = False) -> Batch:
    """Decode and validate a body: one record, an array, ``{"logs": [...]}``, or NDJSON.

    Raises ``InvalidRequest`` where the body as a whole cannot be read; a bad record only lands in ``rejected``.
    """
    if not body.isascii():
        try:
            # The decoder skips over the text of raw fields, so UTF-8 is checked once over everything.
            body.decode()
        except UnicodeDecodeError:
            raise InvalidRequest("The body is not UTF-8.") from None
    return _decode_lines(body, rules) if ndjson else _decode_json(body, rules)


def _decode_json(body: bytes, rules: Rules) -> Batch:
    try:
        if body.lstrip()[:1] == b"[":
            return _decode_array(body, rules)
        return _decode_object(body, rules)
    except RecursionError:
        raise InvalidRequest("The body is not valid JSON: nested too deep.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        goes_on = "trailing characters" in str(error)
        hint = " Several JSON lines need Content-Type: application/x-ndjson." if goes_on else ""
        raise InvalidRequest(f"The body is not valid JSON: {error}.{hint}") from None


def _decode_array(array: bytes | Raw, rules: Rules) -> Batch:
    try:
        batch = _columns(_MANY.decode(array), rules)
    except JSON_ERRORS:
        batch = None
    if batch is not None:
        return batch
    raws = _elements(array)
    _require_count(len(raws))
    return validate_each(raws, rules, single=False)


@cache
def _first_raws() -> msgspec.json.Decoder[msgspec.Struct]:
    """Reads an array's first elements, one more than a request may hold, and skips over what comes behind them.

    They are fields of a struct, which takes a while to make: a start waits for it only where it is needed.
    """
    fields = [(f"element_{place}", Raw, _ABSENT) for place in range(limits.REQUEST_RECORDS_MAX + 1)]
    return msgspec.json.Decoder(msgspec.defstruct("_Elements", fields, array_like=True, gc=False))


def _elements(array: bytes | Raw) -> list[bytes | Raw]:
    """The array's elements; of a long array no more than are needed to see that they are too many."""
    if len(array) < limits.MIB:
        return cast("list[bytes | Raw]", _RAWS.decode(array))
    # A list of tiny elements would take forty times the room of its text.
    first = msgspec.structs.astuple(_first_raws().decode(array))
    return list(first[: first.index(_ABSENT)] if _ABSENT in first else first)


def _decode_object(body: bytes, rules: Rules) -> Batch:
    try:
        batch = _columns([_ONE.decode(body)], rules, single=True)
        if batch is not None:
            return batch
    except JSON_ERRORS:
        pass
    try:
        envelope = _ENVELOPE.decode(body)
    except msgspec.ValidationError:
        raise InvalidRequest('The body must be a record, an array of records or {"logs": [...]}.') from None
    if envelope.logs == _ABSENT or envelope.message != _ABSENT:
        return validate_each([body], rules, single=True)
    try:
        logs = _ONLY_LOGS.decode(body).logs
    except msgspec.ValidationError:
        # Dropping the other members in silence could drop what the caller meant for every record.
        raise InvalidRequest('The body must hold nothing beside "logs".') from None
    if not bytes(logs).startswith(b"["):
        raise InvalidRequest('"logs" must be an array of records.')
    return _decode_array(logs, rules)


def _decode_lines(body: bytes, rules: Rules) -> Batch:
    stripped = (line.strip(_WHITE_SPACE) for line in BytesIO(body))
    lines: list[bytes | Raw] = list(islice(filter(None, stripped), limits.REQUEST_RECORDS_MAX + 1))
    _require_count(len(lines))
    # A line that begins with { and ends with } begins and ends a value, if the whole is valid JSON text at all:
    # no string holds a raw newline, and nothing but a value's end may stand between } and {.
    if all(line[:1] == b"{" and line[-1:] == b"}" for line in lines):
        try:
            records = _ONE.decode_lines(body)
            batch = _columns(records, rules) if len(records) == len(lines) else None
        except JSON_ERRORS:
            batch = None
        if batch is not None:
            return batch
    return validate_each(lines, rules, single=False)


def _require_count(records: int) -> None:
    if records == 0:
        raise InvalidRequest("The body holds no records.")
    if records > limits.REQUEST_RECORDS_MAX:
        raise InvalidRequest(f"A request holds at most {limits.REQUEST_RECORDS_MAX} records.")


def _columns(records: list[_Wire], rules: Rules, *, single: bool = False) -> Batch | None:
    """The records as a batch, where every one of them is plain and good; ``None`` where one may not be."""
    _require_count(len(records))
    columns = zip(*map(msgspec.structs.astuple, records), strict=True)
    log_types, messages, service_names, levels, timestamps, metadata, log_ids = map(list, columns)
    # No record of a small body can be too large; for others a bound from above is enough here.
    if 4 * max(map(len, messages)) + max(map(len, metadata)) + _NAMES_BYTES_MAX > limits.RECORD_BYTES_MAX:
        return None
    named = _service_names(service_names, rules)
    graded = _levels(levels)
    timed = _timestamps(timestamps, rules)
    lines = _metadata(metadata)
    if named is None or graded is None or timed is None or lines is None:
        return None
    if not _good_log_ids(log_ids) or not _good_log_types(log_types) or not _is_kept(named, log_types, timed, rules):
        return None
    given = None if log_ids.count(UNSET) == len(log_ids) else [None if i is UNSET else i for i in log_ids]
    indexes = range(len(records))
    return Batch(named, log_types, graded, timed, messages, lines, given, indexes, [], single=single)


def _service_names(names: list[Any], rules: Rules) -> list[str] | None:
    distinct = set(names)
    if rules.service_name is not None:
        return [rules.service_name] * len(names) if distinct <= {UNSET, rules.service_name} else None
    if UNSET in distinct or any(name_error(name, limits.SERVICE_NAME_CHARS_MAX) for name in distinct):
        return None
    return names


def _good_log_types(log_types: list[Any]) -> bool:
    return not any(name_error(name, limits.LOG_TYPE_CHARS_MAX) for name in set(log_types))


def _levels(levels: list[Any]) -> list[str] | None:
    canonical = {level: canonical_level(level) for level in set(levels)}
    if None in canonical.values():
        return None
    return [cast("str", canonical[level]) for level in levels]


def _timestamps(texts: list[Any], rules: Rules) -> list[int] | None:
    if _ABSENT in texts:
        # Receipt times rise by a nanosecond a record, which keeps the batch's order.
        all_absent = texts.count(_ABSENT) == len(texts)
        return list(range(rules.now_ns, rules.now_ns + len(texts))) if all_absent else None
    column = parse_column(texts)
    return None if column is None or max(column) > rules.newest_ns else column


def _is_kept(service_names: list[str], log_types: list[str], timestamps: list[int], rules: Rules) -> bool:
    """Whether no record is older than its kind is kept."""
    if min(timestamps) >= rules.oldest_ns:
        return True
    if rules.kept is None:
        return False
    kinds = list(zip(service_names, log_types, strict=True))
    oldest = {kind: rules.oldest_of(*kind) for kind in set(kinds)}
    return all(map(ge, timestamps, map(oldest.__getitem__, kinds)))


def _metadata(texts: list[Any]) -> list[bytes] | None:
    joined = b"\n".join(texts)
    lines = joined.split(b"\n")
    if len(lines) != len(texts) or _LONG_INTEGER in joined.translate(_DIGITS_TO_ZERO):
        return None
    if lines.count(METADATA_EMPTY) == len(lines):
        return lines
    # Where the brackets beyond each record's own are few, none can nest too deep; otherwise they are counted by record.
    if joined.count(b"{") + joined.count(b"[") - len(lines) >= limits.METADATA_DEPTH_MAX and any(
        line.count(b"{") + line.count(b"[") > limits.METADATA_DEPTH_MAX for line in lines
    ):
        return None
    # One at a time, so that only one is ever unfolded in memory.
    for line in lines:
        _OBJECT.decode(line)
    return lines


def _good_log_ids(log_ids: list[Any]) -> bool:
    return all(log_id is UNSET or 1 <= len(log_id) <= limits.LOG_ID_CHARS_MAX for log_id in log_ids)
