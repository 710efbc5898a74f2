"""Keys, signed requests and a verifier for tests: everything at one fixed moment, nothing faked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import pytest

from simple_log_service.api.access_key import AccessKey
from simple_log_service.api.canonical import signature, signing_key, string_to_sign
from simple_log_service.api.errors import Refused
from simple_log_service.api.identity import Principal
from simple_log_service.api.messages import RequestHead
from simple_log_service.api.policy import ADMIN, Policy
from simple_log_service.api.signer import Credentials, sign_headers
from simple_log_service.api.sigv4 import Verifier

REGION = "eu-central-1"
NOW = 1615307938
"""2021-03-09T16:38:58Z."""

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjE/token+with=signs=="
LASTING = Credentials("AKIDEXAMPLE", SECRET)
TEMPORARY = Credentials("ASIAEXAMPLE", SECRET, TOKEN)


class Request(NamedTuple):
    """A request as it stands on the wire; header names and values as bytes, in order."""

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def head(self) -> RequestHead:
        """What the listener hands on: lower-case names, values without white space around them."""
        headers = [(name.lower(), value.strip(b" \t")) for name, value in self.headers]
        return RequestHead(
            self.method, self.path, self.query, headers, dict(headers), "192.0.2.1", True, "request-id", NOW * 10**9
        )

    def header(self, name: bytes) -> bytes:
        """The value of the one header of that (lower-case) name."""
        (value,) = (value for other, value in self.headers if other.lower() == name)
        return value

    def with_header(self, name: bytes, value: bytes | None) -> Request:
        """The same with another value for one header, or without it."""
        others = [each for each in self.headers if each[0].lower() != name]
        return self._replace(headers=others if value is None else [*others, (name, value)])


def key_of(credentials: Credentials, *, expires_at: float | None = None) -> AccessKey:
    """The key that the verifier has to know for these credentials."""
    arn = f"arn:aws:iam::123456789012:user/{credentials.access_key_id}"
    return AccessKey(
        credentials.access_key_id,
        credentials.secret_access_key,
        Principal(credentials.access_key_id, arn, arn),
        Policy.parse(ADMIN),
        credentials.session_token,
        expires_at,
    )


def verifier_of(*keys: AccessKey, region: str = REGION, now: float = NOW, temporary_only: bool = False) -> Verifier:
    """A verifier that knows these keys, or one lasting and one temporary key."""
    known = {key.access_key_id: key for key in keys or (key_of(LASTING), key_of(TEMPORARY, expires_at=NOW + 3600))}
    return Verifier(known.get, region=region, clock=lambda: now, temporary_only=temporary_only)


def signed(
    method: str = "POST",
    path: str = "/logs",
    query: str = "",
    headers: Iterable[tuple[str, str]] = (("Content-Type", "application/json"),),
    body: bytes = b'{"service_name":"checkout"}',
    credentials: Credentials = LASTING,
    *,
    region: str = REGION,
    now: float = NOW,
) -> Request:
    """A request signed by our own client."""
    plain = [("Host", "logs.example.com:8080"), *headers]
    body_sha256_hex = hashlib.sha256(body).hexdigest()
    added = sign_headers(method, path, query, plain, body_sha256_hex, credentials, region, now)
    wire = [(name.encode(), value.encode("latin-1")) for name, value in (*plain, *added)]
    return Request(method, path, query, [*wire, (b"User-Agent", b"tests"), (b"Accept", b"*/*")], body)


def verify(request: Request, verifier: Verifier | None = None) -> Principal:
    """Both steps of the verifier, as the listener takes them; raises ``Refused``."""
    claim = (verifier or verifier_of()).check_head(request.head())
    return claim.verify(hashlib.sha256(request.body).hexdigest())


def accepted(request: Request, verifier: Verifier | None = None) -> bool:
    """Whether the verifier lets the request in; any refusal has to be a 403."""
    try:
        verify(request, verifier)
    except Refused as refused:
        if refused.status != 403:
            raise
        return False
    return True


def resigned(request: Request, signed_headers: bytes) -> Request:
    """The same, its signature right for this list of names, whatever the list is worth."""
    names = signed_headers.split(b";")
    fields = {name.lower(): value for name, value in request.headers}
    lines = b"".join(name + b":" + fields.get(name.lower(), b"") + b"\n" for name in names)
    body = hashlib.sha256(request.body).hexdigest().encode()
    text = b"\n".join((request.method.encode(), request.path.encode(), b"", lines, signed_headers, body))
    scope = f"20210309/{REGION}/execute-api/aws4_request".encode()
    proof = signature(signing_key(SECRET, "20210309", REGION), string_to_sign(b"20210309T163858Z", scope, text))
    return request.with_header(
        b"authorization",
        b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/%b, SignedHeaders=%b, Signature=%b" % (scope, signed_headers, proof),
    )


SIGNATURE_DIFFERS = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
TOKEN_INVALID = "The security token included in the request is invalid."


def refusal(request: Request, verifier: Verifier | None = None) -> tuple[int, str, str]:
    """Status, error type and text of the refusal that must come."""
    with pytest.raises(Refused) as caught:
        verify(request, verifier)
    assert caught.value.message_key == "message"
    return caught.value.status, caught.value.error_type, caught.value.message


def refusal_at_head(request: Request, verifier: Verifier | None = None) -> tuple[int, str, str]:
    """The same, where it must come before the body is read."""
    with pytest.raises(Refused) as caught:
        (verifier or verifier_of()).check_head(request.head())
    return caught.value.status, caught.value.error_type, caught.value.message


def invalid(text: str) -> tuple[int, str, str]:
    return 403, "InvalidSignatureException", text


def incomplete(text: str) -> tuple[int, str, str]:
    return 403, "IncompleteSignatureException", text


def edited(request: Request, old: str, new: str) -> Request:
    """The same with an edited Authorization header."""
    header = request.header(b"authorization")
    assert old.encode() in header
    return request.with_header(b"authorization", header.replace(old.encode(), new.encode()))
