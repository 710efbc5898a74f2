"""A block: up to ``BLOCK_RECORDS_MAX`` merged records in an immutable file of its own, beside the file of their day.

In it stand sealed frames, one after the other: leaves, the token filters of groups of leaves, and last the index, which
says where everything is, how many records of each kind there are, and of which time. A service with enough records has
leaves of its own; small services share some. Leaves stand in the order of services, and of time within one.

A block's row in the file of the day makes it part of the store; until that is committed the block is nothing.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from simple_log_service.core.columns import Columns
from simple_log_service.core.limits import BLOCK_RECORDS_MAX, LEAF_TEXT_BYTES_MAX
from simple_log_service.core.query import Query
from simple_log_service.core.record import Kind
from simple_log_service.core.stats import By, by_group
from simple_log_service.stores.embedded.leaves import LEAF_RECORDS_MAX, Leaf, pack_leaf
from simple_log_service.stores.embedded.sealing import SEALING_BYTES, Part, Sealer
from simple_log_service.stores.embedded.token_filter import FILTER_WORDS, build_filter
from simple_log_service.stores.packing import FrameDamaged, compress, decompress, from_bytes, to_bytes

SUFFIX = ".block"
_OWN_LEAVES_RECORDS_MIN = LEAF_RECORDS_MAX // 2
"""A service with so many records in a block shares no leaf."""

_PACKER = msgspec.msgpack.Encoder()


class BlockRow(NamedTuple):
    """A block as the file of its day knows it: the columns of the table ``blocks``."""

    id: int
    key_id: int
    time_min: int
    time_max: int
    arrival_min: int
    arrival_max: int
    records: int
    size_bytes: int
    filters_at: int
    index_at: int

    @property
    def about(self) -> tuple[int, ...]:
        """What the index is bound to: a row that was changed does not open it."""
        return self.time_min, self.time_max, self.arrival_min, self.arrival_max, self.records, self.size_bytes


class LeafEntry(msgspec.Struct, array_like=True):
    """A leaf in the index: where it stands, of which time it is, and which kinds it holds how many records of."""

    at: int
    size: int
    filter_place: int
    time_min: int
    time_max: int
    kind_places: bytes
    counts: bytes

    def counted(self) -> zip[tuple[int, int]]:
        """Places of kinds and how many records there are of each."""
        return zip(from_bytes("H", self.kind_places), from_bytes("H", self.counts), strict=True)


class _Index(msgspec.Struct, array_like=True):
    """``names`` are those of services, types and levels, each list rising; ``kinds`` are places among the three.

    ``counts`` says how many records there are of each kind.
    """

    names: list[list[str]]
    kinds: bytes
    counts: bytes
    leaves: list[LeafEntry]


_INDEX = msgspec.msgpack.Decoder(_Index)
_FILTERS = msgspec.msgpack.Decoder(list[bytes])


class Index:
    """An opened index. Services rise, and so do the first ones of the leaves."""

    def __init__(self, packed: bytes) -> None:
        try:
            index = _INDEX.decode(decompress(packed))
        except msgspec.DecodeError as error:
            raise FrameDamaged(f"A stored block is damaged: {error}") from None
        self._names = index.names
        self._kinds = from_bytes("H", index.kinds)
        self._totals = from_bytes("I", index.counts)
        self.leaves = index.leaves
        self._first_services = [self.kind(from_bytes("H", leaf.kind_places)[0]).service_name for leaf in self.leaves]
        self._leaf_kinds: dict[int, dict[Kind, int]] = {}
        self._with: dict[tuple[str | None, str | None], list[int]] = {}

    @property
    def memory_bytes(self) -> int:
        """About what it takes in memory."""
        names = sum(len(name) + 60 for names in self._names for name in names)
        return names + 8 * len(self._kinds) + sum(260 + 2 * len(leaf.kind_places) for leaf in self.leaves)

    def kind(self, place: int) -> Kind:
        """One of the block's kinds."""
        services, log_types, levels = self._names
        service, log_type, level = self._kinds[3 * place : 3 * place + 3]
        return Kind(services[service], log_types[log_type], levels[level])

    def leaves_of(self, query: Query) -> Sequence[int]:
        """The leaves that hold records of the kinds asked for."""
        wanted = query.service_name, query.log_type, query.level
        if any(name is not None and name not in names for name, names in zip(wanted, self._names, strict=True)):
            return ()
        leaves: Sequence[int] = range(len(self.leaves))
        if query.log_type is not None or query.level is not None:
            leaves = self._leaves_with(query.log_type, query.level)
        if query.service_name is None:
            return leaves
        of_service = self._leaves_of_service(query.service_name)
        if len(leaves) == len(self.leaves):
            return of_service
        return [leaf for leaf in leaves if leaf in of_service and any(map(query.matches, self.leaf_kinds(leaf)))]

    def leaf_kinds(self, leaf: int) -> dict[Kind, int]:
        """How many records of each kind a leaf holds, in the order of the leaf's kind places."""
        kinds = self._leaf_kinds.get(leaf)
        if kinds is None:
            kinds = self._leaf_kinds[leaf] = {self.kind(place): count for place, count in self.leaves[leaf].counted()}
        return kinds

    def all_kinds(self) -> dict[Kind, int]:
        """How many records of each kind the block holds."""
        return {self.kind(place): count for place, count in enumerate(self._totals)}

    def counts(self, by: By | None) -> Mapping[str, int]:
        """How many records of each group the block holds."""
        return by_group(self.all_kinds(), by)

    def _leaves_with(self, log_type: str | None, level: str | None) -> Sequence[int]:
        """The leaves that hold records of a type and a level; found once, since every page asks again."""
        found = self._with.get((log_type, level))
        if found is None:
            asked = Query(since_ns=0, log_type=log_type, level=level)
            wanted = {place for place in range(len(self._kinds) // 3) if asked.matches(self.kind(place))}
            places = enumerate(from_bytes("H", leaf.kind_places) for leaf in self.leaves)
            found = self._with[log_type, level] = [leaf for leaf, each in places if not wanted.isdisjoint(each)]
        return found

    def _leaves_of_service(self, service_name: str) -> range:
        first, after = bisect_left(self._first_services, service_name), bisect_right(self._first_services, service_name)
        # Where no leaf begins with it, it shares the one that begins before it.
        return range(first, after) if first < after else range(first - 1, first)


class BlockFile:
    """Reads the frames of a block. Raises ``FrameDamaged``, or ``OSError`` where the file cannot be read."""

    def __init__(self, path: Path, row: BlockRow, sealer: Sealer) -> None:
        self._path = path
        self._row = row
        self._sealer = sealer

    def index(self) -> Index:
        """What the block holds, and where."""
        row = self._row
        sealed = self._read(row.index_at, row.size_bytes - row.index_at)
        return Index(self._sealer.open(Part.BLOCK_INDEX, row.id, sealed, *row.about))

    def filters(self) -> list[bytes]:
        """The token filters of its groups of leaves."""
        row = self._row
        sealed = self._read(row.filters_at, row.index_at - row.filters_at)
        return _FILTERS.decode(decompress(self._sealer.open(Part.BLOCK_FILTERS, row.id, sealed)))

    def leaf(self, index: Index, number: int) -> Leaf:
        """One of its leaves, opened."""
        entry = index.leaves[number]
        sealed = self._read(entry.at, entry.size)
        packed = self._sealer.open(Part.BLOCK_LEAF, self._row.id, sealed, number)
        return Leaf(packed)

    def _read(self, at: int, size: int) -> bytes:
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            read = os.pread(descriptor, size, at)
        finally:
            os.close(descriptor)
        if len(read) != size:
            raise FrameDamaged("A stored block is shorter than it was written.")
        return read


def block_path(folder: Path, block_id: int) -> Path:
    """A block's file in the folder of its day."""
    return folder / f"{block_id:08}{SUFFIX}"


class BlockWriter:
    """Writes a block: its leaves one after the other, their filters, the index, and all of it to disk."""

    def __init__(self, folder: Path, block_id: int, sealer: Sealer) -> None:
        self._path = block_path(folder, block_id)
        self._block_id = block_id
        self._sealer = sealer
        self._frames: list[bytes] = []
        self._at = 0

    def write(self, columns: Columns, arrivals: Sequence[int]) -> BlockRow:
        """Write some records, in any order, and sync the file; the folder is the caller's to sync."""
        assert len(columns) <= BLOCK_RECORDS_MAX
        entries: list[LeafEntry] = []
        filters: list[bytes] = []
        words: set[bytes] = set()
        leaves = list(_leaves(columns, arrivals))
        for places in leaves:
            leaf, kind_places = columns.selected(places).with_own_kinds()
            packed = pack_leaf(leaf, list(map(arrivals.__getitem__, places)), words)
            entries.append(self._add_leaf(packed, leaf, kind_places, len(entries), len(filters)))
            if len(words) >= FILTER_WORDS or len(entries) == len(leaves):
                filters.append(build_filter(words))
                words.clear()
        filters_at = self._at
        self._add(Part.BLOCK_FILTERS, compress(_PACKER.encode(filters)))
        row = self._add_index(columns, arrivals, entries, filters_at)
        _write_synced(self._path, self._frames)
        return row

    def _add_leaf(
        self, packed: bytes, leaf: Columns, kind_places: list[int], number: int, filter_place: int
    ) -> LeafEntry:
        at = self._at
        self._add(Part.BLOCK_LEAF, packed, number)
        counts = Counter(leaf.kind_places)
        return LeafEntry(
            at,
            self._at - at,
            filter_place,
            leaf.timestamps[0],
            leaf.timestamps[-1],
            to_bytes("H", kind_places),
            to_bytes("H", [counts[place] for place in range(len(kind_places))]),
        )

    def _add_index(
        self, columns: Columns, arrivals: Sequence[int], entries: list[LeafEntry], filters_at: int
    ) -> BlockRow:
        names = [sorted({str(kind[field]) for kind in columns.kinds}) for field in range(3)]
        numbers = [{name: number for number, name in enumerate(each)} for each in names]
        kinds = [number[name] for kind in columns.kinds for number, name in zip(numbers, kind, strict=True)]
        totals = Counter(columns.kind_places)
        counts = [totals[place] for place in range(len(columns.kinds))]
        index = _Index(names, to_bytes("H", kinds), to_bytes("I", counts), entries)
        packed = compress(_PACKER.encode(index))
        span = min(columns.timestamps), max(columns.timestamps), min(arrivals), max(arrivals)
        size = self._at + len(packed) + SEALING_BYTES
        row = BlockRow(self._block_id, self._sealer.key_id, *span, len(columns), size, filters_at, self._at)
        self._add(Part.BLOCK_INDEX, packed, *row.about)
        return row

    def _add(self, part: Part, packed: bytes, *about: int) -> None:
        sealed = self._sealer.seal(part, self._block_id, packed, *about)
        self._frames.append(sealed)
        self._at += len(sealed)


def _leaves(columns: Columns, arrivals: Sequence[int]) -> Iterator[list[int]]:
    """The places of each leaf's records, in reading order; leaves in the order of services."""
    services = [kind.service_name for kind in columns.kinds]
    timestamps, kind_places = columns.timestamps, columns.kind_places
    # Stable sorts, of what mostly is in order already.
    in_order = sorted(range(len(columns)), key=arrivals.__getitem__)
    in_order.sort(key=timestamps.__getitem__)

    def reading_order(place: int) -> tuple[int, int]:
        return timestamps[place], arrivals[place]

    by_service: dict[str, list[int]] = {service: [] for service in services}
    of_kind = [by_service[service] for service in services]
    for place in in_order:
        of_kind[kind_places[place]].append(place)
    shared: list[int] = []
    for _, places in sorted(by_service.items()):
        if not places:
            continue
        has_own = len(places) >= _OWN_LEAVES_RECORDS_MIN or _is_too_much(columns, places)
        together = shared + places
        if shared and (has_own or len(together) > LEAF_RECORDS_MAX or _is_too_much(columns, together)):
            yield sorted(shared, key=reading_order)
            shared = []
        if has_own:
            yield from _pieces(columns, places)
        else:
            shared += places
    if shared:
        yield sorted(shared, key=reading_order)


def _is_too_much(columns: Columns, places: Sequence[int]) -> bool:
    """Whether these records hold too much text to be opened for one of them."""
    messages, metadata = columns.messages, columns.metadata
    return sum(len(messages[place]) + len(metadata[place]) for place in places) > LEAF_TEXT_BYTES_MAX


def _pieces(columns: Columns, places: list[int]) -> Iterator[list[int]]:
    """One service's places in leaves of about equal length, as few as can hold them; one large record may fill one."""
    leaves = -(-len(places) // LEAF_RECORDS_MAX)
    for number in range(leaves):
        piece = places[len(places) * number // leaves : len(places) * (number + 1) // leaves]
        if len(piece) == 1 or not _is_too_much(columns, piece):
            yield piece
        else:
            middle = len(piece) // 2
            yield from _pieces(columns, piece[:middle])
            yield from _pieces(columns, piece[middle:])


def _write_synced(path: Path, frames: list[bytes]) -> None:
    with path.open("wb") as file:
        path.chmod(0o600)
        file.writelines(frames)
        file.flush()
        os.fsync(file.fileno())
