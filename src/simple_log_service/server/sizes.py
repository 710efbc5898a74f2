"""Sizes as operators write them: ``50GiB``, ``500MB``, or a plain number of bytes."""

from __future__ import annotations

import re
from decimal import Decimal

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?(?:([kmgt]i?)?b)?", re.IGNORECASE)
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str) -> int:
    """The bytes of a size. Units are decimal (kB, MB, GB, TB) or binary (KiB, MiB, GiB, TiB), in any case.

    Raises ``ValueError`` with the end of a sentence. A fraction of a byte is left out.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be a size like 50GiB or 500MB")
    number, unit = match[1], (match[2] or "").lower()
    if not unit:
        return int(Decimal(number))
    return int(Decimal(number) * (1024 if unit.endswith("i") else 1000) ** _POWERS[unit[0]])
