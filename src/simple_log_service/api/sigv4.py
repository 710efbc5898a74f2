"""The verifier of AWS Signature Version 4, header form, for the service ``execute-api``.

It works in two steps, since a stranger's body is not worth reading: ``check_head`` settles everything that the
head can tell (form, scope, date, key, token), ``Claim.verify`` the signature once the body's hash is known.

The order of checks is AWS's: form, age, scope, key and token, signature. So an answer tells about a secret only
whether the caller knew it. The calculated signature stays out of every answer, and so does the Authorization
header, although AWS echoes it.

Statuses, error types and texts are API Gateway's; "Troubleshoot signed requests" in the IAM User Guide lists them
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html).
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from simple_log_service.api.access_key import AccessKey
from simple_log_service.api.authorization import (
    Authorization,
    Moment,
    incomplete,
    invalid,
    read_authorization,
    read_moment,
    signature_differs,
    unsigned,
)
from simple_log_service.api.canonical import (
    OTHER_QUERY_FORMS,
    canonical_path,
    canonical_query,
    canonical_request,
    signature,
    signing_key,
    string_to_sign,
)
from simple_log_service.api.errors import Refused, missing_authentication_token, unrecognized_client
from simple_log_service.api.identity import Principal
from simple_log_service.api.messages import RequestHead
from simple_log_service.core.limits import CLOCK_SKEW_SECONDS_MAX

_TOKEN = b"x-amz-security-token"
_ONCE_ONLY = frozenset({b"authorization", b"host", b"date"})
_HEX_DIGITS = b"0123456789abcdef"
_SIGNING_KEYS_MAX = 1024
"""Signing keys that are kept ready, one for each key and day; past it the longest unused one goes."""


class Claim(msgspec.Struct, frozen=True):
    """A request that names a usable key in proper form, but has not yet proved that it knows the secret."""

    key: AccessKey
    _signing_key: bytes
    _signature: bytes
    _timestamp: bytes
    _scope: bytes
    _method: bytes
    _path: bytes
    _query: bytes
    _canonical_query: bytes
    _headers: bytes
    _signed_headers: bytes
    _declared_sha256_hex: bytes | None

    def __repr__(self) -> str:
        return f"Claim({self.key!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What rich prints in a traceback: without this, the signing key too."""
        return [("key", self.key)]

    def verify(self, body_sha256_hex: str) -> Principal:
        """The caller, if the signature is its own, over this very request and the body with this hash.

        ``body_sha256_hex`` is of the bytes on the wire, in lower case. Raises ``Refused``.
        """
        payload = body_sha256_hex.encode()
        # What is verified is always the body's own hash, never the declared one; if both are signed, they agree.
        if self._declared_sha256_hex not in {None, payload}:
            raise signature_differs()
        if self._signs(self._canonical_query, payload) or any(
            self._signs(form(self._query), payload) for form in OTHER_QUERY_FORMS
        ):
            return self.key.principal
        raise signature_differs()

    def _signs(self, query: bytes, payload: bytes) -> bool:
        request = canonical_request(self._method, self._path, query, self._headers, self._signed_headers, payload)
        text = string_to_sign(self._timestamp, self._scope, request)
        return hmac.compare_digest(signature(self._signing_key, text), self._signature)


class Verifier:
    """Checks requests to one region against the keys that ``lookup`` knows (``None``: unknown or disabled).

    ``clock`` gives seconds since the epoch. With ``temporary_only`` keys without a session token count as unknown.
    """

    def __init__(
        self,
        lookup: Callable[[str], AccessKey | None],
        *,
        region: str,
        clock: Callable[[], float],
        temporary_only: bool = False,
    ) -> None:
        self._lookup = lookup
        self._region = region
        self._clock = clock
        self._temporary_only = temporary_only
        # Remembered by secret, not by key id: a key whose secret has changed finds nothing here.
        self._signing_key = lru_cache(_SIGNING_KEYS_MAX)(signing_key)

    def check_head(self, head: RequestHead) -> Claim:
        """Everything about the caller that can be said before the body is read. Raises ``Refused``."""
        fields = _fields(head)
        header = fields.get(b"authorization")
        if header is None:
            raise missing_authentication_token()
        start, separator, given_signature = header.rpartition(b"Signature=")
        authorization = read_authorization(start + separator, self._region)
        moment = read_moment(fields)
        if authorization is None or moment is None or not given_signature:
            raise incomplete(header, fields)
        now = self._clock()
        _check_age(moment, int(now))
        _check_scope(authorization, moment)
        key = self._find_key(authorization.access_key_id, fields.get(_TOKEN), now)
        _check_everything_signed(authorization, moment, fields)
        query = _wire(head.query)
        query_canonical = canonical_query(query)
        _check_header_form_only(query_canonical)
        return Claim(
            key,
            self._signing_key(key.secret_access_key, authorization.date, self._region),
            given_signature,
            moment.timestamp.encode(),
            authorization.scope,
            _wire(head.method),
            canonical_path(_wire(head.path)),
            query,
            query_canonical,
            authorization.header_lines(fields),
            authorization.signed_headers,
            _declared_hash(fields),
        )

    def _find_key(self, access_key_id: str, token: bytes | None, now: float) -> AccessKey:
        key = self._lookup(access_key_id)
        if key is None or not _token_matches(key, token) or (self._temporary_only and token is None):
            raise unrecognized_client()
        if key.expires_at is not None and key.expires_at <= now:
            raise Refused(403, "ExpiredTokenException", "The security token included in the request is expired")
        return key


