"""TLS, end to end: the same contract over HTTPS, version 1.2 or later."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contract.http_caller import Caller, said
from contract.http_home import Home, fresh_name, record, running_home
from simple_log_service.client.client import Client
from simple_log_service.client.errors import Unreachable
from support.raw_http import connected

pytestmark = pytest.mark.xdist_group("tls")


class Pair:
    """A self-signed certificate for this machine, and its key."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = dt.datetime.now(dt.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.certificate, self.key = folder / "certificate.pem", folder / "key.pem"
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def flags(self) -> tuple[str, ...]:
        return "--tls-cert", str(self.certificate), "--tls-key", str(self.key)

    def trusting(self) -> ssl.SSLContext:
        """What a client that knows the certificate connects with."""
        return ssl.create_default_context(cafile=str(self.certificate))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def home(pair: Pair) -> Iterator[Home]:
    with running_home(*pair.flags()) as running:
        yield running


@pytest.fixture
def caller(home: Home, pair: Pair) -> Caller:
    return Caller(home.address, home.server.credentials, home.region, pair.trusting())


def test_the_endpoint_says_https(home: Home) -> None:
    assert home.server.endpoint.startswith("https://127.0.0.1:")


def test_records_go_in_and_come_out(caller: Caller) -> None:
    service = fresh_name()
    large = [record(service, message="x" * 1000)] * 3000
    assert said(caller.post(large))["accepted"] == 3000
    assert len(caller.logs(service_name=service, limit=10_000)) == 3000


def test_our_client_checks_the_certificate(home: Home, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def client() -> Client:
        return Client(home.server.endpoint, region=home.region, credentials=home.server.credentials, attempts_max=1)

    with client() as distrusting, pytest.raises(Unreachable, match="TLS"):
        distrusting.recent()
    monkeypatch.setenv("AWS_CA_BUNDLE", str(pair.certificate))
    with client() as trusting:
        assert trusting.health() == "ok"
        trusting.recent()


def limited(pair: Pair, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that speaks no later version; ``SECLEVEL=0`` has OpenSSL offer the old ones at all."""
    context = pair.trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that they are old is what is tested
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(home: Home, pair: Pair, version: ssl.TLSVersion) -> None:
    """The server ends the handshake, with an alert or without one."""
    context = limited(pair, version)
    with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|EOF"), connected(home.address, context):
        pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_from_1_2_on_are_spoken(home: Home, pair: Pair, version: ssl.TLSVersion) -> None:
    caller = Caller(home.address, home.server.credentials, home.region, limited(pair, version))
    assert caller.get().status == 200


def test_plain_http_gets_no_answer(home: Home) -> None:
    with connected(home.address) as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"HTTP" not in client.rest()


def test_a_policy_can_ask_for_tls(home: Home, pair: Pair) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": "execute-api:Invoke",
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "true"}},
        },
    }
    secure = Caller(home.address, home.key(policy), home.region, pair.trusting())
    assert secure.get().status == 200
    with running_home() as plain:
        assert plain.caller(plain.key(policy)).get().status == 403


def test_a_stop_answers_what_was_accepted(pair: Pair) -> None:
    with running_home(*pair.flags()) as home:
        caller = Caller(home.address, home.server.credentials, home.region, pair.trusting())
        assert caller.post(record("a")).status == 201
        assert home.server.stop() == 0
        home.server.start()
        caller = Caller(home.address, home.server.credentials, home.region, pair.trusting())
        assert caller.page()["count"] == 1
