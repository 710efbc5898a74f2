"""What to do about an answer that is an error: data, looked up by its status, type and text."""

from __future__ import annotations

from typing import NamedTuple


class _Advice(NamedTuple):
    status: int
    error_type: str
    part_of_message: str
    advice: str


_ADVICE = (
    _Advice(
        403,
        "InvalidSignatureException",
        "Signature expired",
        "This machine's clock is behind the server's by more than five minutes: set it (NTP).",
    ),
    _Advice(
        403,
        "InvalidSignatureException",
        "not yet current",
        "This machine's clock is ahead of the server's by more than five minutes: set it (NTP).",
    ),
    _Advice(
        403,
        "InvalidSignatureException",
        "valid region",
        "Name the region that the service runs in: --region, AWS_REGION, or region= in Python.",
    ),
    _Advice(
        403,
        "InvalidSignatureException",
        "does not match",
        "The secret access key is not that of the access key id: check the credentials, or make a new key.",
    ),
    _Advice(
        403,
        "UnrecognizedClientException",
        "",
        "The service does not know this key or it is disabled: are these credentials for this endpoint? "
        "`simple-log-service keys list` shows a local server's keys.",
    ),
    _Advice(403, "ExpiredTokenException", "", "Get new temporary credentials."),
    _Advice(403, "AccessDeniedException", "", "The key's policy does not allow this: use another key."),
    _Advice(
        403,
        "MissingAuthenticationTokenException",
        "",
        "There is no such address at this endpoint: is its base right, on AWS with the stage (https://.../prod)?",
    ),
    _Advice(404, "", "", "Is this the right endpoint? Nothing here speaks as the log service does."),
    _Advice(413, "", "", "Send fewer or smaller records in a request."),
    _Advice(429, "", "", "The service is over its rate: try again later, or send larger batches less often."),
    _Advice(507, "", "", "The server's disk is full: make room there; reads go on."),
)


def advice_for(status: int, error_type: str, message: str) -> str:
    """The first entry that fits; empty where there is nothing to add."""
    if 300 <= status < 400:
        return "Redirects are not followed, since a signature is for one address: give the final endpoint."
    for entry in _ADVICE:
        if entry.status == status and entry.error_type in {"", error_type} and entry.part_of_message in message:
            return entry.advice
    return ""
