"""What an answer is held to before it is believed: whatever is at the endpoint, a caller meets a ``ClientError``."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TypeVar

import msgspec

from simple_log_service.client.errors import UnexpectedAnswer
from simple_log_service.client.records import UNREADABLE, Page
from simple_log_service.client.stats import StatsPage
from simple_log_service.core.ids import log_id_after
from simple_log_service.core.limits import CURSOR_CHARS_MAX
from simple_log_service.core.receipts import Receipt

V = TypeVar("V")

EMPTY_PAGES_MAX = MappingProxyType({True: 100, False: 10_000})
"""Without a record between them, by ``complete``: a service that runs out of time may have much to look through."""


def read_json(body: bytes, kind: type[V]) -> V | None:
    """The body as this, ``None`` where it is nothing of the kind: not JSON, not UTF-8, or nested without end."""
    try:
        return msgspec.json.decode(body.decode(), type=kind)
    except UNREADABLE:
        return None


def adds_up(receipt: Receipt, records: int) -> bool:
    """Whether the receipt can be that of so many records: each is accepted or rejected, and all places are theirs."""
    if receipt.accepted + len(receipt.rejected) != records or not 0 <= receipt.duplicates <= receipt.accepted:
        return False
    if not all(0 <= each.index < records for each in receipt.rejected):
        return False
    end = 0
    for run in receipt.log_ids:
        if run.index < end or run.count < 1 or run.index + run.count > records:
            return False
        try:
            log_id_after(run.first, run.count)
        except ValueError:
            return False
        end = run.index + run.count
    return True


class Walk:
    """Follows a service's cursors, and notices where they lead nowhere. ``url`` is for the errors."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._cursors: set[str] = set()
        self._empty_pages: Counter[bool] = Counter()

    def after(self, page: Page | StatsPage) -> str | None:
        """The cursor to go on with after the page, ``None`` at the end. Raises ``UnexpectedAnswer``."""
        cursor = page.next_cursor
        if cursor is None:
            return None
        if cursor in self._cursors or len(cursor) > CURSOR_CHARS_MAX:
            fault = "a cursor that it gave before" if cursor in self._cursors else "a cursor too long to send back"
            raise UnexpectedAnswer(f"{self._url} answered with {fault}.")
        self._cursors.add(cursor)
        if not page.is_empty:
            self._empty_pages.clear()
        else:
            self._empty_pages[page.complete] += 1
            if self._empty_pages[page.complete] > EMPTY_PAGES_MAX[page.complete]:
                raise UnexpectedAnswer(f"{self._url} answers with one empty page after another.")
        return cursor
