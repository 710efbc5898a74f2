"""Counting with the client, against a stub: answers added up, and what no service would say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest

from simple_log_service import Bucket, Client, Stats, UnexpectedAnswer
from support.stub_service import CREDENTIALS, REGION, Scripted, StubService


@pytest.fixture
def stub() -> Iterator[StubService]:
    with StubService().running() as running:
        yield running


@pytest.fixture
def client(stub: StubService) -> Iterator[Client]:
    with Client(stub.url, region=REGION, credentials=CREDENTIALS) as opened:
        yield opened


def bucket(hour: int, **counts: int) -> dict[str, Any]:
    return {"start": f"2026-01-01T{hour:02d}:00:00Z", "count": sum(counts.values()), "counts": counts}


def answer(*buckets: dict[str, Any], cursor: str | None = None, complete: bool = True) -> Scripted:
    count = sum(each["count"] for each in buckets)
    return Scripted(200, {"count": count, "buckets": buckets, "next_cursor": cursor, "complete": complete})


def asked(stub: StubService) -> list[dict[str, str]]:
    return [dict(parse_qsl(request.target.partition("?")[2])) for request in stub.seen]


def test_answers_are_added_up_bucket_by_bucket_and_group_by_group(client: Client, stub: StubService) -> None:
    stub.script = [
        answer(bucket(3, shop=5, web=1), bucket(2, shop=1), cursor="one"),
        answer(cursor="two", complete=False),
        answer(bucket(2, shop=1, web=7), bucket(0, api=2)),
    ]
    found = client.stats(by="service_name", interval="1h")
    assert found == Stats(
        17,
        [
            Bucket("2026-01-01T00:00:00Z", 2, {"api": 2}),
            Bucket("2026-01-01T02:00:00Z", 9, {"web": 7, "shop": 2}),
            Bucket("2026-01-01T03:00:00Z", 6, {"shop": 5, "web": 1}),
        ],
    )
    assert list(found.buckets[1].counts) == ["web", "shop"]
    assert list(found.counts.items()) == [("web", 8), ("shop", 7), ("api", 2)]
    assert [each.get("cursor") for each in asked(stub)] == [None, "one", "two"]


def test_what_is_asked_for_is_sent_with_every_cursor(client: Client, stub: StubService) -> None:
    stub.script = [answer(bucket(3, INFO=5), cursor="one"), answer()]
    client.stats(by="level", interval="10m", service_name="a b", since="2d", q="x y", metadata={"user.id": "4711"})
    for each in asked(stub):
        each.pop("cursor", None)
        assert each == {"by": "level", "interval": "10m", "service_name": "a b", "since": "2d", "q": "x y",
                        "metadata.user.id": "4711"}  # fmt: skip
    assert stub.seen[0].target.startswith("/logs/stats?")


def test_without_groups_there_are_counts_alone(client: Client, stub: StubService) -> None:
    stub.script = [Scripted(200, {"count": 3, "buckets": [{"start": "2026-01-01T00:00:00.5Z", "count": 3}],
                                  "next_cursor": None, "complete": True})]  # fmt: skip
    found = client.stats()
    assert (found.count, found.counts, found.buckets[0].counts) == (3, {}, {})
    assert asked(stub) == [{}]


def test_nothing_that_matches_is_nothing(client: Client, stub: StubService) -> None:
    stub.script = [answer()]
    assert client.stats() == Stats(0, [])


def test_fields_that_a_later_service_adds_do_no_harm(client: Client, stub: StubService) -> None:
    stub.script = [
        Scripted(200, {"count": 1, "buckets": [{**bucket(1, a=1), "bytes": 5}], "next_cursor": None, "more": 1})
    ]
    assert client.stats(by="level").count == 1


@pytest.mark.parametrize(
    "body",
    [
        {"count": 2, "buckets": [bucket(1, a=1)]},
        {"count": 1, "buckets": [{"start": "2026-01-01T00:00:00Z", "count": 1, "counts": {"a": 2}}]},
        {"count": -1, "buckets": [{"start": "2026-01-01T00:00:00Z", "count": -1}]},
        {"count": 0, "buckets": [{"start": "2026-01-01T00:00:00Z", "count": 0}]},
        {"count": 2**60, "buckets": [{"start": "2026-01-01T00:00:00Z", "count": 2**60}]},
        {"count": 1, "buckets": [{"start": "yesterday", "count": 1}]},
        {"count": 1.5, "buckets": [{"start": "2026-01-01T00:00:00Z", "count": 1.5}]},
        {"count": 0, "logs": []},
        [],
    ],
)
def test_counts_that_cannot_be_are_unexpected(body: Any, client: Client, stub: StubService) -> None:
    stub.script = [Scripted(200, body)]
    with pytest.raises(UnexpectedAnswer):
        client.stats()


def test_cursors_that_lead_in_a_circle_end_the_counting(client: Client, stub: StubService) -> None:
    stub.script = [answer(bucket(1, a=1), cursor="same")] * 2
    with pytest.raises(UnexpectedAnswer, match="a cursor that it gave before"):
        client.stats()


@pytest.mark.parametrize("complete", [True, False])
def test_answers_that_count_nothing_without_end_end_the_counting(
    client: Client, stub: StubService, monkeypatch: pytest.MonkeyPatch, complete: bool
) -> None:
    monkeypatch.setattr("simple_log_service.client.answers.EMPTY_PAGES_MAX", {complete: 5})
    stub.script = [answer(cursor=f"c{n}", complete=complete) for n in range(10)]
    with pytest.raises(UnexpectedAnswer, match="one empty page after another"):
        client.stats()
    assert len(stub.seen) == 6
