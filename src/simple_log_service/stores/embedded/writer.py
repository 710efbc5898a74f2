"""The one writer: looks up what was stored before, seals a group, and commits it with one fsync.

It runs in a thread of its own. What it does for a group is compressing, sealing and SQLite's work, all of which let the
event loop go on meanwhile.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress

import apsw
import msgspec

from simple_log_service.core.admission import GivenId, receipt_of
from simple_log_service.core.batch import Batch
from simple_log_service.core.errors import IdempotencyMismatch, LogServiceError, StoreBusy, StoreFull
from simple_log_service.core.limits import DAY_NS, IDEMPOTENCY_NS_MIN, WAL_BYTES_MAX
from simple_log_service.core.receipts import LogIdRun, Receipt
from simple_log_service.stores.embedded.blocks import BlockRow
from simple_log_service.stores.embedded.catalog import Catalog
from simple_log_service.stores.embedded.day_file import LOCK_MILLISECONDS_MAX, PAGE_BYTES, DayFile
from simple_log_service.stores.embedded.frames import pack_receipt, unpack_receipt
from simple_log_service.stores.embedded.group import Group, HashPair, Member, split_pair
from simple_log_service.stores.embedded.merge_plan import Sources
from simple_log_service.stores.embedded.sealing import Part, Sealer
from simple_log_service.stores.embedded.sql import rows, translated_errors
from simple_log_service.stores.packing import FrameDamaged, compress

_INSERT_BLOCK = "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_RETRY_FILES = 1 + IDEMPOTENCY_NS_MIN // DAY_NS
"""Used Idempotency-Keys are looked for in the newest file and in those of as many days before it as they are kept."""


class Written(msgspec.Struct):
    """A committed group: a receipt for each member, and what makes the ids of its file."""

    receipts: list[Receipt]
    generated_id: Callable[[int], str]


class SeenBefore(msgspec.Struct):
    """Nothing was written, since some of the group was there already.

    ``answers`` holds, by member, the first receipt of its key, or the error that there is instead of one.
    """

    answers: dict[int, Receipt | LogServiceError]
    known: set[GivenId]


class _Open(msgspec.Struct):
    """The file being written: its connection and this process's data key in it."""

    file: DayFile
    connection: apsw.Connection
    sealer: Sealer


