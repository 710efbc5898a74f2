"""Small files: whole or not at all, private, durable, and one server to a directory."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simple_log_service.server.files import (
    DirectoryLock,
    OperatorError,
    exclusive,
    make_private_dir,
    write_durably,
)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def another_process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the code until it has printed a line; end it, if it still runs, when the block is left."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


WRITE_AND_HANG_BEFORE_THE_RENAME = """
import os, sys
from pathlib import Path
from simple_log_service.server import files

def hang(descriptor):
    print("ready", flush=True)
    sys.stdin.read()

os.fsync = hang
files.write_durably(Path(sys.argv[1]), b"new")
"""

HOLD_THE_DIRECTORY = """
import sys
from pathlib import Path
from simple_log_service.server.files import DirectoryLock

with DirectoryLock(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""

HOLD_THE_LOCK_FILE_WHILE_WRITING = """
import sys
from pathlib import Path
from simple_log_service.server.files import exclusive

with exclusive(Path(sys.argv[1]) / "turn"):
    print("ready", flush=True)
    sys.stdin.readline()
    (Path(sys.argv[1]) / "written").write_text("by the first")
"""


class TestWriteDurably:
    def test_a_file_is_written_and_replaced_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        write_durably(path, b"a long first version")
        write_durably(path, b"second")
        assert path.read_bytes() == b"second"
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]

    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
    def test_the_permissions_are_exact_whatever_the_umask(self, tmp_path: Path, mask: int) -> None:
        with umask(mask):
            write_durably(tmp_path / "private", b"secret")
            write_durably(tmp_path / "public", b"plain", 0o644)
        assert mode_of(tmp_path / "private") == 0o600
        assert mode_of(tmp_path / "public") == 0o644

    def test_replacing_a_file_that_everybody_may_read_makes_it_private(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"old")
        path.chmod(0o666)
        write_durably(path, b"new")
        assert mode_of(path) == 0o600

    def test_the_file_is_private_before_its_first_byte(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        modes_when_created: list[int] = []
        change_mode = os.fchmod

        def spy(descriptor: int, mode: int) -> None:
            status = os.fstat(descriptor)
            assert status.st_size == 0
            modes_when_created.append(stat.S_IMODE(status.st_mode))
            change_mode(descriptor, mode)

        monkeypatch.setattr(os, "fchmod", spy)
        with umask(0):
            write_durably(tmp_path / "file", b"secret")
        assert modes_when_created == [0o600]

    def test_the_data_is_synced_before_the_rename_and_the_directory_after_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps: list[str] = []
        sync, rename = os.fsync, os.replace

        def spy_on_sync(descriptor: int) -> None:
            is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            steps.append("sync directory" if is_directory else f"sync {os.fstat(descriptor).st_size} bytes")
            sync(descriptor)

        def spy_on_rename(source: Path, target: Path) -> None:
            steps.append("rename")
            rename(source, target)

        monkeypatch.setattr(os, "fsync", spy_on_sync)
        monkeypatch.setattr(os, "replace", spy_on_rename)
        write_durably(tmp_path / "file", b"four")
        assert steps == ["sync 4 bytes", "rename", "sync directory"]

    def test_a_full_disk_leaves_the_old_file_and_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        path = tmp_path / "file"
        write_durably(path, b"old")
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_durably(path, b"new")
        assert path.read_bytes() == b"old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]

    def test_a_writer_that_is_killed_leaves_the_old_file_and_does_not_stop_the_next(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        write_durably(path, b"old")
        with another_process(WRITE_AND_HANG_BEFORE_THE_RENAME, str(path)) as process:
            process.kill()
            process.wait()
        leftovers = [entry for entry in tmp_path.iterdir() if entry != path]
        assert path.read_bytes() == b"old"
        assert [(entry.suffix, mode_of(entry)) for entry in leftovers] == [(".tmp", 0o600)]
        write_durably(path, b"next")
        assert path.read_bytes() == b"next"

    def test_without_replace_a_file_that_is_there_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        write_durably(path, b"first", replace=False)
        with pytest.raises(FileExistsError):
            write_durably(path, b"second", replace=False)
        assert path.read_bytes() == b"first"
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]

    def test_a_symbolic_link_is_replaced_and_its_target_left_alone(self, tmp_path: Path) -> None:
        target, path = tmp_path / "target", tmp_path / "file"
        target.write_bytes(b"untouched")
        path.symlink_to(target)
        write_durably(path, b"new")
        assert target.read_bytes() == b"untouched"
        assert not path.is_symlink()


class TestMakePrivateDir:
    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
    def test_every_missing_directory_is_made_for_this_user_alone(self, tmp_path: Path, mask: int) -> None:
        with umask(mask):
            make_private_dir(tmp_path / "new" / "data")
        assert mode_of(tmp_path / "new") == 0o700
        assert mode_of(tmp_path / "new" / "data") == 0o700

    def test_the_parent_of_each_new_directory_is_synced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
        make_private_dir(tmp_path / "new" / "data")
        assert synced == [tmp_path.stat().st_ino, (tmp_path / "new").stat().st_ino]

    @pytest.mark.parametrize("mode", [0o700, 0o750, 0o755])
    def test_a_directory_that_only_its_owner_writes_to_is_taken_as_it_is(self, tmp_path: Path, mode: int) -> None:
        tmp_path.chmod(mode)
        make_private_dir(tmp_path)
        assert mode_of(tmp_path) == mode

    @pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
    def test_a_directory_that_others_may_write_to_is_refused_with_the_remedy(self, tmp_path: Path, mode: int) -> None:
        tmp_path.chmod(mode)
        with pytest.raises(OperatorError) as refusal:
            make_private_dir(tmp_path)
        assert str(refusal.value) == (
            f"Other users may write to the directory {tmp_path}. Take that away (chmod go-w {tmp_path}), "
            "or choose another directory, such as a new one inside it."
        )
        make_private_dir(tmp_path / "inside")

    def test_a_directory_of_another_user_is_refused_with_the_remedy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        with pytest.raises(OperatorError) as refusal:
            make_private_dir(tmp_path)
        assert str(refusal.value) == (
            f"The directory {tmp_path} belongs to user {owner}, and this process runs as user {owner + 1}. "
            f"Run it as that user, give it the directory (chown -R {owner + 1} {tmp_path}), "
            "or choose another one."
        )

    def test_a_file_where_the_directory_should_be_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.touch()
        with pytest.raises(OperatorError, match=r"cannot be made or opened: .* Choose another directory"):
            make_private_dir(path)
        with pytest.raises(OperatorError, match=r"cannot be made or opened: .* Choose another directory"):
            make_private_dir(path / "below")


class TestDirectoryLock:
    def test_a_second_server_is_told_which_process_is_the_first(self, tmp_path: Path) -> None:
        with another_process(HOLD_THE_DIRECTORY, str(tmp_path)) as process:
            with pytest.raises(OperatorError) as refusal:
                DirectoryLock(tmp_path)
            assert str(refusal.value) == (
                f"The directory {tmp_path} is in use by another server: process {process.pid}. "
                "Stop that one first, or give this one a directory of its own."
            )

    def test_the_lock_dies_with_its_process(self, tmp_path: Path) -> None:
        with another_process(HOLD_THE_DIRECTORY, str(tmp_path)) as process:
            process.kill()
            process.wait()
        with DirectoryLock(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"

    def test_a_released_directory_can_be_taken_again(self, tmp_path: Path) -> None:
        lock = DirectoryLock(tmp_path)
        lock.release()
        lock.release()
        with DirectoryLock(tmp_path), pytest.raises(OperatorError, match=f"process {os.getpid()}"):
            DirectoryLock(tmp_path)

    def test_a_holder_that_did_not_leave_its_number_is_another_process(self, tmp_path: Path) -> None:
        with DirectoryLock(tmp_path):
            (tmp_path / "lock").write_bytes(b"\xff not a number")
            with pytest.raises(OperatorError, match="another server: another process"):
                DirectoryLock(tmp_path)

    def test_the_lock_file_is_private(self, tmp_path: Path) -> None:
        with umask(0), DirectoryLock(tmp_path):
            assert mode_of(tmp_path / "lock") == 0o600

    def test_a_directory_that_is_missing_is_refused_with_a_hint(self, tmp_path: Path) -> None:
        with pytest.raises(OperatorError, match=r"cannot be taken: No such file .* The directory must exist"):
            DirectoryLock(tmp_path / "missing")


class TestExclusive:
    def test_the_next_waits_until_the_first_is_done(self, tmp_path: Path) -> None:
        with another_process(HOLD_THE_LOCK_FILE_WHILE_WRITING, str(tmp_path)) as process:
            assert process.stdin is not None
            assert not (tmp_path / "written").exists()
            process.stdin.write("go on\n")
            process.stdin.flush()
            with exclusive(tmp_path / "turn"):
                assert (tmp_path / "written").read_text() == "by the first"
