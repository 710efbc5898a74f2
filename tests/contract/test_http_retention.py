"""Services and types with days of their own, asked of both homes as callers ask them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from contract.aws_home import running_aws_home
from contract.http_caller import said
from contract.http_home import AnyHome, fresh_name, record, running_home
from simple_log_service.core.timestamps import format_timestamp

pytestmark = pytest.mark.xdist_group("http retention")

RULES = {
    "SIMPLE_LOG_SERVICE_RETENTION_DAYS": "10",
    "SIMPLE_LOG_SERVICE_RETENTION_BY_SERVICE": '{"debug-app": 1}',
    "SIMPLE_LOG_SERVICE_RETENTION_BY_TYPE": '{"audit": 40}',
}
DAYS_OF_KINDS = (
    ("shop", "application", 10),
    ("shop", "audit", 40),
    ("debug-app", "application", 1),
    ("debug-app", "audit", 1),
)
MARGIN_SECONDS = 60
"""How far from its border a record's time stands: more than any test here takes."""


@pytest.fixture(scope="module")
def home(home_kind: str, request: pytest.FixtureRequest) -> Iterator[AnyHome]:
    """Each home with these rules."""
    if home_kind == "embedded":
        opened: Any = running_home(environ=RULES)
    else:
        opened = running_aws_home(request.getfixturevalue("dynamodb_url"), environ=RULES)
    with opened as running:
        yield running


def days_ago(days: int, younger_by_seconds: float) -> str:
    """A moment so many days ago, less some seconds."""
    return format_timestamp(time.time_ns() - days * 86_400 * 10**9 + int(younger_by_seconds * 10**9))


@pytest.mark.parametrize(("service", "log_type", "days"), DAYS_OF_KINDS)
@pytest.mark.parametrize("by_path", [False, True], ids=["body", "path"])
def test_a_record_is_taken_and_shown_up_to_its_own_retention(
    home: AnyHome, service: str, log_type: str, days: int, by_path: bool
) -> None:
    mark = fresh_name("mark")
    young, old = (
        record(service, log_type=log_type, message=mark, timestamp=days_ago(days, seconds))
        for seconds in (MARGIN_SECONDS, -MARGIN_SECONDS)
    )
    path = f"/services/{service}/logs" if by_path else "/logs"
    receipt = said(home.admin.post([young, old, young], path=path))
    assert receipt["accepted"] == 2
    (rejected,) = receipt["rejected"]
    assert (rejected["index"], rejected["code"]) == (1, "TimestampTooOld")
    assert "older than the retention" in rejected["reason"]
    for filters in ({}, {"log_type": log_type}, {"service_name": service}):
        shown = home.admin.logs(since=f"{days + 1}d", **filters)
        assert [each["timestamp"] for each in shown if each["message"] == mark] == [young["timestamp"]] * 2


def test_one_record_older_than_its_own_retention_is_refused(home: AnyHome) -> None:
    answer = home.admin.post(record("debug-app", log_type="audit", timestamp=days_ago(1, -MARGIN_SECONDS)))
    assert answer.status == 400
    (rejected,) = said(answer)["rejected"]
    assert rejected["code"] == "TimestampTooOld"


def test_what_passes_its_own_retention_is_no_longer_shown(home: AnyHome) -> None:
    mark = fresh_name("mark")
    seconds = 3
    brief = record("debug-app", log_type="audit", message=mark, timestamp=days_ago(1, seconds))
    beside = record("shop", log_type="audit", message=mark, timestamp=days_ago(1, seconds))
    receipt = said(home.admin.post([brief, beside]))
    assert receipt["accepted"] == 2
    deadline = time.monotonic() + 20 + seconds

    def shown() -> list[str]:
        return [
            each["service_name"] for each in home.admin.logs(since="2d", log_type="audit") if each["message"] == mark
        ]

    while len(shown()) == 2:
        assert time.monotonic() < deadline
    assert shown() == ["shop"]
