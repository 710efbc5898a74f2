"""TLS: its versions, what the application hears of it, and what is said of files that do not fit."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from simple_log_service.server.http import Bounds
from simple_log_service.server.tls import TlsError, server_context
from support.raw_http import connected, request
from support.serving import Serving, serving

POST = "POST /echo HTTP/1.1"


def write_pair(folder: Path, name: str, pass_phrase: bytes | None = None) -> tuple[Path, Path]:
    """A self-signed certificate for ``localhost`` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(pass_phrase) if pass_phrase else serialization.NoEncryption()
    )
    certificate_path, key_path = folder / f"{name}.pem", folder / f"{name}.key"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return certificate_path, key_path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_pair(tmp_path_factory.mktemp("tls"), "server")


@pytest.fixture
def client_context(pair: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pair[0]))


@pytest.fixture(scope="module")
def served(pair: tuple[Path, Path]) -> Iterator[Serving]:
    with serving(tls=server_context(*pair)) as running:
        yield running


def test_requests_over_tls_are_secure(served: Serving, client_context: ssl.SSLContext) -> None:
    client_context.set_alpn_protocols(["h2", "http/1.1"])
    with connected(served.address, client_context) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "http/1.1"
        for body in (b"abc", b"x" * 1_000_000):
            answer = client.ask(request(POST, body=body))
            assert (answer.body, answer.headers["x-secure"]) == (body, "True")
        chunked = request(POST, "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")
        assert client.ask(chunked + request("GET /large HTTP/1.1")).body == b"abc"
        assert client.answer().status == 200


def test_tls_1_2_is_taken_and_1_1_is_refused(served: Serving, client_context: ssl.SSLContext) -> None:
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connected(served.address, client_context) as client:
        assert client.ask(request(POST, body=b"abc")).body == b"abc"
    client_context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client_context.minimum_version = client_context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"EOF|ALERT"), connected(served.address, client_context):
        pass


@pytest.mark.parametrize("bad", [b"nonsense\r\n\r\n", request(POST, "Connection: close", body=b"abc")])
def test_a_last_answer_over_tls_ends_the_connection(
    pair: tuple[Path, Path], client_context: ssl.SSLContext, bad: bytes
) -> None:
    brief = Bounds(linger_seconds_max=0.05, sweep_seconds=0.02)
    with (
        serving(tls=server_context(*pair), bounds=brief) as served,
        connected(served.address, client_context) as client,
    ):
        assert client.ask(bad).headers["connection"] == "close"
        assert client.is_closed()


def test_a_client_that_speaks_plainly_to_tls_disturbs_nobody(served: Serving, client_context: ssl.SSLContext) -> None:
    with connected(served.address) as plain, connected(served.address, client_context) as client:
        plain.send(request())
        assert client.ask(request(POST, body=b"abc")).body == b"abc"
        assert not plain.rest().startswith(b"HTTP")


def test_a_client_that_resets_tls_disturbs_nobody(served: Serving, client_context: ssl.SSLContext) -> None:
    with connected(served.address, client_context) as other:
        for data in (b"", b"GET /ec", request("GET /large HTTP/1.1"), request("POST /patient HTTP/1.1", body=b"abc")):
            with connected(served.address, client_context) as client:
                client.send(data)
                client.reset()
            assert other.ask(request(POST, body=b"abc")).body == b"abc"


def test_a_missing_file_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"cannot read .*none\.pem: No such file"):
        server_context(tmp_path / "none.pem", pair[1])
    with pytest.raises(TlsError, match=r"cannot read .*none\.key: No such file"):
        server_context(pair[0], tmp_path / "none.key")


def test_a_key_of_another_certificate_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    _, other_key = write_pair(tmp_path, "other")
    with pytest.raises(TlsError, match=r"other\.key does not belong to"):
        server_context(pair[0], other_key)


def test_an_encrypted_key_is_refused_without_asking_for_its_pass_phrase(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"locked\.key is encrypted"):
        server_context(*write_pair(tmp_path, "locked", b"secret"))


def test_what_is_no_pem_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for certificate, key in ((nonsense, pair[1]), (pair[0], nonsense)):
        with pytest.raises(TlsError, match="not a PEM certificate chain and its key"):
            server_context(certificate, key)
