r"""From input to records: plain lines, NDJSON, or a JSON document.

A record is never dropped in silence: what cannot be sent becomes a rejection with its place. Only empty lines are
passed over. Bytes of a plain line that are not UTF-8 are kept readable, as ``\xff``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import msgspec
from msgspec import UNSET, Raw, UnsetType

from simple_log_service.cli.exit_codes import NOT_ALL, Failed
from simple_log_service.cli.lines import LINE_BYTES_MAX, split_lines
from simple_log_service.client.batching import Sendable, Unsendable
from simple_log_service.core.limits import MIB
from simple_log_service.core.validation import JSON_ERRORS, MALFORMED

DOCUMENT_BYTES_MAX = 256 * MIB
"""A JSON document is read whole, since its end decides whether it is one."""

FORMATS = ("auto", "lines", "ndjson", "json")

Origin = tuple[str, int]
"""A record's place in the input: a text such as ``app.log:`` and the number that follows it."""
Entry = tuple[Origin, Sendable | Unsendable]

_BOM = b"\xef\xbb\xbf"
_JSON_ARRAY = re.compile(rb"\[\s*(?:[\]{]|\Z)")
_JSON_LOGS = re.compile(rb'\{\s*"logs"\s*:')
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_NOT_UTF8 = Unsendable(MALFORMED, "not valid JSON: not UTF-8")


class Fill(msgspec.Struct, frozen=True):
    """What records without these fields get; with ``time_now`` they lose their timestamps for the time of receipt."""

    service_name: str
    log_type: str
    level: str | None = None
    time_now: bool = False


class _Line(msgspec.Struct):
    service_name: str
    log_type: str
    message: str
    level: str | UnsetType = UNSET


def read_records(name: str, chunks: Iterator[bytes | None], log_format: str, fill: Fill) -> Iterator[Entry | None]:
    """The records of one input with their places, and ``None`` where it pauses.

    Raises ``Failed`` for a JSON document that is none, and the ``OSError`` of ``chunks``.
    """
    head, rest = _head(chunks)
    if log_format == "auto":
        log_format = guess_format(head)
    if log_format == "json":
        return _document_records(name, rest, fill)
    return _line_records(name, rest, _plain(fill) if log_format == "lines" else _filling(fill))


def guess_format(head: bytes) -> str:
    """The format of input that begins so; ``head`` holds the first line at least, if that is not enormous.

    A JSON document begins with ``[{``, ``{"logs":`` or a lone ``{``; NDJSON with any other ``{"``, or an object of
    one line. Whatever else there is are plain lines.
    """
    text = head.lstrip()
    if _JSON_ARRAY.match(text) or _JSON_LOGS.match(text):
        return "json"
    first_line = text.partition(b"\n")[0].strip()
    if first_line == b"{":
        return "json"
    return "ndjson" if first_line.startswith(b'{"') or _is_object(first_line) else "lines"


def _is_object(text: bytes) -> bool:
    try:
        _OBJECT.decode(text)
    except JSON_ERRORS:
        return False
    return True


def _head(chunks: Iterator[bytes | None]) -> tuple[bytes, Iterator[bytes | None]]:
    """The beginning of the input, and all of it; a byte order mark is not part of either."""
    head = b""
    for chunk in chunks:
        head += chunk or b""
        if b"\n" in head.lstrip() or len(head) > LINE_BYTES_MAX:
            break
    head = head.removeprefix(_BOM)
    return head, chain([head], chunks)


def _line_records(
    name: str, chunks: Iterator[bytes | None], record_of: Callable[[bytes], Sendable | Unsendable]
) -> Iterator[Entry | None]:
    prefix = f"{name}:"
    number = 0
    for line in split_lines(chunks):
        if line is None:
            yield None
            continue
        number += 1
        if isinstance(line, Unsendable):
            yield (prefix, number), line
        elif line:
            yield (prefix, number), record_of(line)


def _plain(fill: Fill) -> Callable[[bytes], Sendable]:
    level = fill.level or UNSET

    def record_of(line: bytes) -> Sendable:
        return _Line(fill.service_name, fill.log_type, line.decode("utf-8", "backslashreplace"), level)

    return record_of


def _filling(fill: Fill) -> Callable[[bytes], Sendable | Unsendable]:
    """Records as they are given, with what they lack. Raw text throughout: no number loses a digit."""
    defaults = {"service_name": fill.service_name, "log_type": fill.log_type, "level": fill.level}
    missing = {name: Raw(msgspec.json.encode(value)) for name, value in defaults.items() if value is not None}

    def record_of(text: bytes) -> Sendable | Unsendable:
        if not text.isascii():
            try:
                text.decode()
            except UnicodeDecodeError:
                return _NOT_UTF8
        try:
            fields = _OBJECT.decode(text)
        except JSON_ERRORS:
            # The service says what is wrong with it, and takes the others.
            return Raw(text)
        if fill.time_now:
            fields.pop("timestamp", None)
        return missing | fields

    return record_of


def _document_records(name: str, chunks: Iterable[bytes | None], fill: Fill) -> Iterator[Entry | None]:
    pieces: list[bytes] = []
    size_bytes = 0
    for chunk in chunks:
        pieces.append(chunk or b"")
        size_bytes += len(pieces[-1])
        if size_bytes > DOCUMENT_BYTES_MAX:
            raise Failed(
                f"{name} is a JSON document of more than {DOCUMENT_BYTES_MAX // MIB} MiB, which is too much to hold in "
                "memory. Make it one record a line, with jq -c '.[]' for example.",
                NOT_ALL,
            )
    record_of = _filling(fill)
    for number, raw in enumerate(_records_of(name, b"".join(pieces)), start=1):
        text = bytes(raw)
        yield (f"{name}, record ", number), record_of(msgspec.json.format(text, indent=-1) if b"\n" in text else text)


def _records_of(name: str, document: bytes) -> list[Raw]:
    """The records of ``[...]``, of ``{"logs": [...]}``, or the one record that the document is."""
    try:
        if document.lstrip()[:1] == b"[":
            return msgspec.json.decode(document, type=list[Raw])
        fields = _OBJECT.decode(document)
        if "logs" in fields and "message" not in fields:
            return msgspec.json.decode(fields["logs"], type=list[Raw])
    except JSON_ERRORS as error:
        raise Failed(
            f"{name} is not a JSON document of records: {error}. For other formats give --format.", NOT_ALL
        ) from None
    return [Raw(document)]
