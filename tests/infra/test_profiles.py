"""Dev and prod as data, and the settings over them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from infra.profiles import DEV, PROD, Profile, Refused, profile_of


def test_dev_and_prod_differ_in_data_alone() -> None:
    dev, prod = (msgspec.structs.asdict(profile) for profile in (DEV, PROD))
    differing = {name for name in dev if dev[name] != prod[name]}
    assert differing == {"environment", "removal_policy", "trace_rate", "table_data_events"}


def test_later_parts_are_off() -> None:
    for profile in (DEV, PROD):
        assert (profile.stream, profile.search, profile.analytics) == (False, False, False)
        assert profile.replica_regions == ()
        assert profile.restored_table is None


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("capacity_units_min", "20", 20),
        ("trace_rate", "1", 1.0),
        ("config_recorder", "true", True),
        ("alarm_email", "ops@example.com", "ops@example.com"),
        ("alarm_email", "", None),
        ("python_version", "3.12", "3.12"),
        ("restored_table", "1234", "1234"),
        ("type_shards", '{"access": 8}', {"access": 8}),
        ("retention_by_service", '{"debug-app": 3}', {"debug-app": 3}),
        ("retention_by_type", '{"audit": 365}', {"audit": 365}),
        ("replica_regions", '["eu-west-1", "us-gov-east-1"]', ("eu-west-1", "us-gov-east-1")),
        ("architecture", "x86_64", "x86_64"),
    ],
)
def test_a_setting_on_the_command_line_is_read_as_what_it_is(key: str, text: str, value: object) -> None:
    assert getattr(profile_of("dev", {key: text}), key) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("capacity_units_min", "0"),
        ("capacity_units_min", "five"),
        ("capacity_units_min", "101"),
        ("capacity_target_percent", "95"),
        ("log_retention_days", "8"),
        ("config_recorder", "yes"),
        ("alarm_email", "nobody"),
        ("architecture", "arm"),
        ("python_version", "3.10"),
        ("removal_policy", "snapshot"),
        ("type_shards", '{"access": 101}'),
        ("retention_by_service", '{"debug-app": 0}'),
        ("retention_by_service", '{" debug-app": 3}'),
        ("retention_by_type", '{"audit": 3651}'),
        ("retention_by_type", '{"": 3}'),
        ("restored_table", "no/table"),
        ("replica_regions", '["Frankfurt"]'),
        ("trace_rate", "1.5"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(key: str, text: str) -> None:
    with pytest.raises(Refused, match=key):
        profile_of("prod", {key: text})


def test_an_unknown_setting_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Refused, match=r"'retention'.*log_retention_days.*retention_days"):
        profile_of("dev", {"retention": "7"})


def test_the_environment_is_no_setting() -> None:
    with pytest.raises(Refused, match="environment"):
        profile_of("dev", {"environment": "prod"})


def test_an_unknown_environment_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Refused, match=r"'staging'.*dev, prod"):
        profile_of("staging", {})


def test_the_cdks_own_context_is_left_alone() -> None:
    assert profile_of("dev", {"@aws-cdk/core:newStyleStackSynthesis": True, "aws:cdk:bundling-stacks": ["**"]}) == DEV


def test_a_file_of_settings_is_read_and_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "dev.json"
    file.write_text(json.dumps({"alarm_email": "ops@example.com", "capacity_units_max": 400, "config_recorder": True}))
    profile = profile_of("dev", {"settings": str(file), "capacity_units_max": "200"})
    assert profile == msgspec.structs.replace(
        DEV, alarm_email="ops@example.com", capacity_units_max=200, config_recorder=True
    )


@pytest.mark.parametrize("content", ["", "[]", "{", '{"nope": 1}', '{"environment": "prod"}'])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "dev.json"
    file.write_text(content)
    with pytest.raises(Refused):
        profile_of("dev", {"settings": str(file)})


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"none\.json"):
        profile_of("dev", {"settings": str(tmp_path / "none.json")})


def test_every_name_begins_with_the_service_and_the_environment() -> None:
    assert DEV.prefix == "simple-log-service-dev"
    assert PROD.named("logs") == "simple-log-service-prod-logs"


def test_a_profile_can_be_written_and_read_again() -> None:
    assert msgspec.json.decode(msgspec.json.encode(PROD), type=Profile) == PROD
