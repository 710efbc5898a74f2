"""A leaf: up to ``LEAF_RECORDS_MAX`` records of a merged block, the least that is opened at once.

Records stand in reading order. Metadata is split by key: the values of a key follow each other, so that they compress
well and no key is stored twice. The texts come in frames of their own, apart from the numbers: counting needs no text,
and searching looks at the texts before anything is made of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from operator import sub
from typing import NamedTuple, overload

import msgspec
import zstandard

from simple_log_service.core.columns import Columns
from simple_log_service.core.record import Kind
from simple_log_service.stores.embedded.token_filter import folded_words
from simple_log_service.stores.packing import FrameDamaged, compress, decompress, from_bytes, to_bytes

LEAF_RECORDS_MAX = 256
_HEAD_LEVEL = 3
"""Of zstd: at level 1 regular steps take five times the room, and there is little of them."""
_FRAMES_MAX = 32
"""A frame for each key makes its values smaller, until there are so many keys that most have few values."""

_OBJECTS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_JSON = msgspec.json.Encoder()
_ANYTHING = msgspec.json.Decoder()
_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{4}|.)")
_PACKER = msgspec.msgpack.Encoder()


class _Head(msgspec.Struct, array_like=True):
    """Everything but the texts. A length for each message, in characters, where one of them holds a newline.

    ``keys`` are those of each shape that a metadata object here has; ``shape_places`` says which record has which,
    unless all have the same.
    """

    kind_places: bytes
    timestamps: bytes
    arrivals: bytes
    log_ids: dict[int, str]
    message_lengths: bytes
    keys: list[list[str]]
    shape_places: bytes


class _Leaf(msgspec.Struct, array_like=True):
    """zstd frames: the head, the messages one a line, and the metadata's values by shape and key, one a line.

    Where there are more than ``_FRAMES_MAX`` keys in all, their values share one frame.
    """

    head: bytes
    messages: bytes
    values: list[bytes]


_LEAF = msgspec.msgpack.Decoder(_Leaf)
_HEAD = msgspec.msgpack.Decoder(_Head)
_VALUES = msgspec.msgpack.Decoder(list[bytes])


class PackedLeaf(NamedTuple):
    """A leaf ready to be sealed, and the folded words of its texts, in UTF-8."""

    data: bytes
    words: set[bytes]


def pack_leaf(columns: Columns, arrivals: Sequence[int]) -> PackedLeaf:
    """The leaf of these records, which stand in reading order."""
    messages = "\n".join(columns.messages).encode()
    lengths = list(map(len, columns.messages)) if messages.count(b"\n") >= len(columns) else []
    keys, shape_places, values = _split(columns.metadata)
    head = _Head(
        to_bytes("H", columns.kind_places),
        _steps(columns.timestamps),
        _steps(arrivals),
        columns.log_ids,
        to_bytes("I", lengths),
        keys,
        to_bytes("H", shape_places),
    )
    words = folded_words(messages)
    for each in values:
        words |= _words_of_values(each)
    frames = values if len(values) <= _FRAMES_MAX else [_PACKER.encode(values)]
    packed = zstandard.ZstdCompressor(level=_HEAD_LEVEL).compress(_PACKER.encode(head))
    leaf = _Leaf(packed, compress(messages), list(map(compress, frames)))
    return PackedLeaf(_PACKER.encode(leaf), words)


class Leaf:
    """An opened leaf whose texts are unpacked when they are asked for. Raises ``FrameDamaged``."""

    def __init__(self, packed: bytes, kinds: list[Kind]) -> None:
        with _damage_told():
            self._leaf = _LEAF.decode(packed)
            self._head = _HEAD.decode(decompress(self._leaf.head))
        self.kinds = kinds
        self._texts: tuple[bytes, list[bytes]] | None = None

    def timestamps(self) -> list[int]:
        """The records' times, rising."""
        return list(accumulate(from_bytes("q", self._head.timestamps)))

    def kind_places(self) -> list[int]:
        """Each record's place among the leaf's kinds."""
        return from_bytes("H", self._head.kind_places)

    def arrivals(self) -> list[int]:
        """The records' arrival numbers."""
        return list(accumulate(from_bytes("q", self._head.arrivals)))

    @property
    def memory_bytes(self) -> int:
        """About what its records take in memory once they are opened."""
        messages, values = self._unpacked()
        records = len(self._head.kind_places) // 2
        return len(messages) + sum(map(len, values)) + records * (200 + 35 * max(map(len, self._head.keys)))

    def may_hold(self, words: Collection[bytes]) -> bool:
        """Whether all of these folded words may be somewhere in its texts; ``False`` is certain."""
        messages, values = self._unpacked()
        texts = b"\n".join((messages, *values))
        # An escape may stand for any character, and beyond ASCII folding needs characters: both are looked at closer.
        if not texts.isascii() or b"\\" in texts:
            return True
        folded = texts.lower()
        return all(word in folded for word in words)

    def columns(self) -> Columns:
        """All of its records."""
        messages, values = self._unpacked()
        head, text = self._head, messages.decode()
        lengths = from_bytes("I", head.message_lengths)
        return Columns(
            self.kinds,
            self.kind_places(),
            self.timestamps(),
            _cut(text, lengths) if lengths else text.split("\n"),
            _JoinedMetadata(head.keys, from_bytes("H", head.shape_places), values, len(head.kind_places) // 2),
            head.log_ids,
        )

    def _unpacked(self) -> tuple[bytes, list[bytes]]:
        # Set in one step: several threads may read one leaf.
        if self._texts is None:
            frames = list(map(decompress, self._leaf.values))
            if sum(map(len, self._head.keys)) > _FRAMES_MAX:
                with _damage_told():
                    frames = _VALUES.decode(frames[0])
            self._texts = decompress(self._leaf.messages), frames
        return self._texts


class _JoinedMetadata(Sequence[bytes]):
    """Metadata objects put together again one at a time: a page shows few of a leaf's records."""

    def __init__(self, keys: list[list[str]], shape_places: list[int], values: list[bytes], records: int) -> None:
        rest = iter(values)
        self._templates = [_template(each) for each in keys]
        columns = [[next(rest).split(b"\n") for _ in each] for each in keys]
        self._rows: list[Sequence[tuple[bytes, ...]]] = [
            list(zip(*each, strict=True)) if each else [()] * records for each in columns
        ]
        self._records = records
        self._places = _places(shape_places)

    def __len__(self) -> int:
        return self._records

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...

    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        shape, row = self._places[place] if self._places else (0, place)
        return self._templates[shape] % self._rows[shape][row]

    def __iter__(self) -> Iterator[bytes]:
        return (self[place] for place in range(len(self)))


def _words_of_values(values: bytes) -> set[bytes]:
    """The folded words in JSON texts, one a line; names of nested members come along and do no harm."""
    if b"\\" not in values:
        return folded_words(values)
    # An escape may stand for any character; written anew, only what is no part of a word stays one.
    unescaped = [_JSON.encode(_ANYTHING.decode(value)) for value in values.split(b"\n") if b"\\" in value]
    return folded_words(_ESCAPE.sub(b" ", b"\n".join([values, *unescaped])))


def _template(keys: list[str]) -> bytes:
    members = (_JSON.encode(key).replace(b"%", b"%%") + b":%b" for key in keys)
    return b"{" + b",".join(members) + b"}"


def _places(shape_places: list[int]) -> list[tuple[int, int]]:
    """Of each record its shape and which of that shape's records it is."""
    met: Counter[int] = Counter()
    places = []
    for shape in shape_places:
        places.append((shape, met[shape]))
        met[shape] += 1
    return places


def _split(lines: Sequence[bytes]) -> tuple[list[list[str]], list[int], list[bytes]]:
    """The keys of each shape, which record has which (none where there is one), and the values by shape and key."""
    objects = _OBJECTS.decode(b"[" + b",".join(lines) + b"]")
    shapes = list(map(tuple, objects))
    members: dict[tuple[str, ...], list[dict[str, msgspec.Raw]]] = {}
    for shape, each in zip(shapes, objects, strict=True):
        members.setdefault(shape, []).append(each)
    numbers = {shape: number for number, shape in enumerate(members)}
    columns = (column for each in members.values() for column in zip(*map(dict.values, each), strict=True))
    places = [numbers[shape] for shape in shapes] if len(numbers) > 1 else []
    return list(map(list, members)), places, [b"\n".join(column) for column in columns]


def _cut(text: str, lengths: list[int]) -> list[str]:
    ends = accumulate(length + 1 for length in lengths)
    return [text[end - length - 1 : end - 1] for end, length in zip(ends, lengths, strict=True)]


def _steps(numbers: Sequence[int]) -> bytes:
    return to_bytes("q", [numbers[0], *map(sub, numbers[1:], numbers)])


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except msgspec.DecodeError as error:
        raise FrameDamaged(f"A stored block is damaged: {error}") from None
