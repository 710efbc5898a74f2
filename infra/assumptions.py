"""What we believe API Gateway answers, as data: no account was at hand while this was written.

Two readers hold it to account. The tests' own gateway must answer so, which makes the AWS home testable on one machine;
``python -m infra.smoke`` asks a deployed stack and reports each row as held, not held or not tested.

The rules: a row says one thing; texts are written as the gateway sends them, ``*`` standing for any text; ``{service}``
stands for the name of a service that is the asker's own. Status, error type and headers bind. Where ``text_may_go_on``
is set, the message may be longer than what is written here.
"""

from __future__ import annotations

import json

import msgspec

from infra.assumption import Ask, Assumption, Signer, Spoiling

__all__ = ["ANSWERS", "ASSUMPTIONS", "IDENTITY", "PASSAGE", "RECORD", "Ask", "Assumption", "Signer", "Spoiling"]

JSON_TYPE = ("Content-Type", "application/json")
RECORD = '{"service_name":"{service}","log_type":"smoke","message":"hello"}'
CORS_HEADERS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "*x-amzn-RequestId*x-amzn-ErrorType*Retry-After*"),
)
REQUEST_ID = ("x-amzn-RequestId", "*-*-*-*-*")


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


_READ = Ask("GET", "/logs/recent", "service_name={service}")
_DIFFERS = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_INVALID = "InvalidSignatureException"
_MISSING = "MissingAuthenticationTokenException"
_UNKNOWN = "UnrecognizedClientException"
_INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - AWS's sentence, no secret


def _read_by(signer: Signer, spoiling: Spoiling = "") -> Ask:
    return msgspec.structs.replace(_READ, signer=signer, spoiling=spoiling)


def _post(**fields: object) -> Ask:
    given: dict[str, object] = {"headers": (JSON_TYPE,), "body": RECORD, **fields}
    return msgspec.structs.replace(Ask("POST", "/logs"), **given)


IDENTITY: tuple[Assumption, ...] = (
    _refusal(
        "missing_token", "Without credentials a request is refused.", _MISSING, "Missing Authentication Token",
        _read_by("nobody"),
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
        "unknown_key", "A key that nobody has is refused.", _UNKNOWN, _INVALID_TOKEN, _read_by("unknown_key"),
    ),
    _refusal(
        "wrong_token", "A session token that is not its key's own is refused.", _UNKNOWN, _INVALID_TOKEN,
        _read_by("wrong_token"),
    ),
    _refusal("wrong_secret", "A wrong secret makes a wrong signature.", _INVALID, _DIFFERS, _read_by("wrong_secret")),
    _refusal(
        "other_body", "The signature covers the body as it came.", _INVALID, _DIFFERS, _post(spoiling="other_body"),
    ),
    _refusal(
        "too_old", "A date more than 5 minutes old is refused.", _INVALID,
        "Signature expired: * is now earlier than * (* - 5 min.)", _read_by("caller", "date_10_minutes_old"),
    ),
    _refusal(
        "too_new", "A date more than 5 minutes ahead is refused.", _INVALID,
        "Signature not yet current: * is still later than * (* + 5 min.)", _read_by("caller", "date_10_minutes_ahead"),
    ),
    _refusal(
        "malformed_authorization", "An Authorization header without a signature is told so.",
        "IncompleteSignatureException", "Authorization header requires 'Signature' parameter.",
        _read_by("caller", "no_signature"),
    ),
    _refusal(
        "other_region", "A scope of another region is refused.", _INVALID,
        "Credential should be scoped to a valid region, not '*'. ", _read_by("caller", "other_region"),
    ),
    _refusal(
        "other_service", "A scope of another service is refused.", _INVALID,
        "Credential should be scoped to correct service: 'execute-api'. ", _read_by("caller", "other_service"),
    ),
    _refusal(
        "expired_token", "A token past its time is refused.", "ExpiredTokenException",
        "The security token included in the request is expired", _read_by("expired"),
    ),
    _refusal(
        "denied", "What no policy allows is denied, with a capital M.", "AccessDeniedException",
        "User: * is not authorized to perform: execute-api:Invoke on resource: *", _read_by("ingest_only"),
        key="Message",
    ),
    _refusal(
        "denied_long_lived", "Long-lived keys are denied, by the callers' policies or by the handler.",
        "*", "*", _read_by("long_lived"), key="*essage",
    ),
    _refusal(
        "body_over_10_mb", "A body over 10 MB does not pass.", "RequestTooLargeException", "Request Too Long",
        _post(padding_bytes=10 * 1024 * 1024 + 1), status=413,
    ),
)  # fmt: skip
"""The contract's identity table, row by row, but for the rate."""

THROTTLED = Assumption(
    name="throttled",
    belief="Over the rate, requests are refused with 429 and Retry-After.",
    source="the contract's identity table; the stage's throttle",
    request=_READ,
    status=(429,),
    error_type="TooManyRequestsException",
    body='{"message":"Too Many Requests"}',
    headers=(REQUEST_ID, *CORS_HEADERS, ("Retry-After", "*")),
    probe="throttle",
)


