"""What several beliefs share: a good record, a read and a post of it, and the headers of every answer."""

from __future__ import annotations

import msgspec

from infra.assumptions.form import Ask, Signer, Spoiling

JSON_TYPE = ("Content-Type", "application/json")
RECORD = '{"service_name":"{service}","log_type":"smoke","message":"hello"}'
CORS_HEADERS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "*x-amzn-RequestId*x-amzn-ErrorType*Retry-After*"),
)
REQUEST_ID = ("x-amzn-RequestId", "*-*-*-*-*")
READ = Ask("GET", "/logs/recent", "service_name={service}")


def read_by(signer: Signer, spoiling: Spoiling = "") -> Ask:
    """A read that somebody signs, well or not."""
    return msgspec.structs.replace(READ, signer=signer, spoiling=spoiling)


def post(**fields: object) -> Ask:
    """A post of the good record, but for these fields of the request."""
    given: dict[str, object] = {"headers": (JSON_TYPE,), "body": RECORD, **fields}
    return msgspec.structs.replace(Ask("POST", "/logs"), **given)
