"""The simulated table against the calculator, and against seconds and minutes worked out by hand."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.aws_requests import Mix, Shape, generated, stored
from bench.aws_simulation import BURST_SECONDS, Second, outcome, simulate
from infra.profiles import PROD, Profile
from simple_log_service.stores.dynamodb.capacity import Units, put_units

HOUR = 3600


def fixed(units: int) -> Profile:
    return msgspec.structs.replace(PROD, capacity_units_min=units, capacity_units_max=units)


def shape(table: float, index: float, *, hottest: float = 0.001) -> Shape:
    return Shape(1, 300, 1, 1, table, index, hottest, hottest, 400, 400)


def settled(course: list[Second]) -> float:
    """What is carried a second at the end."""
    return course[-1].carried


@pytest.mark.parametrize("records", [1, 10, 100, 1000])
@pytest.mark.parametrize("units", [5, 10, 50, 100])
def test_what_is_carried_in_the_long_run_is_what_the_calculator_says(records: int, units: int) -> None:
    spent = sum(map(put_units, stored(records)), Units())
    each = generated(records, "single")
    course = simulate(fixed(units), each, 2.0 * units, HOUR)
    # One sampled request may be a unit heavier than the next.
    assert settled(course) == pytest.approx(units / max(spent.table_write, spent.index_write), rel=0.15)
    assert settled(course) == pytest.approx(units / each.units)


@given(st.floats(0.5, 50), st.floats(0, 50), st.integers(1, 100), st.floats(0.1, 200))
def test_no_more_is_spent_than_is_provisioned_and_was_saved(
    table: float, index: float, units: int, per_second: float
) -> None:
    course = simulate(fixed(units), shape(table, max(index, 0.1)), per_second, 600)
    carried = math.fsum(second.carried for second in course)
    assert carried * max(table, index) <= units * (600 + BURST_SECONDS) * (1 + 1e-9)
    assert carried + course[-1].backlog == pytest.approx(600 * per_second)


@given(st.floats(0.5, 50), st.integers(1, 100), st.floats(0, 1))
def test_nothing_waits_below_the_capacity(table: float, units: int, share: float) -> None:
    course = simulate(fixed(units), shape(table, table), share * units / table + 1e-9, 600)
    assert outcome(course).carried_share == pytest.approx(1)


def test_a_burst_is_what_five_idle_minutes_saved() -> None:
    # Five units saved for 300 seconds are 1500, and five more come: at 105 a second they last fifteen seconds.
    course = simulate(fixed(5), shape(1, 1), 105, 20)
    assert [second.carried for second in course] == pytest.approx([105.0] * 15 + [5.0] * 5)
    assert course[-1].backlog == pytest.approx(5 * 100)


def test_an_index_short_of_capacity_turns_writes_of_the_table_away() -> None:
    assert settled(simulate(fixed(10), shape(1, 5), 10, 900)) == pytest.approx(2)


def test_a_hot_partition_key_takes_a_thousand_units_whatever_is_provisioned() -> None:
    assert settled(simulate(fixed(5000), shape(2, 1, hottest=2), 3000, 10)) == 500
    assert settled(simulate(fixed(5000), shape(2, 1, hottest=0.5), 2000, 10)) == 2000


def test_capacity_follows_a_load_in_steps_that_come_late() -> None:
    course = simulate(PROD, shape(1, 1), 50, HOUR)
    # The first minute is a burst; the second shows full use, at five. Two minutes over the target are seen after three,
    # and a minute later five used to the full have become 5 / 0.7, which is eight.
    assert {second.table_capacity for second in course[:240]} == {5}
    steps = list(dict.fromkeys(second.table_capacity for second in course))
    assert steps == [5, 8, 12, 18, 26, 38, 55, 79, 100]


def test_capacity_shrinks_after_a_quarter_of_an_hour_of_little_use() -> None:
    profile = msgspec.structs.replace(PROD, capacity_units_min=1)
    grown = simulate(profile, shape(1, 1), 10, 2 * HOUR)
    assert outcome(grown).settled_minutes is not None
    # Once the backlog is gone ten units a second use less than half of what it took to work it off.
    assert max(second.table_capacity for second in grown) > grown[-1].table_capacity >= 15


def test_a_mixed_batch_carries_little_more_than_single_records() -> None:
    mixes: tuple[Mix, ...] = ("own", "mixed")
    alike, mixed = (generated(100, mix) for mix in mixes)
    assert mixed.units == 100
    assert alike.units < 10


def test_a_thousand_requests_a_second_hold_with_what_is_documented_for_them() -> None:
    each = generated(1, "own")
    result = outcome(simulate(fixed(1429), each, 1000, 900))
    assert (result.carried_share, result.backlog_max) == (1.0, 0.0)
    # All of one service the requests use the partition up to the last unit; a unit more each is too much.
    alone = msgspec.structs.replace(generated(1, "single"), table_hottest=1.1)
    assert outcome(simulate(fixed(1429), alone, 1000, 900)).carried_share < 0.95
