"""The folder in which an operator's command asks the server to count or erase records, and in which it is answered.

A request is a file of its own, ``NUMBER.request``, written whole, and there until it has been carried out: whatever
ends the server, it is found again at the next start. Its answer is ``NUMBER.answer``, which changes on the way. Only
what the user who runs the server wrote, and nobody else may read, is taken for a request.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec

from simple_log_service.core.erasure import Erasure
from simple_log_service.core.limits import ERASURE_ANSWER_SECONDS, ERASURE_REQUEST_BYTES_MAX
from simple_log_service.server.files import make_private_dir, write_durably

FOLDER_NAME = "erasures"

_REQUEST = re.compile(r"([0-9a-f]{32})\.request")
_OTHERS = 0o077

_Text = Annotated[str, msgspec.Meta(max_length=256)]


class CountRequest(msgspec.Struct, tag="count", forbid_unknown_fields=True):
    """Asks how many records would go."""

    erasure: Erasure


class EraseRequest(msgspec.Struct, tag="erase", forbid_unknown_fields=True):
    """Let them go. ``asked_at`` is RFC 3339; ``confirmed`` says how somebody said yes, twice."""

    erasure: Erasure
    records_counted: int
    user: _Text
    user_id: int
    asked_at: _Text
    confirmed: _Text


Request = CountRequest | EraseRequest


class Counted(msgspec.Struct, tag="counted"):
    """So many records would go; ``arrival_last`` is the last one that had arrived."""

    records: int
    arrival_last: int


class Erasing(msgspec.Struct, tag="erasing"):
    """So many are gone by now."""

    records: int


class PutOff(msgspec.Struct, tag="put off"):
    """It could not be finished yet, and is tried again."""

    reason: str


class Erased(msgspec.Struct, tag="erased"):
    """All are gone but those in chunks and blocks that do not open."""

    records: int
    unreadable: int


class Refused(msgspec.Struct, tag="refused"):
    """It is not done."""

    reason: str


Answer = Counted | Erasing | PutOff | Erased | Refused

_REQUEST_DECODER: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_ANSWER_DECODER: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class BadRequest(Exception):
    """Something in the folder is no request that can be carried out; the message says why."""


class RequestFolder:
    """The requests of a data folder. Raises ``OperatorError`` where it cannot be used, later ``OSError``."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FOLDER_NAME
        make_private_dir(self._path)

    def leave(self, request: Request) -> str:
        """Write a request durably; gives its number."""
        number = secrets.token_hex(16)
        write_durably(self._request(number), msgspec.json.encode(request))
        return number

    def answer_to(self, number: str) -> Answer | None:
        """What has been answered by now."""
        try:
            return _ANSWER_DECODER.decode(self._answer(number).read_bytes())
        except FileNotFoundError:
            return None

    def forget(self, number: str) -> None:
        """Remove a request, if it is still there, and its answer."""
        self._request(number).unlink(missing_ok=True)
        self._answer(number).unlink(missing_ok=True)

    def waiting(self) -> list[str]:
        """The names of everything that is there but answers and files in the making, the oldest first."""
        with os.scandir(self._path) as entries:
            found = [
                (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)
                for entry in entries
                if not entry.name.endswith((".answer", ".tmp"))
            ]
        return [name for _, name in sorted(found)]

    def read(self, name: str) -> tuple[str, Request]:
        """The request in a file, with its number. Raises ``BadRequest``; ``FileNotFoundError`` if it was taken back."""
        match = _REQUEST.fullmatch(name)
        if match is None:
            raise BadRequest("its name is none that slog erase gives")
        try:
            request = _REQUEST_DECODER.decode(self._private_bytes(name))
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise BadRequest(f"it is not a request: {str(error)[:200]}") from None
        if request.erasure.problem is not None:
            raise BadRequest(request.erasure.problem)
        return match[1], request

    def answer(self, number: str, answer: Answer) -> None:
        """Answer a request, in the place of an earlier answer."""
        write_durably(self._answer(number), msgspec.json.encode(answer))

    def done(self, name: str) -> None:
        """The request needs no more attention."""
        (self._path / name).unlink(missing_ok=True)

    def refuse(self, name: str, reason: str) -> bool:
        """Answer what is no good request where somebody may wait for it, and put it away; whether it is gone."""
        match = _REQUEST.fullmatch(name)
        if match is None:
            return False  # Whoever put it there may want it back.
        self.answer(match[1], Refused(reason))
        with suppress(OSError):
            self.done(name)
            return True
        return False

    def clear_answers(self) -> None:
        """Remove answers that nobody has come for."""
        oldest = time.time() - ERASURE_ANSWER_SECONDS
        for path in [*self._path.glob("*.answer"), *self._path.glob(".*.tmp")]:
            with suppress(OSError):
                if path.lstat().st_mtime < oldest:
                    path.unlink()

    def _private_bytes(self, name: str) -> bytes:
        try:
            # O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
            descriptor = os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise BadRequest(f"it cannot be opened: {error.strerror}") from None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise BadRequest("it is not a file")
            if status.st_uid != os.geteuid() or status.st_mode & _OTHERS:
                raise BadRequest("it belongs to somebody else, or others may read or write it")
            if status.st_size > ERASURE_REQUEST_BYTES_MAX:
                raise BadRequest("it is too large")
            return os.read(descriptor, ERASURE_REQUEST_BYTES_MAX)
        finally:
            os.close(descriptor)

    def _request(self, number: str) -> Path:
        return self._path / f"{number}.request"

    def _answer(self, number: str) -> Path:
        return self._path / f"{number}.answer"
