"""How far sending or searching has come: drawn on a terminal, silent elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from simple_log_service.cli.terminal import is_terminal, say

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


_CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Counts bytes read and records stored. ``bytes_total`` is ``None`` where the input has no known end."""

    def __init__(self, bytes_total: int | None, *, quiet: bool) -> None:
        self._bytes_total = bytes_total
        self._quiet = quiet
        self._records = 0
        self._started = time.monotonic()
        self._drawing: RichProgress | None = None

    def __enter__(self) -> Self:
        if not self._quiet and is_terminal(sys.stderr):
            self._drawing = _drawing(self._bytes_total)
            self._drawing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._drawing is not None:
            self._drawing.stop()
            self._drawing = None

    def read(self, bytes_read: int) -> None:
        """More of the input has been read."""
        if self._drawing is not None:
            self._drawing.advance(self._drawing.task_ids[0], bytes_read)

    def answered(self, records: int) -> None:
        """So many more records have their receipt."""
        self._records += records
        if self._drawing is not None:
            rate = self._records / max(time.monotonic() - self._started, 0.001)
            self._drawing.update(self._drawing.task_ids[0], records=self._records, rate=rate)

    def note(self, line: str) -> None:
        """Say something meanwhile."""
        if self._quiet:
            return
        if self._drawing is not None:
            self._drawing.console.print(line, markup=False, highlight=False)
        else:
            say(line)


class LookingBack:
    """Says how far back in time a search has come, in one line that is gone before anything else is written."""

    def __init__(self) -> None:
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def show(self, moment: str) -> None:
        """Nothing more has been found down to this moment, and the search goes on."""
        if is_terminal(sys.stderr):
            sys.stderr.write(f"{_CLEAR_LINE}Looked back to {moment} ...")
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()
            self._shown = False


def _drawing(bytes_total: int | None) -> RichProgress:
    # Imported here, since most commands draw nothing.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415

    drawing = Progress(
        TextColumn("{task.fields[records]:,} records"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TextColumn("{task.fields[rate]:,.0f} records/s"),
        console=Console(stderr=True),
        refresh_per_second=5,
        transient=True,
    )
    drawing.add_task("", total=bytes_total, records=0, rate=0.0)
    return drawing
