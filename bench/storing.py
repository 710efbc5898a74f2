"""Storing as many records as reads are to be measured over, through the HTTP API, each receipt checked.

Bodies are made in another process, signed shortly before they go out and forgotten then: memory does not grow with the
number of records.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from bench.ingest import Before, before_load, checking, finish
from bench.load import drive
from bench.processes import PeakMemory, Server
from bench.records import Records
from bench.results import Row
from bench.targets import Target
from bench.workers import made_ahead
from simple_log_service.core.limits import MIB

_BATCH = 1000
_SLICE_REQUESTS = 40
"""Signed and sent together: 14 MB."""
_CONNECTIONS = 8
_SECONDS_MAX = 3600.0


def store(
    name: str,
    server: Server,
    target: Target,
    records: Records,
    total: int,
    settle_seconds_max: float,
    progress: Callable[[str], None],
) -> Row:
    """Store the next so many records, and wait until the server has settled."""
    before, began = before_load(server), time.perf_counter()
    with PeakMemory(server) as memory:
        sending_seconds = _send(server, target, records, total, progress)
        seconds = time.perf_counter() - began
        row = _row(name, target, total, seconds, sending_seconds, before, server)
        finish(row, server, target, before, total, settle_seconds_max)
    row.rss_mib_max = None if memory.bytes_max is None else memory.bytes_max / MIB
    flush = target.flush()
    if flush is not None:
        drive(server.address, [flush], 1, status=200, seconds_max=60.0)
    return row


def _send(server: Server, target: Target, records: Records, total: int, progress: Callable[[str], None]) -> float:
    """The seconds that loads were under way; between them requests were signed."""
    lines, sending_seconds, stored = made_ahead(lambda: _bodies(records, total)), 0.0, 0
    check_whole, check_last = checking(target, _BATCH), checking(target, total % _BATCH)
    while batches := [msgspec.msgpack.decode(each, type=list[str]) for each in islice(lines, _SLICE_REQUESTS)]:
        whole = [target.ingest(batch) for batch in batches if len(batch) == _BATCH]
        last = [target.ingest(batch) for batch in batches if len(batch) < _BATCH]
        for requests, check in ((whole, check_whole), (last, check_last)):
            if requests:
                sending_seconds += drive(
                    server.address,
                    requests,
                    _CONNECTIONS,
                    status=target.ingest_status,
                    seconds_max=_SECONDS_MAX,
                    check=check,
                ).seconds
        stored += sum(map(len, batches))
        if stored % 1_000_000 < _BATCH * _SLICE_REQUESTS:
            progress(f"{stored:,} of {total:,} stored")
    # The maker works on a copy: the numbers here go on where it ended.
    records.skip(total)
    return sending_seconds


def _bodies(records: Records, total: int) -> Iterator[bytes]:
    for at in range(0, total, _BATCH):
        yield msgspec.msgpack.encode(records.make(min(_BATCH, total - at)))


def _row(
    name: str, target: Target, total: int, seconds: float, sending_seconds: float, before: Before, server: Server
) -> Row:
    row = Row(name, target.name, _CONNECTIONS, -(-total // _BATCH), seconds)
    row.records_per_second = total / sending_seconds
    if before.cpu_seconds is not None and server.cpu_seconds is not None:
        spent = server.cpu_seconds - before.cpu_seconds
        row.cores, row.cpu_seconds_per_million = spent / seconds, 1e6 * spent / total
    return row
