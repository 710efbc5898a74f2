"""A server that merges all the time, killed at any moment (SIGKILL), or robbed of its helper process, loses nothing.

``KILL_ROUNDS`` in the environment asks for another number of rounds.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pytest

from e2e.server_process import ServerProcess
from e2e.test_kill import Sent, Writer, check_round, kill_while_starting, stored_messages

ROUNDS = int(os.environ.get("KILL_ROUNDS", "10"))
WRITERS = 3
LOAD_SECONDS_MAX = 1.2
HELPER_KILLS_MAX = 3
HELPER_SECONDS_MAX = 10.0

_MERGING_ALL_THE_TIME = """
import sys
from simple_log_service.core import limits
limits.MERGE_CHUNKS_MAX = 1
limits.MERGE_PAUSE_SECONDS = 0.05
from simple_log_service.stores.embedded import keeper
keeper._TICK_SECONDS = 0.01
from simple_log_service.cli.main import main
del sys.argv[0]
main()
"""
"""The program, but for what it waits for before it merges."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    wrapper = (sys.executable, "-c", _MERGING_ALL_THE_TIME)
    with ServerProcess(tmp_path / "data", "--throttle-rate", "0", wrapper=wrapper) as running:
        yield running


def helper_pid(server: ServerProcess) -> int | None:
    """The helper process, if there is one at the moment."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return int(children[0]) if children else None


def is_running(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def kill_helper(server: ServerProcess) -> bool:
    pid = helper_pid(server)
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return True


def load(server: ServerProcess, service_name: str, chance: random.Random, end: str) -> tuple[list[Sent], int]:
    """Write from several threads, kill the helper now and then, and end the server in the midst of it."""
    writers = [Writer(server, service_name, f"writer-{n}") for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    helpers_killed = 0
    for _ in range(chance.randrange(HELPER_KILLS_MAX + 1)):
        # The moments are to be random: nothing is awaited.
        threading.Event().wait(chance.uniform(0, LOAD_SECONDS_MAX / HELPER_KILLS_MAX))
        helpers_killed += kill_helper(server)
    threading.Event().wait(chance.uniform(0, LOAD_SECONDS_MAX / 2))
    helper = helper_pid(server)
    if end == "kill":
        server.kill()
    else:
        assert server.stop() == 0
    for writer in writers:
        writer.join()
    assert [writer.refused for writer in writers] == [[]] * WRITERS
    if helper is not None:
        assert_ends(helper)
    return [request for writer in writers for request in writer.sent], helpers_killed


def assert_ends(pid: int) -> None:
    """The helper ends with its server, however that ended."""
    pause = threading.Event()
    for _ in range(int(HELPER_SECONDS_MAX / 0.01)):
        if not is_running(pid):
            return
        pause.wait(0.01)
    pytest.fail("the helper process outlives its server")


def merged_records(data_dir: Path) -> int:
    """How many records are in blocks; every block that is named is there, and no other."""
    records = 0
    named: set[Path] = set()
    for path in (data_dir / "logs").glob("*.logs"):
        with closing(apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            for block_id, of_block in connection.execute("SELECT id, records FROM blocks"):
                named.add(path.with_suffix("") / f"{block_id:08}.block")
                records += of_block
    assert set((data_dir / "logs").rglob("*.block")) >= named
    return records


@pytest.mark.timeout(60 + 15 * ROUNDS)
def test_a_server_killed_while_it_merges_keeps_every_acknowledged_record_once(server: ServerProcess) -> None:
    chance = random.Random()
    expected: list[str] = []
    helpers_killed = 0
    for number in range(ROUNDS):
        service_name = f"round-{number}"
        sent, killed = load(server, service_name, chance, "stop" if number % 5 == 4 else "kill")
        helpers_killed += killed
        if number % 3 == 2:
            kill_while_starting(server, chance)
        server.start()
        expected += check_round(server, service_name, sent)
    assert_all_there(server, expected)
    assert server.stop() == 0
    assert merged_records(server.data_dir) > len(expected) / 2, "too little was merged to prove anything"
    assert len(expected) > ROUNDS * WRITERS, "the load was too small to prove anything"
    assert helpers_killed > 0
    server.start()
    assert_all_there(server, expected)


def assert_all_there(server: ServerProcess, expected: list[str]) -> None:
    found = [record["message"] for record in server.logs()]
    assert len(found) == len(expected)
    assert set(found) == set(expected)


def test_writing_goes_on_however_often_the_helper_is_killed(server: ServerProcess) -> None:
    writers = [Writer(server, "goes-on", f"writer-{n}") for n in range(2)]
    for writer in writers:
        writer.start()
    killed = 0
    for _ in range(20):
        threading.Event().wait(0.1)
        killed += kill_helper(server)
    assert all(writer.is_alive() for writer in writers), "nobody was refused"
    assert server.stop() == 0
    for writer in writers:
        writer.join()
    assert killed > 3
    server.start()
    stored = stored_messages(server, "goes-on")
    for request in (request for writer in writers for request in writer.sent if request.receipt is not None):
        assert set(request.messages) <= stored
