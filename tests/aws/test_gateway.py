"""The local API Gateway by itself, before a function that says what it got: a stand-in has to be right, too."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from simple_log_service.api.policy import ADMIN, INGEST, READ
from simple_log_service.api.signer import Credentials, sign_headers
from support.api_template import ACCOUNT, REGION, Deployment
from support.gateway import BODY_BYTES_MAX, Gateway, local_gateway
from support.raw_http import Answer, RawClient, connected

ORIGIN = "Access-Control-Allow-Origin"
CODE = Path(__file__).parents[1]


def integration(kind: str, **fields: Any) -> dict[str, Any]:
    return {"Type": kind, "IntegrationHttpMethod": "POST", **fields}


def method(resource: str, http_method: str, authorization: str, made: dict[str, Any]) -> dict[str, Any]:
    properties = {
        "RestApiId": {"Ref": "Api"},
        "ResourceId": {"Ref": resource},
        "HttpMethod": http_method,
        "AuthorizationType": authorization,
        "Integration": made,
    }
    return {"Type": "AWS::ApiGateway::Method", "Properties": properties}


def resource(parent: Any, part: str) -> dict[str, Any]:
    properties = {"RestApiId": {"Ref": "Api"}, "ParentId": parent, "PathPart": part}
    return {"Type": "AWS::ApiGateway::Resource", "Properties": properties}


ROOT = {"Fn::GetAtt": ["Api", "RootResourceId"]}
PROXY = integration(
    "AWS_PROXY",
    Uri={
        "Fn::Join": [
            "",
            ["arn:", {"Ref": "AWS::Partition"}, ":apigateway:", {"Fn::GetAtt": ["Echo", "Arn"]}, "/invocations"],
        ]
    },
)
MOCK = integration(
    "MOCK",
    ContentHandling="CONVERT_TO_TEXT",
    RequestTemplates={"application/json": '{"statusCode":200}'},
    IntegrationResponses=[
        {
            "StatusCode": "200",
            "ResponseParameters": {f"method.response.header.{ORIGIN}": "'*'"},
            "ResponseTemplates": {"application/json": '{"status":"ok"}'},
        }
    ],
)


def template(**changes: Any) -> dict[str, Any]:
    """A small template of the CDK's shape; ``changes`` replace resources."""
    own_header = {f"gatewayresponse.header.{ORIGIN}": "'*'"}
    resources = {
        "Api": {
            "Type": "AWS::ApiGateway::RestApi",
            "Properties": {"BinaryMediaTypes": ["*/*"], "EndpointConfiguration": {"Types": ["REGIONAL"]}},
        },
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": {
                "StageName": "dev",
                "MethodSettings": [
                    {
                        "HttpMethod": "*",
                        "ResourcePath": "/*",
                        "ThrottlingRateLimit": 10_000,
                        "ThrottlingBurstLimit": 5000,
                    }
                ],
            },
        },
        "Logs": resource(ROOT, "logs"),
        "Recent": resource({"Ref": "Logs"}, "recent"),
        "Services": resource(ROOT, "services"),
        "Service": resource({"Ref": "Services"}, "{service_name}"),
        "ServiceLogs": resource({"Ref": "Service"}, "logs"),
        "PostLogs": method("Logs", "POST", "AWS_IAM", PROXY),
        "GetRecent": method("Recent", "GET", "AWS_IAM", PROXY),
        "GetService": method("ServiceLogs", "GET", "AWS_IAM", PROXY),
        "OptionsLogs": method("Logs", "OPTIONS", "NONE", MOCK),
        "Denied": {
            "Type": "AWS::ApiGateway::GatewayResponse",
            "Properties": {"ResponseType": "DEFAULT_4XX", "ResponseParameters": own_header},
        },
        "Broken": {
            "Type": "AWS::ApiGateway::GatewayResponse",
            "Properties": {"ResponseType": "DEFAULT_5XX", "ResponseParameters": own_header},
        },
        "Throttled": {
            "Type": "AWS::ApiGateway::GatewayResponse",
            "Properties": {
                "ResponseType": "THROTTLED",
                "ResponseParameters": {**own_header, "gatewayresponse.header.Retry-After": "'1'"},
            },
        },
        "Echo": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": "echo",
                "Handler": "aws.echo_handler.handler",
                "Timeout": 30,
                "MemorySize": 256,
                "Environment": {"Variables": {"ECHO_TABLE": {"Ref": "Table"}}},
            },
        },
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "logs"}},
    }
    return {"Resources": {**resources, **changes}}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with local_gateway(Deployment.of(template()), {}, code=CODE, integration_seconds_max=1.0) as running:
        yield running


