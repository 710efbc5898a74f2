"""A disk that fails, waits or loses power when it is told to: a layer of SQLite's own over the real one.

It remembers every write, truncation and sync. From that, ``after_power_cut`` makes the files that a machine could
find after its power failed at any moment: what was synced is there, of everything else any part may be.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec

_SECTOR_BYTES = 512


class Event(msgspec.Struct):
    """What was done to a file. A write has data, a truncation only the place where the file ends now."""

    kind: str
    name: str
    offset: int = 0
    data: bytes = b""


class Disk(apsw.VFS):
    """To be given to a store by its ``name``.

    ``failing`` is the kind of event ("sync", "write") that fails with an I/O error, ``failing_suffix`` the end of the
    names of files that it happens to. After ``writes_left`` more writes it is full. Syncs wait while ``gate`` is
    closed; ``waiting`` says that one does.
    """

    def __init__(self) -> None:
        self.name = f"disk-{uuid.uuid4().hex}"
        self.events: list[Event] = []
        self.failing = ""
        self.failing_suffix = ""
        self.writes_left: int | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        super().__init__(self.name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
        """Open a file of the real disk."""
        return _File(self, name, flags)

    def happens(self, event: Event) -> None:
        """Remember the event, or fail it."""
        if event.kind == "sync":
            self.waiting.set()
            self.gate.wait()
        if event.kind == "write" and self.writes_left is not None:
            if self.writes_left == 0:
                raise apsw.FullError("a test's disk is full")
            self.writes_left -= 1
        self.events.append(event)
        if event.kind == self.failing and event.name.endswith(self.failing_suffix):
            error = apsw.IOError("a test's disk fails")
            code = apsw.SQLITE_IOERR_FSYNC if event.kind == "sync" else apsw.SQLITE_IOERR_WRITE
            setattr(error, "extendedresult", code)  # noqa: B010 - which its stub does not have
            raise error

    def count(self, kind: str) -> int:
        """How many events of a kind there were."""
        return sum(event.kind == kind for event in self.events)

    def hold(self) -> None:
        """Have the next sync wait until ``release``."""
        self.waiting.clear()
        self.gate.clear()

    def release(self) -> None:
        """Let syncs go on."""
        self.gate.set()


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "").name
        super().__init__("", name, flags)

    def xLock(self, level: int) -> None:  # noqa: N802 - SQLite's name
        try:
            super().xLock(level)
        except apsw.IOError:
            # A file that is open for reading cannot be locked for writing. SQLite takes that in its stride when it
            # comes from the real disk; through apsw only if it is called busy.
            raise apsw.BusyError from None

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.happens(Event("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.happens(Event("truncate", self._name, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.happens(Event("sync", self._name))
        super().xSync(flags)


@contextmanager
def disk() -> Iterator[Disk]:
    """A disk that works, until told otherwise."""
    made = Disk()
    try:
        yield made
    finally:
        made.release()
        made.unregister()


def after_power_cut(before: dict[str, bytes], events: list[Event], chance: random.Random) -> dict[str, bytes]:
    """The files that may be found after a power cut.

    ``before`` are the files, known to be on disk; ``events`` what happened since. Writes that were not synced are
    there whole, in part or not at all, in any combination.
    """
    synced = {name: bytearray(data) for name, data in before.items()}
    pending: dict[str, list[Event]] = {}
    for event in events:
        if event.kind == "sync":
            for earlier in pending.pop(event.name, []):
                _apply(synced.setdefault(event.name, bytearray()), earlier)
        else:
            pending.setdefault(event.name, []).append(event)
    for name, left in pending.items():
        for event in left:
            torn = _torn(event, chance)
            if torn is not None:
                _apply(synced.setdefault(name, bytearray()), torn)
    return {name: bytes(data) for name, data in synced.items()}


def _torn(event: Event, chance: random.Random) -> Event | None:
    fate = chance.randrange(3)
    if fate == 0:
        return None
    if fate == 1 or event.kind == "truncate":
        return event
    sectors = -(-len(event.data) // _SECTOR_BYTES)
    kept = chance.randrange(sectors + 1) * _SECTOR_BYTES
    return Event("write", event.name, event.offset, event.data[:kept])


def _apply(content: bytearray, event: Event) -> None:
    if event.kind == "truncate":
        del content[event.offset :]
        return
    end = event.offset + len(event.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[event.offset : end] = event.data


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a folder, but for the shared memory, which nothing makes durable."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


def put_files(folder: Path, files: dict[str, bytes]) -> None:
    """Make a folder with these files."""
    folder.mkdir(mode=0o700)
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
