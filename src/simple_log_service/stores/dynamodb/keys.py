"""The table's keys: positions as DynamoDB Numbers, and the reserved partitions beside those of the services.

A Number holds 38 significant digits. Nineteen are a record's nanoseconds, nineteen after the point a tie, which the
service alone makes: from the arrival number and the nonce that also make the generated id. So no caller chooses a key;
two requests meet on one only where timestamp, microsecond and 37 bits of a hash agree; and within a minute ties stand
in their order of arrival.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from simple_log_service.core.ids import log_id_of
from simple_log_service.core.limits import DAY_NS, LOG_TYPES_PER_DAY_MAX
from simple_log_service.core.record import Position

PARTITION_KEY = "service_name"
SORT_KEY = "timestamp"
INDEX_NAME = "TimestampIndex"
INDEX_KEY = "log_type"
EXPIRES = "expires"
"""The attribute for time to live: seconds since the epoch."""

RESERVED = "\x1f"
"""Begins every partition that is no service's: a name holds no control characters."""
TYPES_PARTITION = f"{RESERVED}types"

_TIE_DIGITS = 19
_NONCE_BITS = 37
_ARRIVAL_BITS = 26
_ARRIVALS = 1 << _ARRIVAL_BITS
"""Arrival numbers count microseconds, so ties keep their order within 67 seconds."""
TIE_MAX = (1 << _ARRIVAL_BITS + _NONCE_BITS) - 1


class Key(NamedTuple):
    """A primary key. The position's second part is a tie; of a reserved item both are what its kind says."""

    partition: str
    position: Position


def tie_of(arrival: int, nonce: int) -> int:
    """What orders records of one instant: below 2^63, hence at most 19 digits."""
    round_, step = divmod(arrival, _ARRIVALS)
    return step << _NONCE_BITS | _mark_of(round_, nonce)


@lru_cache(maxsize=1024)
def _mark_of(round_: int, nonce: int) -> int:
    """What tells apart records of one instant whose arrivals are rounds of 67 seconds, or processes, apart."""
    digest = blake2b(b"%d %d" % (round_, nonce), digest_size=8).digest()
    return int.from_bytes(digest) >> 64 - _NONCE_BITS


def log_id_of_tie(tie: int, arrival_first: int, nonce: int) -> str:
    """The generated id of a record, from its tie and the first arrival number of its request."""
    arrival = arrival_first + ((tie >> _NONCE_BITS) - arrival_first) % _ARRIVALS
    return log_id_of(arrival, nonce)


def first_unbroken(arrival: int, count: int) -> int:
    """The first arrival number from this one on after which so many ties rise without beginning anew."""
    return arrival if arrival % _ARRIVALS + count <= _ARRIVALS else -(-arrival // _ARRIVALS) * _ARRIVALS


def number_of(position: Position) -> str:
    """The sort key's Number."""
    return f"{position.timestamp}.{position.arrival:0{_TIE_DIGITS}d}"


def position_of(number: str) -> Position:
    """The position behind a Number; DynamoDB trims zeros at its end, and compatible engines may write an exponent."""
    timestamp, _, tie = (number if "E" not in number else f"{Decimal(number):f}").partition(".")
    return Position(int(timestamp), int(tie.ljust(_TIE_DIGITS, "0")))


def body_partition(service_name: str) -> str:
    """Where the bodies of a service's entries are."""
    return f"{RESERVED}body{RESERVED}{service_name}"


def retry_key(owner: str, key: str) -> Key:
    """Of the claim on an Idempotency-Key. A partition of its own: claims spread over the table."""
    return Key(f"{RESERVED}retry{RESERVED}{_digest(owner, key)}", Position(0, 0))


def log_id_key(service_name: str, log_id: str) -> Key:
    """Of the marker of a caller's own id."""
    return Key(f"{RESERVED}id{RESERVED}{_digest(service_name, log_id)}", Position(0, 0))


def type_slots(day: int) -> range:
    """The sort keys of a day's types, days counted since the epoch."""
    return range(day * LOG_TYPES_PER_DAY_MAX, (day + 1) * LOG_TYPES_PER_DAY_MAX)


def day_of(timestamp_ns: int) -> int:
    """The UTC day of a timestamp, counted since the epoch."""
    return timestamp_ns // DAY_NS


def index_value(log_type: str, arrival: int, shards: int) -> str:
    """The index's partition of a record or chunk: its type, and for a type in shards one of them."""
    return log_type if shards <= 1 else f"{log_type}{RESERVED}{arrival % shards:02d}"


def index_values(log_type: str, shards: int) -> list[str]:
    """Every partition of the index that a type may be in. The plain one was in use before there were shards."""
    return [log_type] + [f"{log_type}{RESERVED}{shard:02d}" for shard in range(shards if shards > 1 else 0)]


def log_type_of(value: str) -> str:
    """The type behind a partition of the index."""
    return value.partition(RESERVED)[0]


def _digest(*parts: str) -> str:
    text = b"".join(b"%d:%b" % (len(part.encode()), part.encode()) for part in parts)
    return blake2b(text, digest_size=16).hexdigest()
