"""Whom the gateway turns away, with which words: the contract's identity table, row by row, and the rate."""

from __future__ import annotations

import json

from infra.assumptions.form import Ask, Assumption
from infra.assumptions.parts import CORS_HEADERS, READ, REQUEST_ID, post, read_by

_DIFFERS = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_INVALID = "InvalidSignatureException"
_MISSING = "MissingAuthenticationTokenException"
_UNKNOWN = "UnrecognizedClientException"
_INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - AWS's sentence, no secret


def _refusal(
    name: str, belief: str, error_type: str, message: str, request: Ask, *, status: int = 403, key: str = "message"
) -> Assumption:
    """A refusal by the gateway itself: the contract's identity table, and nothing but it."""
    return Assumption(
        name=name,
        belief=belief,
        source="the contract's identity table",
        request=request,
        status=(status,),
        error_type=error_type,
        body=json.dumps({key: message}, separators=(",", ":"), ensure_ascii=False),
        headers=(REQUEST_ID, *CORS_HEADERS),
        text_may_go_on=True,
    )


IDENTITY: tuple[Assumption, ...] = (
    _refusal(
        "missing_token", "Without credentials a request is refused.", _MISSING, "Missing Authentication Token",
        read_by("nobody"),
    ),
    _refusal(
        "unknown_route", "A route that is not there answers as missing credentials do.", _MISSING,
        "Missing Authentication Token", Ask("GET", "/nowhere"),
    ),
    _refusal(
        "unknown_route_of_a_stranger", "The same to somebody without credentials.", _MISSING,
        "Missing Authentication Token", Ask("GET", "/nowhere", signer="nobody"),
    ),
    _refusal(
        "unknown_method", "A path's missing method is an unknown route.", _MISSING, "Missing Authentication Token",
        Ask("DELETE", "/logs"),
    ),
    _refusal(
        "unknown_key", "A key that nobody has is refused.", _UNKNOWN, _INVALID_TOKEN, read_by("unknown_key"),
    ),
    _refusal(
        "wrong_token", "A session token that is not its key's own is refused.", _UNKNOWN, _INVALID_TOKEN,
        read_by("wrong_token"),
    ),
    _refusal("wrong_secret", "A wrong secret makes a wrong signature.", _INVALID, _DIFFERS, read_by("wrong_secret")),
    _refusal(
        "other_body", "The signature covers the body as it came.", _INVALID, _DIFFERS, post(spoiling="other_body"),
    ),
    _refusal(
        "too_old", "A date more than 5 minutes old is refused.", _INVALID,
        "Signature expired: * is now earlier than * (* - 5 min.)", read_by("caller", "date_10_minutes_old"),
    ),
    _refusal(
        "too_new", "A date more than 5 minutes ahead is refused.", _INVALID,
        "Signature not yet current: * is still later than * (* + 5 min.)", read_by("caller", "date_10_minutes_ahead"),
    ),
    _refusal(
        "malformed_authorization", "An Authorization header without a signature is told so.",
        "IncompleteSignatureException", "Authorization header requires 'Signature' parameter.",
        read_by("caller", "no_signature"),
    ),
    _refusal(
        "other_region", "A scope of another region is refused.", _INVALID,
        "Credential should be scoped to a valid region, not '*'. ", read_by("caller", "other_region"),
    ),
    _refusal(
        "other_service", "A scope of another service is refused.", _INVALID,
        "Credential should be scoped to correct service: 'execute-api'. ", read_by("caller", "other_service"),
    ),
    _refusal(
        "expired_token", "A token past its time is refused.", "ExpiredTokenException",
        "The security token included in the request is expired", read_by("expired"),
    ),
    _refusal(
        "denied", "What no policy allows is denied, with a capital M.", "AccessDeniedException",
        "User: * is not authorized to perform: execute-api:Invoke on resource: *", read_by("ingest_only"),
        key="Message",
    ),
    _refusal(
        "denied_long_lived", "Long-lived keys are denied, by the callers' policies or by the handler.",
        "*", "*", read_by("long_lived"), key="*essage",
    ),
    _refusal(
        "body_over_10_mb", "A body over 10 MB does not pass.", "RequestTooLargeException", "Request Too Long",
        post(padding_bytes=10 * 1024 * 1024 + 1), status=413,
    ),
)  # fmt: skip
"""The contract's identity table, row by row, but for the rate."""

THROTTLED = Assumption(
    name="throttled",
    belief="Over the rate, requests are refused with 429 and Retry-After.",
    source="the contract's identity table; the stage's throttle",
    request=READ,
    status=(429,),
    error_type="TooManyRequestsException",
    body='{"message":"Too Many Requests"}',
    headers=(REQUEST_ID, *CORS_HEADERS, ("Retry-After", "*")),
    probe="throttle",
)
