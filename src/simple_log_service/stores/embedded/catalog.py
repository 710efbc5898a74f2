"""The store's files: found at start, one added at each day's first record."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, date, datetime
from pathlib import Path

import apsw
import msgspec

from simple_log_service.core.errors import StoreUnavailable
from simple_log_service.core.ports import KeyProvider
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from simple_log_service.stores.embedded.blocks import SUFFIX as BLOCK_SUFFIX
from simple_log_service.stores.embedded.day_file import HASH_KEY_BYTES, DayFile, sync
from simple_log_service.stores.embedded.sql import one_row, rows

SUFFIX = ".logs"

_CONTENTS = """
SELECT min(oldest), max(newest), sum(records), sum(chunks) FROM (
    SELECT min(time_min) AS oldest, max(time_max) AS newest, coalesce(sum(records), 0) AS records, count(*) AS chunks
    FROM chunks
    UNION ALL SELECT min(time_min), max(time_max), 0, 0 FROM blocks
)
"""
_ARRIVAL_LAST = """
SELECT max(coalesce((SELECT max(arrival_max) FROM chunks), 0), coalesce((SELECT max(arrival_max) FROM blocks), 0))
"""
_KEYS_USED = "SELECT key_id FROM chunks UNION SELECT key_id FROM blocks"


class Contents(msgspec.Struct, frozen=True):
    """What a file holds: the oldest and the newest timestamp, nanoseconds, and how much of it is not merged yet."""

    oldest: int
    newest: int
    fresh_records: int = 0
    fresh_chunks: int = 0

    def with_chunk(self, oldest: int, newest: int, records: int) -> Contents:
        """The same and one more chunk."""
        return Contents(
            min(self.oldest, oldest), max(self.newest, newest), self.fresh_records + records, self.fresh_chunks + 1
        )


NOTHING = Contents(TIMESTAMP_NS_MAX, -1)


class Catalog:
    """Knows every file by its day of arrival, and about what each holds.

    Only the writer changes it; readers take the files as they are when they begin. ``hash_key`` keys the hashes by
    which retry keys and callers' ids are found; every file holds a sealed copy.
    """

    def __init__(self, folder: Path, keys: KeyProvider, *, vfs: str | None = None) -> None:
        self._folder = folder
        self._keys = keys
        self._vfs = vfs
        self._files: dict[date, DayFile] = {}
        self._contents: dict[DayFile, Contents] = {}
        self.arrival_last = 0
        self.hash_key = secrets.token_bytes(HASH_KEY_BYTES)

    def open(self) -> None:
        """Find the files and what they span. SQLite itself recovers each from whatever ended the last process."""
        if not self._folder.exists():
            self._folder.mkdir(mode=0o700)
            sync(self._folder.parent)
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            day = _day_of(path)
            try:
                file = self._files[day] = DayFile(path, self._keys, vfs=self._vfs)
                self._examine(file)
            except (apsw.NotADBError, apsw.CorruptError) as error:
                raise StoreUnavailable(
                    f"{path.name} is damaged, or not a file of this store; restore it, or move it elsewhere."
                ) from error
            self.hash_key = file.header.hash_key

    def file_of(self, arrival: int) -> DayFile:
        """The file of an arrival number's day, made where there is none yet."""
        day = datetime.fromtimestamp(arrival // 1_000_000, UTC).date()
        file = self._files.get(day)
        if file is None:
            path = self._folder / f"{day.isoformat()}{SUFFIX}"
            file = DayFile.create(path, self._keys, self.hash_key, vfs=self._vfs)
            self._files = {**self._files, day: file}
        return file

    def add_chunk(self, file: DayFile, timestamps: Sequence[int], arrival_last: int) -> None:
        """Take note of what a commit added."""
        contents = self._contents.get(file, NOTHING)
        self._contents[file] = contents.with_chunk(min(timestamps), max(timestamps), len(timestamps))
        self.arrival_last = max(self.arrival_last, arrival_last)

    def look_again(self, file: DayFile, connection: apsw.Connection) -> None:
        """Take note of what a file holds now."""
        oldest, newest, records, chunks = one_row(connection, _CONTENTS)
        self._contents[file] = NOTHING if newest is None else Contents(oldest, newest, records, chunks)

    def forget(self, file: DayFile) -> None:
        """Know nothing more of a file."""
        self._files = {day: each for day, each in self._files.items() if each is not file}
        self._contents.pop(file, None)

    def contents(self, file: DayFile) -> Contents:
        """About what a file holds."""
        return self._contents.get(file, NOTHING)

    def newest_first(self) -> list[DayFile]:
        """The files, the latest day first."""
        return [self._files[day] for day in sorted(self._files, reverse=True)]

    def overlapping(self, since_ns: int, last_ns: int) -> list[DayFile]:
        """The files with records in a range of time, both ends included."""
        contents = list(self._contents.items())
        return [file for file, each in contents if each.newest >= since_ns and each.oldest <= last_ns]

    @property
    def fresh_records(self) -> int:
        """Records that are not merged yet."""
        return sum(each.fresh_records for each in list(self._contents.values()))

    @property
    def size_bytes(self) -> int:
        """What the store takes on disk, write-ahead logs included."""
        return sum(map(_size_bytes, self._folder.rglob("*")))

    def _examine(self, file: DayFile) -> None:
        """See what a file holds, and remove blocks that were written but never became part of it."""
        with closing(file.connect()) as connection:
            self.look_again(file, connection)
            self.arrival_last = max(self.arrival_last, one_row(connection, _ARRIVAL_LAST)[0])
            block_ids = [block_id for (block_id,) in connection.execute("SELECT id FROM blocks")]
            for (key_id,) in rows(connection, _KEYS_USED):
                # Unwrapped now: the helper process is handed no other keys. Who reads is told of one that is missing.
                with suppress(StoreUnavailable):
                    file.sealer(connection, key_id)
        file.number_blocks(max(block_ids, default=0))
        named = set(map(file.block_path, block_ids))
        for path in file.blocks.glob(f"*{BLOCK_SUFFIX}"):
            if path not in named:
                path.unlink()


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # Logs of SQLite's come and go meanwhile.
        return 0


def _day_of(path: Path) -> date:
    try:
        day = date.fromisoformat(path.stem)
    except ValueError:
        day = None
    if day is None or day.isoformat() != path.stem:
        raise StoreUnavailable(f"{path.name} is not a file of this store; move it elsewhere.")
    return day
