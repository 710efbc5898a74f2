"""How long records are kept: which rule counts for which records, and what is left of the rules for a query."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core.limits import DAY_NS, RETENTION_DAYS_MAX
from simple_log_service.core.record import Kind
from simple_log_service.core.retention import Kept, Retention
from unit.strategies import NOW_NS

SERVICES = ("shop", "debug-app")
LOG_TYPES = ("audit", "access")

days = st.integers(1, RETENTION_DAYS_MAX)


def retentions() -> st.SearchStrategy[Retention]:
    """Rules for some of a few services and types."""
    by_service, by_type = (st.dictionaries(st.sampled_from(names), days) for names in (SERVICES, LOG_TYPES))
    return st.builds(Retention, days, by_service, by_type)


@pytest.mark.parametrize(
    ("service_name", "log_type", "kept_days"),
    [("shop", "access", 30), ("shop", "audit", 365), ("debug-app", "access", 3), ("debug-app", "audit", 3)],
)
def test_a_services_rule_wins_over_its_types_and_that_over_the_rule_for_all(
    service_name: str, log_type: str, kept_days: int
) -> None:
    retention = Retention(30, {"debug-app": 3}, {"audit": 365})
    assert retention.of(service_name, log_type) == kept_days * DAY_NS
    kind = Kind(service_name, log_type, "INFO")
    assert Kept(retention, NOW_NS).oldest_ns(kind) == NOW_NS - kept_days * DAY_NS


def test_rules_are_uniform_where_nothing_has_one_of_its_own() -> None:
    assert Retention(7).is_uniform
    assert not Retention(7, {"shop": 3}).is_uniform
    assert not Retention(7, by_type={"audit": 30}).is_uniform


@given(retentions(), st.sampled_from([*SERVICES, "other"]), st.sampled_from([*LOG_TYPES, "other"]))
def test_every_record_is_kept_between_the_shortest_and_the_longest_time(
    retention: Retention, service_name: str, log_type: str
) -> None:
    assert retention.shortest_ns <= retention.of(service_name, log_type) <= retention.longest_ns


@given(
    retentions(),
    st.sampled_from([*SERVICES, "other"]),
    st.sampled_from([*LOG_TYPES, "other"]),
    st.booleans(),
    st.booleans(),
)
def test_narrowed_rules_say_the_same_of_what_is_left(
    retention: Retention, service_name: str, log_type: str, names_service: bool, names_type: bool
) -> None:
    narrowed = retention.narrowed(service_name if names_service else None, log_type if names_type else None)
    assert narrowed.of(service_name, log_type) == retention.of(service_name, log_type)
    assert narrowed.longest_ns <= retention.longest_ns
    if names_service and names_type:
        assert narrowed.is_uniform


def test_a_service_with_a_rule_of_its_own_leaves_no_other() -> None:
    retention = Retention(30, {"debug-app": 3}, {"audit": 365})
    assert retention.narrowed("debug-app", None) == Retention(3)
    assert retention.narrowed("shop", None) == Retention(30, {}, {"audit": 365})
    assert retention.narrowed(None, "audit") == Retention(365, {"debug-app": 3})
