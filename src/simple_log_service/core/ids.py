"""Generated log ids: UUIDv7 (RFC 9562, section 5.7), computed from the arrival number and never stored.

A record's arrival number counts microseconds: it becomes the 48 bits of milliseconds and, in ``rand_a``, the
remainder of 0 to 999. ``rand_b`` is a nonce of the file that holds the record. So ids sort by arrival, and the id
of the record ``n`` places later is the one of the arrival number plus ``n``.
"""

from __future__ import annotations

import re

ARRIVAL_MAX = 2**48 * 1000 - 1
"""The largest arrival number that an id can carry: the year 10889."""

NONCE_BITS = 62

_UUID7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7([0-9a-f]{3})-([89ab][0-9a-f]{3})-([0-9a-f]{12})")


def log_id_of(arrival: int, nonce: int) -> str:
    """The id of the record with this arrival number, in a file with this 62-bit nonce."""
    milliseconds, microseconds = divmod(arrival, 1000)
    digits = f"{milliseconds:012x}7{microseconds:03x}{0b10 << NONCE_BITS | nonce:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def arrival_of(log_id: str) -> tuple[int, int] | None:
    """The arrival number and nonce behind a generated id; ``None`` for an id of another kind."""
    match = _UUID7.fullmatch(log_id)
    if match is None:
        return None
    high, low, microseconds, variant, rest = match.groups()
    if int(microseconds, 16) > 999:
        return None
    nonce = int(variant + rest, 16) & (2**NONCE_BITS - 1)
    return int(high + low, 16) * 1000 + int(microseconds, 16), nonce


def log_id_after(first: str, places: int) -> str:
    """The id ``places`` after a generated one, as receipts count them; ``ValueError`` for another kind of id."""
    parts = arrival_of(first)
    if parts is None:
        raise ValueError(f"{first!r} is not a generated log id")
    arrival, nonce = parts
    return log_id_of(arrival + places, nonce)
