"""One file of the store: SQLite, holding what arrived on one day (UTC), every name and text in it sealed.

A file has a version in its header and is refused if it is newer than this code. It is made under another name, synced
and renamed, so that a file with its proper name is always whole. Each process that writes adds a data key of its own,
wrapped by the key provider.
"""

from __future__ import annotations

import os
import secrets
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import apsw
import msgspec

from simple_log_service.core.errors import StoreUnavailable
from simple_log_service.core.ids import NONCE_BITS, log_id_of
from simple_log_service.core.limits import DAY_NS, SECOND_NS, WAL_BYTES_MAX
from simple_log_service.core.ports import KeyProvider
from simple_log_service.stores.embedded.blocks import BlockFile, BlockRow, block_path
from simple_log_service.stores.embedded.sealing import DATA_KEY_BYTES, Sealer
from simple_log_service.stores.embedded.sql import one_row

FORMAT_VERSION = 2
"""Version 1 had no blocks; its files are brought up to this one when they are opened."""
FRAME_VERSION = 1
"""Of the sealed frames, bound into each."""
SQLITE_VERSION_MIN = (3, 51, 3)
"""Older ones can corrupt a file when the write-ahead log is reset."""

BLOCK_IDS_AT_ONCE = 10_000
"""More than one merge can make."""
HASH_KEY_BYTES = 32
PAGE_BYTES = 4096

_APPLICATION_ID = 0x534C4F47
"""``SLOG``: what ``file`` and other tools see in the SQLite header."""

LOCK_MILLISECONDS_MAX = 5000
"""How long a lock of another process, a backup for instance, is waited for."""
_LAYOUT = f"PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL"
_BLOCKS = """
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    key_id INTEGER NOT NULL,
    time_min INTEGER NOT NULL,
    time_max INTEGER NOT NULL,
    arrival_min INTEGER NOT NULL,
    arrival_max INTEGER NOT NULL,
    records INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    filters_at INTEGER NOT NULL,
    index_at INTEGER NOT NULL
);
CREATE INDEX blocks_by_time ON blocks (time_max);
"""
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {FORMAT_VERSION};
CREATE TABLE header (file_id BLOB NOT NULL, nonce INTEGER NOT NULL, kek_id TEXT NOT NULL, hash_key BLOB NOT NULL);
CREATE TABLE data_keys (id INTEGER PRIMARY KEY, kek_id TEXT NOT NULL, wrapped BLOB NOT NULL);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    key_id INTEGER NOT NULL,
    time_min INTEGER NOT NULL,
    time_max INTEGER NOT NULL,
    arrival_min INTEGER NOT NULL,
    arrival_max INTEGER NOT NULL,
    records INTEGER NOT NULL,
    head BLOB NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX chunks_by_time ON chunks (time_max, time_min, arrival_max, key_id);
CREATE TABLE retries (
    hash_high INTEGER NOT NULL,
    hash_low INTEGER NOT NULL,
    print_high INTEGER NOT NULL,
    print_low INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    records INTEGER NOT NULL,
    receipt BLOB,
    PRIMARY KEY (hash_high, hash_low)
) WITHOUT ROWID;
CREATE TABLE log_ids (
    hash_high INTEGER NOT NULL,
    hash_low INTEGER NOT NULL,
    PRIMARY KEY (hash_high, hash_low)
) WITHOUT ROWID;
{_BLOCKS}
"""
_UPGRADE = f"BEGIN IMMEDIATE; {_BLOCKS}; PRAGMA user_version = {FORMAT_VERSION}; COMMIT"


class Header(msgspec.Struct, frozen=True):
    """What a file says of itself. ``hash_key`` keys the hashes of retry keys and callers' ids; files share it."""

    file_id: bytes
    nonce: int
    hash_key: bytes