def _preflight(name: str, path: str, methods: str) -> Assumption:
    return Assumption(
        name=name,
        belief=f"OPTIONS on {path} is answered by the gateway, without credentials and without a body.",
        source="API Gateway: MOCK under binary media types needs CONVERT_TO_TEXT",
        request=Ask(
            "OPTIONS",
            path,
            headers=(("Origin", "https://dashboard.example"), ("Access-Control-Request-Method", "POST")),
            signer="nobody",
        ),
        status=(200, 204),
        headers=(
            REQUEST_ID,
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", "*uthorization*"),
        ),
    )


ANSWERS: tuple[Assumption, ...] = (
    Assumption(
        name="health",
        belief="GET /health is answered by the gateway, without credentials.",
        source="infra: /health is a MOCK integration",
        request=Ask("GET", "/health", signer="nobody"),
        status=(200,),
        body='{"status":"ok"}',
        headers=(REQUEST_ID, ("Content-Type", "application/json*"), *CORS_HEADERS),
    ),
    _preflight("preflight_logs", "/logs", "*POST*"),
    _preflight("preflight_recent", "/logs/recent", "*GET*"),
    _preflight("preflight_service", "/services/{service}/logs", "*GET*"),
    _preflight("preflight_health", "/health", "*GET*"),
    Assumption(
        name="request_id_of_the_handlers_answers",
        belief="An answer of the handler carries the gateway's x-amzn-RequestId and the CORS headers.",
        source="API Gateway: x-amzn-RequestId is its own",
        request=_READ,
        status=(200,),
        headers=(REQUEST_ID, ("Content-Type", "application/json*"), *CORS_HEADERS),
        answered_by="handler",
    ),
    Assumption(
        name="error_type_of_the_handler",
        belief="x-amzn-ErrorType, set by the handler, comes through under its own name.",
        source="the contract: every error names its type",
        request=Ask("GET", "/logs/recent", "limit=0"),
        status=(400,),
        error_type="BadRequestException",
        body='{"message":"limit must be a whole number from 1 to 10000."}',
        headers=(REQUEST_ID, *CORS_HEADERS),
        answered_by="handler",
    ),
)

