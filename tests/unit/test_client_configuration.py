"""Which endpoint, region and credentials a client uses: the rule of ``resolve``, case by case."""

from __future__ import annotations

import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from simple_log_service.api.signer import Credentials
from simple_log_service.client.configuration import resolve
from simple_log_service.client.errors import NotConfigured
from simple_log_service.client.local_endpoint import LocalEndpoint, read_endpoint, record_endpoint, record_path

LOCAL = "http://127.0.0.1:8080"
OTHER = "http://127.0.0.1:9999"
GATEWAY = "https://a1.execute-api.eu-west-1.amazonaws.com/prod"

GIVEN, RECORDED, VARIABLES, PROFILE, NAMED = (
    Credentials(name, f"secret of {name}".replace(" ", "-")) for name in ("GIVEN", "RECORDED", "ENV", "DEFAULT", "WORK")
)
KEYS = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "secret-of-ENV"}


@pytest.fixture(params=["with botocore", "without botocore"], autouse=True)
def botocore(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without botocore":
        monkeypatch.setitem(sys.modules, "botocore.session", None)


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A home with a recorded server and two profiles, and an environment that holds nothing else."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = secret-of-DEFAULT\n"
        "[work]\naws_access_key_id = WORK\naws_secret_access_key = secret-of-WORK\n"
    )
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = eu-north-1\n[profile work]\nregion = eu-south-1\n")
    server_credentials = tmp_path / "credentials"
    server_credentials.write_text(
        "# a server's\n[default]\naws_access_key_id = RECORDED\naws_secret_access_key = secret-of-RECORDED\n"
    )
    environ = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    record_endpoint(LOCAL, "eu-central-1", server_credentials, environ)
    return environ


