"""Memory: one budget for all bodies, and nothing of a request stays once it is answered."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from contract.http_caller import wire
from contract.http_home import Home, record, running_home
from simple_log_service.core.limits import BODY_WIRE_BYTES_MAX, BUFFERED_BYTES_MAX, MIB
from support.raw_http import RawClient, connected

pytestmark = pytest.mark.xdist_group("contract memory")

PLAIN = json.dumps(record("a")).encode().ljust(BODY_WIRE_BYTES_MAX)
"""A body as large as it may be, of one small record."""


@pytest.fixture
def home() -> Iterator[Home]:
    with running_home() as running:
        yield running


def resident_bytes(home: Home, field: str = "VmRSS") -> int:
    """What the server's process holds of the memory (Linux); ``VmHWM`` is the most that it ever held."""
    status = Path(f"/proc/{home.server.pid}/status").read_text()
    match = re.search(rf"{field}:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) * 1024


def test_bodies_past_the_budget_wait_and_all_are_answered(home: Home) -> None:
    """A third more bodies than fit, all of them begun and none of them finished."""
    fitting = BUFFERED_BYTES_MAX // len(PLAIN)
    before = resident_bytes(home)
    request = wire(home.admin.signed("POST", "/logs", body=PLAIN))
    with ExitStack() as opened:

        def begun(part_bytes: int) -> RawClient:
            client = opened.enter_context(connected(home.address))
            client.send(request[:part_bytes])
            return client

        inside = [begun(len(request) - MIB) for _ in range(fitting)]
        waiting = [begun(10_000) for _ in range(fitting // 3)]
        assert home.admin.get().status == 200, "a request without a body waits for nobody"
        for client in inside:
            assert client.ask(request[-MIB:]).status == 201
        for client in waiting:
            assert client.ask(request[10_000:]).status == 201
    assert resident_bytes(home, "VmHWM") < before + BUFFERED_BYTES_MAX + 64 * MIB
    assert len(home.admin.logs(service_name="a")) == fitting + fitting // 3


def test_bombs_take_what_may_be_unpacked_once_and_give_it_back(home: Home) -> None:
    bomb = gzip.compress(b" " * 200 * MIB, 1)
    before = resident_bytes(home)
    for _ in range(10):
        assert home.admin.post(bomb, ("Content-Encoding", "gzip")).status == 413
    assert resident_bytes(home, "VmHWM") < before + 128 * MIB
    assert resident_bytes(home) < before + 64 * MIB


@pytest.mark.parametrize("body", [PLAIN, PLAIN.replace(b"{", b"[", 1)], ids=["accepted", "refused"])
def test_bodies_leave_nothing_behind(home: Home, body: bytes) -> None:
    before = resident_bytes(home)
    for _ in range(30):
        assert home.admin.post(body).status in {201, 400}
    assert resident_bytes(home) < before + 48 * MIB
