"""A full disk, for real (a small tmpfs): writers hear 507, readers read on, and room again is enough.

Mounting needs root or a user namespace; where neither is to be had this fails, since it would prove nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from e2e.server_process import Answer, ServerProcess

_DISK_BYTES = 6 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES},mode=0700", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all the room there is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


class Writer:
    """Sends distinct records that do not compress, each under a key of its own."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.acknowledged: set[str] = set()

    def send(self, number: int, kilobytes: int = 100) -> Answer:
        """One record of about this size."""
        message = f"{number} {Random(number).randbytes(kilobytes * 512).hex()}"
        record = {"service_name": "full", "log_type": "test", "message": message}
        answer = self._server.request(
            "POST", "/logs", msgspec.json.encode(record), headers=[("Idempotency-Key", f"key-{number}")]
        )
        if answer.status == 201:
            self.acknowledged.add(message)
        return answer


def stored(server: ServerProcess) -> list[str]:
    """Every message there is, the newest first."""
    with server.client() as client:
        return [record.message for record in client.iter_recent(service_name="full", limit=100_000)]


def test_a_full_disk_answers_507_and_room_again_is_enough(small_disk: Path) -> None:
    with ServerProcess(small_disk / "data") as server:
        writer = Writer(server)
        assert writer.send(0).status == 201
        ballast = fill(small_disk)
        refused = []
        for number in range(1, 40):
            answer = writer.send(number)
            assert answer.status in {201, 507}, answer.body
            if answer.status == 507:
                assert answer.headers["Retry-After"].isdigit()
                assert answer.headers["x-amzn-ErrorType"] == "InsufficientStorageException"
                refused.append(number)
        assert len(refused) > 5, "the disk was not full"
        assert sorted(stored(server)) == sorted(writer.acknowledged), "reads go on"
        assert server.request("GET", "/health").status == 200
        ballast.unlink()
        for number in [*refused[:5], *refused[:5]]:
            assert writer.send(number).status == 201, "room again is enough, and a repeat is not stored again"
        assert sorted(stored(server)) == sorted(writer.acknowledged)
        server.kill()
        server.restart()
        assert sorted(stored(server)) == sorted(writer.acknowledged), "nothing acknowledged is lost"


def test_the_first_file_cannot_be_made_on_a_full_disk_and_is_made_later(small_disk: Path) -> None:
    with ServerProcess(small_disk / "data") as server:
        writer = Writer(server)
        ballast = fill(small_disk)
        assert writer.send(1, kilobytes=1).status == 507
        assert stored(server) == []
        ballast.unlink()
        assert writer.send(1, kilobytes=1).status == 201
        assert stored(server) == list(writer.acknowledged)
