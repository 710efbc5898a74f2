"""The embedded home's settings: what they may be; a wrong one is refused by its name before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.cli.main import main
from simple_log_service.core.limits import RETENTION_DAYS_DEFAULT, STORE_SIZE_BYTES_MIN
from simple_log_service.core.retention import Retention
from simple_log_service.server.settings import Settings
from simple_log_service.server.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("268435456", 2**28),
        ("300B", 300),
        ("500MB", 500 * 10**6),
        ("500 mb", 500 * 10**6),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("256MiB", 2**28),
        ("50GiB", 50 * 2**30),
        (" 2TB ", 2 * 10**12),
        ("1TiB", 2**40),
        ("1.5GiB", 3 * 2**29),
        ("0.0001kB", 0),
    ],
)
def test_a_size_is_read_with_its_unit(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "GB",
        "-1GB",
        "+1GB",
        "1,5GB",
        "1.GB",
        ".5GB",
        "1e9",
        "5G",
        "5Gi",
        "5PB",
        "5 G B",
        "٣GB",
        "1_0",
        "9" * 40,
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="50GiB"):
        parse_size(text)


@given(
    st.integers(0, 10**6), st.sampled_from(["k", "m", "g", "t"]), st.sampled_from(["", "i"]), st.sampled_from(["", " "])
)
def test_a_size_is_its_number_of_units(number: int, prefix: str, binary: str, space: str) -> None:
    unit_bytes = (1024 if binary else 1000) ** ("kmgt".index(prefix) + 1)
    for text in (f"{number}{space}{prefix}{binary}b", f"{number}{space}{prefix}{binary}b".upper()):
        assert parse_size(text) == number * unit_bytes


@pytest.fixture(autouse=True)
def _no_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in Settings.model_fields:
        monkeypatch.delenv(f"SIMPLE_LOG_SERVICE_{setting.upper()}", raising=False)


def settings_of_the_environment() -> Settings:
    """The settings without any flag."""
    flags: dict[str, Any] = {}
    return Settings(**flags)


def test_everything_is_kept_for_30_days_and_the_store_unbounded_unless_set() -> None:
    settings = settings_of_the_environment()
    assert settings.retention == Retention(RETENTION_DAYS_DEFAULT)
    assert settings.retention.is_uniform
    assert settings.max_store_size is None


def test_services_and_types_may_have_days_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLE_LOG_SERVICE_RETENTION_DAYS", "7")
    monkeypatch.setenv("SIMPLE_LOG_SERVICE_RETENTION_BY_SERVICE", '{"debug-app": 3, "Bücher & Mehr": 3650}')
    monkeypatch.setenv("SIMPLE_LOG_SERVICE_RETENTION_BY_TYPE", '{"audit": 365}')
    assert settings_of_the_environment().retention == Retention(
        7, {"debug-app": 3, "Bücher & Mehr": 3650}, {"audit": 365}
    )


def test_the_size_of_the_store_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLE_LOG_SERVICE_MAX_STORE_SIZE", "50GiB")
    assert settings_of_the_environment().max_store_size == 50 * 2**30
    monkeypatch.setenv("SIMPLE_LOG_SERVICE_MAX_STORE_SIZE", str(STORE_SIZE_BYTES_MIN))
    assert settings_of_the_environment().max_store_size == STORE_SIZE_BYTES_MIN


def refusal(tmp_path: Path, *flags: str) -> str:
    """What ``serve`` says of these flags before it ends, having made nothing."""
    folder = tmp_path / "data"
    result = CliRunner().invoke(main, ["serve", "--data-dir", str(folder), *flags], prog_name="slog")
    assert result.exit_code == 2, result.output
    assert not folder.exists()
    assert "Traceback" not in result.output
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize("rule", ["BY_SERVICE", "BY_TYPE"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be a JSON object"),
        ("debug-app=3", "must be a JSON object"),
        ('["debug-app"]', "dictionary"),
        ("3", "dictionary"),
        ('{"debug-app": 0}', '["debug-app"]: Input should be greater than or equal to 1'),
        ('{"debug-app": 3651}', '["debug-app"]: Input should be less than or equal to 3650'),
        ('{"debug-app": 1.5}', '["debug-app"]: Input should be a valid integer'),
        ('{"debug-app": "3"}', '["debug-app"]: Input should be a valid integer'),
        ('{"debug-app": true}', '["debug-app"]: Input should be a valid integer'),
        ('{"": 3}', "'' must have 1 to"),
        ('{"ok": 3, " debug-app": 3}', "' debug-app' must not begin or end with white space"),
        ('{"a\\u0000b": 3}', "must not hold control characters"),
        ('{"%s": 3}' % ("x" * 257), "must have 1 to"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, text: str, says: str
) -> None:
    variable = f"SIMPLE_LOG_SERVICE_RETENTION_{rule}"
    monkeypatch.setenv(variable, text)
    said = refusal(tmp_path)
    assert said.startswith(f"Error: {variable}")
    assert says in said


def test_a_types_name_is_held_to_the_bound_of_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLE_LOG_SERVICE_RETENTION_BY_SERVICE", '{"%s": 3}' % ("x" * 129))
    assert len(settings_of_the_environment().retention.by_service) == 1
    monkeypatch.setenv("SIMPLE_LOG_SERVICE_RETENTION_BY_TYPE", '{"%s": 3}' % ("x" * 129))
    assert "must have 1 to 128 characters" in refusal(tmp_path)


def test_shards_that_are_no_json_are_refused_by_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLE_LOG_SERVICE_TYPE_SHARDS", "{access")
    assert refusal(tmp_path).startswith("Error: SIMPLE_LOG_SERVICE_TYPE_SHARDS: must be a JSON object")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--max-store-size", "much"), "--max-store-size: must be a size like 50GiB or 500MB"),
        (("--max-store-size", "255MiB"), "--max-store-size: must be at least 256MiB"),
        (
            ("--max-store-size", "1GB", "--store", "dynamodb", "--table", "t-1"),
            "--max-store-size is for --store embedded",
        ),
        (("--retention-days", "0"), "--retention-days: "),
        (("--retention-days", "3651"), "--retention-days: "),
    ],
)
def test_a_flag_that_cannot_be_is_refused_by_its_name(tmp_path: Path, flags: tuple[str, ...], says: str) -> None:
    assert says in refusal(tmp_path, *flags)
