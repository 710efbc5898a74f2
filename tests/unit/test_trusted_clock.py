"""The wall clock is believed once it has gone on like the monotonic one for an hour, and not after a jump."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core.limits import CLOCK_DRIFT_SECONDS_MAX, CLOCK_TRUST_SECONDS, DAY_NS, SECOND_NS
from simple_log_service.stores.embedded.trusted_clock import TrustedClock
from support.stores import SetClock

LOOK_SECONDS = 60.0
YEAR_NS = 365 * DAY_NS


class Clocks:
    """Both clocks, set by hand, and what is made of them."""

    def __init__(self, booted_seconds: float = 1000.0) -> None:
        self.wall = SetClock()
        self.seconds = booted_seconds
        self.trusted = TrustedClock(self.wall, lambda: self.seconds)

    def go_on(self, seconds: float, *, wall_seconds: float | None = None) -> int | None:
        """Let time pass, looking now and then, the wall clock running at its own pace; gives the last answer."""
        looks = max(1, int(seconds // LOOK_SECONDS))
        found = None
        for _ in range(looks):
            self.seconds += seconds / looks
            self.wall.advance(int((seconds if wall_seconds is None else wall_seconds) / looks * SECOND_NS))
            found = self.trusted.now_ns()
        return found


def test_nothing_is_believed_before_an_hour_has_passed() -> None:
    clocks = Clocks()
    assert clocks.trusted.now_ns() is None
    assert clocks.go_on(CLOCK_TRUST_SECONDS - 1) is None
    assert clocks.go_on(1) == clocks.wall.now_ns


def test_what_is_believed_is_the_wall_clocks_time() -> None:
    clocks = Clocks()
    clocks.go_on(CLOCK_TRUST_SECONDS)
    for _ in range(10):
        assert clocks.go_on(600) == clocks.wall.now_ns


@pytest.mark.parametrize("jump_ns", [YEAR_NS, -YEAR_NS, DAY_NS, -DAY_NS, 61 * SECOND_NS, -61 * SECOND_NS])
def test_after_a_jump_nothing_is_believed_for_an_hour(jump_ns: int) -> None:
    clocks = Clocks()
    assert clocks.go_on(2 * CLOCK_TRUST_SECONDS) is not None
    clocks.wall.advance(jump_ns)
    assert clocks.trusted.now_ns() is None
    assert clocks.go_on(CLOCK_TRUST_SECONDS - 1) is None
    assert clocks.go_on(2) == clocks.wall.now_ns


def test_a_jump_and_the_jump_back_are_two() -> None:
    clocks = Clocks()
    clocks.go_on(CLOCK_TRUST_SECONDS)
    clocks.wall.advance(YEAR_NS)
    assert clocks.go_on(CLOCK_TRUST_SECONDS / 2) is None
    clocks.wall.advance(-YEAR_NS)
    assert clocks.go_on(CLOCK_TRUST_SECONDS - 1) is None
    assert clocks.go_on(2 * LOOK_SECONDS) is not None


def test_a_jump_within_the_first_hour_begins_it_anew() -> None:
    clocks = Clocks()
    clocks.go_on(CLOCK_TRUST_SECONDS - LOOK_SECONDS)
    clocks.wall.advance(YEAR_NS)
    assert clocks.go_on(LOOK_SECONDS) is None
    assert clocks.go_on(CLOCK_TRUST_SECONDS - LOOK_SECONDS) is None
    assert clocks.go_on(2 * LOOK_SECONDS) is not None


@pytest.mark.parametrize("pace", [0.995, 0.9999, 1.0001, 1.005])
def test_a_clock_that_drifts_slowly_stays_believed(pace: float) -> None:
    clocks = Clocks()
    assert clocks.go_on(CLOCK_TRUST_SECONDS, wall_seconds=CLOCK_TRUST_SECONDS * pace) is not None
    days = 30 * 24 * CLOCK_TRUST_SECONDS
    assert clocks.go_on(days, wall_seconds=days * pace) == clocks.wall.now_ns


def test_steps_within_the_bound_are_no_jump() -> None:
    clocks = Clocks()
    clocks.go_on(CLOCK_TRUST_SECONDS)
    for _ in range(10):
        clocks.wall.advance(int((CLOCK_DRIFT_SECONDS_MAX - 1) * SECOND_NS))
        assert clocks.go_on(LOOK_SECONDS) == clocks.wall.now_ns


def test_a_clock_that_runs_twice_as_fast_is_never_believed() -> None:
    clocks = Clocks()
    for _ in range(48):
        assert clocks.go_on(1800, wall_seconds=1800 * 2 + 2400) is None


@given(st.lists(st.sampled_from([0, 0, 0, 5, -5, 61, -61, 86_400, -86_400, 31_536_000]), min_size=1, max_size=300))
def test_time_is_believed_only_where_an_hour_went_without_a_jump(steps: list[int]) -> None:
    clocks = Clocks()
    since_jump = 0.0
    for step in steps:
        clocks.wall.advance(step * SECOND_NS)
        found = clocks.go_on(LOOK_SECONDS)
        since_jump = 0.0 if abs(step) > CLOCK_DRIFT_SECONDS_MAX else since_jump + LOOK_SECONDS
        if found is not None:
            assert found == clocks.wall.now_ns
            assert since_jump >= CLOCK_TRUST_SECONDS - LOOK_SECONDS
