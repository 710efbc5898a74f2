"""Reading, end to end: order, ranges, filters, pages and cursors."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest

from contract.http_caller import refusal
from contract.http_home import AnyHome, fresh_name, record
from simple_log_service.core import limits
from simple_log_service.core.timestamps import format_timestamp, parse_rfc3339

pytestmark = pytest.mark.xdist_group("http reads")


@pytest.fixture
def service() -> str:
    return fresh_name()


def store(home: AnyHome, *records: dict[str, Any]) -> None:
    answer = home.admin.post(list(records))
    assert answer.status == 201, answer
    assert b'"rejected":[]' in answer.body


def ago(seconds: float) -> str:
    return format_timestamp(time.time_ns() - int(seconds * 10**9))


def messages(logs: list[dict[str, Any]]) -> list[str]:
    return [each["message"] for each in logs]


def bad_request(message: str) -> tuple[int, str, dict[str, str]]:
    return 400, "BadRequestException", {"message": message}


def test_newest_first_is_by_timestamp_whatever_the_order_of_arrival(home: AnyHome, service: str) -> None:
    for seconds in (30, 10, 50, 20, 40):
        store(home, record(service, message=str(seconds), timestamp=ago(seconds)))
    assert messages(home.admin.logs(service_name=service)) == ["10", "20", "30", "40", "50"]


def test_filters_are_exact_and_all_must_hold(home: AnyHome, service: str) -> None:
    other = service + "x"
    store(
        home,
        record(service, message="1", log_type=service, level="ERROR"),
        record(service, message="2", log_type=service + "t"),
        record(other, message="3", log_type=service, level="WARN"),
    )
    assert messages(home.admin.logs(service_name=service)) == ["2", "1"]
    assert messages(home.admin.logs(log_type=service)) == ["3", "1"]
    assert messages(home.admin.logs(log_type=service, level="warning")) == ["3"]
    assert messages(home.admin.logs(service_name=service, log_type=service, level="Error")) == ["1"]
    assert messages(home.admin.logs(service_name=service, level="FATAL")) == []
    assert messages(home.admin.logs(f"/services/{service}/logs", log_type=service)) == ["1"]
    assert set("123") <= set(messages(home.admin.logs()))


def test_the_range_is_the_last_24_hours_unless_it_is_said(home: AnyHome, service: str) -> None:
    hours = (1, 23.9, 24.1, 100, 167.9, 168.1, 500)
    store(home, *(record(service, message=str(each), timestamp=ago(each * 3600)) for each in hours))
    assert messages(home.admin.logs(service_name=service)) == ["1", "23.9"]
    assert messages(home.admin.logs(service_name=service, hours=100)) == ["1", "23.9", "24.1"]
    assert messages(home.admin.logs(service_name=service, hours=168)) == ["1", "23.9", "24.1", "100", "167.9"]
    assert len(home.admin.logs(service_name=service, since="30d")) == len(hours)
    assert messages(home.admin.logs(service_name=service, since="7d", until="100h")) == ["100", "167.9"]
    assert messages(home.admin.logs(service_name=service, until="23h")) == ["23.9"]


def test_since_is_inclusive_and_until_exclusive_to_the_nanosecond(home: AnyHome, service: str) -> None:
    start = time.time_ns() - 60 * 10**9
    moments = [format_timestamp(start + number) for number in range(3)]
    store(home, *(record(service, message=str(number), timestamp=each) for number, each in enumerate(moments)))
    for since, until in ((moments[0], moments[2]), (str(start), str(start + 2))):
        assert messages(home.admin.logs(service_name=service, since=since, until=until)) == ["1", "0"]


def test_moments_may_be_written_in_many_ways(home: AnyHome, service: str) -> None:
    now = int(time.time())
    store(home, record(service, timestamp=now - 5))
    offset = time.strftime("%Y-%m-%dT%H:%M:%S+01:00", time.gmtime(now - 10 + 3600))
    for since in (
        ago(10),
        offset,
        now - 10,
        (now - 10) * 1000,
        (now - 10) * 10**6,
        (now - 10) * 10**9,
        "20s",
        "1m",
        "1h",
    ):
        assert home.admin.page(service_name=service, since=since)["count"] == 1, since
        assert home.admin.page(service_name=service, until=since)["count"] == 0, since


def test_in_a_query_a_raw_plus_sign_is_one(home: AnyHome) -> None:
    service = fresh_name("a+b")
    store(home, record(service))
    answer = home.admin.ask("GET", "/logs/recent", f"service_name={service}")
    assert (answer.status, b'"count":1' in answer.body) == (200, True)


def test_what_lies_before_all_time_counts_as_the_beginning(home: AnyHome, service: str) -> None:
    store(home, record(service))
    for since in ("0", "1970-01-01T00:00:00Z", "999999999d", "0001-01-01T00:00:00Z"):
        assert home.admin.page(service_name=service, since=since)["count"] == 1


# --- Pages. ---


@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
def test_a_walk_to_the_end_gives_every_record_once_in_order(home: AnyHome, service: str, limit: int) -> None:
    same = ago(30)
    for place in range(3):
        batch = [record(service, message=f"{place}-{number}", timestamp=same) for number in range(20)]
        batch += [record(service, message=f"late {place}", timestamp=ago(600))]
        store(home, *batch)
    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = home.admin.page(service_name=service, limit=limit, **cursor)
        assert page["complete"] is True
        assert page["count"] <= limit
        pages.append(page)
        if page["next_cursor"] is None:
            break
        assert page["count"] == limit
        cursor = {"cursor": page["next_cursor"]}
    logs = [each for page in pages for each in page["logs"]]
    assert len({each["log_id"] for each in logs}) == len(logs) == 63
    assert messages(logs)[:2] == ["2-19", "2-18"], "of the same moment the last to arrive comes first"
    times = [parse_rfc3339(each["timestamp"]) for each in logs]
    assert times == sorted(times, reverse=True)
    assert len(pages) == -(-63 // limit)


def test_a_page_holds_a_hundred_unless_it_is_said(home: AnyHome, service: str) -> None:
    store(home, *[record(service)] * 101)
    page = home.admin.page(service_name=service)
    assert page["count"] == limits.PAGE_RECORDS_DEFAULT
    assert home.admin.page(service_name=service, cursor=page["next_cursor"])["count"] == 1


def test_a_page_that_is_exactly_full_is_the_last_one_where_nothing_is_left(home: AnyHome, service: str) -> None:
    store(home, *[record(service)] * 5)
    assert home.admin.page(service_name=service, limit=5)["next_cursor"] is None


def test_a_page_ends_early_once_it_has_grown_to_its_bound(home: AnyHome, service: str) -> None:
    large = "x" * 200_000
    store(home, *[record(service, message=large)] * 20)
    answer = home.admin.get(service_name=service)
    assert len(answer.body) <= limits.PAGE_BYTES_MAX + 1000
    page = home.admin.page(service_name=service)
    assert page["count"] == limits.PAGE_BYTES_MAX // 200_300
    assert page["complete"] is True
    assert page["next_cursor"] is not None
    assert len(home.admin.logs(service_name=service)) == 20


def test_escapes_count_for_a_pages_bound(home: AnyHome, service: str) -> None:
    """Each NUL takes six bytes in the answer: a page's bound is on what is sent."""
    for _ in range(4):
        store(home, record(service, message="\0" * 200_000))
    answer = home.admin.get(service_name=service)
    assert len(answer.body) <= limits.PAGE_BYTES_MAX + 1000
    assert len(home.admin.logs(service_name=service)) == 4


