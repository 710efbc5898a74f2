"""Work in another process beside this one: bodies made ahead, a load that goes on while something is measured."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import TypeVar

import msgspec

from bench.load import Load, LoadFailed
from bench.processes import signals_held

T = TypeVar("T")

# Forked: what was made so far, requests above all, is there without being copied.
_FORK = multiprocessing.get_context("fork")
_STOP_SECONDS_MAX = 10.0


def made_ahead(make: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    """What the iterator gives, made in another process, as far ahead as a pipe holds."""

    def send(pipe: Connection) -> None:
        for each in make():
            pipe.send_bytes(each)

    with _working(send) as pipe:
        while True:
            try:
                yield pipe.recv_bytes()
            except EOFError:
                return


@contextmanager
def loading(drive: Callable[[], Load]) -> Iterator[Callable[[], Load]]:
    """Let this load go on; what is given waits for its end, and tells of it."""

    def send(pipe: Connection) -> None:
        pipe.send_bytes(msgspec.msgpack.encode(drive()))

    with _working(send) as pipe:
        yield lambda: _result(pipe)


def _result(pipe: Connection) -> Load:
    try:
        return msgspec.msgpack.decode(pipe.recv_bytes(), type=Load)
    except EOFError:
        raise LoadFailed("The load beside it failed; what it says is above.") from None


@contextmanager
def _working(send: Callable[[Connection], None]) -> Iterator[Connection]:
    ours, theirs = _FORK.Pipe(duplex=False)

    def work() -> None:
        # The parent ends it, on Ctrl-C, too. Nothing else of the parent's is to happen here.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ours.close()
        send(theirs)

    process = _FORK.Process(target=work, daemon=True)
    try:
        with signals_held():
            process.start()
            theirs.close()
        yield ours
    finally:
        if process.pid is not None:
            process.terminate()
            process.join(_STOP_SECONDS_MAX)
        ours.close()
