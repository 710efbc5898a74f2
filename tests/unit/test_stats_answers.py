"""What ``GET /logs/stats`` answers over a store in memory: ends, cursors, retention, and what nobody is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from simple_log_service.api.stats import STATS, stats_query
from simple_log_service.core import counting
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import DAY_NS, HOUR_NS, SECOND_NS
from simple_log_service.core.search import Search
from simple_log_service.core.stats import StatsQuery
from unit.test_routes_answers import Home, NoMetrics, read, record, sent


@pytest.fixture
def home() -> Home:
    return Home()


@pytest.fixture
def small_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few groups fill an answer."""
    monkeypatch.setattr(counting, "STATS_BYTES_MAX", 300)
    monkeypatch.setattr(counting, "_BYTES_WANTED", 250)


def fill(home: Home, services: int = 40) -> None:
    for n in range(services):
        home.answer("POST", "/logs", sent([record(service_name=f"service-{n % 23}", level="WARN"), record()]))
        home.now_ns += 700 * SECOND_NS


def stats(home: Home, query: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = read(home.answer("GET", f"/logs/stats?{query}"))
    return answer


def answers(home: Home, query: str, cursor: str | None = None) -> Iterator[dict[str, Any]]:
    """Every answer, one cursor after the other."""
    answer = stats(home, query if cursor is None else f"{query}&cursor={cursor}")
    yield answer
    while answer["next_cursor"] is not None:
        answer = stats(home, f"{query}&cursor={answer['next_cursor']}")
        yield answer


def added_up(found: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for answer in found:
        for bucket in answer["buckets"]:
            counts.update({(bucket["start"], group): count for group, count in bucket["counts"].items()})
    return counts


@pytest.mark.parametrize("interval", ["", "&interval=10m", "&interval=1h"])
def test_answers_that_end_early_add_up_to_one_that_does_not(
    home: Home, interval: str, request: pytest.FixtureRequest
) -> None:
    fill(home)
    query = "by=service_name&since=20h" + interval
    (whole,) = answers(home, query)
    request.getfixturevalue("small_answers")
    found = list(answers(home, query))
    assert len(found) > 2
    assert added_up(found) == added_up([whole])
    assert sum(answer["count"] for answer in found) == whole["count"] == 80
    assert all(answer["complete"] for answer in found)


@pytest.mark.usefixtures("small_answers")
def test_a_range_stays_where_it_was_while_time_goes_on(home: Home) -> None:
    fill(home)
    since = home.now_ns - 5 * HOUR_NS
    first = stats(home, "by=service_name&hours=5&interval=1h")
    home.now_ns += 2 * HOUR_NS
    rest = list(answers(home, "by=service_name&hours=5&interval=1h", first["next_cursor"]))
    logs = read(home.answer("GET", f"/logs/recent?since={since}&limit=1000"))["logs"]
    assert sum(answer["count"] for answer in [first, *rest]) == len(logs)


@pytest.mark.usefixtures("small_answers")
@pytest.mark.parametrize(
    "other",
    ["interval=1h", "by=level&interval=1h", "by=service_name", "by=service_name&interval=60s",
     "by=service_name&interval=1h&level=WARN", "by=service_name&interval=1h&q=hello"],
)  # fmt: skip
def test_a_cursor_belongs_to_what_was_counted(home: Home, other: str) -> None:
    fill(home)
    cursor = stats(home, "by=service_name&interval=1h")["next_cursor"]
    assert stats(home, f"by=service_name&interval=60m&cursor={cursor}")["count"] > 0
    with pytest.raises(InvalidRequest, match=r"cursor belongs to a query with other filters\."):
        stats(home, f"{other}&cursor={cursor}")


@pytest.mark.usefixtures("small_answers")
def test_neither_cursor_is_the_others(home: Home) -> None:
    fill(home)
    of_stats = stats(home, "by=service_name&interval=1h")["next_cursor"]
    of_records = read(home.answer("GET", "/logs/recent?limit=1"))["next_cursor"]
    for target in (f"/logs/recent?cursor={of_stats}", f"/logs/stats?cursor={of_records}"):
        with pytest.raises(InvalidRequest, match="cursor belongs to a query with other filters"):
            home.answer("GET", target)


def test_out_of_time_the_answer_says_that_it_is_not_complete(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(home)
    (whole,) = answers(home, "by=level&interval=1h")
    monkeypatch.setattr("simple_log_service.stores.memory.READ_SECONDS_MAX", -1.0)
    found = list(answers(home, "by=level&interval=1h"))
    assert [answer["complete"] for answer in found] == [False] * (len(found) - 1) + [True]
    assert len(found) > 5
    assert added_up(found) == added_up([whole])


def test_what_the_retention_has_taken_is_not_counted(home: Home) -> None:
    home.answer("POST", "/logs", sent([record(), record(timestamp=(home.now_ns - 29 * DAY_NS) // SECOND_NS)]))
    assert stats(home, "since=60d")["count"] == 2
    home.now_ns += 2 * DAY_NS
    assert stats(home, "since=60d")["count"] == 1
    assert stats(home, "since=0&interval=1d")["buckets"][0]["start"] == "2026-02-02T00:00:00Z"


def test_a_range_is_no_longer_than_the_retention_when_its_buckets_are_counted(home: Home) -> None:
    assert stats(home, "since=0&interval=1h")["buckets"] == []
    with pytest.raises(InvalidRequest, match=r"more than 1500 buckets: 30m would do\."):
        stats(home, "since=0&interval=10m")


def test_a_bucket_of_all_begins_where_the_range_was_asked_to_begin(home: Home) -> None:
    home.answer("POST", "/logs", sent(record()))
    assert stats(home, "since=0")["buckets"] == [{"start": "1970-01-01T00:00:00Z", "count": 1}]


def test_counting_returns_no_records(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    monkeypatch.setattr(NoMetrics, "count", lambda _self, signal, *_rest: counted.append(signal.name))
    stats(home)
    assert counted == []
    home.answer("GET", "/logs/recent")
    assert counted != []


def test_what_is_searched_for_is_counted(home: Home) -> None:
    home.answer("POST", "/logs", sent([record("one fish"), record("two fish"), record("red", color="blue")]))
    for query, count in (("q=fish", 2), ("q=two%20fish", 1), ("pattern=%5Er", 1), ("metadata.color=blue", 1)):
        assert stats(home, query)["count"] == count


# --- Parameters. ---


def test_every_parameter_means_what_it_says() -> None:
    asked = stats_query(f"by=log_type&interval=15m&since=1h&q={quote('a b')}&service_name=shop", 10 * HOUR_NS)
    assert (asked.by, asked.interval_ns) == ("log_type", 900 * SECOND_NS)
    assert (asked.query.since_ns, asked.query.service_name) == (9 * HOUR_NS, "shop")
    assert asked.query.search == Search(q="a b")
    assert isinstance(stats_query("", 0), StatsQuery)


def test_counting_knows_no_limit() -> None:
    assert "limit" not in STATS
    with pytest.raises(InvalidRequest, match="Unknown parameter: limit"):
        stats_query("limit=1", 0)
