"""What a kill -9 in the midst of ingestion leaves: every acknowledged record has to be there after the next start."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from bench import plan
from bench.answers import Answer
from bench.ingest import checking, requests_of
from bench.load import ask, drive
from bench.plan import Plan
from bench.processes import Server, log_server
from bench.records import Records
from bench.requests import Request
from bench.results import Fact
from bench.targets import Ask, Own

_SHAPE = plan.SHAPES[1]
_SECONDS_MAX = 30.0
_PAGE = 10_000
_MARK = re.compile(rb'"message":"request ([0-9a-f]{16}) ')
"""Of each record's 64 random bits: what tells it from all others."""


def kill_facts(folder: Path, asked: Plan) -> list[Fact]:
    """Kill the service once half of a load is acknowledged, start it again, and look for each of those records."""
    with log_server(folder) as server:
        target = Own(server.host, server.credentials)
        requests = requests_of(_SHAPE, target, Records(), asked.seconds)
        acknowledged = _acknowledged(server, target, requests)
    sent = {mark for index in acknowledged for mark in _MARK.findall(requests[index].body)}
    with log_server(folder) as server:
        found = _found(server, Own(server.host, server.credentials))
    lost = len(sent - found)
    wrong = f"{lost:,} of {len(sent):,} acknowledged records are gone" if lost else None
    return [
        Fact(plan.ACKNOWLEDGED, Own.name, len(sent), "records"),
        Fact(plan.LOST, Own.name, lost, "records", wrong=wrong),
    ]


def _acknowledged(server: Server, target: Own, requests: list[Request]) -> list[int]:
    """Which requests were answered; what the kernel had got of the answers when the service died counts, too."""
    answered: list[int] = []
    check_receipt = checking(target, _SHAPE.batch)

    def check(index: int, answer: Answer) -> None:
        check_receipt(index, answer)
        answered.append(index)
        if len(answered) == len(requests) // 2:
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)

    drive(
        server.address,
        requests,
        _SHAPE.connections,
        status=target.ingest_status,
        seconds_max=_SECONDS_MAX,
        check=check,
        hanging_up_ends=True,
    )
    return answered


def _found(server: Server, target: Own) -> set[bytes]:
    """The marks of all that is stored, page by page."""
    marks: set[bytes] = set()
    asked = Ask(limit=_PAGE)
    while True:
        body = ask(server.address, target.read(asked), 200).body
        marks.update(_MARK.findall(body))
        cursor = target.found(asked, body).cursor
        if cursor is None:
            return marks
        asked = asked._replace(cursor=cursor)
