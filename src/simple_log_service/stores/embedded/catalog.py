"""The store's files: found at start, one added at each day's first record."""

from __future__ import annotations

import secrets
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import apsw
import msgspec

from simple_log_service.core.errors import StoreUnavailable
from simple_log_service.core.ports import KeyProvider
from simple_log_service.stores.embedded.day_file import HASH_KEY_BYTES, DayFile, sync
from simple_log_service.stores.embedded.sql import one_row

SUFFIX = ".logs"


class TimeRange(msgspec.Struct, frozen=True):
    """The oldest and the newest timestamp of some records, nanoseconds."""

    oldest: int
    newest: int

    def joined(self, other: TimeRange | None) -> TimeRange:
        """The range that covers both."""
        if other is None:
            return self
        return TimeRange(min(self.oldest, other.oldest), max(self.newest, other.newest))


class Catalog:
    """Knows every file by its day of arrival, and the time range of the records in each.

    Only the writer adds files; readers take the list as it is when they begin. ``hash_key`` keys the hashes by which
    retry keys and callers' ids are found; every file holds a sealed copy.
    """

    def __init__(self, folder: Path, keys: KeyProvider, *, vfs: str | None = None) -> None:
        self._folder = folder
        self._keys = keys
        self._vfs = vfs
        self._files: dict[date, DayFile] = {}
        self._ranges: dict[DayFile, TimeRange] = {}
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
                self._read_ranges(file)
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

    def extend(self, file: DayFile, span: TimeRange, arrival_last: int) -> None:
        """Take note of what a commit added."""
        self._ranges[file] = span.joined(self._ranges.get(file))
        self.arrival_last = max(self.arrival_last, arrival_last)

    def newest_first(self) -> list[DayFile]:
        """The files, the latest day first."""
        return [self._files[day] for day in sorted(self._files, reverse=True)]

    def overlapping(self, since_ns: int, last_ns: int) -> list[DayFile]:
        """The files with records in a range of time, both ends included."""
        return [file for file, span in list(self._ranges.items()) if span.newest >= since_ns and span.oldest <= last_ns]

    @property
    def size_bytes(self) -> int:
        """What the store takes on disk, write-ahead logs included."""
        return sum(path.stat().st_size for path in self._folder.iterdir())

    def _read_ranges(self, file: DayFile) -> None:
        span = "SELECT min(time_min), max(time_max), max(arrival_max) FROM chunks"
        with closing(file.connect()) as connection:
            oldest, newest, arrival = one_row(connection, span)
        if newest is not None:
            self.extend(file, TimeRange(oldest, newest), arrival)


def _day_of(path: Path) -> date:
    try:
        day = date.fromisoformat(path.stem)
    except ValueError:
        day = None
    if day is None or day.isoformat() != path.stem:
        raise StoreUnavailable(f"{path.name} is not a file of this store; move it elsewhere.")
    return day
