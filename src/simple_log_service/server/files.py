"""Small files that must survive, in a directory that is nobody else's.

The rules: a file is there whole or not at all, on disk before its writer goes on, and private from its first
byte. A directory has one server at a time. Whatever only the operator can put right is an ``OperatorError``.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

PRIVATE_FILE_MODE = 0o600
PRIVATE_DIRECTORY_MODE = 0o700
_OTHERS_MAY_WRITE = 0o022


class OperatorError(Exception):
    """Something that only the operator can put right; the message says what is wrong and what to do."""


def write_durably(path: Path, data: bytes, mode: int = PRIVATE_FILE_MODE, *, replace: bool = True) -> None:
    """Write the file whole, with exactly these permission bits, and return once a power cut cannot undo it.

    A reader sees the file that was there before or all of the new one. With ``replace=False`` a file that is
    already there stays and ``FileExistsError`` is raised, also where two processes try at once. A process
    killed on the way leaves at most a hidden ``*.tmp`` file behind, which nothing ever reads.

    Raises ``OSError``.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        _write_new(temporary, data, mode)
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    # O_EXCL never follows a link or opens what someone else put there. The umask can only take bits away from
    # the mode given here, so the file is never wider than asked; fchmod then gives back what the umask took.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Make the directory's entries durable: what was made or renamed in it is found after a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_dir(path: Path) -> None:
    """Make the directory for this user alone, with missing ones above it, or check the one that is there.

    Raises ``OperatorError`` for one that belongs to another user or that others may write to: whoever can put
    files there could put their own keys there.
    """
    try:
        _make_missing(path)
        status = path.stat()
    except OSError as error:
        raise OperatorError(
            f"The directory {path} cannot be made or opened: {error.strerror}. "
            "Choose another directory, or make this one for the user that runs the server."
        ) from error
    user_id = os.geteuid()
    if status.st_uid != user_id:
        raise OperatorError(
            f"The directory {path} belongs to user {status.st_uid}, and this process runs as user {user_id}. "
            f"Run it as that user, give it the directory (chown -R {user_id} {path}), or choose another one."
        )
    if status.st_mode & _OTHERS_MAY_WRITE:
        raise OperatorError(
            f"Other users may write to the directory {path}. Take that away (chmod go-w {path}), "
            "or choose another directory, such as a new one inside it."
        )


def _make_missing(path: Path) -> None:
    if path.is_dir():
        return
    _make_missing(path.parent)
    path.mkdir(PRIVATE_DIRECTORY_MODE, exist_ok=True)
    sync_directory(path.parent)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` alone among all processes and threads, after waiting for one's turn.

    Raises ``OSError``.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class DirectoryLock:
    """The right to be the one server of a directory, from construction until ``release``.

    The kernel releases it when the process dies, however it dies; a child that was forked without exec would hold
    it on.
    """

    def __init__(self, directory: Path) -> None:
        """Take the lock file ``lock``, or raise ``OperatorError`` that names the process that has it."""
        path = directory / "lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE_MODE)
        except OSError as error:
            raise _cannot_lock(path, error) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).strip()
            os.close(self._descriptor)
            if isinstance(error, BlockingIOError):
                raise _held(directory, holder) from error
            raise _cannot_lock(path, error) from error

    def release(self) -> None:
        """Let another server have the directory; releasing twice does nothing more."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def is_locked(directory: Path) -> bool:
    """Whether a server has the directory now."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        # Shared, and let go at once: two that look do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _held(directory: Path, holder: bytes) -> OperatorError:
    # The number is there for the message alone; between taking the lock and writing it the file may be empty.
    process = f"process {holder.decode()}" if holder.isdigit() else "another process"
    return OperatorError(
        f"The directory {directory} is in use by another server: {process}. "
        "Stop that one first, or give this one a directory of its own."
    )


def _cannot_lock(path: Path, error: OSError) -> OperatorError:
    return OperatorError(
        f"The lock file {path} cannot be taken: {error.strerror}. "
        "The directory must exist, belong to the user that runs the server, and be on a local file system."
    )
