"""A thin layer over apsw: rows without their types, which only the statement knows, and errors in our own terms."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from simple_log_service.core.errors import StoreBusy, StoreFull, StoreUnavailable

_DISK_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_NO_DESCRIPTORS = frozenset((errno.EMFILE, errno.ENFILE))


def rows(connection: apsw.Connection, statement: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every row of a statement's answer."""
    return connection.execute(statement, bindings).fetchall()


def one_row(connection: apsw.Connection, statement: str, bindings: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """The only row of a statement's answer; ``StoreUnavailable`` where there is none."""
    found = rows(connection, statement, bindings)
    if not found:
        raise StoreUnavailable("The store is damaged: a row that another one names is missing.")
    return found[0]


@contextmanager
def translated_errors() -> Iterator[None]:
    """SQLite's and the system's errors, as the store's own."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        if _is_disk_full(error):
            raise StoreFull("The disk is full; nothing of this request was stored.") from None
        if _is_passing(error):
            raise StoreBusy("The store is busy; nothing of this request was stored. Try again.") from None
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise StoreUnavailable(f"The store failed: {reason}.") from error


def _is_disk_full(error: apsw.Error | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in _DISK_FULL
    # The second: the shared-memory file of the write-ahead log could not grow. It holds nothing that must survive.
    return isinstance(error, apsw.FullError) or getattr(error, "extendedresult", None) == apsw.SQLITE_IOERR_SHMSIZE


def _is_passing(error: apsw.Error | OSError) -> bool:
    """Whether nothing was begun: another process holds a lock, or no file descriptor is left to open a file with."""
    if isinstance(error, OSError):
        return error.errno in _NO_DESCRIPTORS
    return isinstance(error, apsw.BusyError | apsw.LockedError | apsw.CantOpenError)
