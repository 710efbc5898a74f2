"""TLS: a certificate is trusted because its authority is, and for no other reason."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from simple_log_service import Client, Unreachable
from support.stub_service import CREDENTIALS, REGION, StubService


def _certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A certificate for an address, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def _served(folder: Path, address: str) -> Iterator[StubService]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_certificate(folder, address))
    with StubService().running(context) as stub:
        yield stub


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[StubService]:
    yield from _served(tmp_path, "127.0.0.1")


def _client(stub: StubService) -> Client:
    return Client(stub.url, region=REGION, credentials=CREDENTIALS, attempts_max=3)


def test_a_certificate_of_a_named_authority_is_trusted(
    stub: StubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", os.fspath(tmp_path / "cert.pem"))
    with _client(stub) as client:
        assert client.send([{"message": "x"}]).accepted == 1


def test_a_certificate_of_nobody_s_authority_is_refused_at_once(
    stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    with _client(stub) as client, pytest.raises(Unreachable, match="AWS_CA_BUNDLE"):
        client.send([{"message": "x"}])
    assert stub.seen == []


def test_a_certificate_for_another_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", os.fspath(tmp_path / "cert.pem"))
    for stub in _served(tmp_path, "192.0.2.1"):
        with _client(stub) as client, pytest.raises(Unreachable, match="no valid TLS"):
            client.send([{"message": "x"}])
        assert stub.seen == []


def test_a_bundle_that_is_not_there_is_told_of(stub: StubService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent.pem")
    with pytest.raises(Unreachable, match="TLS"), _client(stub) as client:
        client.send([{"message": "x"}])
