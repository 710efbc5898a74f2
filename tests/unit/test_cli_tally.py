"""The account of what was sent: exact in its counts, and of where it stopped."""

from __future__ import annotations

import json

import pytest

from simple_log_service.cli.exit_codes import EXIT_CODES, Failed
from simple_log_service.cli.log_input import Origin
from simple_log_service.cli.tally import REJECTIONS_LISTED_MAX, Tally
from simple_log_service.client.batching import Batch
from simple_log_service.client.errors import ClientError, NotConfigured, RequestRefused, UnexpectedAnswer, Unreachable
from simple_log_service.core.receipts import Receipt, Rejection


def batch(first: int, last: int) -> Batch[Origin]:
    origins = [("app.log:", number) for number in range(first, last + 1)]
    return Batch(origins, [b"{}"] * len(origins), {})


def test_receipts_add_up_and_rejections_have_their_places() -> None:
    tally = Tally()
    tally.add(batch(1, 1000), Receipt(999, 2, [Rejection(16, "TimestampTooOld", "too old")]))
    tally.add(batch(1001, 1500), Receipt(500))
    assert tally.lines() == [
        "sent 1,500 records: 1,499 accepted (2 of them duplicates), 1 rejected",
        "  app.log:17: too old (TimestampTooOld)",
        "  To store old records with the time of receipt, use --time now.",
    ]
    assert json.loads(tally.receipt_json(complete=True)) == {
        "complete": True,
        "records": 1500,
        "accepted": 1499,
        "duplicates": 2,
        "rejected": 1,
        "rejections": [{"where": "app.log:17", "code": "TimestampTooOld", "reason": "too old"}],
    }


def test_many_rejections_are_counted_exactly_and_listed_within_bounds() -> None:
    tally = Tally()
    for first in (1, 1001, 2001):
        rejected = [Rejection(index, "Malformed", "no") for index in range(1000)]
        tally.add(batch(first, first + 999), Receipt(0, rejected=rejected))
    assert tally.rejected == 3000
    assert len(tally.rejections) == REJECTIONS_LISTED_MAX
    assert len(tally.lines()) == 7
    assert tally.lines()[-1] == "  and 2,995 more"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyboardInterrupt(), "app.log:3 to app.log:4 may or may not be stored; nothing after that was sent."),
        (Unreachable("gone"), "app.log:3 to app.log:4 may or may not be stored; nothing after that was sent."),
        (UnexpectedAnswer("?"), "app.log:3 to app.log:4 may or may not be stored; nothing after that was sent."),
        (RequestRefused(503, "", ""), "app.log:3 to app.log:4 may or may not be stored; nothing after that was sent."),
        (RequestRefused(507, "", ""), "app.log:3 and what follows it was not stored."),
        (RequestRefused(429, "", ""), "app.log:3 and what follows it was not stored."),
        (RequestRefused(403, "", ""), "app.log:3 and what follows it was not stored."),
    ],
)
def test_a_stop_within_a_request_says_what_is_certain(error: ClientError | KeyboardInterrupt, expected: str) -> None:
    tally = Tally()
    tally.add(batch(1, 2), Receipt(2))
    tally.in_flight = batch(3, 4)
    tally.stop(error)
    assert tally.where_it_stopped() == f"Stopped: {expected}"


def test_a_stop_between_requests_names_the_last_record() -> None:
    tally = Tally()
    assert tally.where_it_stopped() == "Stopped: nothing was sent."
    tally.add(batch(1, 2), Receipt(2))
    assert tally.where_it_stopped() == "Stopped: nothing after app.log:2 was sent."


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestRefused(403, "AccessDeniedException", "no"), 3),
        (RequestRefused(401, "", "no"), 3),
        (RequestRefused(400, "BadRequestException", "no"), 2),
        (RequestRefused(422, "", "no"), 2),
        (RequestRefused(307, "", "no"), 2),
        (RequestRefused(429, "", "no"), 4),
        (RequestRefused(500, "", "no"), 4),
        (RequestRefused(507, "", "no"), 4),
        (Unreachable("gone"), 4),
        (UnexpectedAnswer("?"), 4),
        (NotConfigured("where?"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_end_has_its_exit_code_and_the_table_knows_it(error: ClientError | KeyboardInterrupt, code: int) -> None:
    assert Failed.by(error).exit_code == code
    assert code in EXIT_CODES


def test_a_failure_is_one_line_whatever_a_server_wrote() -> None:
    failed = Failed.by(RequestRefused(400, "", "a\nb\x1b[2J"))
    assert failed.message == "400 a\\nb\\e[2J"
