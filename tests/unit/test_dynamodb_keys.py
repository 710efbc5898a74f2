"""Positions as DynamoDB Numbers, ties, ids and shards."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core.ids import ARRIVAL_MAX, NONCE_BITS, log_id_of
from simple_log_service.core.limits import INTEGER_DIGITS_MAX, REQUEST_RECORDS_MAX
from simple_log_service.core.record import Position
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX
from simple_log_service.stores.dynamodb import keys

TIMESTAMPS = st.integers(0, TIMESTAMP_NS_MAX)
TIES = st.integers(0, keys.TIE_MAX)
NONCES = st.integers(0, 2**NONCE_BITS - 1)
ARRIVALS = st.integers(0, ARRIVAL_MAX - REQUEST_RECORDS_MAX - 2**26)
POSITIONS = st.builds(Position, TIMESTAMPS, TIES)


def trimmed(number: str) -> str:
    """The number as DynamoDB gives it back: without zeros at either end."""
    whole, _, fraction = number.partition(".")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


@given(POSITIONS)
def test_a_position_comes_back_from_its_number(position: Position) -> None:
    number = keys.number_of(position)
    assert len(number.replace(".", "").lstrip("0")) <= INTEGER_DIGITS_MAX
    assert keys.position_of(number) == keys.position_of(trimmed(number)) == position


@pytest.mark.parametrize("number", ["1.7E+18", "17E17", "1700000000000000000"])
def test_an_exponent_is_understood(number: str) -> None:
    assert keys.position_of(number) == Position(17 * 10**17, 0)


@given(POSITIONS, POSITIONS)
def test_numbers_stand_in_the_order_of_positions(one: Position, other: Position) -> None:
    assert (Decimal(keys.number_of(one)) < Decimal(keys.number_of(other))) == (one < other)


@given(ARRIVALS, NONCES, st.integers(1, REQUEST_RECORDS_MAX))
def test_ties_of_one_request_rise_and_give_back_the_ids(arrival: int, nonce: int, count: int) -> None:
    first = keys.first_unbroken(arrival, count)
    assert 0 <= first - arrival < REQUEST_RECORDS_MAX
    ties = [keys.tie_of(first + place, nonce) for place in (0, count // 2, count - 1)]
    assert ties == sorted(ties)
    assert all(0 <= tie <= keys.TIE_MAX < 2**63 for tie in ties)
    for place, tie in zip((0, count // 2, count - 1), ties, strict=True):
        assert keys.log_id_of_tie(tie, first, nonce) == log_id_of(first + place, nonce)


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_no_two_pairs_share_a_claim_or_a_marker(a: str, b: str, c: str, d: str) -> None:
    for key in (keys.retry_key, keys.log_id_key):
        assert (key(a, b) == key(c, d)) == ((a, b) == (c, d))
    assert keys.retry_key(a, b) != keys.log_id_key(a, b)


@given(st.sampled_from(["application", "access log"]), ARRIVALS, st.integers(1, 100))
def test_every_shard_of_a_type_is_read_and_known_for_its_type(log_type: str, arrival: int, shards: int) -> None:
    value = keys.index_value(log_type, arrival, shards)
    assert value in keys.index_values(log_type, shards)
    assert all(keys.log_type_of(each) == log_type for each in keys.index_values(log_type, shards))


def test_slots_of_days_do_not_touch() -> None:
    assert keys.type_slots(20_000).stop == keys.type_slots(20_001).start
    assert len(keys.type_slots(0)) == 64
