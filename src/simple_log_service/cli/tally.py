"""What became of everything that was sent so far, exactly: kept while sending, told at the end or at a stop."""

from __future__ import annotations

import msgspec

from simple_log_service.cli.log_input import Origin
from simple_log_service.client.batching import Batch
from simple_log_service.client.errors import ClientError, RequestRefused, UnexpectedAnswer, Unreachable
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.validation import TOO_OLD

REJECTIONS_SHOWN_MAX = 5
REJECTIONS_LISTED_MAX = 1000
"""Kept in memory and put into the receipt; the count goes on."""


class Rejected(msgspec.Struct, frozen=True):
    """A record that is not stored, and where it stands in the input."""

    where: str
    code: str
    reason: str


class Tally:
    """Adds up receipts. ``in_flight`` is the batch whose receipt has not come yet."""

    def __init__(self) -> None:
        self.accepted = 0
        self.duplicates = 0
        self.rejected = 0
        self.rejections: list[Rejected] = []
        self.last: Origin | None = None
        self.in_flight: Batch[Origin] | None = None
        self._in_doubt = False

    @property
    def records(self) -> int:
        """How many records there was an answer for."""
        return self.accepted + self.rejected

    def add(self, batch: Batch[Origin], receipt: Receipt) -> None:
        """Count what the receipt of the batch in flight says."""
        self.accepted += receipt.accepted
        self.duplicates += receipt.duplicates
        self.rejected += len(receipt.rejected)
        for each in receipt.rejected[: REJECTIONS_LISTED_MAX - len(self.rejections)]:
            self.rejections.append(Rejected(_where(batch.origins[each.index]), each.code, each.reason))
        self.last = batch.origins[-1]
        self.in_flight = None

    def stop(self, error: ClientError | KeyboardInterrupt) -> None:
        """Note what ended the sending, and with it whether the batch in flight may be stored."""
        if isinstance(error, RequestRefused):
            # 507 is the one of them that promises that nothing was stored.
            self._in_doubt = error.status >= 500 and error.status != 507
        else:
            self._in_doubt = isinstance(error, Unreachable | UnexpectedAnswer | KeyboardInterrupt)

    def receipt_json(self, *, complete: bool) -> str:
        """The receipt for programs; ``rejections`` lists the first thousand."""
        return msgspec.json.encode(
            {
                "complete": complete,
                "records": self.records,
                "accepted": self.accepted,
                "duplicates": self.duplicates,
                "rejected": self.rejected,
                "rejections": self.rejections,
            }
        ).decode()

    def lines(self) -> list[str]:
        """The receipt for people: one line, and the first rejections."""
        duplicates = f" ({self.duplicates:,} of them duplicates)" if self.duplicates else ""
        records = "record" if self.records == 1 else "records"
        lines = [f"sent {self.records:,} {records}: {self.accepted:,} accepted{duplicates}, {self.rejected:,} rejected"]
        shown = self.rejections[:REJECTIONS_SHOWN_MAX]
        lines += [f"  {each.where}: {each.reason} ({each.code})" for each in shown]
        if self.rejected > len(shown):
            lines.append(f"  and {self.rejected - len(shown):,} more")
        if any(each.code == TOO_OLD for each in self.rejections):
            lines.append("  To store old records with the time of receipt, use --time now.")
        return lines

    def where_it_stopped(self) -> str:
        """How far sending got, for who wants to go on from there."""
        if self.in_flight is not None:
            first, last = (_where(self.in_flight.origins[place]) for place in (0, -1))
            if self._in_doubt:
                return f"Stopped: {first} to {last} may or may not be stored; nothing after that was sent."
            return f"Stopped: {first} and what follows it was not stored."
        if self.last is None:
            return "Stopped: nothing was sent."
        return f"Stopped: nothing after {_where(self.last)} was sent."


def _where(origin: Origin) -> str:
    return f"{origin[0]}{origin[1]}"
