"""A leaf: up to ``LEAF_RECORDS_MAX`` records of a merged block, the least that is opened at once.

Records stand in reading order. Metadata is split by key: the values of a key follow each other, so that they compress
well and no key is stored twice. The texts come in frames of their own, apart from the numbers: counting needs no text,
and searching looks at the texts before anything is made of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

import msgspec

from simple_log_service.core.columns import Columns
from simple_log_service.core.record import Kind
from simple_log_service.stores.embedded.on_demand import Lines, Objects
from simple_log_service.stores.embedded.token_filter import folded_words
from simple_log_service.stores.packing import (
    FrameDamaged,
    compress,
    decompress,
    from_bytes,
    steps_from_bytes,
    steps_to_bytes,
    to_bytes,
)

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


class _Hex(msgspec.Struct, array_like=True):
    """Strings of so many hexadecimal digits, such as the ids of requests and traces: two digits a byte."""

    digits: int
    data: bytes

    @classmethod
    def of(cls, lines: bytes) -> _Hex | None:
        """Those values, one a line; ``None`` where one of them is something else."""
        digits = lines.find(b"\n") - len(b'""')
        if digits <= 0 or digits % 2:
            return None
        try:
            packed = cls(digits, bytes.fromhex(lines.translate(None, b'"\n').decode("ascii")))
        except ValueError:
            return None
        return packed if packed.lines() == lines else None

    def lines(self) -> bytes:
        """The values as they were."""
        return b'"%b"' % self.data.hex("\n", self.digits // 2).replace("\n", '"\n"').encode()


class _Leaf(msgspec.Struct, array_like=True):
    """zstd frames: the head, the messages one a line, and the metadata's values by shape and key, one a line.

    Where there are more than ``_FRAMES_MAX`` keys in all, their values share one frame.
    """

    head: bytes
    messages: bytes
    values: list[bytes | _Hex]


_LEAF = msgspec.msgpack.Decoder(_Leaf)
_HEAD = msgspec.msgpack.Decoder(_Head)
_VALUES = msgspec.msgpack.Decoder(list[bytes])


def pack_leaf(columns: Columns, arrivals: Sequence[int], words: set[bytes]) -> bytes:
    """The leaf of these records, which stand in reading order; adds the folded words of its texts, in UTF-8."""
    messages = "\n".join(columns.messages).encode()
    lengths = list(map(len, columns.messages)) if messages.count(b"\n") >= len(columns) else []
    keys, shape_places, values = _split(columns.metadata)
    head = _Head(
        to_bytes("H", columns.kind_places),
        steps_to_bytes(columns.timestamps),
        steps_to_bytes(arrivals),
        columns.log_ids,
        to_bytes("I", lengths),
        keys,
        to_bytes("H", shape_places),
    )
    words.update(folded_words(messages))
    for each in values:
        words.update(_words_of_values(each))
    frames = [_frame(each) for each in (values if len(values) <= _FRAMES_MAX else [_PACKER.encode(values)])]
    packed = compress(_PACKER.encode(head), _HEAD_LEVEL)
    leaf = _Leaf(packed, compress(messages), frames)
    return _PACKER.encode(leaf)


class Leaf:
    """An opened leaf whose texts are unpacked when they are asked for. Raises ``FrameDamaged``."""

    def __init__(self, packed: bytes) -> None:
        with _damage_told():
            self._leaf = _LEAF.decode(packed)
            self._head = _HEAD.decode(decompress(self._leaf.head))
        self.records = len(self._head.kind_places) // 2
        self._texts: tuple[bytes, list[bytes]] | None = None

    def timestamps(self) -> list[int]:
        """The records' times, rising."""
        return steps_from_bytes(self._head.timestamps)

    def kind_places(self) -> list[int]:
        """Each record's place among the leaf's kinds."""
        return from_bytes("H", self._head.kind_places)

    def arrivals(self) -> list[int]:
        """The records' arrival numbers."""
        return steps_from_bytes(self._head.arrivals)

    @property
    def memory_bytes(self) -> int:
        """About what its records take in memory once they are opened."""
        messages, values = self._unpacked()
        return len(messages) + sum(map(len, values)) + self.records * (200 + 35 * max(map(len, self._head.keys)))

    def places_with(self, words: Collection[str]) -> set[int] | None:
        """The places of records that may hold all of these folded words; ``None`` where that cannot be told."""
        messages, values = self._unpacked()
        # An escape may stand for any character, and beyond ASCII folding needs characters.
        if not words or self._head.message_lengths or b"\\" in b"".join(values):
            return None
        folded = [text.lower() for text in (messages, *values) if text.isascii()]
        if len(folded) <= len(values):
            return None
        sought = [word.encode() for word in words]
        if not all(any(word in text for text in folded) for word in sought):
            return set()
        rarest = max(sought, key=len)
        places = _lines_with(rarest, folded[0])
        columns = iter(folded[1:])
        for keys, rows in zip(self._head.keys, self._rows(), strict=True):
            for _ in keys:
                places.update(rows[line] for line in _lines_with(rarest, next(columns)))
        return places

    def _rows(self) -> Iterator[Sequence[int]]:
        """For each shape of metadata the places of the records that have it."""
        shape_places = from_bytes("H", self._head.shape_places)
        if not shape_places:
            yield range(self.records)
            return
        for shape in range(len(self._head.keys)):
            yield [place for place, each in enumerate(shape_places) if each == shape]

    def columns(self, kinds: list[Kind]) -> Columns:
        """All of its records, whose texts are made as they are asked for; these are its kinds."""
        messages, _ = self._unpacked()
        lengths, text = from_bytes("I", self._head.message_lengths), messages.decode()
        return Columns(
            kinds,
            self.kind_places(),
            self.timestamps(),
            _cut(text, lengths) if lengths else Lines(text, self.records),
            self._metadata(),
            self._head.log_ids,
        )

    def _metadata(self) -> Sequence[bytes]:
        _, values = self._unpacked()
        keys = self._head.keys
        if len(keys) == 1:
            return Objects(keys[0], values, self.records)
        rest, metadata = iter(values), [b""] * self.records
        for each, rows in zip(keys, self._rows(), strict=True):
            for place, text in zip(rows, Objects(each, [next(rest) for _ in each], len(rows)), strict=True):
                metadata[place] = text
        return metadata

    def _unpacked(self) -> tuple[bytes, list[bytes]]:
        # Set in one step: several threads may read one leaf.
        if self._texts is None:
            frames = [each.lines() if isinstance(each, _Hex) else decompress(each) for each in self._leaf.values]
            if sum(map(len, self._head.keys)) > _FRAMES_MAX:
                with _damage_told():
                    frames = _VALUES.decode(frames[0])
            self._texts = decompress(self._leaf.messages), frames
        return self._texts


