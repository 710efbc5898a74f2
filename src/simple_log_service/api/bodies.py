"""Bodies: unpacked within bounds, and the format that their Content-Type names."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import zstandard

from simple_log_service.api.errors import body_too_large
from simple_log_service.core import errors
from simple_log_service.core.limits import BODY_UNPACKED_BYTES_MAX, MIB

_NDJSON_TYPES = frozenset(("application/x-ndjson", "application/ndjson", "application/jsonl"))

_ZSTD_WINDOW_BYTES_MAX = 8 * MIB
"""What RFC 8878, section 3.1.1.1.2, recommends that every decoder supports, and no more."""

_ZSTD_STEP_BYTES = 1024
"""A few bytes of zstd can stand for 128 KiB, so a bomb is fed in small steps and found out between them."""


def is_ndjson(content_type: str | None) -> bool:
    """Whether the body is one JSON value a line; every other type is read as JSON, as curl's default is."""
    return content_type is not None and content_type.partition(";")[0].strip().lower() in _NDJSON_TYPES


def unpack(body: bytes, content_encoding: str | None) -> bytes:
    """The body without its Content-Encoding, at most ``BODY_UNPACKED_BYTES_MAX``.

    Raises ``UnsupportedEncoding``, ``BodyTooLarge``, and ``InvalidRequest`` for truncated, damaged or trailing bytes.
    """
    encoding = (content_encoding or "identity").strip().lower()
    if encoding == "identity":
        return body
    unpacker = _UNPACKERS.get(encoding)
    if unpacker is None:
        raise errors.UnsupportedEncoding("Content-Encoding must be gzip, zstd or identity.")
    try:
        unpacked, rest = unpacker(body)
    except (zlib.error, zstandard.ZstdError):
        raise errors.InvalidRequest(f"The body is not valid {encoding}.") from None
    if rest is None:
        raise errors.InvalidRequest(f"The body ends before its {encoding} data does.")
    if rest:
        raise errors.InvalidRequest(f"The body goes on after its {encoding} data.")
    return unpacked


def _gunzip(body: bytes) -> tuple[bytes, bytes | None]:
    unpacker = zlib.decompressobj(wbits=31)
    unpacked = unpacker.decompress(body, BODY_UNPACKED_BYTES_MAX + 1)
    _check_size(len(unpacked))
    return unpacked, unpacker.unused_data if unpacker.eof else None


def _unzstd(body: bytes) -> tuple[bytes, bytes | None]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX).decompressobj()
    pieces: list[bytes] = []
    size = 0
    for start in range(0, len(body), _ZSTD_STEP_BYTES):
        if unpacker.eof:
            return b"".join(pieces), unpacker.unused_data + body[start:]
        pieces.append(unpacker.decompress(body[start : start + _ZSTD_STEP_BYTES]))
        size += len(pieces[-1])
        _check_size(size)
    return b"".join(pieces), unpacker.unused_data if unpacker.eof else None


_UNPACKERS: dict[str, Callable[[bytes], tuple[bytes, bytes | None]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,  # RFC 9110, section 8.4.1.3: equivalent to gzip.
    "zstd": _unzstd,
}


def _check_size(size_bytes: int) -> None:
    if size_bytes > BODY_UNPACKED_BYTES_MAX:
        raise body_too_large()
