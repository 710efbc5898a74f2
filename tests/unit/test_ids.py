"""Generated ids: UUIDv7 that sort by arrival, and whole runs of them told by their first."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core.ids import ARRIVAL_MAX, NONCE_BITS, arrival_of, log_id_after, log_id_of
from simple_log_service.core.receipts import LogIdRun, log_id_runs

arrivals = st.integers(0, ARRIVAL_MAX) | st.sampled_from([0, 999, 1000, ARRIVAL_MAX])
nonces = st.integers(0, 2**NONCE_BITS - 1) | st.sampled_from([0, 2**NONCE_BITS - 1])


@given(arrivals, nonces)
def test_a_generated_id_is_a_uuid_of_version_7(arrival: int, nonce: int) -> None:
    log_id = log_id_of(arrival, nonce)
    parsed = uuid.UUID(log_id)
    assert str(parsed) == log_id
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    # RFC 9562, section 5.7: the first 48 bits count milliseconds.
    assert parsed.int >> 80 == arrival // 1000


@given(arrivals, nonces)
def test_an_id_gives_back_the_arrival_number_and_nonce_that_it_was_made_of(arrival: int, nonce: int) -> None:
    assert arrival_of(log_id_of(arrival, nonce)) == (arrival, nonce)


@given(arrivals, arrivals, nonces, nonces)
def test_ids_sort_by_arrival_whatever_their_nonces(one: int, other: int, its_nonce: int, other_nonce: int) -> None:
    if one < other:
        assert log_id_of(one, its_nonce) < log_id_of(other, other_nonce)


@given(st.integers(0, ARRIVAL_MAX - 10_000), st.integers(0, 10_000), nonces)
def test_the_id_some_places_later_is_that_of_the_arrival_number_plus_as_many(
    arrival: int, places: int, nonce: int
) -> None:
    assert log_id_after(log_id_of(arrival, nonce), places) == log_id_of(arrival + places, nonce)


@pytest.mark.parametrize(
    "log_id",
    [
        "",
        "order-17",
        str(uuid.UUID(int=0)),
        "0190d5f0-7c3a-4bcd-8abc-0123456789ab",  # version 4
        "0190d5f0-7c3a-73e8-8abc-0123456789ab",  # 1000 microseconds in a millisecond
        "0190d5f0-7c3a-7bcd-cabc-0123456789ab",  # another variant
        "0190D5F0-7C3A-73E7-8ABC-0123456789AB",
        "0190d5f0-7c3a-73e7-8abc-0123456789ab\n",
        "{0190d5f0-7c3a-73e7-8abc-0123456789ab}",
        "0190d5f07c3a73e78abc0123456789ab",
    ],
)
def test_another_kind_of_id_is_not_taken_for_a_generated_one(log_id: str) -> None:
    assert arrival_of(log_id) is None
    with pytest.raises(ValueError, match="is not a generated log id"):
        log_id_after(log_id, 1)


def test_an_id_of_999_microseconds_is_followed_by_the_next_millisecond() -> None:
    assert arrival_of("0190d5f0-7c3a-73e7-8abc-0123456789ab") is not None
    assert log_id_after("0190d5f0-7c3a-73e7-8abc-0123456789ab", 1) == "0190d5f0-7c3b-7000-8abc-0123456789ab"


@given(st.integers(0, ARRIVAL_MAX - 10_000), nonces, st.integers(0, 9_000), st.integers(0, 50))
def test_a_run_names_each_of_its_records_with_its_id(arrival: int, nonce: int, index: int, count: int) -> None:
    run = LogIdRun(index, count, log_id_of(arrival, nonce))
    assert list(run) == [(index + place, log_id_of(arrival + place, nonce)) for place in range(count)]


rising_pairs = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=30).map(
    lambda steps: [
        (sum(index for index, _ in steps[:end]), 10**15 + sum(arrival for _, arrival in steps[:end]))
        for end in range(1, len(steps) + 1)
    ]
)


@given(rising_pairs, nonces)
def test_runs_name_exactly_the_records_that_they_were_made_of(places: list[tuple[int, int]], nonce: int) -> None:
    runs = log_id_runs(places, lambda arrival: log_id_of(arrival, nonce))
    named = [pair for run in runs for pair in run]
    assert named == [(index, log_id_of(arrival, nonce)) for index, arrival in places]


def test_records_side_by_side_are_one_run() -> None:
    def log_id(arrival: int) -> str:
        return log_id_of(arrival, 5)

    assert log_id_runs([(0, 100), (1, 101), (3, 102), (4, 103), (5, 105)], log_id) == [
        LogIdRun(0, 2, log_id(100)),
        LogIdRun(3, 2, log_id(102)),
        LogIdRun(5, 1, log_id(105)),
    ]
    assert log_id_runs([], log_id) == []