def _enter(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Make it the process's environment too, since botocore reads that."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


@pytest.mark.parametrize(
    ("endpoint", "profile", "given", "variables", "expected"),
    [
        # endpoint, profile, credentials in Python, variables: whose credentials
        (None, None, None, {}, RECORDED),
        (None, None, None, KEYS, RECORDED),
        (None, None, None, {"AWS_PROFILE": "work"}, RECORDED),
        (None, "work", None, KEYS, NAMED),
        (None, "work", GIVEN, KEYS, GIVEN),
        (None, None, GIVEN, {}, GIVEN),
        (LOCAL, None, None, {}, RECORDED),
        (LOCAL + "/", None, None, {}, RECORDED),
        (LOCAL, None, None, KEYS, VARIABLES),
        (LOCAL, None, None, {"AWS_PROFILE": "work"}, NAMED),
        (LOCAL, "work", None, {}, NAMED),
        (OTHER, None, None, {}, PROFILE),
        (OTHER, None, None, KEYS, VARIABLES),
        (OTHER, None, None, KEYS | {"AWS_PROFILE": "work"}, VARIABLES),
        (OTHER, None, None, {"AWS_PROFILE": "work"}, NAMED),
        (OTHER, "work", None, KEYS, NAMED),
        (None, None, None, {"SIMPLE_LOG_SERVICE_ENDPOINT": OTHER}, PROFILE),
        (None, None, None, {"SIMPLE_LOG_SERVICE_ENDPOINT": OTHER} | KEYS, VARIABLES),
        (None, None, None, {"SIMPLE_LOG_SERVICE_ENDPOINT": LOCAL}, RECORDED),
        (None, None, None, {"SIMPLE_LOG_SERVICE_ENDPOINT": LOCAL} | KEYS, VARIABLES),
        (LOCAL, None, None, {"SIMPLE_LOG_SERVICE_ENDPOINT": OTHER}, RECORDED),
    ],
)
def test_credentials_come_from_the_first_source_that_applies(
    endpoint: str | None,
    profile: str | None,
    given: Credentials | None,
    variables: dict[str, str],
    expected: Credentials,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = None if given is None else lambda: given
    target = resolve(endpoint, None, profile, provider, _enter(environ | variables, monkeypatch))
    assert target.credentials() == expected


@pytest.mark.parametrize(
    ("endpoint", "region", "profile", "variables", "expected"),
    [
        (None, None, None, {}, "eu-central-1"),
        (None, None, None, {"AWS_REGION": "us-west-2"}, "eu-central-1"),
        (LOCAL, None, None, {"AWS_REGION": "us-west-2"}, "eu-central-1"),
        (None, "ap-south-1", None, {}, "ap-south-1"),
        (GATEWAY, None, None, {"AWS_REGION": "us-west-2"}, "eu-west-1"),
        (GATEWAY, "ap-south-1", None, {}, "ap-south-1"),
        (OTHER, None, None, {"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-west-1"}, "us-west-2"),
        (OTHER, None, None, {"AWS_DEFAULT_REGION": "us-west-1"}, "us-west-1"),
        (OTHER, None, None, {}, "eu-north-1"),
        (OTHER, None, None, {"AWS_PROFILE": "work"}, "eu-south-1"),
        (OTHER, None, "work", {"AWS_REGION": "us-west-2"}, "eu-south-1"),
        (OTHER, None, None, {"AWS_CONFIG_FILE": "/nonexistent"}, "us-east-1"),
    ],
)
def test_the_region_comes_from_the_first_source_that_names_one(
    endpoint: str | None,
    region: str | None,
    profile: str | None,
    variables: dict[str, str],
    expected: str,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = resolve(endpoint, region, profile, None, _enter(environ | variables, monkeypatch))
    assert target.region == expected


def test_without_any_endpoint_the_error_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match=r"--endpoint.*SIMPLE_LOG_SERVICE_ENDPOINT.*serve"):
        resolve(None, None, None, None, {"HOME": str(tmp_path)})


def test_a_damaged_record_matters_only_where_it_is_needed(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record_path(environ).write_text("{")
    with pytest.raises(NotConfigured, match="Delete it"):
        resolve(None, None, None, None, environ)
    assert resolve(LOCAL, None, None, None, _enter(environ | KEYS, monkeypatch)).credentials() == VARIABLES


def test_a_recorded_server_whose_credentials_are_gone_is_told_of(environ: dict[str, str]) -> None:
    target = resolve(None, None, None, None, environ)
    record = read_endpoint(environ)
    assert record is not None
    record.credentials_path.unlink()
    with pytest.raises(NotConfigured, match=str(record.credentials_path)):
        target.credentials()


def test_credentials_that_a_restarted_server_made_anew_are_read_at_the_next_request(environ: dict[str, str]) -> None:
    target = resolve(None, None, None, None, environ)
    record = read_endpoint(environ)
    assert record is not None
    record.credentials_path.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = new-secret\n")
    assert target.credentials() == Credentials("NEW", "new-secret")


def test_half_a_key_in_the_environment_is_an_error_and_not_another_source(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotConfigured, match="AWS_SECRET_ACCESS_KEY"):
        resolve(OTHER, None, None, None, _enter(environ | {"AWS_ACCESS_KEY_ID": "ENV"}, monkeypatch))


@pytest.mark.parametrize("profile", ["nobody", None])
def test_no_credentials_at_all_is_an_error_that_says_what_to_do(
    profile: str | None, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent"}
    with pytest.raises(NotConfigured, match="credentials"):
        resolve(OTHER, None, profile, None, _enter(environ | nowhere, monkeypatch)).credentials()


def test_the_record_is_private_whole_and_replaced(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    record_endpoint(LOCAL, "us-east-1", tmp_path / "one", environ)
    path = record_endpoint(OTHER, "eu-west-1", tmp_path / "two", environ)
    assert path == tmp_path / "xdg" / "simple-log-service" / "endpoint.json"
    assert read_endpoint(environ) == LocalEndpoint(OTHER, "eu-west-1", tmp_path / "two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["endpoint.json"]


def test_the_record_holds_no_secret(environ: dict[str, str]) -> None:
    assert "secret" not in record_path(environ).read_text()


def test_a_relative_xdg_folder_does_not_count(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "relative"}
    assert record_path(environ) == tmp_path / ".config" / "simple-log-service" / "endpoint.json"
