"""Merging: fresh chunks, and blocks that are small or overlap, become blocks that follow each other in time.

A merge reads its sources a slice of time after the other, so that it holds no more in memory than one block, and writes
files that nobody knows of until the writer names them in the file of their day. Slices end where days end, in UTC: of
what came late a block can expire as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count, pairwise
from typing import NamedTuple, Protocol

import apsw
import msgspec

from simple_log_service.core.columns import Columns
from simple_log_service.core.erasure import Erasure
from simple_log_service.core.limits import BLOCK_RECORDS_MAX, DAY_NS, MERGE_CACHE_BYTES_MAX, MERGE_TEXT_BYTES_MAX
from simple_log_service.core.query import Query
from simple_log_service.core.record import Kind
from simple_log_service.core.retention import Kept
from simple_log_service.core.runs import ColumnRun
from simple_log_service.stores.embedded.block_runs import BlockRun, Opened
from simple_log_service.stores.embedded.blocks import BlockRow, BlockWriter
from simple_log_service.stores.embedded.cache import Cache
from simple_log_service.stores.embedded.chunk_runs import ChunkRun
from simple_log_service.stores.embedded.day_file import DayFile, sync
from simple_log_service.stores.embedded.sealing import Sealer
from simple_log_service.stores.embedded.sql import one_row

_SLICE_RECORDS = BLOCK_RECORDS_MAX * 9 // 10
"""What a slice is meant to hold: how many records it does hold is known once it is read."""
_SAMPLES = 1000
_CHUNK = "SELECT id, key_id, time_min, time_max, arrival_max, records FROM chunks WHERE id = ?"
_BLOCK = "SELECT * FROM blocks WHERE id = ?"


class MergeJob(msgspec.Struct, frozen=True):
    """What to merge: chunks and blocks of one file, by number, as many as one merge takes.

    New blocks are numbered from ``first_block_id`` on and sealed under the data key ``key_id``. Records that are
    ``kept`` no longer are left out, and so are those that are erased.
    """

    chunks: list[int]
    blocks: list[int]
    first_block_id: int
    key_id: int
    kept: Kept | None = None
    leaves_out: Erasure | None = None


class _Openable(Protocol):
    @property
    def time_min(self) -> int: ...

    @property
    def time_max(self) -> int: ...

    def open(self) -> ColumnRun: ...


class _Source(NamedTuple):
    run: _Openable
    records: int


def merge(file: DayFile, job: MergeJob) -> list[BlockRow]:
    """Write the merged blocks, synced to disk; what was merged stays as it is."""
    with closing(file.connect()) as connection:
        connection.execute("BEGIN")
        sources = [*_chunks(file, connection, job.chunks), *_blocks(file, connection, job.blocks)]
        sealer = file.sealer(connection, job.key_id)
        rows = list(_written(file, sources, job, sealer))
    if rows:
        sync(file.blocks)
        sync(file.blocks.parent)
    return rows


def _written(file: DayFile, sources: Sequence[_Source], job: MergeJob, sealer: Sealer) -> Iterator[BlockRow]:
    file.blocks.mkdir(mode=0o700, exist_ok=True)
    numbers = count(job.first_block_id)
    for low, high in pairwise(_slices(sources)):
        within = Query(since_ns=low, until_ns=high, kept=None if job.kept is None or job.kept.keeps(low) else job.kept)
        for gathered in _gathered((source.run for source in sources), within, job.leaves_out):
            for columns, arrivals in gathered.pieces():
                yield BlockWriter(file.blocks, next(numbers), sealer).write(columns, arrivals)


def _chunks(file: DayFile, connection: apsw.Connection, chunks: Iterable[int]) -> Iterator[_Source]:
    cache: Cache[tuple[DayFile, int], ColumnRun] = Cache(MERGE_CACHE_BYTES_MAX)
    for chunk in chunks:
        *place, records = one_row(connection, _CHUNK, (chunk,))
        yield _Source(ChunkRun(cache, connection, file, *place), records)


def _blocks(file: DayFile, connection: apsw.Connection, blocks: Iterable[int]) -> Iterator[_Source]:
    opened, everything = Opened(), Query(since_ns=0)
    for block_id in blocks:
        row = BlockRow(*one_row(connection, _BLOCK, (block_id,)))
        for leaf in BlockRun(opened, file, row, file.block(connection, row)).leaves(everything):
            yield _Source(leaf, sum(leaf.kinds.values()))


def _slices(sources: Sequence[_Source]) -> list[int]:
    """Where slices begin, and where the last one ends: each holds about as many records, taken to be spread evenly."""
    times = sorted(
        run.time_min + (run.time_max - run.time_min) * number // samples
        for run, records in sources
        for samples in [-(-records // _SAMPLES)]
        for number in range(samples)
    )
    share = sum(source.records for source in sources) / len(times)
    step = max(1, int(_SLICE_RECORDS / share))
    first, end = times[0], max(source.run.time_max for source in sources) + 1
    days = range(first - first % DAY_NS + DAY_NS, end, DAY_NS)
    return sorted({first, *times[step::step], *days, end})


class _Gathered:
    """Records of several runs, one after the other."""

    def __init__(self) -> None:
        self._kinds: dict[Kind, int] = {}
        self._kind_places: list[int] = []
        self._timestamps: list[int] = []
        self._messages: list[str] = []
        self._metadata: list[bytes] = []
        self._log_ids: dict[int, str] = {}
        self._arrivals: list[int] = []
        self.text_bytes = 0

    def add(self, run: ColumnRun, within: Query, leaves_out: Erasure | None) -> None:
        """Those of its records that are in a range and not left out."""
        columns = run.columns
        places: Sequence[int] = (
            range(len(run)) if within.spans(run.time_min, run.time_max) else sorted(run.places(within))
        )
        if leaves_out is not None:
            places = _left(run, places, leaves_out)
        # Of its kinds only those that have records there: a block has places for no more kinds than records.
        used = {columns.kind_places[place] for place in places}
        moved = {place: self._kinds.setdefault(columns.kinds[place], len(self._kinds)) for place in sorted(used)}
        given = columns.log_ids
        if given:
            self._log_ids |= {
                at: given[place] for at, place in enumerate(places, len(self._arrivals)) if place in given
            }
        chosen = columns if len(places) == len(run) else columns.selected(places)
        self._kind_places += map(moved.__getitem__, chosen.kind_places)
        self._timestamps += chosen.timestamps
        self._messages += chosen.messages
        self._metadata += chosen.metadata
        self._arrivals += map(run.arrivals.__getitem__, places)
        self.text_bytes += chosen.text_size

    def pieces(self) -> Iterator[tuple[Columns, list[int]]]:
        """The records, in one piece or, where they are more than a block may hold, in several by time."""
        arrivals, timestamps = self._arrivals, self._timestamps
        columns = Columns(
            list(self._kinds), self._kind_places, timestamps, self._messages, self._metadata, self._log_ids
        )
        if 0 < len(columns) <= BLOCK_RECORDS_MAX:
            yield columns, arrivals
            return
        order = sorted(range(len(columns)), key=lambda place: (timestamps[place], arrivals[place]))
        for at in range(0, len(order), BLOCK_RECORDS_MAX):
            places = order[at : at + BLOCK_RECORDS_MAX]
            yield columns.selected(places).with_own_kinds()[0], [arrivals[place] for place in places]


def _left(run: ColumnRun, places: Iterable[int], erasure: Erasure) -> list[int]:
    """The places of records that are not erased."""
    kind_places, timestamps, arrivals = run.columns.kind_places, run.columns.timestamps, run.arrivals
    of_kind = [erasure.matches(kind) for kind in run.columns.kinds]
    return [
        place
        for place in places
        if not (of_kind[kind_places[place]] and erasure.has(timestamps[place], arrivals[place]))
    ]


def _gathered(runs: Iterable[_Openable], within: Query, leaves_out: Erasure | None) -> Iterator[_Gathered]:
    """The records of a slice, in parts where they are too large to be held together."""
    gathered = _Gathered()
    assert within.until_ns is not None
    for run in runs:
        if run.time_max >= within.since_ns and run.time_min < within.until_ns:
            gathered.add(run.open(), within, leaves_out)
            if gathered.text_bytes > MERGE_TEXT_BYTES_MAX:
                yield gathered
                gathered = _Gathered()
    yield gathered
