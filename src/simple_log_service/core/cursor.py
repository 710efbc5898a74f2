"""Cursors: opaque to callers, to us a position, the range of the first page and a mark of the filters.

The range goes along since "the last 24 hours" moves on between pages: what was there at the first page must still come.
A cursor grants nothing: whoever forges one only asks another question that it could have asked without.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Annotated

import msgspec

from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import CURSOR_CHARS_MAX
from simple_log_service.core.query import Query
from simple_log_service.core.record import Position

_VERSION = 1

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What a store can compare with; a forged cursor could hold more."""


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a walk through the newest records has come to."""

    version: int
    timestamp: Int64
    arrival: Int64
    since_ns: Int64
    until_ns: Int64 | None
    filters: bytes
    reach_ns: Int64 | None


_DECODER = msgspec.msgpack.Decoder(Cursor)


def encode_cursor(query: Query, below: Position, reach_ns: int | None = None, *, use: str | None = None) -> str:
    """The cursor that goes on below this position with this query; ``reach_ns`` as the page says it.

    ``use`` is what is done with the records, where that is not to show them.
    """
    place = below.timestamp, below.arrival
    cursor = Cursor(_VERSION, *place, query.since_ns, query.until_ns, _mark(query, use), reach_ns)
    return urlsafe_b64encode(msgspec.msgpack.encode(cursor)).rstrip(b"=").decode()


def resume(query: Query, text: str, *, use: str | None = None) -> Query:
    """The query, going on where the cursor stands; ``InvalidRequest`` where it is none, or another query's."""
    cursor = _decode(text)
    if cursor is None or cursor.version != _VERSION:
        raise InvalidRequest("cursor is not one that this service gave.")
    if cursor.filters != _mark(query, use):
        raise InvalidRequest("cursor belongs to a query with other filters.")
    return msgspec.structs.replace(
        query,
        since_ns=cursor.since_ns,
        until_ns=cursor.until_ns,
        below=Position(cursor.timestamp, cursor.arrival),
        reach_ns=cursor.reach_ns,
    )


def time_of(text: str) -> int | None:
    """Down to which time the walk of this cursor has come, nanoseconds; ``None`` where it is not one of ours.

    For telling people: a cursor is opaque to whoever wants to rely on it.
    """
    cursor = _decode(text)
    return None if cursor is None or cursor.version != _VERSION else cursor.timestamp


def _decode(text: str) -> Cursor | None:
    if len(text) > CURSOR_CHARS_MAX:
        return None
    try:
        return _DECODER.decode(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (msgspec.DecodeError, binascii.Error, UnicodeError):
        return None


def _mark(query: Query, use: str | None) -> bytes:
    filters: list[object] = [query.service_name, query.log_type, query.level]
    if query.search is not None:
        filters.append(query.search)
    if use is not None:
        filters.append(use)
    return blake2b(msgspec.msgpack.encode(filters), digest_size=6).digest()