def _check_scope(authorization: Authorization, moment: Moment) -> None:
    if authorization.signed_headers_fault:
        raise invalid(authorization.signed_headers_fault)
    fault = authorization.scope_fault
    day = moment.timestamp[:8]
    if authorization.date != day:
        fault += (
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{authorization.date}' != '{day}', from '{moment.timestamp}'."
        )
    if fault:
        raise invalid(fault)


def _check_age(moment: Moment, now: int) -> None:
    earliest, latest = now - CLOCK_SKEW_SECONDS_MAX, now + CLOCK_SKEW_SECONDS_MAX
    if moment.epoch_seconds < earliest:
        raise invalid(
            f"Signature expired: {moment.timestamp} is now earlier than {_stamp(earliest)} "
            f"({_stamp(now)} - {CLOCK_SKEW_SECONDS_MAX // 60} min.)"
        )
    if moment.epoch_seconds > latest:
        raise invalid(
            f"Signature not yet current: {moment.timestamp} is still later than {_stamp(latest)} "
            f"({_stamp(now)} + {CLOCK_SKEW_SECONDS_MAX // 60} min.)"
        )


def _token_matches(key: AccessKey, token: bytes | None) -> bool:
    """A token belongs to its temporary key alone; a long-lived key has none, and none may be sent with it."""
    if key.session_token is None or token is None:
        return key.session_token is None and token is None
    return hmac.compare_digest(key.session_token.encode(), token)


def _check_everything_signed(authorization: Authorization, moment: Moment, fields: Mapping[bytes, bytes]) -> None:
    """The guide: "only the host and any x-amz-* headers are required", and then the date that counts.

    The session token may stay outside: some SDKs add it after signing, and it has been compared already.
    """
    names = authorization.names
    if moment.header not in names:
        raise unsigned(moment.header)
    for name in fields:
        if name[:6] == b"x-amz-" and name not in names and name != _TOKEN:
            raise unsigned(name)


def _check_header_form_only(query_canonical: bytes) -> None:
    """Signatures in the query are another form, which this service does not read: beside a header they are a trick."""
    lower = query_canonical.lower()
    if b"x-amz-" in lower and any(pair.startswith(b"x-amz-") for pair in lower.split(b"&")):
        raise invalid("Only the Authorization header authenticates: no X-Amz-* parameter may be in the query.")


def _declared_hash(fields: Mapping[bytes, bytes]) -> bytes | None:
    declared = fields.get(b"x-amz-content-sha256")
    if declared is not None and (len(declared) != 64 or declared.translate(None, _HEX_DIGITS)):
        raise invalid(
            "X-Amz-Content-Sha256 must be the SHA-256 of the body in lower-case hexadecimal; "
            "unsigned and streaming payloads are not accepted."
        )
    return declared


def _fields(head: RequestHead) -> Mapping[bytes, bytes]:
    """The headers by name. "Append multiple values with a comma", but never those that decide who is calling."""
    if len(head.fields) == len(head.headers):
        return head.fields
    joined: dict[bytes, bytes] = {}
    for name, value in head.headers:
        if name not in joined:
            joined[name] = value
        elif name in _ONCE_ONLY or name.startswith(b"x-amz-"):
            raise invalid(f"'{name.decode('latin-1')}' must be sent once.")
        else:
            joined[name] += b"," + value
    return joined


def _wire(text: str) -> bytes:
    """The bytes of a part of the request line (``RequestHead`` holds them as ISO 8859-1)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise signature_differs() from None


def _stamp(epoch_seconds: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch_seconds))
