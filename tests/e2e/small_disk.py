"""A real file system of a few megabytes, to fill: a tmpfs in a mount namespace of its own, gone with its holder.

It needs no root where the kernel lets users have namespaces; where neither is to be had, the test fails and says so.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.server_process import ServerProcess

_MOUNT = 'mount -t tmpfs -o "size=$1,mode=700" tmpfs "$0" && echo mounted && exec cat'
_BLOCK_BYTES = 64 * 1024


class SmallDisk:
    """``outside`` is the disk's path for the test, ``inside`` the one for a server that ``server`` starts."""

    def __init__(self, inside: Path, holder_pid: int) -> None:
        self.inside = inside
        self.outside = Path(f"/proc/{holder_pid}/root{inside}")
        self._wrapper = ("nsenter", "--preserve-credentials", "--user", "--mount", "--target", str(holder_pid))

    def server(self, *flags: str) -> ServerProcess:
        """A server whose data folder lies on this disk."""
        data = ("--data-dir", os.fspath(self.inside / "data"))
        return ServerProcess(self.outside / "data", *data, *flags, wrapper=self._wrapper)

    @property
    def free_bytes(self) -> int:
        """How much room there is."""
        status = os.statvfs(self.outside)
        return status.f_bavail * status.f_frsize

    def fill(self, name: str = "ballast", *, leave_bytes: int = 0) -> None:
        """Take up all room but some with a file."""
        with (self.outside / name).open("ab", buffering=0) as file:
            while (room := self.free_bytes - leave_bytes) > 0:
                file.write(bytes(min(room, _BLOCK_BYTES)))

    def free(self, name: str = "ballast") -> None:
        """Give the room of a file back."""
        (self.outside / name).unlink()


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of that size over ``folder``, for whoever is in its namespace."""
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", _MOUNT, os.fspath(folder), str(size_bytes)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        if holder.stdout.readline() != "mounted\n":
            _, reason = holder.communicate()
            pytest.fail(f"a small disk cannot be mounted; run as root, or allow user namespaces: {reason.strip()}")
        yield SmallDisk(folder, holder.pid)
    finally:
        holder.communicate()
