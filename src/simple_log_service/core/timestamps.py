"""Timestamps: from RFC 3339 text or numbers to integer nanoseconds since the epoch, and back.

Numbers are read as decimal text, since a double cannot hold today's nanoseconds. Their unit follows from their size:
below 1e11 seconds, below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds. Anything finer than a
nanosecond is refused, never rounded.

One parser takes a single timestamp and explains what is wrong with it; another takes a whole column of a well-formed
kind at a fraction of the cost, and gives up (``None``) where it meets anything unusual. A test holds them equal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from msgspec import Raw

from simple_log_service.core.limits import DAY_NS, HOUR_NS, SECOND_NS

TIMESTAMP_NS_MAX = 2**63 - 1
"""The year 2262: what a signed 64-bit integer holds."""
DURATION_UNITS_NS = {"d": DAY_NS, "h": HOUR_NS, "m": 60 * SECOND_NS, "s": SECOND_NS}
"""What stands behind the number in ``10m`` or ``3d``, the largest first."""

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_UTC_COLUMN = re.compile(rb'(?:"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](?:\.[0-9]{1,9})?Z",)*')
_INTEGER_COLUMN = re.compile(rb"(?:[0-9]{1,19},)*")

_UNITS_NS = ((10**11, SECOND_NS), (10**14, 10**6), (10**17, 10**3))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MINUTES_MAX = 65_536


def parse_timestamp(text: str) -> int:
    """One timestamp as it stands in JSON (a quoted string or a number) in nanoseconds; ``ValueError`` says why not."""
    if text.startswith('"'):
        # Some encoders escape the plus sign of an offset.
        return parse_rfc3339(msgspec.json.decode(text, type=str) if "\\" in text else text[1:-1])
    return parse_epoch(text)


def parse_rfc3339(text: str) -> int:
    """RFC 3339, section 5.6, with an offset, in nanoseconds since the epoch."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("timestamp is not RFC 3339 with an offset")
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    offset = timedelta()
    if sign is not None:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            raise ValueError("timestamp has an impossible offset")
        offset = int(sign + "1") * timedelta(hours=int(offset_hours), minutes=int(offset_minutes))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - offset
    except (ValueError, OverflowError) as error:
        raise ValueError(f"timestamp is not a date and time: {error}") from None
    digits = (fraction or "").rstrip("0")
    if len(digits) > 9:
        raise ValueError("timestamp is finer than a nanosecond")
    return (moment - _EPOCH) // _SECOND * SECOND_NS + int(digits.ljust(9, "0"))


def parse_epoch(text: str) -> int:
    """A decimal number since the epoch, its unit told by its size, in nanoseconds."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("timestamp is neither RFC 3339 text nor a number")
    number = Decimal(text)
    if number < 0:
        raise ValueError("timestamp is before 1970")
    if number > TIMESTAMP_NS_MAX:
        raise ValueError("timestamp is after 2262")
    unit_ns = _unit_ns(number)
    # Integers throughout, so that no context's precision rounds; copy_abs() makes -0 a plain 0.
    _, digits, exponent = number.copy_abs().as_tuple()
    assert isinstance(exponent, int)
    integer: int = int("".join(map(str, digits))) * unit_ns
    if exponent >= 0:
        return integer * int(10**exponent)
    nanoseconds, finer = divmod(integer, int(10**-exponent))
    if finer:
        raise ValueError("timestamp is finer than a nanosecond")
    return nanoseconds


def parse_column(texts: Sequence[bytes | Raw]) -> list[int] | None:
    """A column of timestamps, each as it stands in JSON, or ``None`` where it is not of one plain kind.

    Plain are RFC 3339 in UTC, and integers of one unit.
    """
    joined = b",".join(texts) + b","
    if joined.startswith(b'"'):
        if _UTC_COLUMN.fullmatch(joined) is None:
            return None
        minutes = _MINUTES
        try:
            # Seconds and fraction as one number of eleven digits, the fraction filled up to nanoseconds.
            return [
                minutes[text[1:17]] + int((text[18:20] + text[21:-2]).ljust(11, "0"))
                for text in joined[:-1].decode("ascii").split(",")
            ]
        except ValueError:
            return None
    if _INTEGER_COLUMN.fullmatch(joined) is None:
        return None
    numbers = list(map(int, joined[:-1].split(b",")))
    unit_ns = _unit_ns(min(numbers))
    if unit_ns != _unit_ns(max(numbers)) or max(numbers) > TIMESTAMP_NS_MAX:
        return None
    return numbers if unit_ns == 1 else [number * unit_ns for number in numbers]


class _Minutes(dict[str, int]):
    """Nanoseconds at the start of a minute written ``2026-01-01T00:00``; remembers, since logs cluster in time."""

    def __missing__(self, minute: str) -> int:
        if len(self) >= _MINUTES_MAX:
            self.clear()
        nanoseconds = self[minute] = parse_rfc3339(minute + ":00Z")
        return nanoseconds


_MINUTES = _Minutes()


def format_timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with 0, 3, 6 or 9 fractional digits, as few as say it exactly."""
    seconds, fraction = divmod(nanoseconds, SECOND_NS)
    # Cut off is the offset; strftime would not fill up years before 1000.
    whole = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    if fraction == 0:
        return whole + "Z"
    if fraction % 10**6 == 0:
        return f"{whole}.{fraction // 10**6:03d}Z"
    if fraction % 10**3 == 0:
        return f"{whole}.{fraction // 10**3:06d}Z"
    return f"{whole}.{fraction:09d}Z"


def _unit_ns(number: int | Decimal) -> int:
    for bound, unit_ns in _UNITS_NS:
        if number < bound:
            return unit_ns
    return 1
