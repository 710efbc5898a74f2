"""Counting, end to end: what ``GET /logs/stats`` answers is what paging through ``GET /logs/recent`` would find."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from contract.http_caller import refusal, said
from contract.http_home import AnyHome, fresh_name, record
from simple_log_service.core import limits
from simple_log_service.core.stats import GROUPINGS
from simple_log_service.core.timestamps import format_timestamp, parse_rfc3339

pytestmark = pytest.mark.xdist_group("http stats")

PATH = "/logs/stats"
MINUTE_NS = 60 * limits.SECOND_NS


@pytest.fixture
def service() -> str:
    return fresh_name()


def store(home: AnyHome, *records: dict[str, Any]) -> None:
    answer = home.admin.post(list(records))
    assert answer.status == 201, answer
    assert b'"rejected":[]' in answer.body


def ago(seconds: float) -> str:
    return format_timestamp(time.time_ns() - int(seconds * 10**9))


def stats(home: AnyHome, **parameters: object) -> dict[str, Any]:
    """One answer, which must be one and add up."""
    answer = home.admin.get(PATH, **parameters)
    assert answer.status == 200, answer
    found: dict[str, Any] = said(answer)
    assert found["count"] == sum(bucket["count"] for bucket in found["buckets"])
    for bucket in found["buckets"]:
        assert ("counts" in bucket) == ("by" in parameters)
        assert sum(bucket.get("counts", {"": bucket["count"]}).values()) == bucket["count"]
    return found


def bad_request(message: str) -> tuple[int, str, dict[str, str]]:
    return 400, "BadRequestException", {"message": message}


def some_records(service: str) -> list[dict[str, Any]]:
    """Of every kind, over some hours, to the nanosecond."""
    kinds = [("application", "INFO"), ("access", "INFO"), ("application", "ERROR")]
    return [
        record(
            service, log_type=kinds[n % 3][0], level=kinds[n % 3][1], timestamp=ago(n * 701.123456789), message=f"m {n}"
        )
        for n in range(40)
    ]


def test_counts_are_what_paging_finds(home: AnyHome, service: str) -> None:
    records = some_records(service)
    for start in range(0, len(records), 15):
        store(home, *records[start : start + 15])
    for filters in ({}, {"log_type": "access"}, {"level": "ERROR"}, {"since": "3h", "until": "10m"}, {"hours": 2}):
        logs = home.admin.logs(service_name=service, **filters)
        for interval, interval_ns in (("7m", 7 * MINUTE_NS), ("1h", limits.HOUR_NS)):
            for by in GROUPINGS:
                # Ranges that end "now" move on meanwhile, and none of the records lies near enough to their ends.
                found = stats(home, service_name=service, by=by, interval=interval, **filters)
                expected = Counter(
                    (parse_rfc3339(each["timestamp"]) // interval_ns * interval_ns, each[by]) for each in logs
                )
                assert {
                    (parse_rfc3339(bucket["start"]), group): count
                    for bucket in found["buckets"]
                    for group, count in bucket["counts"].items()
                } == expected
                starts = [parse_rfc3339(bucket["start"]) for bucket in found["buckets"]]
                assert starts == sorted(starts, reverse=True)
                assert (found["next_cursor"], found["complete"]) == (None, True)


def test_without_an_interval_there_is_one_bucket_that_begins_where_the_range_does(home: AnyHome, service: str) -> None:
    store(home, *some_records(service))
    since = ago(6 * 3600)
    found = stats(home, service_name=service, since=since)
    assert found["buckets"] == [{"start": since, "count": 31}]
    assert stats(home, service_name=service, since=since, by="level")["buckets"][0]["counts"] == {
        "INFO": 21,
        "ERROR": 10,
    }


def test_without_a_filter_all_services_are_counted(home: AnyHome) -> None:
    services = [fresh_name() for _ in range(3)]
    store(home, *(record(each) for each in services for _ in range(2)))
    counts = stats(home, by="service_name", since="1h")["buckets"][0]["counts"]
    assert {each: counts[each] for each in services} == dict.fromkeys(services, 2)


def test_a_range_without_records_has_no_buckets(home: AnyHome) -> None:
    nothing = {"count": 0, "buckets": [], "next_cursor": None, "complete": True}
    assert stats(home, service_name=fresh_name("nobody"), interval="1h") == nothing


def test_names_of_every_script_are_groups(home: AnyHome) -> None:
    stem = fresh_name()
    names = [f"{stem} {name}" for name in ("Bücher & Mehr", "雑誌", '"quoted"', "back\\slash", "<script>")]
    store(home, *(record(name) for name in names))
    counts = stats(home, by="service_name", since="1h")["buckets"][0]["counts"]
    assert set(names) <= counts.keys()


def test_what_a_retry_repeats_counts_once(home: AnyHome, service: str) -> None:
    for _ in range(2):
        answer = home.admin.post([record(service), record(service)], ("Idempotency-Key", service))
        assert answer.status == 201
    for _ in range(2):
        store(home, record(service, log_id="own", timestamp=ago(60)))
    assert stats(home, service_name=service)["count"] == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"by": "message"}, "by must be one of service_name, log_type, level."),
        ({"by": ""}, "by must be one of service_name, log_type, level."),
        ({"by": "Level"}, "by must be one of service_name, log_type, level."),
        ({"interval": "1w"}, "interval must be like 10s, 5m, 1h or 1d, from 1s to 3650d."),
        ({"interval": ""}, "interval must be like 10s, 5m, 1h or 1d, from 1s to 3650d."),
        ({"interval": "0s"}, "interval must be like 10s, 5m, 1h or 1d, from 1s to 3650d."),
        ({"interval": "500ms"}, "interval must be like 10s, 5m, 1h or 1d, from 1s to 3650d."),
        ({"interval": "999999999d"}, "interval must be like 10s, 5m, 1h or 1d, from 1s to 3650d."),
        ({"interval": "57s"}, "interval cuts this range into more than 1500 buckets: 1m would do."),
        ({"interval": "1s", "hours": 1}, "interval cuts this range into more than 1500 buckets: 5s would do."),
        ({"interval": "1m", "since": "29d"}, "interval cuts this range into more than 1500 buckets: 30m would do."),
        ({"limit": 10}, "Unknown parameter: limit"),
        ({"since": "1h", "until": "2h"}, "since must be before until."),
        ({"hours": 1, "since": "1h"}, "Give either hours or since, not both."),
        ({"cursor": "abc"}, "cursor is not one that this service gave."),
        ({"cursor": ""}, "cursor is not one that this service gave."),
        ({"level": "loud"}, "level must be one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL."),
    ],
)
def test_what_cannot_be_counted_is_refused_with_what_is_wrong(
    home: AnyHome, parameters: dict[str, object], message: str
) -> None:
    assert refusal(home.admin.get(PATH, **parameters)) == bad_request(message)


@pytest.mark.parametrize("name", ["interval", "by"])
def test_a_parameter_given_twice_is_refused(home: AnyHome, name: str) -> None:
    answer = home.admin.ask("GET", PATH, f"{name}=1h&{name}=1h")
    assert refusal(answer) == bad_request(f"{name} is given twice.")


def test_a_cursor_of_records_counts_nothing(home: AnyHome, service: str) -> None:
    store(home, record(service), record(service))
    cursor = home.admin.page(service_name=service, limit=1)["next_cursor"]
    for parameters in ({}, {"by": "level"}, {"interval": "1h"}):
        answer = home.admin.get(PATH, service_name=service, cursor=cursor, **parameters)
        assert refusal(answer) == bad_request("cursor belongs to a query with other filters.")


def test_counting_is_for_callers_whose_policy_allows_it(home: AnyHome) -> None:
    reader, writer = home.caller(home.key("read")), home.caller(home.key("ingest"))
    assert reader.get(PATH).status == 200
    assert refusal(writer.get(PATH))[:2] == (403, "AccessDeniedException")
    assert refusal(home.stranger.get(PATH))[1] == "MissingAuthenticationTokenException"
    for method, path in (("POST", PATH), ("GET", f"{PATH}/"), ("GET", "/services/shop/stats")):
        assert home.admin.ask(method, path).status == 403
