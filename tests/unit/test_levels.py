"""Level names: six, their aliases, and nothing else."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core.levels import LEVEL_DEFAULT, LEVELS, canonical_level

SYSLOG = {
    "emerg": "FATAL",
    "panic": "FATAL",
    "alert": "FATAL",
    "crit": "FATAL",
    "err": "ERROR",
    "error": "ERROR",
    "warning": "WARN",
    "warn": "WARN",
    "notice": "INFO",
    "info": "INFO",
    "debug": "DEBUG",
}


@pytest.mark.parametrize("level", LEVELS)
def test_each_of_the_six_is_known_in_any_case(level: str) -> None:
    assert {canonical_level(level), canonical_level(level.lower()), canonical_level(level.title())} == {level}


def test_a_record_without_a_level_is_info() -> None:
    assert LEVEL_DEFAULT == "INFO"


@pytest.mark.parametrize(("name", "level"), SYSLOG.items())
def test_syslog_names_map_onto_them(name: str, level: str) -> None:
    assert canonical_level(name) == level
    assert canonical_level(name.upper()) == level


def test_every_level_of_python_logging_but_notset_maps_onto_one_in_the_same_order() -> None:
    names = sorted(logging.getLevelNamesMapping().items(), key=lambda item: item[1])
    ranks = [LEVELS.index(canonical_level(name) or "") for name, number in names if number]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("name", ["", " INFO", "INFO ", "INFO\n", "loud", "7", "NOTSET", "INFO\x00"])
def test_an_unknown_name_means_none(name: str) -> None:
    assert canonical_level(name) is None


@given(st.text())
def test_any_name_means_one_of_the_six_or_none(name: str) -> None:
    assert canonical_level(name) in (None, *LEVELS)


@pytest.mark.parametrize("name", ["\u0131nfo", "warn\u0131ng", "cr\u0131tical"])
def test_a_letter_of_another_script_that_upper_cases_to_ours_does_not_count(name: str) -> None:
    assert canonical_level(name.upper()) is not None
    assert canonical_level(name) is None
