"""What browsers are told: the headers that every answer carries, and the answer to a preflight request."""

from __future__ import annotations

from collections.abc import Iterable

from simple_log_service.api.messages import Response

COMMON_HEADERS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "x-amzn-RequestId,x-amzn-ErrorType,Retry-After"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)
"""On every answer, errors included: whoever may not read an error can only guess."""

ALLOWED_HEADERS = (
    "Authorization,Content-Type,Content-Encoding,Idempotency-Key,X-Amz-Date,X-Amz-Security-Token,X-Amz-Content-Sha256"
)
"""What a signed request may carry."""

PREFLIGHT_SECONDS = 7200
"""How long a browser may remember the answer."""


def preflight(methods: Iterable[str]) -> Response:
    """The CORS protocol's preflight answer (Fetch standard, section 3.2) of a path that answers to these methods.

    It grants nothing: what follows still needs a signature.
    """
    headers = (
        ("Access-Control-Allow-Methods", ",".join([*methods, "OPTIONS"])),
        ("Access-Control-Allow-Headers", ALLOWED_HEADERS),
        ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
    )
    return Response(204, b"", headers)
