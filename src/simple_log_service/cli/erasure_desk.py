"""Where ``erase`` leaves its requests and waits: for the running server, or for itself where none runs."""

from __future__ import annotations

import asyncio
import sys
import time

import structlog

from simple_log_service.cli.exit_codes import INTERRUPTED, NOT_ALL, UNAVAILABLE, USAGE, Failed
from simple_log_service.cli.terminal import is_terminal, say
from simple_log_service.core.erasure import Erasure
from simple_log_service.core.errors import LogServiceError
from simple_log_service.server.data_dir import DataDir
from simple_log_service.server.erasure_requests import (
    Answer,
    Counted,
    CountRequest,
    Erased,
    EraseRequest,
    Erasing,
    PutOff,
    Refused,
    RequestFolder,
)
from simple_log_service.server.erasures import IN_A_TABLE, work_off_alone
from simple_log_service.server.files import OperatorError, is_locked
from simple_log_service.server.settings import Settings

_LOOK_SECONDS = 0.1
_SILENCE_SECONDS_MAX = 5.0
"""A server that has said nothing for so long is asked for a second time whether it is there."""
_CLEAR_LINE = "\r\x1b[K"
_GOES_ON = "It goes on at the next start of the server, or of slog erase."


class Desk:
    """The requests of one data folder. Raises ``OperatorError``, or ``Failed`` where there is nothing to erase from."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = settings.data_dir
        if settings.store == "dynamodb":
            raise Failed(IN_A_TABLE, USAGE)
        if not (self._path / "logs").is_dir() and not is_locked(self._path):
            raise Failed(f"There are no records in {self._path}: name the server's folder with --data-dir.", NOT_ALL)
        self._folder = RequestFolder(self._path)
        self._said: str | None = None

    def counted(self, erasure: Erasure) -> Counted:
        """How many records would go."""
        number = self._folder.leave(CountRequest(erasure))
        try:
            answer = self._end(number)
        finally:
            self._folder.forget(number)
        assert isinstance(answer, Counted)
        return answer

    def erased(self, request: EraseRequest) -> Erased:
        """Have them erased; that goes on where waiting for it ends early."""
        number = self._folder.leave(request)
        try:
            answer = self._end(number)
        except KeyboardInterrupt:
            ends = (
                "The server goes on erasing, and audit.ndjson says so when it has."
                if is_locked(self._path)
                else _GOES_ON
            )
            raise Failed(f"Interrupted. {ends}", INTERRUPTED) from None
        self._folder.forget(number)
        assert isinstance(answer, Erased)
        return answer

    def _end(self, number: str) -> Counted | Erased:
        """The last answer to a request."""
        try:
            if not is_locked(self._path):
                self._work_off(number)
            while True:
                is_served = is_locked(self._path)
                answer = self._folder.answer_to(number)
                if isinstance(answer, Counted | Erased):
                    return answer
                if isinstance(answer, Refused):
                    self._folder.forget(number)
                    raise Failed(answer.reason, NOT_ALL)
                if not is_served:
                    why = answer.reason if isinstance(answer, PutOff) else "The server has ended."
                    raise Failed(f"Not finished: {why} {_GOES_ON}", UNAVAILABLE)
                self._show(answer)
                time.sleep(_LOOK_SECONDS)
        finally:
            self._clear()

    def _work_off(self, number: str) -> None:
        """Be the server for as long as it takes."""
        # What the store says of itself belongs into a server's log; here it would stand between the questions.
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger("error"),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
        try:
            asyncio.run(self._watch(number))
        except LogServiceError as error:
            raise Failed(f"The store cannot be opened: {error}", UNAVAILABLE) from None
        except OperatorError:
            if not is_locked(self._path):
                raise  # Else a server was started just now, and finds the request.

    async def _watch(self, number: str) -> None:
        data_dir = DataDir(self._path, self._settings.encryption_key)
        working = asyncio.create_task(work_off_alone(data_dir))
        try:
            while not (await asyncio.wait([working], timeout=_LOOK_SECONDS))[0]:
                self._show(self._folder.answer_to(number))
        finally:
            # A second interruption must not keep the store from being closed.
            working.cancel()
            await asyncio.wait([working])
        await working

    def _show(self, answer: Answer | None) -> None:
        """How far it is: in a line that is drawn anew on a terminal; elsewhere only what holds it up."""
        if is_terminal(sys.stderr):
            so_far = f"{answer.records:,} records erased so far" if isinstance(answer, Erasing) else "Working"
            sys.stderr.write(f"{_CLEAR_LINE}{so_far} ...")
            sys.stderr.flush()
        if isinstance(answer, PutOff) and answer.reason != self._said:
            self._clear()
            say(f"Put off, and tried again: {answer.reason}")
            self._said = answer.reason

    def _clear(self) -> None:
        if is_terminal(sys.stderr):
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()
