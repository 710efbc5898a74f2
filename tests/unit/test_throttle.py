"""The throttle: what passes, how long the others wait, and that neither limit charges for the other's refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.server.throttle import Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_the_next_request_waits() -> None:
    throttle = Throttle(10, 3, Clock())
    assert [throttle.check("a") for _ in range(4)] == [None, None, None, 1]


def test_tokens_come_back_at_the_rate() -> None:
    clock = Clock()
    throttle = Throttle(10, 3, clock)
    for _ in range(3):
        throttle.check("a")
    clock.now += 0.2
    assert [throttle.check("a") for _ in range(3)] == [None, None, 1]


def test_a_rest_earns_no_more_than_a_burst() -> None:
    clock = Clock()
    throttle = Throttle(10, 3, clock)
    clock.now += 3600
    assert [throttle.check("a") for _ in range(4)] == [None, None, None, 1]


def test_the_wait_is_in_whole_seconds_and_long_enough() -> None:
    clock = Clock()
    throttle = Throttle(0.25, 1, clock)
    assert throttle.check("a") is None
    assert throttle.check("a") == 4
    clock.now += 3.5
    assert throttle.check("a") == 1
    clock.now += 1
    assert throttle.check("a") is None


def test_a_rate_of_zero_switches_it_off() -> None:
    throttle = Throttle(0, 0, Clock())
    assert all(throttle.check("a") is None for _ in range(100_000))


def test_a_burst_that_lets_nothing_pass_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Throttle(1, 0)
    with pytest.raises(ValueError, match="at least 1"):
        Throttle(0, 0, key_rate=1, key_burst=0.5)


def test_the_server_s_limit_is_shared_by_all_keys() -> None:
    throttle = Throttle(10, 3, Clock())
    assert [throttle.check(key) for key in "abcd"] == [None, None, None, 1]


def test_each_key_has_a_limit_of_its_own() -> None:
    throttle = Throttle(0, 0, Clock(), key_rate=10, key_burst=2)
    assert [throttle.check(key) for key in "aabab"] == [None, None, None, 1, None]


def test_a_key_over_its_limit_takes_nothing_from_the_others() -> None:
    throttle = Throttle(10, 3, Clock(), key_rate=10, key_burst=1)
    assert throttle.check("a") is None
    assert all(throttle.check("a") == 1 for _ in range(100))
    assert [throttle.check(key) for key in "bcd"] == [None, None, 1]


def test_a_refusal_by_the_server_s_limit_costs_the_key_nothing() -> None:
    clock = Clock()
    throttle = Throttle(1, 1, clock, key_rate=0.001, key_burst=2)
    assert [throttle.check("a"), throttle.check("a")] == [None, 1]
    clock.now += 1
    assert throttle.check("a") is None


def test_the_keys_used_longest_ago_are_forgotten_past_the_bound() -> None:
    throttle = Throttle(0, 0, Clock(), key_rate=0.001, key_burst=1, keys_max=2)
    for key in ("a", "b"):
        assert throttle.check(key) is None
    assert throttle.check("a") is not None
    assert throttle.check("c") is None
    assert throttle.check("a") is not None, "it was used last"
    assert throttle.check("b") is None, "it was forgotten"
    assert len(throttle._keys) == 2


@given(
    st.floats(0.1, 100),
    st.integers(1, 50),
    st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_no_stretch_of_time_lets_more_pass_than_burst_and_rate(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    throttle = Throttle(rate, burst, clock)
    passed: list[float] = []
    for pause in pauses:
        clock.now += pause
        wait = throttle.check("a")
        if wait is None:
            passed.append(clock.now)
        else:
            assert wait >= 1
    for first in range(len(passed)):
        elapsed = passed[-1] - passed[first]
        assert len(passed) - first <= burst + elapsed * rate + 1e-6


@given(st.floats(0.1, 100), st.integers(1, 5))
def test_whoever_waits_as_told_passes(rate: float, burst: int) -> None:
    clock = Clock()
    throttle = Throttle(rate, burst, clock)
    while (wait := throttle.check("a")) is None:
        pass
    clock.now += wait
    assert throttle.check("a") is None