def _frame(lines: bytes) -> bytes | _Hex:
    """A key's values, as small as they get: noise compresses badly, even where it is written in sixteen letters."""
    return _Hex.of(lines) or compress(lines)


def _lines_with(word: bytes, text: bytes) -> set[int]:
    """The numbers of the lines that hold a word somewhere."""
    found: set[int] = set()
    line = counted = 0
    at = text.find(word)
    while at >= 0:
        line += text.count(b"\n", counted, at)
        found.add(line)
        counted = at
        end = text.find(b"\n", at)
        at = text.find(word, end) if end >= 0 else -1
    return found


def _words_of_values(values: bytes) -> Iterable[bytes]:
    """The folded words in JSON texts, one a line; names of nested members come along and do no harm."""
    if b"\\" not in values:
        return folded_words(values)
    # An escape may stand for any character; written anew, only what is no part of a word stays one.
    unescaped = [_JSON.encode(_ANYTHING.decode(value)) for value in values.split(b"\n") if b"\\" in value]
    return folded_words(_ESCAPE.sub(b" ", b"\n".join([values, *unescaped])))


def _split(lines: Sequence[bytes]) -> tuple[list[list[str]], list[int], list[bytes]]:
    """The keys of each shape, which record has which (none where there is one), and the values by shape and key."""
    objects = _OBJECTS.decode(b"[" + b",".join(lines) + b"]")
    shapes = list(map(tuple, objects))
    numbers = {shape: number for number, shape in enumerate(dict.fromkeys(shapes))}
    members: dict[tuple[str, ...], list[dict[str, msgspec.Raw]]] = {shape: [] for shape in numbers}
    if len(members) == 1:
        members[shapes[0]] = objects
    else:
        for shape, each in zip(shapes, objects, strict=True):
            members[shape].append(each)
    columns = (column for each in members.values() for column in zip(*map(dict.values, each), strict=True))
    places = [numbers[shape] for shape in shapes] if len(numbers) > 1 else []
    return list(map(list, members)), places, [b"\n".join(column) for column in columns]


def _cut(text: str, lengths: list[int]) -> list[str]:
    ends = accumulate(length + 1 for length in lengths)
    return [text[end - length - 1 : end - 1] for end, length in zip(ends, lengths, strict=True)]


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except msgspec.DecodeError as error:
        raise FrameDamaged(f"A stored block is damaged: {error}") from None
