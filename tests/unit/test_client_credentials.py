"""Credentials from AWS's own sources: ours and botocore's readings agree, and nothing shows a secret."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from simple_log_service.api.signer import Credentials
from simple_log_service.client.credentials import checked, environment_credentials, file_credentials, standard_chain
from simple_log_service.client.errors import NotConfigured

FILES = [
    ("[default]\naws_access_key_id = A\naws_secret_access_key = S\n", "", None),
    ("[default]\naws_access_key_id=A\naws_secret_access_key=S%x\naws_session_token = T==\n", "", None),
    ("", "[default]\naws_access_key_id = A\naws_secret_access_key = S\n", None),
    ("[p]\naws_access_key_id = A\naws_secret_access_key = S\n", "", "p"),
    ("", "[profile p]\naws_access_key_id = A\naws_secret_access_key = S\n", "p"),
    (
        "[p]\naws_access_key_id = A\naws_secret_access_key = S\n",
        "[profile p]\ns3 =\n  max_concurrent_requests = 20\naws_access_key_id = B\naws_secret_access_key = R\n",
        "p",
    ),
]


@pytest.mark.parametrize(("credentials", "config", "profile"), FILES)
def test_the_shared_files_mean_the_same_with_and_without_botocore(
    credentials: str, config: str, profile: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {
        "HOME": str(tmp_path),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    (tmp_path / "credentials").write_text(credentials)
    (tmp_path / "config").write_text(config)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with_botocore = standard_chain(profile, environ)()
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    assert standard_chain(profile, environ)() == with_botocore
    assert with_botocore.access_key_id == "A"


def test_a_profile_that_needs_a_role_asks_for_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    (tmp_path / "config").write_text("[profile p]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = default\n")
    environ = {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config")}
    with pytest.raises(NotConfigured, match=r"simple-log-service\[aws\]"):
        standard_chain("p", environ)


def test_temporary_keys_in_the_environment_come_with_their_token() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_SESSION_TOKEN": "T"}
    assert environment_credentials(environ) == Credentials("A", "S", "T")
    assert environment_credentials(environ | {"AWS_SESSION_TOKEN": ""}) == Credentials("A", "S")


@pytest.mark.parametrize("text", ["aws_secret_access_key = hunter2\n", "[default]\nhunter2\n", "[default\nhunter2"])
def test_a_damaged_file_is_told_of_without_its_text(text: str, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(text)
    with pytest.raises(NotConfigured) as refusal:
        file_credentials(tmp_path / "credentials")
    assert "hunter2" not in str(refusal.value)
    assert str(tmp_path / "credentials") in str(refusal.value)


@pytest.mark.parametrize(
    "bad",
    [
        Credentials("A", "hunter2\n"),
        Credentials("A\r\nX: y", "hunter2"),
        Credentials("A", "hunter2", "hunter2\n"),
        Credentials("A", "hünter2hunter2"),
        Credentials("", "hunter2"),
        Credentials("A", ""),
    ],
)
def test_credentials_that_cannot_stand_in_a_header_are_refused_and_not_shown(bad: Credentials) -> None:
    with pytest.raises(NotConfigured) as refusal:
        checked(bad)
    assert "unter2" not in str(refusal.value)
