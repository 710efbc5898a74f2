"""The rate limit, end to end: who is counted, what is answered past it, and that 0 switches it off."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from contract.http_caller import refusal
from contract.http_home import fresh_name, record, running_home

pytestmark = pytest.mark.xdist_group("throttling")

TOO_MANY = (429, "TooManyRequestsException", {"message": "Too Many Requests"})
BURST = 5
SLOW = ("--throttle-rate", "0.01", "--throttle-burst", str(BURST))
"""So slow that no token comes back while a test runs."""


def test_past_the_burst_comes_429_with_the_seconds_to_wait() -> None:
    service = fresh_name()
    with running_home(*SLOW) as home:
        statuses = [home.admin.post(record(service)).status for _ in range(BURST)]
        answer = home.admin.post(record(service))
        assert statuses == [201] * BURST
        assert refusal(answer) == TOO_MANY
        assert 90 <= int(answer.headers["retry-after"]) <= 100
        assert refusal(home.admin.get()) == TOO_MANY, "reads are counted as writes are"
        home.server.stop()
        home.server.start()
        assert len(home.admin.logs(service_name=service)) == BURST, "nothing of the refused ones is stored"


def test_after_the_seconds_to_wait_a_request_passes() -> None:
    with running_home("--throttle-rate", "2", "--throttle-burst", "1") as home:
        assert home.admin.get().status == 200
        answer = home.admin.get()
        assert answer.status == 429
        assert answer.headers["retry-after"] == "1"
        deadline = time.monotonic() + 1 + 20
        while (answer := home.admin.get()).status == 429:
            assert time.monotonic() < deadline
        assert answer.status == 200


def test_only_authenticated_requests_are_counted() -> None:
    with running_home(*SLOW) as home:
        good = home.admin.signed("GET", "/logs/recent")
        assert good.query == ""
        for _ in range(3 * BURST):
            assert home.stranger.get().status == 403
            assert home.stranger.ask("GET", "/health").status == 200
            assert home.stranger.ask("OPTIONS", "/logs").status == 204
            assert home.stranger.send(good._replace(query="limit=1")).status == 403, "another signature"
            assert home.admin.ask("GET", "/nowhere").status == 403
        assert [home.admin.get().status for _ in range(BURST + 1)] == [200] * BURST + [429]


def test_what_the_policy_denies_is_counted_too() -> None:
    """Else a caller could ask without end for what it may not have."""
    with running_home(*SLOW) as home:
        writer = home.caller(home.key("ingest"))
        assert [writer.get().status for _ in range(BURST + 1)] == [403] * BURST + [429]


def test_all_keys_share_the_servers_rate() -> None:
    with running_home(*SLOW) as home:
        callers = [home.caller(home.key()) for _ in range(3)]
        statuses = Counter(callers[number % 3].get().status for number in range(3 * BURST))
        assert statuses == {200: BURST, 429: 2 * BURST}


def test_concurrent_requests_are_counted_exactly() -> None:
    with running_home(*SLOW) as home, ThreadPoolExecutor(8) as threads:
        statuses = Counter(threads.map(lambda _: home.admin.get().status, range(40)))
    assert statuses == {200: BURST, 429: 40 - BURST}


def test_a_rate_of_zero_is_no_limit() -> None:
    with running_home("--throttle-rate", "0", "--throttle-burst", "1") as home, ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: home.admin.get().status, range(400))) == {200}