def test_what_was_there_at_the_first_page_comes_though_time_goes_on(home: AnyHome, service: str) -> None:
    """The range is the first page's: records at its edge must not fall out between pages."""
    store(home, *(record(service, message=str(each), timestamp=ago(3599.0 - each)) for each in range(3)))
    page = home.admin.page(service_name=service, hours=1, limit=2)
    assert messages(page["logs"]) == ["2", "1"]
    deadline = time.monotonic() + 10
    while home.admin.page(service_name=service, hours=1)["count"] == 3:
        assert time.monotonic() < deadline
    rest = home.admin.page(service_name=service, hours=1, limit=2, cursor=page["next_cursor"])
    assert messages(rest["logs"]) == ["0"]


def test_arrivals_between_pages_do_not_shift_them(home: AnyHome, service: str) -> None:
    store(home, *(record(service, message=str(each), timestamp=ago(100 - each)) for each in range(6)))
    page = home.admin.page(service_name=service, limit=3)
    store(home, record(service, message="new"), record(service, message="old", timestamp=ago(98.5)))
    rest = home.admin.page(service_name=service, limit=10, cursor=page["next_cursor"])
    assert messages(page["logs"]) == ["5", "4", "3"]
    assert [each for each in messages(rest["logs"]) if each != "old"] == ["2", "1", "0"]


def test_the_limit_may_change_from_page_to_page(home: AnyHome, service: str) -> None:
    store(home, *(record(service, message=str(each)) for each in range(10)))
    page = home.admin.page(service_name=service, limit=3)
    page = home.admin.page(service_name=service, limit=4, cursor=page["next_cursor"])
    assert messages(page["logs"]) == ["6", "5", "4", "3"]


def test_a_cursor_goes_on_after_a_restart(home_of_its_own: AnyHome, service: str) -> None:
    home = home_of_its_own
    store(home, *(record(service, message=str(each)) for each in range(10)))
    cursor = home.admin.page(service_name=service, limit=5)["next_cursor"]
    home.restart()
    assert messages(home.admin.logs(service_name=service, cursor=cursor)) == list("43210")


# --- What is refused. ---

FOREIGN = "cursor is not one that this service gave."
OTHER_FILTERS = "cursor belongs to a query with other filters."


def test_a_cursor_belongs_to_its_filters(home: AnyHome, service: str) -> None:
    store(home, *[record(service)] * 3)
    cursor = home.admin.page(service_name=service, limit=1)["next_cursor"]
    for filters in ({}, {"service_name": "other"}, {"service_name": service, "level": "INFO"}, {"log_type": service}):
        assert refusal(home.admin.get(cursor=cursor, **filters)) == bad_request(OTHER_FILTERS)
    same = f"/services/{service}/logs"
    assert home.admin.page(same, cursor=cursor)["count"] == 2, "the same filter, said by the path"


