"""Sequences whose elements are made when they are asked for, the last ones first: readers begin with the newest."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar, overload

import msgspec

E = TypeVar("E")
R = TypeVar("R")

_AT_ONCE = 32
_JSON = msgspec.json.Encoder()


class FromEnd(Sequence[E], Generic[E, R]):
    """Elements that are cut off from the end of something, as far as somebody has read. Threads may share it."""

    def __init__(self, whole: R, length: int) -> None:
        self._length = length
        # What is left and what was cut off, the last element first: replaced together, never changed.
        self._cut: tuple[R, list[E]] = whole, []

    @abstractmethod
    def cut(self, rest: R, elements: int) -> tuple[R, list[E]]:
        """Cut off some elements, the last one first; gives what is left, which no longer matters where that is none."""

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> E: ...

    @overload
    def __getitem__(self, place: slice) -> list[E]: ...

    def __getitem__(self, place: int | slice) -> E | list[E]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(self._length))]
        if not 0 <= place < self._length:
            raise IndexError(place)
        from_end = self._length - 1 - place
        rest, elements = self._cut
        if from_end >= len(elements):
            wanted = min(max(from_end + 1 - len(elements), _AT_ONCE), self._length - len(elements))
            rest, more = self.cut(rest, wanted)
            elements = elements + more
            self._cut = rest, elements
        return elements[from_end]


class Lines(FromEnd[str, str]):
    """The lines of a text."""

    def cut(self, rest: str, elements: int) -> tuple[str, list[str]]:
        """Cut off some lines."""
        pieces = rest.rsplit("\n", elements)
        return pieces[0], pieces[: -elements - 1 : -1]


class Objects(FromEnd[bytes, list[bytes]]):
    """JSON objects with these keys, made of the values of each key, one a line."""

    def __init__(self, keys: list[str], values: list[bytes], length: int) -> None:
        super().__init__(values, length)
        members = (_JSON.encode(key).replace(b"%", b"%%") + b":%b" for key in keys)
        self._template = b"{" + b",".join(members) + b"}"

    def cut(self, rest: list[bytes], elements: int) -> tuple[list[bytes], list[bytes]]:
        """Cut off some objects."""
        if not rest:
            return rest, [self._template % ()] * elements
        columns = [values.rsplit(b"\n", elements) for values in rest]
        rows = zip(*(column[: -elements - 1 : -1] for column in columns), strict=True)
        return [column[0] for column in columns], [self._template % row for row in rows]