@contextmanager
def send(
    gateway: Gateway,
    method: str,
    target: str,
    body: bytes = b"",
    *headers: tuple[str, str],
    credentials: Credentials | None = None,
) -> Iterator[RawClient]:
    """One request, signed where there are credentials; its answer is to be read."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    path, _, query = target.partition("?")
    given = [("Host", "api.example.com"), *headers]
    if credentials is not None:
        digest = hashlib.sha256(body).hexdigest()
        given += sign_headers(method, path, query, given, digest, credentials, REGION, time.time())
    if body:
        given.append(("Content-Length", str(len(body))))
    head = "\r\n".join([f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given), "", ""])
    with connected((host, int(port))) as client:
        client.send(head.encode("latin-1") + body)
        yield client


def ask(gateway: Gateway, method: str, target: str, *rest: Any, credentials: Credentials | None = None) -> Answer:
    """The same with its answer."""
    with send(gateway, method, target, *rest, credentials=credentials) as client:
        return client.answer()


@pytest.fixture
def anyone(gateway: Gateway) -> Credentials:
    return gateway.key(ADMIN)


def refusal(answer: Answer) -> tuple[int, str, Any]:
    assert answer.headers["access-control-allow-origin"] == "*"
    assert len(answer.headers["x-amzn-requestid"]) == 36
    return answer.status, answer.headers["x-amzn-errortype"], json.loads(answer.body)


MISSING = (403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"})
BROKEN = (502, "InternalServerErrorException", {"message": "Internal server error"})


def test_the_function_gets_a_rest_apis_proxy_event(gateway: Gateway, anyone: Credentials) -> None:
    body = bytes(range(256))
    answer = ask(
        gateway,
        "POST",
        "/logs?a=1&a=b%20c+d%2Be&empty",
        body,
        ("Content-Type", "application/json"),
        ("X-Twice", "one"),
        credentials=anyone,
    )
    event = json.loads(answer.body)
    context = event["requestContext"]
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/logs", "/logs", "POST")
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, body)
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "b c d+e"], "empty": [""]}
    assert event["queryStringParameters"] == {"a": "b c d+e", "empty": ""}
    assert event["headers"]["X-Twice"] == "one"
    assert event["multiValueHeaders"]["Content-Type"] == ["application/json"]
    assert (event["pathParameters"], context["stage"], context["path"]) == (None, "dev", "/logs")
    assert context["requestId"] == answer.headers["x-amzn-requestid"]
    identity = context["identity"]
    assert identity["accessKey"] == anyone.access_key_id
    assert identity["userArn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/tests/{anyone.access_key_id}"
    role_id, _, session = identity["caller"].partition(":")
    assert (role_id[:4], session, identity["accountId"]) == ("AROA", anyone.access_key_id, ACCOUNT)


def test_under_its_stage_the_signature_covers_the_stage_and_the_path_is_without(
    gateway: Gateway, anyone: Credentials
) -> None:
    event = json.loads(ask(gateway, "GET", "/dev/logs/recent?a=b", credentials=anyone).body)
    assert (event["path"], event["requestContext"]["path"]) == ("/logs/recent", "/dev/logs/recent")
    assert event["resource"] == "/logs/recent"
    assert gateway.stage_url == f"{gateway.url}/dev"


def test_a_path_names_its_parameter_and_an_empty_body_is_none(gateway: Gateway, anyone: Credentials) -> None:
    event = json.loads(ask(gateway, "GET", "/services/a%20b/logs", credentials=anyone).body)
    assert (event["resource"], event["path"]) == ("/services/{service_name}/logs", "/services/a%20b/logs")
    assert event["pathParameters"] == {"service_name": "a%20b"}
    assert (event["body"], event["isBase64Encoded"]) == (None, False)
    assert event["multiValueQueryStringParameters"] is None


def test_a_users_long_lived_key_is_told_apart_from_a_roles(gateway: Gateway) -> None:
    user = gateway.key(READ, name="ann", expires_in_seconds=None)
    event = json.loads(ask(gateway, "GET", "/logs/recent", credentials=user).body)
    identity = event["requestContext"]["identity"]
    assert identity["userArn"] == f"arn:aws:iam::{ACCOUNT}:user/ann"
    assert (identity["accessKey"][:4], identity["caller"][:4]) == ("AKIA", "AIDA")


def test_the_environment_is_the_templates(gateway: Gateway) -> None:
    (function,) = gateway.functions.values()
    assert function.plan.environ == {"ECHO_TABLE": "logs"}


def test_an_answers_bytes_are_decoded(gateway: Gateway, anyone: Credentials) -> None:
    answer = ask(gateway, "GET", "/logs/recent?do=bytes", credentials=anyone)
    assert (answer.status, answer.body) == (200, bytes(range(256)))


def test_an_answers_headers_pass_but_for_those_that_are_the_gateways(gateway: Gateway, anyone: Credentials) -> None:
    with send(gateway, "GET", "/logs/recent?do=headers", credentials=anyone) as client:
        head = client.socket.recv(65536).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0] == b"HTTP/1.1 201 Created"
    assert {b"X-Single: a", b"X-Many: b", b"X-Many: c", b"x-amzn-Remapped-x-amzn-RequestId: mine"} < set(head)
    assert sum(line.startswith(b"x-amzn-RequestId: ") for line in head) == 1


@pytest.mark.parametrize("target", ["/", "/logs/", "/nowhere", "/logs/recent/more", "//logs/recent", "/services//logs"])
def test_an_unknown_route_answers_as_missing_credentials_do(gateway: Gateway, anyone: Credentials, target: str) -> None:
    assert refusal(ask(gateway, "GET", target, credentials=anyone)) == MISSING
    assert refusal(ask(gateway, "GET", target)) == refusal(ask(gateway, "GET", "/logs/recent")) == MISSING


def test_the_policy_decides_and_its_denial_names_caller_and_resource(gateway: Gateway) -> None:
    writer = gateway.key(INGEST, name="writer")
    assert ask(gateway, "POST", "/logs", b"{}", credentials=writer).status == 200
    status, error_type, body = refusal(ask(gateway, "GET", "/logs/recent", credentials=writer))
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/writer/{writer.access_key_id}"
    resource_arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:Api/dev/GET/logs/recent"
    message = f"User: {arn} is not authorized to perform: execute-api:Invoke on resource: {resource_arn}"
    assert (status, error_type, body) == (403, "AccessDeniedException", {"Message": message})


def test_signatures_and_expiry_are_checked(gateway: Gateway, anyone: Credentials) -> None:
    wrong = Credentials(anyone.access_key_id, "wrong", anyone.session_token)
    assert refusal(ask(gateway, "GET", "/logs/recent", credentials=wrong))[1] == "InvalidSignatureException"
    over = gateway.key(READ, expires_in_seconds=0)
    assert refusal(ask(gateway, "GET", "/logs/recent", credentials=over))[1] == "ExpiredTokenException"


def test_bodies_have_the_gateways_bound_and_lambdas(gateway: Gateway, anyone: Credentials) -> None:
    too_large = (413, "RequestTooLargeException", {"message": "Request Too Long"})
    (function,) = gateway.functions.values()
    invocations = function.invocations
    for size in (BODY_BYTES_MAX + 1, 6 * 1024 * 1024):
        assert refusal(ask(gateway, "POST", "/logs", b"x" * size, credentials=anyone)) == too_large
    assert function.invocations == invocations


@pytest.mark.parametrize("wrong", ["raise", "nonsense", "large"])
def test_what_goes_wrong_in_the_function_is_502(gateway: Gateway, anyone: Credentials, wrong: str) -> None:
    assert refusal(ask(gateway, "GET", f"/logs/recent?do={wrong}", credentials=anyone)) == BROKEN
    assert ask(gateway, "GET", "/logs/recent", credentials=anyone).status == 200


def test_a_function_that_takes_too_long_is_504(gateway: Gateway, anyone: Credentials) -> None:
    answer = ask(gateway, "GET", "/logs/recent?do=sleep", credentials=anyone)
    assert (answer.status, json.loads(answer.body)) == (504, {"message": "Endpoint request timed out"})


def test_a_mock_answers_strangers_and_no_function_is_asked(gateway: Gateway) -> None:
    (function,) = gateway.functions.values()
    invocations = function.invocations
    answer = ask(gateway, "OPTIONS", "/logs")
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
    assert answer.headers["access-control-allow-origin"] == "*"
    assert function.invocations == invocations


def test_a_functions_log_is_kept(gateway: Gateway, anyone: Credentials) -> None:
    ask(gateway, "GET", "/logs/recent", credentials=anyone)
    (function,) = gateway.functions.values()
    assert "invoked " in function.log


def test_past_its_rate_it_refuses_with_the_headers_of_its_response() -> None:
    settings = [{"HttpMethod": "*", "ResourcePath": "/*", "ThrottlingRateLimit": 0.001, "ThrottlingBurstLimit": 2}]
    slow = {"Type": "AWS::ApiGateway::Stage", "Properties": {"StageName": "dev", "MethodSettings": settings}}
    with local_gateway(Deployment.of(template(Stage=slow)), {}, code=CODE) as gateway:
        key = gateway.key(READ)
        answers = [ask(gateway, "GET", "/logs/recent", credentials=key) for _ in range(3)]
    assert [answer.status for answer in answers[:2]] == [200, 200]
    assert refusal(answers[2]) == (429, "TooManyRequestsException", {"message": "Too Many Requests"})
    assert answers[2].headers["retry-after"] == "1"


def test_a_mock_that_cannot_read_its_request_fails_under_binary_media_types() -> None:
    deaf = method("Logs", "OPTIONS", "NONE", {**MOCK, "ContentHandling": None})
    with local_gateway(Deployment.of(template(OptionsLogs=deaf)), {}, code=CODE) as gateway:
        assert refusal(ask(gateway, "OPTIONS", "/logs"))[0] == 500


def test_without_binary_media_types_bodies_go_as_text() -> None:
    text_only = {"Type": "AWS::ApiGateway::RestApi", "Properties": {}}
    with local_gateway(Deployment.of(template(Api=text_only)), {}, code=CODE) as gateway:
        event = json.loads(
            ask(gateway, "POST", "/logs", b"\xff{}", credentials=gateway.key(INGEST, name="writer")).body
        )
    assert (event["body"], event["isBase64Encoded"]) == ("\ufffd{}", False)
