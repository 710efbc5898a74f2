"""Events as API Gateway makes them of requests to a REST API with Lambda proxy integration, and its side of answers."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from simple_log_service.api.messages import Response
from simple_log_service.aws.handler import Context

ACCOUNT_ID = "123456789012"
ROLE_ID = "AROAEXAMPLEROLEID0000"
ACCESS_KEY_ID = "ASIAEXAMPLEKEY000001"
ARN = f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/shipper/session-1"
REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
TRACE_ID = "Root=1-67891233-abcdef012345678912345678"

IDENTITY: Mapping[str, str | None] = {
    "accessKey": ACCESS_KEY_ID,
    "accountId": ACCOUNT_ID,
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
            "accountId": ACCOUNT_ID,
            "apiId": "abcdef1234",
            "domainName": "abcdef1234.execute-api.us-east-1.amazonaws.com",
            "extendedRequestId": "example=",
            "httpMethod": method,
            "identity": identity,
            "path": f"/prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": REQUEST_ID,
            "requestTime": "15/Jun/2025:12:00:00 +0000",
            "requestTimeEpoch": 1749988800000,
            "resourceId": "a1b2c3",
            "resourcePath": resource,
            "stage": "prod",
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