class DayFile:
    """An open file: its header, its data keys and connections to it."""

    def __init__(self, path: Path, keys: KeyProvider, *, vfs: str | None = None) -> None:
        self.path = path
        self._keys = keys
        self._vfs = vfs
        self._sealers: dict[int, Sealer] = {}
        self._block_ids = count(1, BLOCK_IDS_AT_ONCE)
        with closing(self.connect()) as connection:
            self.header = self._read_header(connection)
        self.generated_id = partial(log_id_of, nonce=self.header.nonce)

    @classmethod
    def create(cls, path: Path, keys: KeyProvider, hash_key: bytes, *, vfs: str | None = None) -> DayFile:
        """Make the file durably: whole under another name first, then renamed, then the folder synced."""
        making = path.with_suffix(".new")
        for leftover in path.parent.glob(making.name + "*"):
            leftover.unlink()
        file_id, nonce = secrets.token_bytes(16), secrets.randbits(NONCE_BITS)
        wrapped = keys.wrap(hash_key, _header_context(file_id, nonce))
        with closing(apsw.Connection(os.fspath(making), vfs=vfs)) as connection:
            making.chmod(0o600)
            connection.execute(f"{_LAYOUT}; BEGIN")
            connection.execute(_SCHEMA)
            connection.execute("INSERT INTO header VALUES (?, ?, ?, ?)", (file_id, nonce, keys.kek_id, wrapped))
            connection.execute("COMMIT")
            # Last, so that the file is whole without a write-ahead log, which closing folds in only where it can.
            connection.pragma("journal_mode", "wal")
        sync(making)
        making.rename(path)
        sync(path.parent)
        return cls(path, keys, vfs=vfs)

    @property
    def day_end_ns(self) -> int:
        """When its day is over, nanoseconds."""
        begin = datetime.strptime(self.path.stem, "%Y-%m-%d").replace(tzinfo=UTC)
        return int(begin.timestamp()) * SECOND_NS + DAY_NS

    @property
    def blocks(self) -> Path:
        """The folder of its merged blocks, which may not be there."""
        return self.path.with_suffix("")

    def number_blocks(self, after: int) -> None:
        """New blocks are to be numbered after this one."""
        self._block_ids = count(after + 1, BLOCK_IDS_AT_ONCE)

    def next_block_ids(self) -> int:
        """The first of ``BLOCK_IDS_AT_ONCE`` numbers that no block has had while the process runs."""
        return next(self._block_ids)

    def block_path(self, block_id: int) -> Path:
        """Where a block of it stands."""
        return block_path(self.blocks, block_id)

    def block(self, connection: apsw.Connection, row: BlockRow) -> BlockFile:
        """A block of it, to be read."""
        return BlockFile(self.block_path(row.id), row, self.sealer(connection, row.key_id))

    def connect(self, *, writable: bool = False) -> apsw.Connection:
        """A connection of one's own: a writer's syncs at each commit, a reader's cannot write."""
        flags = apsw.SQLITE_OPEN_READWRITE if writable else apsw.SQLITE_OPEN_READONLY
        connection = apsw.Connection(os.fspath(self.path), flags=flags, vfs=self._vfs)
        connection.set_busy_timeout(LOCK_MILLISECONDS_MAX)
        if writable:
            # The writer decides when to fold the log in: closing after a failed fsync must not sync again.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.execute("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0")
            # What is deleted is overwritten where that costs no write; whole pages go when they are given back.
            connection.execute("PRAGMA secure_delete = FAST")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        return connection

    def new_sealer(self, connection: apsw.Connection) -> Sealer:
        """A fresh data key for this process, stored wrapped in the file."""
        data_key = secrets.token_bytes(DATA_KEY_BYTES)
        key_id = self._next_key_id(connection)
        wrapped = self._keys.wrap(data_key, self._key_context(key_id))
        connection.execute("INSERT INTO data_keys VALUES (?, ?, ?)", (key_id, self._keys.kek_id, wrapped))
        return self._remember(key_id, data_key)

    def sealer(self, connection: apsw.Connection, key_id: int) -> Sealer:
        """The sealer that opens frames of a data key."""
        known = self._sealers.get(key_id)
        if known is not None:
            return known
        kek_id, wrapped = one_row(connection, "SELECT kek_id, wrapped FROM data_keys WHERE id = ?", (key_id,))
        return self._remember(key_id, self._keys.unwrap(kek_id, wrapped, self._key_context(key_id)))

    def _read_header(self, connection: apsw.Connection) -> Header:
        version = connection.pragma("user_version")
        is_ours = connection.pragma("application_id") == _APPLICATION_ID
        if is_ours and version == 1:
            self._upgrade()
            version = FORMAT_VERSION
        if not is_ours or version != FORMAT_VERSION:
            raise StoreUnavailable(
                f"{self.path.name} has format version {version}; this program reads {FORMAT_VERSION}."
            )
        file_id, nonce, kek_id, hash_key = one_row(connection, "SELECT * FROM header")
        return Header(file_id, nonce, self._keys.unwrap(kek_id, hash_key, _header_context(file_id, nonce)))

    def _upgrade(self) -> None:
        with closing(self.connect(writable=True)) as connection:
            connection.execute(_UPGRADE)

    def _remember(self, key_id: int, data_key: bytes) -> Sealer:
        sealer = Sealer(data_key, version=FRAME_VERSION, file_id=self.header.file_id, key_id=key_id)
        self._sealers[key_id] = sealer
        return sealer

    def _key_context(self, key_id: int) -> bytes:
        return b"data-key" + self.header.file_id + key_id.to_bytes(4, "little")

    @staticmethod
    def _next_key_id(connection: apsw.Connection) -> int:
        return int(one_row(connection, "SELECT coalesce(max(id), 0) FROM data_keys")[0]) + 1


def _header_context(file_id: bytes, nonce: int) -> bytes:
    return b"hash-key" + file_id + nonce.to_bytes(8, "little")


def sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
