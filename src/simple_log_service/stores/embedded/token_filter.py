"""Token filters: which words may stand in a group of leaves.

A Bloom filter of fixed size with three probes, all taken from the CRC-32 of a folded word, so that a word's places are
the same in every filter. A group is closed once it has about ``FILTER_WORDS`` distinct words; a filter that says no is
right then, and one that says yes is wrong in about 3 of 100 cases. Words of under ``WORD_BYTES_MIN`` bytes are
everywhere, and telling where costs more than looking: they are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple
from zlib import crc32

from simple_log_service.core.words import words_of
from simple_log_service.stores.packing import from_bytes, to_bytes

WORD_BYTES_MIN = 4
_BITS = 1 << 16
"""A probe is 16 bits of the hash as they stand: no arithmetic for each word."""
FILTER_WORDS = _BITS // 10
"""About nine bits a word, since a leaf goes whole into a filter; more words make it say yes more often."""

_SET = ord("1")
"""A cell stands for a bit while a filter is built: base 2, as a text."""

_WORD_BYTES = bytes(code if chr(code).isalnum() or code == ord("_") else ord(" ") for code in range(128)).lower()
_FOLDED = _WORD_BYTES + b" " * 128
"""ASCII letters to small ones, everything that is no part of a word to a space."""


class Probe(NamedTuple):
    """A byte of a filter and the bit in it."""

    byte: int
    bit: int


def folded_words(text: bytes) -> Iterable[bytes]:
    """The words of a text in UTF-8, as a search folds them."""
    if text.isascii():
        return text.translate(_FOLDED).split()
    return map(str.encode, words_of(text.decode()))


def build_filter(words: Collection[bytes]) -> bytes:
    """The filter of these folded words."""
    hashes = to_bytes("I", [crc32(word) for word in words if len(word) >= WORD_BYTES_MIN])
    cells = bytearray(b"0") * _BITS
    for place in from_bytes("H", hashes):
        cells[place] = _SET
    for place in from_bytes("H", hashes[1:] + b"\0" * (len(hashes) > 0))[::2]:
        cells[place] = _SET
    return int(cells, 2).to_bytes(_BITS // 8, "big")


def probes(words: Iterable[str]) -> list[Probe]:
    """Where a filter has to say yes if all of these folded words are there."""
    hashes = [crc32(word) for word in map(str.encode, words) if len(word) >= WORD_BYTES_MIN]
    places = (place for each in hashes for place in (each & 0xFFFF, each >> 16, each >> 8 & 0xFFFF))
    return [Probe(place >> 3, 0x80 >> (place & 7)) for place in places]


def may_hold(token_filter: bytes, wanted: list[Probe]) -> bool:
    """Whether all of the words probed for may be among those that the filter was built of."""
    return all(token_filter[byte] & bit for byte, bit in wanted)
