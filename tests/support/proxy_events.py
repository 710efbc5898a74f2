"""Events as a REST API's Lambda proxy integration makes them of requests (payload 1.0), and its side of answers.

"Set up Lambda proxy integrations in API Gateway"
(https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html). ``proxy_event`` is
written by hand in tests; ``event_of`` is the local gateway's, of what really came. There the query is decoded once, a
raw ``+`` being a space; the path and its parameters are handed on as they came.
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from simple_log_service.api.messages import Response
from simple_log_service.aws.handler import Context
from support.api_template import ACCOUNT, REGION, Deployment, Method
from support.loopback import Received

ROLE_ID = "AROAEXAMPLEROLEID0000"
ACCESS_KEY_ID = "ASIAEXAMPLEKEY000001"
ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/shipper/session-1"
REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
TRACE_ID = "Root=1-67891233-abcdef012345678912345678"

IDENTITY: Mapping[str, str | None] = {
    "accessKey": ACCESS_KEY_ID,
    "accountId": ACCOUNT,
    "apiKey": None,
    "apiKeyId": None,
    "caller": f"{ROLE_ID}:session-1",
    "cognitoAuthenticationProvider": None,
    "cognitoAuthenticationType": None,
    "cognitoIdentityId": None,
    "cognitoIdentityPoolId": None,
    "principalOrgId": "o-example0000",
    "sourceIp": "203.0.113.7",
    "user": f"{ROLE_ID}:session-1",
    "userAgent": "tests",
    "userArn": ARN,
}
NOBODY: Mapping[str, str | None] = dict.fromkeys(IDENTITY)

_CONTEXT = {
    "accountId": ACCOUNT,
    "apiId": "abcdef1234",
    "domainName": f"abcdef1234.execute-api.{REGION}.amazonaws.com",
    "domainPrefix": "abcdef1234",
    "extendedRequestId": "example=",
    "protocol": "HTTP/1.1",
    "requestId": REQUEST_ID,
    "requestTime": "15/Jun/2025:12:00:00 +0000",
    "requestTimeEpoch": 1749988800000,
    "resourceId": "a1b2c3",
    "stage": "prod",
}


def proxy_event(
    method: str,
    resource: str,
    *,
    parameters: Mapping[str, list[str]] | None = None,
    path_parameters: Mapping[str, str] | None = None,
    headers: Mapping[str, list[str]] | None = None,
    body: bytes | None = None,
    identity: Mapping[str, Any] = IDENTITY,
    **changed: Any,
) -> dict[str, Any]:
    """One event, with every member that the gateway sends; ``changed`` ones last."""
    path = resource
    for name, value in (path_parameters or {}).items():
        path = path.replace("{" + name + "}", value)
    many = {"X-Amzn-Trace-Id": [TRACE_ID], **(headers or {})}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in many.items()},
        "multiValueHeaders": many,
        "queryStringParameters": parameters and {name: values[-1] for name, values in parameters.items() if values},
        "multiValueQueryStringParameters": parameters,
        "pathParameters": path_parameters,
        "stageVariables": None,
        "requestContext": {
            **_CONTEXT,
            "httpMethod": method,
            "identity": identity,
            "path": f"/prod{path}",
            "resourcePath": resource,
        },
        "body": None if body is None else b64encode(body).decode(),
        "isBase64Encoded": body is not None,
        **changed,
    }


def posted(records: object, **more: Any) -> dict[str, Any]:
    """The event of a POST of these records as JSON."""
    return proxy_event("POST", "/logs", body=json.dumps(records).encode(), **more)


def asked(**parameters: str) -> dict[str, Any]:
    """The event of a GET of the newest records."""
    return proxy_event("GET", "/logs/recent", parameters={name: [value] for name, value in parameters.items()})


def event_of(
    received: Received,
    deployment: Deployment,
    method: Method,
    path: str,
    path_parameters: Mapping[str, str],
    identity: Mapping[str, str | None],
    request_id: str,
) -> dict[str, Any]:
    """The event of a request. ``path`` is without the stage, ``identity`` the caller's or ``NOBODY``."""
    event = proxy_event(
        received.method,
        method.resource,
        parameters=_grouped(_decoded_query(received.target.partition("?")[2])) or None,
        path_parameters=dict(path_parameters) or None,
        headers=_grouped([*received.headers, *_added_headers(received)]),
        body=received.body or None,
        path=path,
    )
    event["requestContext"] |= _context(received, deployment, method, identity, request_id)
    if received.body and not deployment.takes_binary:
        event |= {"body": received.body.decode("utf-8", "replace"), "isBase64Encoded": False}
    return event


def _context(
    received: Received, deployment: Deployment, method: Method, identity: Mapping[str, str | None], request_id: str
) -> dict[str, Any]:
    now = time.time()
    return {
        "apiId": deployment.api_id,
        "domainName": f"{deployment.api_id}.execute-api.{REGION}.amazonaws.com",
        "domainPrefix": deployment.api_id,
        "extendedRequestId": secrets.token_urlsafe(11),
        "identity": {
            **NOBODY,
            **identity,
            "sourceIp": received.source_ip,
            "userAgent": received.header("user-agent"),
        },
        "path": received.target.partition("?")[0],
        "requestId": request_id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "requestTimeEpoch": int(now * 1000),
        "resourceId": method.resource_id,
        "stage": deployment.stage,
    }


def _added_headers(received: Received) -> list[tuple[str, str]]:
    """What the gateway says of the way that the request came."""
    return [
        ("X-Amzn-Trace-Id", f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"),
        ("X-Forwarded-For", received.source_ip),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
    ]


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Values by name, in the spelling that each came in."""
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _decoded_query(query: str) -> list[tuple[str, str]]:
    """Names and values; bytes that are no UTF-8 are replaced."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def response_of(answer: Any) -> Response:
    """What the caller gets of a function's answer, which must be of the form that the gateway takes."""
    assert answer.keys() == {"statusCode", "headers", "body", "isBase64Encoded"}
    assert isinstance(answer["statusCode"], int)
    assert all(isinstance(value, str) for value in answer["headers"].values())
    body = b64decode(answer["body"], validate=True) if answer["isBase64Encoded"] else answer["body"].encode()
    headers = dict(answer["headers"])
    content_type = headers.pop("Content-Type")
    return Response(answer["statusCode"], body, tuple(headers.items()), content_type)


class StandingContext(Context):
    """The object beside the event, its time standing still."""

    def __init__(self, remaining_ms: int = 30_000) -> None:
        self.aws_request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        """As it was set."""
        return self.remaining_ms
