"""The helper process: merges, searches and counts, beside the process that serves and writes.

It reads requests from standard input and writes answers to standard output, and ends where its input does: with the
server, however that ends. It has no key but those it is handed, writes nothing but blocks' files, which mean nothing
until the server names them, and shares no interpreter lock with the server.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from simple_log_service.core.errors import LogServiceError
from simple_log_service.stores.embedded import helper_messages as messages
from simple_log_service.stores.embedded import interpreter
from simple_log_service.stores.embedded.day_file import DayFile
from simple_log_service.stores.embedded.handed_keys import HandedKeys
from simple_log_service.stores.embedded.merging import merge
from simple_log_service.stores.embedded.reader import Reader
from simple_log_service.stores.embedded.sql import translated_errors

_READ_THREADS = 2
_MERGE_NICENESS = 10
"""Merging waits for whoever serves or reads; on Linux a thread has a niceness of its own."""


class Work:
    """What is done with requests, in any thread."""

    def __init__(self) -> None:
        self._keys = HandedKeys()
        self._files: dict[str, DayFile] = {}
        self._reader = Reader()
        self._lock = threading.Lock()

    def result(self, request: messages.Question, began: float) -> messages.Result:
        """What a request that came at this ``time.monotonic()`` gives. Raises ``LogServiceError``."""
        with translated_errors():
            if isinstance(request, messages.Merge):
                return merge(self._file(request.path), request.job)
            files, deadline = list(map(self._file, request.paths)), began + request.seconds
            if isinstance(request, messages.Recent):
                return self._reader.recent(files, request.query, deadline)
            return self._reader.stats(files, request.asked, deadline)

    def note(self, request: messages.Notice) -> None:
        """Take note of something."""
        if isinstance(request, messages.Keys):
            self._keys.hand(request.unwrapped)
            return
        with self._lock:
            file = self._files.pop(request.path, None)
        if file is not None:
            self._reader.forget(file)

    def close(self) -> None:
        """Let go of every file; nothing may be under way."""
        self._reader.close()

    def _file(self, path: str) -> DayFile:
        with self._lock:
            if path not in self._files:
                self._files[path] = DayFile(Path(path), self._keys)
            return self._files[path]


class _Answers:
    """Writes answers, whichever thread they come from."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def give(self, work: Work, number: int, request: messages.Question, began: float) -> None:
        """Do what is asked and answer."""
        try:
            answer = messages.pack_result(work.result(request, began))
        except LogServiceError as error:
            answer = messages.pack_error(error)
        except Exception as error:  # noqa: BLE001 - whoever asked must be answered
            answer = messages.pack_unexpected(error)
        # Where nobody reads any more the process is about to end.
        with self._lock, suppress(BrokenPipeError):
            self._stream.write(messages.frame(number, answer))
            self._stream.flush()


def main() -> None:
    """Serve standard input until its end."""
    for stop in (signal.SIGINT, signal.SIGTERM):
        # Ctrl-C and a stop of the whole unit are the server's to hear: its end is this process's.
        signal.signal(stop, signal.SIG_IGN)
    interpreter.tune()
    work, answers = Work(), _Answers(sys.stdout.buffer)
    reading, merging = ThreadPoolExecutor(_READ_THREADS), ThreadPoolExecutor(1, initializer=_be_nice)
    for number, request in messages.requests(sys.stdin.buffer):
        if isinstance(request, messages.Notice):
            work.note(request)
        else:
            pool = merging if isinstance(request, messages.Merge) else reading
            pool.submit(answers.give, work, number, request, monotonic())
    # At once, in the middle of whatever is under way: nobody waits for it.
    os._exit(0)


def _be_nice() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _MERGE_NICENESS)


if __name__ == "__main__":
    main()
