"""How every store searches: what a plain look at each record finds, in order, in pages, no less for want of time."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import msgspec
import pytest

from simple_log_service.core.limits import KIB, SECOND_NS
from simple_log_service.core.ports import LogStore
from simple_log_service.core.query import Page, Query
from simple_log_service.core.search import Search
from support.stores import NOON, Given, batch_of, decoded, messages

pytestmark = pytest.mark.asyncio

WORDS = ("disk", "Full", "timeout", "user", "10.0.0.1", "näher", "a\0b", "time\nout")
SEARCHES = (
    Search("disk"),
    Search("DISK full"),
    Search('"disk full"'),
    Search("dis* -timeout"),
    Search("-disk -timeout -user"),
    Search("10.0.0.1"),
    Search("NÄHER"),
    Search("alice"),
    Search("alice disk"),
    Search("200"),
    Search("nothing"),
    Search(pattern="(?i)full$"),
    Search(pattern=r"\x00"),
    Search(pattern="nothing"),
    Search(fields=(("user.name", "alice"),)),
    Search(fields=(("status", "2e2"),)),
    Search(fields=(("status", "200"), ("user.name", "bob"))),
    Search("disk", "^disk", (("status", "404"),)),
)


def record(chance: random.Random, place: int) -> Given:
    message = " ".join(chance.choices(WORDS, k=3))
    if place % 17 == 0:
        # Where a store keeps small and large records in different places, both have to be looked at.
        message += " " + chance.randbytes(4 * KIB).hex()
    user, status = chance.choice(["alice", "bob"]), chance.choice([200, 404])
    spellings = (
        json.dumps({"user": {"name": user}, "status": status}),
        f'{{"status" : {status}.0, "user.name":"{user}"}}',
        f'{{"user":{{"name":"\\u00{ord(user[0]):02x}{user[1:]}"}},"list":[null,{status}]}}',
        "{}",
    )
    return Given(
        f"{message} #{place}",
        NOON + chance.randrange(-300, 300) * SECOND_NS,
        chance.choice(["shop", "billing"]),
        chance.choice(["application", "access"]),
        chance.choice(["INFO", "ERROR"]),
        chance.choice(spellings),
    )


async def fill(store: LogStore) -> list[Given]:
    """Records in batches of many sizes, lone ones among them; in order of arrival."""
    chance = random.Random(3)
    given = [record(chance, place) for place in range(240)]
    ends = [0, *sorted(chance.sample(range(1, 240), 30)), 240]
    for start, end in pairwise(ends):
        await store.append(batch_of(*given[start:end]))
    return given


def plainly(given: list[Given], search: Search) -> list[str]:
    """The messages of what matches, newest first."""
    places = [n for n, each in enumerate(given) if search.matches(each.message, each.metadata.encode())]
    places.sort(key=lambda place: (given[place].timestamp, place), reverse=True)
    return [given[place].message for place in places]


async def test_a_search_finds_what_a_plain_look_at_each_record_finds(store: LogStore) -> None:
    given = await fill(store)
    for search in SEARCHES:
        for limit in (7, 10_000):
            found = await messages(store, Query(since_ns=0, limit=limit, search=search))
            assert found == plainly(given, search), (search, limit)


async def test_a_search_and_other_filters_must_all_hold(store: LogStore) -> None:
    given = await fill(store)
    asked = Query(
        since_ns=NOON - 200 * SECOND_NS, until_ns=NOON + 200 * SECOND_NS, service_name="shop", log_type="access"
    )
    within = [
        each
        for each in given
        if (each.service_name, each.log_type) == ("shop", "access") and abs(each.timestamp - NOON) < 200 * SECOND_NS
    ]
    for search in SEARCHES:
        query = msgspec.structs.replace(asked, search=search, limit=3)
        assert await messages(store, query) == plainly(within, search), search
        errors = [each for each in within if each.level == "ERROR"]
        assert await messages(store, msgspec.structs.replace(query, level="ERROR")) == plainly(errors, search), search


async def walk(store: LogStore, query: Query) -> list[Page]:
    pages = [await store.recent(query)]
    while (below := pages[-1].below) is not None:
        assert query.below is None or below < query.below
        query = msgspec.structs.replace(query, below=below, reach_ns=pages[-1].reach_ns)
        pages.append(await store.recent(query))
    return pages


@pytest.mark.parametrize("service_name", [None, "shop"])
async def test_a_search_out_of_time_says_so_and_going_on_finds_the_rest_exactly_once(
    store: LogStore, service_name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("stores.memory", "stores.embedded.tail", "stores.embedded.store"):
        monkeypatch.setattr(f"simple_log_service.{module}.READ_SECONDS_MAX", -1.0, raising=False)
    monkeypatch.setattr("simple_log_service.stores.dynamodb.store.DYNAMODB_READ_SECONDS_MAX", -1.0)
    monkeypatch.setattr("simple_log_service.core.runs.SEARCH_STEP_SECONDS", -1.0)
    given = [each for each in await fill(store) if service_name in (None, each.service_name)]
    for search in (Search("alice disk"), Search("nothing"), Search(pattern="nothing")):
        pages = await walk(store, Query(since_ns=0, service_name=service_name, search=search, limit=5))
        assert [each["message"] for page in pages for each in decoded(page)] == plainly(given, search)
        assert len(pages) > 1
        assert pages[-1].complete
        # A page is full, or the last, or says that there was no time for more.
        assert all(len(page.logs) == 5 or not page.complete for page in pages[:-1])


async def test_a_full_page_does_not_wait_for_another_match(store: LogStore) -> None:
    await store.append(batch_of(*(Given(f"needle {n}", NOON - n) for n in range(3)), Given("hay", NOON - 9)))
    pages = await walk(store, Query(since_ns=0, search=Search("needle"), limit=3))
    assert [(len(page.logs), page.complete) for page in pages] == [(3, True), (0, True)]