PASSAGE: tuple[Assumption, ...] = (
    Assumption(
        name="text_body",
        belief="A JSON body reaches the handler byte for byte (base64 under */*).",
        source="API Gateway: binaryMediaTypes */*",
        request=_post(),
        status=(201,),
        body='{"message":"Log ingested successfully","log_id":"*"}',
        answered_by="handler",
    ),
    Assumption(
        name="gzip_body",
        belief="The gateway leaves Content-Encoding: gzip alone; the handler unpacks, once.",
        source="API Gateway: no minimumCompressionSize",
        request=_post(packing="gzip"),
        status=(201,),
        answered_by="handler",
    ),
    Assumption(
        name="zstd_body",
        belief="Content-Encoding: zstd, which the gateway does not know, passes as it is.",
        source="API Gateway: binaryMediaTypes */*",
        request=_post(packing="zstd"),
        status=(201,),
        answered_by="handler",
    ),
    Assumption(
        name="body_without_a_content_type",
        belief="A body without Content-Type passes like any other.",
        source="API Gateway: binaryMediaTypes */*",
        request=_post(headers=()),
        status=(201,),
        answered_by="handler",
    ),
    Assumption(
        name="body_of_4_mib",
        belief="4 MiB on the wire fit into Lambda's 6 MB as base64.",
        source="Lambda: 6 MB of payload, base64 included",
        request=_post(padding_bytes=4 * 1024 * 1024 - 512),
        status=(201,),
        answered_by="handler",
    ),
    Assumption(
        name="body_over_4_mib",
        belief="A body just over 4 MiB reaches the handler, which refuses it.",
        source="the contract: 4 MiB on the wire",
        request=_post(padding_bytes=4 * 1024 * 1024),
        status=(413,),
        error_type="RequestTooLargeException",
        body='{"message":"Request Too Long"}',
        answered_by="handler",
    ),
    Assumption(
        name="body_over_lambdas_payload",
        belief="A body under 10 MB whose base64 is over Lambda's 6 MB is a 413 of the gateway's, not a 500.",
        source="Lambda answers 413 RequestEntityTooLarge to the gateway; people report 413 from REST APIs",
        request=_post(padding_bytes=6 * 1024 * 1024),
        status=(413,),
        error_type="RequestTooLargeException",
        headers=(REQUEST_ID,),
        answered_by="gateway",
    ),
    Assumption(
        name="encoded_plus_in_a_query",
        belief="%2B in a query means a plus sign.",
        source="the contract: a raw + is signed as %2B",
        request=Ask("GET", "/logs/recent", "service_name={service}%2Bencoded"),
        stored_first=RECORD.replace("{service}", "{service}+encoded"),
        status=(200,),
        body='{"count":1,*',
        answered_by="handler",
    ),
    Assumption(
        name="raw_plus_in_a_query",
        belief="A raw + in a query reaches the handler as a space: the gateway decodes it before anybody else can.",
        source="aws/aws-cdk #19827 shows such an event; the embedded home reads it as a plus sign",
        request=Ask("GET", "/logs/recent", "service_name={service}+raw"),
        stored_first=RECORD.replace("{service}", "{service}+raw"),
        status=(200,),
        body='{"count":0,*',
        answered_by="handler",
    ),
    Assumption(
        name="percent_and_ampersand_in_a_query",
        belief="Other percent-encoded characters are decoded exactly once.",
        source="the contract: reading",
        request=Ask("GET", "/logs/recent", "service_name={service}%20%26%3D%25%C3%BC"),
        status=(200,),
        body='{"count":0,*',
        answered_by="handler",
    ),
    Assumption(
        name="doubled_parameter",
        belief="A parameter that is given twice reaches the handler twice (multiValueQueryStringParameters).",
        source="the contract: reading",
        request=Ask("GET", "/logs/recent", "limit=1&limit=1"),
        status=(400,),
        error_type="BadRequestException",
        body='{"message":"limit is given twice."}',
        answered_by="handler",
    ),
    Assumption(
        name="doubled_header",
        belief="A header that is given twice reaches the handler twice (multiValueHeaders).",
        source="the contract: one Idempotency-Key a request",
        request=_post(headers=(JSON_TYPE, ("Idempotency-Key", "one"), ("Idempotency-Key", "two"))),
        status=(400,),
        error_type="BadRequestException",
        body='{"message":"The header idempotency-key is given twice."}',
        answered_by="handler",
    ),
    Assumption(
        name="encoded_slash_in_a_path",
        belief="%2F in a path names no service: refused as an unknown route, or by the handler.",
        source="the contract: bad input",
        request=Ask("GET", "/services/a%2Fb/logs"),
        status=(400, 403),
        answered_by="either",
    ),
    Assumption(
        name="doubled_slash_in_a_path",
        belief="// in a path is no route.",
        source="the contract: bad input",
        request=Ask("GET", "//logs/recent"),
        status=(400, 403),
        answered_by="either",
    ),
    Assumption(
        name="trailing_slash_in_a_path",
        belief="A trailing slash is no route, or the same one; never an error of the server.",
        source="API Gateway is reported to ignore one trailing slash",
        request=Ask("GET", "/logs/recent/"),
        status=(200, 400, 403),
        answered_by="either",
    ),
    Assumption(
        name="service_in_a_path",
        belief="The service in a path reaches the handler decoded.",
        source="the contract: /services/{service_name}/logs",
        request=Ask("GET", "/services/{service}/logs"),
        status=(200,),
        body='{"count":*',
        answered_by="handler",
    ),
    Assumption(
        name="headers_over_10_kb",
        belief="More than 10 KB of headers do not pass.",
        source="the contract: bad input; API Gateway's quota of 10,240 bytes",
        request=Ask("GET", "/logs/recent", headers=(("X-Padding", "x" * 11_000),)),
        status=(400, 413, 431),
        answered_by="gateway",
    ),
    Assumption(
        name="token_unsigned",
        belief="A session token that was added after signing is accepted.",
        source="the contract: a session token may be unsigned",
        request=_read_by("caller", "token_unsigned"),
        status=(200,),
        answered_by="handler",
    ),
)

TRANSPORT: tuple[Assumption, ...] = (
    Assumption(
        name="tls_1_0_refused",
        belief="TLS 1.0 is refused.",
        source="API Gateway: the security policy of the endpoint",
        probe="tls_1_0",
    ),
    Assumption(
        name="tls_1_1_refused",
        belief="TLS 1.1 is refused.",
        source="API Gateway: the security policy of the endpoint",
        probe="tls_1_1",
    ),
    Assumption(
        name="tls_1_2_works",
        belief="TLS 1.2 is taken.",
        source="API Gateway: the security policy of the endpoint",
        probe="tls_1_2",
    ),
)

UNTESTABLE: tuple[Assumption, ...] = (
    Assumption(
        name="lambda_throttled",
        belief="Where Lambda has no concurrency left, the gateway answers 500, and clients try again.",
        source="Lambda: TooManyRequestsException to its caller",
        status=(500,),
        probe="none",
        why_not="it would take the account's whole concurrency",
    ),
    Assumption(
        name="integration_timeout",
        belief="A handler that is silent for 29 seconds becomes 504.",
        source="API Gateway: an integration has 29 seconds",
        status=(504,),
        error_type="*",
        probe="none",
        why_not="no handler of this service takes so long",
    ),
)

ASSUMPTIONS: tuple[Assumption, ...] = (*IDENTITY, THROTTLED, *ANSWERS, *PASSAGE, *TRANSPORT, *UNTESTABLE)
"""Every belief; names are unique."""
