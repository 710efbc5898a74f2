"""What the server and its helper process say to each other: frames of MessagePack, each with a length and a number.

An answer carries the number of its request.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from simple_log_service.core.errors import InvalidRequest, LogServiceError, StoreBusy, StoreFull, StoreUnavailable
from simple_log_service.core.query import Page, Query
from simple_log_service.core.stats import Stats as Counted
from simple_log_service.core.stats import StatsQuery
from simple_log_service.stores.embedded.blocks import BlockRow
from simple_log_service.stores.embedded.handed_keys import Unwrapped
from simple_log_service.stores.embedded.merging import MergeJob

HEAD = struct.Struct("<II")
"""A frame's length, without this, and the number of its request."""


class Keys(msgspec.Struct, tag=True):
    """Data keys that are needed from now on."""

    unwrapped: list[Unwrapped]


class Forget(msgspec.Struct, tag=True):
    """A file is gone."""

    path: str


class Merge(msgspec.Struct, tag=True):
    """Merge chunks and blocks of a file; answered by the rows of the new blocks."""

    path: str
    job: MergeJob


class Recent(msgspec.Struct, tag=True):
    """Find records in files; answered by a page."""

    paths: list[str]
    query: Query
    seconds: float


class Stats(msgspec.Struct, tag=True):
    """Count records in files; answered by their counts."""

    paths: list[str]
    asked: StatsQuery
    seconds: float


Notice = Keys | Forget
Question = Merge | Recent | Stats
Request = Notice | Question
Result = list[BlockRow] | Page | Counted


class Merged(msgspec.Struct, tag=True):
    """The blocks that a merge wrote."""

    rows: list[BlockRow]


class Found(msgspec.Struct, tag=True):
    """A page of records."""

    page: Page


class CountsFound(msgspec.Struct, tag=True):
    """Counts."""

    stats: Counted


class Failed(msgspec.Struct, tag=True):
    """Something went wrong; ``kind`` is the error's class, where the caller may see it."""

    kind: str
    text: str


Answer = Merged | Found | CountsFound | Failed

_ERRORS: dict[str, type[LogServiceError]] = {
    error.__name__: error for error in (InvalidRequest, StoreFull, StoreBusy, StoreUnavailable)
}
_PACKER = msgspec.msgpack.Encoder()
_REQUEST = msgspec.msgpack.Decoder(Request)
_ANSWER = msgspec.msgpack.Decoder(Answer)


def pack(message: Request | Answer) -> bytes:
    """A message as bytes."""
    return _PACKER.encode(message)


def pack_result(result: Result) -> bytes:
    """What came of a request as an answer."""
    if isinstance(result, Page):
        return pack(Found(result))
    return pack(CountsFound(result) if isinstance(result, Counted) else Merged(result))


def pack_error(error: LogServiceError) -> bytes:
    """An error that a caller may see."""
    known = next((name for name, kind in _ERRORS.items() if isinstance(error, kind)), StoreUnavailable.__name__)
    return pack(Failed(known, str(error)))


def pack_unexpected(error: Exception) -> bytes:
    """Any other error: its class says where to look, its text might be somebody's data."""
    return pack(Failed(StoreUnavailable.__name__, f"The helper process failed: {type(error).__name__}."))


def unpack_answer(data: bytes) -> Result:
    """What came of a request; raises the error that there is instead."""
    answer = _ANSWER.decode(data)
    if isinstance(answer, Failed):
        raise _ERRORS.get(answer.kind, StoreUnavailable)(answer.text)
    if isinstance(answer, Merged):
        return answer.rows
    return answer.page if isinstance(answer, Found) else answer.stats


def frame(number: int, data: bytes) -> bytes:
    """A message as it is sent."""
    return HEAD.pack(len(data), number) + data


def requests(stream: BinaryIO) -> Iterator[tuple[int, Request]]:
    """Requests with their numbers, until the stream ends."""
    while len(head := stream.read(HEAD.size)) == HEAD.size:
        size, number = HEAD.unpack(head)
        yield number, _REQUEST.decode(stream.read(size))
