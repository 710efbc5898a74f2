"""What was replaced goes once those have ended who were reading then, neither earlier nor later."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.stores.embedded.leases import Leases


def test_what_nobody_reads_goes_at_once() -> None:
    leases, gone = Leases(), list[str]()
    leases.when_unused(lambda: gone.append("a"))
    assert gone == ["a"]
    leases.end(leases.take())
    leases.when_unused(lambda: gone.append("b"))
    assert gone == ["a", "b"]


def test_what_somebody_reads_waits_for_the_last_of_those_who_began_before() -> None:
    leases, gone = Leases(), list[str]()
    first, second = leases.take(), leases.take()
    leases.when_unused(lambda: gone.append("a"))
    leases.end(second)
    assert gone == []
    leases.end(first)
    assert gone == ["a"]


def test_who_begins_later_holds_nothing_up() -> None:
    leases, gone = Leases(), list[str]()
    before = leases.take()
    leases.when_unused(lambda: gone.append("a"))
    later = leases.take()
    leases.end(before)
    assert gone == ["a"]
    leases.when_unused(lambda: gone.append("b"))
    assert gone == ["a"]
    leases.end(later)
    assert gone == ["a", "b"]


def test_readers_are_counted() -> None:
    leases = Leases()
    numbers = [leases.take() for _ in range(5)]
    assert len(leases) == 5
    leases.end(numbers[2])
    assert len(leases) == 4


@given(st.lists(st.integers(0, 9), max_size=200))
def test_each_goes_exactly_when_the_last_reader_from_before_ends(steps: list[int]) -> None:
    leases = Leases()
    reading: list[int] = []
    waiting: dict[int, set[int]] = {}
    gone: list[int] = []
    for number, step in enumerate(steps):
        if step < 4:
            reading.append(leases.take())
        elif step < 6:
            waiting[number] = set(reading)
            leases.when_unused(lambda number=number: gone.append(number))  # type: ignore[misc]
        elif reading:
            ending = reading.pop(step % len(reading))
            leases.end(ending)
            for readers in waiting.values():
                readers.discard(ending)
        assert gone == [each for each, readers in waiting.items() if not readers]
        assert len(leases) == len(reading)
