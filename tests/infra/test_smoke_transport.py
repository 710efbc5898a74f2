"""TLS versions and keys of the smoke test: what an endpoint takes, and whom one asks as."""

from __future__ import annotations

import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials

from infra.smoke.findings import NotHeld, NotTested
from infra.smoke.keys import NoCredentials, caller_credentials, gather
from infra.smoke.transport import VERSIONS, shake_hands
from server.test_tls import Pair
from simple_log_service.client.endpoint import Endpoint
from support.canned_aws import CannedAws

ROLE = "arn:aws:iam::123456789012:role/log-caller"
POLICY = "arn:aws:iam::123456789012:policy/ingest-only"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("tls"))


@contextmanager
def taking(pair: Pair, oldest: ssl.TLSVersion, newest: ssl.TLSVersion) -> Iterator[Endpoint]:
    """An endpoint that shakes hands in these versions, and says nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = oldest, newest

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Endpoint.parse(f"https://localhost:{listener.getsockname()[1]}")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture(autouse=True)
def trust(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(pair.certificate))


def test_an_endpoint_of_tls_1_2_takes_it_and_refuses_older_ones(pair: Pair) -> None:
    with taking(pair, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) as endpoint:
        assert shake_hands(endpoint, "tls_1_2").startswith("taken: TLSv1.2")
        for old in ("tls_1_0", "tls_1_1"):
            assert shake_hands(endpoint, old).startswith("refused: ")


@pytest.mark.parametrize("old", ["tls_1_0", "tls_1_1"])
def test_an_endpoint_that_takes_an_old_version_does_not_hold(pair: Pair, old: str) -> None:
    with taking(pair, VERSIONS[old], ssl.TLSVersion.TLSv1_2) as endpoint, pytest.raises(NotHeld, match="taken: TLSv1"):
        shake_hands(endpoint, old)


def test_an_endpoint_without_tls_1_2_does_not_hold(pair: Pair) -> None:
    with taking(pair, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3) as endpoint, pytest.raises(NotHeld):
        shake_hands(endpoint, "tls_1_2")


def test_a_certificate_that_nobody_knows_is_no_refusal(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with (
        taking(pair, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2) as endpoint,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        shake_hands(endpoint, "tls_1_2")


def test_plain_http_is_not_tested() -> None:
    with pytest.raises(NotTested):
        shake_hands(Endpoint.parse("http://localhost:1"), "tls_1_0")


# --- Keys. ---


class Sts:
    """What is used of a botocore session, with a key or with none; its STS gives a new key for each request."""

    def __init__(self, *key: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self._key = Credentials(*key) if key else None

    def get_credentials(self) -> Credentials | None:
        return self._key

    def create_client(self, service: str, *, region_name: str) -> Any:
        return CannedAws({"sts.AssumeRole": self._assume}).client(service)

    def _assume(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request["body"])
        return {
            "Credentials": {
                "AccessKeyId": f"ASIA{len(self.asked):016}",
                "SecretAccessKey": "secret",
                "SessionToken": "token",
                "Expiration": datetime.now(UTC) + timedelta(hours=1),
            }
        }


def test_temporary_credentials_are_taken_as_they_are() -> None:
    found = caller_credentials(Sts("ASIAEXAMPLE", "secret", "token"), "us-east-1", None)
    assert (found.access_key_id, found.session_token) == ("ASIAEXAMPLE", "token")


def test_long_lived_ones_are_refused_with_what_to_do() -> None:
    with pytest.raises(NoCredentials, match="--role"):
        caller_credentials(Sts("AKIAEXAMPLE", "secret"), "us-east-1", None)


def test_no_credentials_are_told() -> None:
    with pytest.raises(NoCredentials, match="finds no credentials"):
        caller_credentials(Sts(), "us-east-1", None)


def test_a_role_is_asked_for_a_session_as_it_is_and_one_held_to_each_policy() -> None:
    session = Sts("AKIAEXAMPLE", "secret")
    keys = gather(session, "us-east-1", ROLE, {"ingest_only": POLICY}, {})
    assert keys.keys() == {"caller", "ingest_only"}
    assert keys["caller"] != keys["ingest_only"]
    assert [asked["RoleArn"] for asked in session.asked] == [ROLE, ROLE]
    assert [asked.get("PolicyArns.member.1.arn") for asked in session.asked] == [None, POLICY]


def test_a_profile_with_a_key_that_is_no_good_becomes_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "credentials"
    path.write_text("[old]\naws_access_key_id = AKIAOLD\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    keys = gather(
        Sts("ASIAEXAMPLE", "secret", "token"), "us-east-1", None, {"ingest_only": POLICY}, {"long_lived": "old"}
    )
    assert keys.keys() == {"caller", "long_lived"}
    assert keys["long_lived"].access_key_id == "AKIAOLD"
