"""The event that a function gets of a request, as a REST API's Lambda proxy integration makes it (payload 1.0).

"Set up Lambda proxy integrations in API Gateway"
(https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html). The query is
decoded once, a raw ``+`` being a space; the path and its parameters are handed on as they came.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from support.api_template import ACCOUNT, REGION, Deployment, Method
from support.loopback import Received

NOBODY = dict.fromkeys(("accessKey", "accountId", "caller", "user", "userArn"))
_OTHER_IDENTITIES = (
    "apiKey",
    "apiKeyId",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
)


def proxy_event(
    deployment: Deployment,
    method: Method,
    path: str,
    parameters: Mapping[str, str],
    received: Received,
    identity: Mapping[str, str | None],
    request_id: str,
) -> dict[str, Any]:
    """The event. ``path`` is without the stage, ``identity`` the caller's or ``NOBODY``."""
    headers = _grouped([*received.headers, *_added_headers(received)])
    asked = _grouped(_decoded_query(received.target.partition("?")[2]))
    body, is_base64 = _body(received.body, as_bytes=deployment.takes_binary)
    return {
        "resource": method.resource,
        "path": path,
        "httpMethod": received.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in asked.items()} or None,
        "multiValueQueryStringParameters": asked or None,
        "pathParameters": dict(parameters) or None,
        "stageVariables": None,
        "requestContext": _context(deployment, method, received, identity, request_id),
        "body": body,
        "isBase64Encoded": is_base64,
    }


def _context(
    deployment: Deployment, method: Method, received: Received, identity: Mapping[str, str | None], request_id: str
) -> dict[str, Any]:
    now = time.time()
    return {
        "accountId": ACCOUNT,
        "apiId": deployment.api_id,
        "domainName": f"{deployment.api_id}.execute-api.{REGION}.amazonaws.com",
        "domainPrefix": deployment.api_id,
        "extendedRequestId": secrets.token_urlsafe(11),
        "httpMethod": received.method,
        "identity": {
            **dict.fromkeys(_OTHER_IDENTITIES),
            **identity,
            "sourceIp": received.source_ip,
            "userAgent": received.header("user-agent"),
        },
        "path": received.target.partition("?")[0],
        "protocol": "HTTP/1.1",
        "requestId": request_id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "requestTimeEpoch": int(now * 1000),
        "resourceId": method.resource_id,
        "resourcePath": method.resource,
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


def _body(body: bytes, *, as_bytes: bool) -> tuple[str | None, bool]:
    if not body:
        return None, False
    return (base64.b64encode(body).decode(), True) if as_bytes else (body.decode("utf-8", "replace"), False)


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Values by name, in the spelling that each came in."""
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _decoded_query(query: str) -> list[tuple[str, str]]:
    """Names and values; bytes that are no UTF-8 are replaced."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]