class Writer:
    """Writes groups to the file of their day.

    Whatever fails is the last thing that it does, but for a full disk and for what could not even begin: what a failed
    fsync left on disk nobody knows, and a second one would prove nothing.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._current: _Open | None = None
        self._readers: dict[DayFile, apsw.Connection] = {}
        self._failure: Exception | None = None

    def write(self, group: Group) -> Written | SeenBefore:
        """Commit the group, or say what of it was there before. Raises ``StoreFull`` or ``StoreUnavailable``."""
        with self._unless_failed():
            current = self._open(group.arrival_first)
            with _transaction(current.connection):
                seen = self._seen_before(group, current)
                if seen is not None:
                    return seen
                written = self._insert(group, current)
        if group.columns is not None:
            self._catalog.add_chunk(current.file, group.columns.timestamps, group.arrivals[-1])
        return written

    def sealing_key(self, file: DayFile) -> int:
        """The number of a data key of this process in a file, for blocks to be sealed with."""
        with self._unless_failed():
            if self._current is not None and file is self._current.file:
                return self._current.sealer.key_id
            with self._writing(file) as connection:
                return file.new_sealer(connection).key_id

    def swap(self, file: DayFile, sources: Sources, blocks: Sequence[BlockRow]) -> None:
        """Put blocks in the place of chunks and of other blocks, all at once; their files are on disk already."""
        with self._unless_failed(), self._writing(file) as connection:
            with _transaction(connection):
                connection.executemany(_INSERT_BLOCK, blocks)
                connection.executemany("DELETE FROM chunks WHERE id = ?", [(each,) for each in sources.chunks])
                connection.executemany("DELETE FROM blocks WHERE id = ?", [(each,) for each in sources.blocks])
            self._catalog.look_again(file, connection)

    def give_back(self, file: DayFile, pages_max: int) -> bool:
        """Let the file system have some of a file's free pages; whether there are more."""
        with self._unless_failed(), self._writing(file) as connection:
            rows(connection, f"PRAGMA incremental_vacuum({pages_max})")
            if connection.pragma("freelist_count"):
                return True
            _fold_in_at_once(connection)
            return False

    def empty_log(self, file: DayFile) -> bool:
        """Fold a file's write-ahead log in and leave nothing in it; ``False`` where somebody reads, without waiting."""
        with self._unless_failed(), self._writing(file) as connection:
            return _fold_in_at_once(connection)

    def leave(self, file: DayFile) -> None:
        """Close every connection to a file that is about to go; it is not the one being written."""
        reader = self._readers.pop(file, None)
        if reader is not None:
            reader.close()

    def checkpoint(self) -> None:
        """Fold the write-ahead log into its file, once it has grown; done after the group was answered."""
        current = self._current
        if current is None or self._failure is not None:
            return
        with self._unless_failed():
            pages = current.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0]
            if pages * PAGE_BYTES > WAL_BYTES_MAX:
                _fold_in(current.connection, apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        """Fold the log in, if all is well, and close every connection."""
        with suppress(apsw.Error):
            # What cannot be folded in stays in the log.
            self._leave_current()
        for connection in self._readers.values():
            connection.close()
        self._readers.clear()

    @contextmanager
    def _unless_failed(self) -> Iterator[None]:
        if self._failure is not None:
            raise self._failure
        try:
            with translated_errors():
                yield
        except (StoreFull, StoreBusy):
            raise
        except Exception as error:
            self._failure = error
            raise

    def _open(self, arrival: int) -> _Open:
        file = self._catalog.file_of(arrival)
        if self._current is None or self._current.file is not file:
            self._leave_current()
            connection = file.connect(writable=True)
            self._current = _Open(file, connection, file.new_sealer(connection))
        return self._current

    @contextmanager
    def _writing(self, file: DayFile) -> Iterator[apsw.Connection]:
        """A connection for writing: that of the current file, or one for a file of a day that is over."""
        if self._current is not None and file is self._current.file:
            yield self._current.connection
            return
        with closing(file.connect(writable=True)) as connection:
            yield connection
            _fold_in_at_once(connection)

    def _leave_current(self) -> None:
        current, self._current = self._current, None
        if current is None:
            return
        with closing(current.connection) as connection:
            if self._failure is None:
                _fold_in_at_once(connection)

    def _insert(self, group: Group, current: _Open) -> Written:
        connection, sealer = current.connection, current.sealer
        generated_id = current.file.generated_id
        receipts = [
            receipt_of(member.waiting.batch, member.stored, member.arrival_first, generated_id)
            for member in group.members
        ]
        if group.columns is not None:
            # Numbered by its first arrival: merged chunks go, and no number must ever stand for two.
            chunk, times, arrivals = group.arrival_first, group.columns.timestamps, group.arrivals
            about = min(times), max(times), arrivals[-1]
            head = sealer.seal(Part.CHUNK_HEAD, chunk, group.head, *about)
            body = sealer.seal(Part.CHUNK_BODY, chunk, compress(group.body), *about)
            connection.execute(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (chunk, sealer.key_id, *about[:2], arrivals[0], arrivals[-1], len(arrivals), head, body),
            )
        if group.given:
            connection.executemany("INSERT INTO log_ids VALUES (?, ?)", sorted(group.given))
        self._insert_retries(group, receipts, current)
        return Written(receipts, generated_id)

    def _insert_retries(self, group: Group, receipts: list[Receipt], current: _Open) -> None:
        inserts: list[tuple[int | bytes | None, ...]] = []
        for member, receipt in zip(group.members, receipts, strict=True):
            pair, batch = member.retry_hash, member.waiting.batch
            if pair is None or batch.retry is None or len(batch) == 0:
                continue
            sealed = None
            if not _is_plain(batch, receipt):
                sealed = current.sealer.seal(Part.RECEIPT, pair[0], pack_receipt(receipt))
            place = (current.sealer.key_id, member.arrival_first, receipt.accepted)
            inserts.append((*pair, *split_pair(batch.retry.fingerprint), *place, sealed))
        if inserts:
            current.connection.executemany("INSERT INTO retries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", inserts)

    def _seen_before(self, group: Group, current: _Open) -> SeenBefore | None:
        answers: dict[int, Receipt | LogServiceError] = {}
        for place, member in enumerate(group.members):
            answer = self._first_answer(member, current)
            if answer is not None:
                answers[place] = answer
        known = self._known_ids(group.given, current) if group.given else set()
        return SeenBefore(answers, known) if answers or known else None

    def _first_answer(self, member: Member, current: _Open) -> Receipt | LogServiceError | None:
        pair, retry = member.retry_hash, member.waiting.batch.retry
        if pair is None or retry is None:
            return None
        for file in self._catalog.newest_first()[:_RETRY_FILES]:
            connection = self._connection(file, current)
            found = rows(connection, "SELECT * FROM retries WHERE hash_high = ? AND hash_low = ?", pair)
            if not found:
                continue
            _, _, print_high, print_low, key_id, arrival, records, sealed = found[0]
            if (print_high, print_low) != split_pair(retry.fingerprint):
                return IdempotencyMismatch("This Idempotency-Key was used before, with another request.")
            if sealed is not None:
                try:
                    return unpack_receipt(file.sealer(connection, key_id).open(Part.RECEIPT, pair[0], sealed))
                except FrameDamaged as damaged:
                    return damaged
            return Receipt(records, log_ids=[LogIdRun(0, records, file.generated_id(arrival))])
        return None

    def _known_ids(self, given: dict[HashPair, GivenId], current: _Open) -> set[GivenId]:
        known: set[GivenId] = set()
        highs = array("q", sorted(high for high, _ in given))
        for file in self._catalog.newest_first():
            candidates = "SELECT hash_high, hash_low FROM log_ids WHERE hash_high IN carray(?)"
            found = rows(self._connection(file, current), candidates, (apsw.carray(highs),))
            known.update(given[high, low] for high, low in found if (high, low) in given)
        return known

    def _connection(self, file: DayFile, current: _Open) -> apsw.Connection:
        if file is current.file:
            return current.connection
        if file not in self._readers:
            self._readers[file] = file.connect()
        return self._readers[file]


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """All of what is written within is committed, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _fold_in_at_once(connection: apsw.Connection) -> bool:
    """Leave no write-ahead log, but without waiting: what a reader holds up stays in the log, which is as good."""
    connection.set_busy_timeout(0)
    try:
        return _fold_in(connection, apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.set_busy_timeout(LOCK_MILLISECONDS_MAX)


def _fold_in(connection: apsw.Connection, mode: int) -> bool:
    try:
        connection.wal_checkpoint(mode=mode)
    except (apsw.BusyError, apsw.FullError):
        # A long read or a full disk: the log keeps everything until a later try.
        return False
    return True


def _is_plain(batch: Batch, receipt: Receipt) -> bool:
    """Whether a receipt follows from its first arrival number and its count alone."""
    return not receipt.rejected and not receipt.duplicates and batch.log_ids is None