@pytest.mark.parametrize("cursor", ["", "a", "AAAA", "null", "\0", "ü", "=" * 8, "A" * 512, "A" * 513, "../..", "%00"])
def test_a_cursor_of_nobodys_is_refused(home: AnyHome, cursor: str) -> None:
    assert refusal(home.admin.get(cursor=cursor)) == bad_request(FOREIGN)


def test_an_edited_cursor_is_refused_or_asks_another_question(home: AnyHome, service: str) -> None:
    store(home, *[record(service)] * 3)
    cursor = home.admin.page(service_name=service, limit=1)["next_cursor"]
    for place in range(len(cursor)):
        for character in "A_z":
            edited = cursor[:place] + character + cursor[place + 1 :]
            answer = home.admin.get(service_name=service, cursor=edited)
            assert answer.status in {200, 400}, edited
    for length in range(len(cursor)):
        assert home.admin.get(service_name=service, cursor=cursor[:length]).status in {200, 400}


MOMENT = "must be RFC 3339 with an offset, a number since the epoch, or like 10m, 2h, 3d."
BAD_QUERIES = {
    "limit=0": "limit must be a whole number from 1 to 10000.",
    "limit=10001": "limit must be a whole number from 1 to 10000.",
    "limit=": "limit must be a whole number from 1 to 10000.",
    "limit=1e2": "limit must be a whole number from 1 to 10000.",
    "limit=+1": "limit must be a whole number from 1 to 10000.",
    "limit=%D9%A1": "limit must be a whole number from 1 to 10000.",
    "limit=1%00": "limit must be a whole number from 1 to 10000.",
    "limit=1&limit=1": "limit is given twice.",
    "hours=0": "hours must be a whole number from 1 to 168.",
    "hours=169": "hours must be a whole number from 1 to 168.",
    "hours=1.5": "hours must be a whole number from 1 to 168.",
    "hours=1&since=1h": "Give either hours or since, not both.",
    "since=1h&until=2h": "since must be before until.",
    "since=1h&until=1h": "since must be before until.",
    "since=": f"since {MOMENT}",
    "since=tomorrow": f"since {MOMENT}",
    "since=-1": f"since {MOMENT}",
    "since=1w": f"since {MOMENT}",
    "since=2026-01-01": f"since {MOMENT}",
    "since=2026-01-01T00:00:00": f"since {MOMENT}",
    "since=2026-02-30T00:00:00Z": f"since {MOMENT}",
    "until=2026-01-01T00:00:00%2B25:00": f"until {MOMENT}",
    "until=now": f"until {MOMENT}",
    "level=loud": "level must be one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL.",
    "level=": "level must be one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL.",
    "level=%C4%B1nfo": "level must be one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL.",
    "service_name=": "service_name must have 1 to 256 characters.",
    "service_name=%20a": "service_name must not begin or end with white space.",
    "service_name=a%0A": "service_name must not hold control characters.",
    "log_type=" + "x" * 129: "log_type must have 1 to 128 characters.",
    "servcie_name=a": "Unknown parameter: servcie_name",
    "Limit=1": "Unknown parameter: Limit",
    "query=word": "Unknown parameter: query",
    "=": "Unknown parameter: ",
}


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_a_bad_query_is_refused_with_what_is_wrong(home: AnyHome, query: str) -> None:
    assert refusal(home.admin.ask("GET", "/logs/recent", query)) == bad_request(BAD_QUERIES[query])


@pytest.mark.parametrize("query", ["service_name=%FF", "%FF=1", "service_name=%ED%A0%80"])
def test_a_query_that_is_not_utf_8_is_refused(home: AnyHome, query: str) -> None:
    assert refusal(home.admin.ask("GET", "/logs/recent", query)) == bad_request("The query string is not UTF-8.")


@pytest.mark.parametrize(
    ("method", "path", "parameter"),
    [
        ("POST", "/logs", "service_name"),
        ("POST", "/services/a/logs", "dry_run"),
        ("GET", "/services/a/logs", "service_name"),
        ("GET", "/health", "verbose"),
        ("GET", "/metrics", "name"),
    ],
)
def test_an_unknown_parameter_is_refused_on_every_route(home: AnyHome, method: str, path: str, parameter: str) -> None:
    body = b"" if method == "GET" else b'{"log_type":"a","message":"b"}'
    answer = home.admin.ask(method, path, f"{parameter}=a", (), body)
    assert refusal(answer) == bad_request(f"Unknown parameter: {parameter}")


def test_names_of_any_script_can_be_asked_for(home: AnyHome) -> None:
    name = fresh_name("bücher & mehr + 雑誌=100% #1?")
    store(home, record(name, log_type="a b/c"))
    assert home.admin.page(service_name=name, log_type="a b/c")["count"] == 1
    lower = quote(name, safe="").lower()
    answer = home.admin.ask("GET", "/logs/recent", f"service_name={lower}")
    assert b'"count":1' in answer.body, "%c3 is %C3"
