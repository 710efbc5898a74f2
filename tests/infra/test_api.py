"""The REST API: routes, who may call them, and what the gateway answers by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simple_log_service.api.cors import COMMON_HEADERS, preflight
from simple_log_service.api.routes import METRICS, ROUTES
from support.cloudformation import properties, resources
from support.synthesized import ENVIRONMENTS, template

environments = pytest.mark.parametrize("env", ENVIRONMENTS)


def methods(env: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Every method's properties, by HTTP method and path."""
    synthesized = template(env)
    nodes = resources(synthesized, "AWS::ApiGateway::Resource")

    def path(reference: str) -> str:
        if reference == "{ApiRest.RootResourceId}":
            return ""
        node = nodes[reference.strip("{}")]["Properties"]
        return f"{path(node['ParentId'])}/{node['PathPart']}"

    found = [method["Properties"] for method in resources(synthesized, "AWS::ApiGateway::Method").values()]
    return {(method["HttpMethod"], path(method["ResourceId"])): method for method in found}


@environments
def test_the_api_is_regional_takes_bytes_and_tls_1_2(env: str) -> None:
    api = properties(template(env), "AWS::ApiGateway::RestApi")
    assert api["Name"] == f"simple-log-service-{env}-api"
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    assert api["BinaryMediaTypes"] == ["*/*"]
    assert api["SecurityPolicy"] == "TLS_1_2"
    assert "MinimumCompressionSize" not in api
    assert "Policy" not in api


@environments
def test_the_routes_are_those_of_the_route_table_but_for_metrics(env: str) -> None:
    called = {key for key in methods(env) if key[0] != "OPTIONS"}
    assert called == {(route.method, route.path) for route in ROUTES if route != METRICS}
    assert {("POST", "/logs"), ("GET", "/logs/recent")} <= called


@environments
def test_every_method_needs_iam_but_the_status_and_preflights(env: str) -> None:
    for (method, path), found in methods(env).items():
        is_open = method == "OPTIONS" or path == "/health"
        assert found["AuthorizationType"] == ("NONE" if is_open else "AWS_IAM"), (method, path)
        assert found["Integration"]["Type"] == ("MOCK" if is_open else "AWS_PROXY"), (method, path)
        assert not found.get("ApiKeyRequired")


@environments
def test_what_writes_goes_to_ingest_and_what_reads_to_read(env: str) -> None:
    for (method, path), found in methods(env).items():
        if found["Integration"]["Type"] == "AWS_PROXY":
            function = {"POST": "Ingest", "GET": "Read"}[method]
            assert f"{{Functions{function}Function.Arn}}/invocations" in found["Integration"]["Uri"], path


@environments
def test_the_gateway_may_call_each_function_for_its_own_routes_alone(env: str) -> None:
    found = {
        (permission["Properties"]["FunctionName"], permission["Properties"]["SourceArn"].partition("Stage")[2])
        for permission in resources(template(env), "AWS::Lambda::Permission").values()
    }
    assert found == {
        ("{FunctionsIngestFunction.Arn}", f"{env}}}/POST/logs"),
        ("{FunctionsIngestFunction.Arn}", f"{env}}}/POST/services/*/logs"),
        ("{FunctionsReadFunction.Arn}", f"{env}}}/GET/logs/recent"),
        ("{FunctionsReadFunction.Arn}", f"{env}}}/GET/logs/stats"),
        ("{FunctionsReadFunction.Arn}", f"{env}}}/GET/services/*/logs"),
    }


@environments
def test_the_stage_throttles_logs_counts_and_traces(env: str) -> None:
    stage = properties(template(env), "AWS::ApiGateway::Stage")
    (every,) = stage["MethodSettings"]
    assert stage["StageName"] == env
    assert stage["TracingEnabled"] is True
    assert (every["HttpMethod"], every["ResourcePath"]) == ("*", "/*")
    assert (every["ThrottlingRateLimit"], every["ThrottlingBurstLimit"]) == (10_000, 5_000)
    assert every["MetricsEnabled"] is True
    assert every["LoggingLevel"] == "ERROR"
    assert every["DataTraceEnabled"] is False
    assert stage["AccessLogSetting"]["DestinationArn"] == "{ApiAccessLogGroup.Arn}"


@environments
def test_an_access_log_line_is_json_without_paths_queries_or_headers(env: str) -> None:
    stage = properties(template(env), "AWS::ApiGateway::Stage")
    line = json.loads(stage["AccessLogSetting"]["Format"])
    assert {"request_id", "caller", "status", "error_type", "answer_ms"} <= line.keys()
    assert not {"$context.path", "$context.identity.accessKey"} & set(line.values())
    assert all(value.startswith("$context.") for value in line.values())


@environments
def test_the_gateways_own_log_is_made_before_the_stage_that_would_make_it_plain(env: str) -> None:
    (stage,) = resources(template(env), "AWS::ApiGateway::Stage").values()
    group = properties(template(env), "AWS::Logs::LogGroup", "ApiExecutionsLogGroup")
    assert group["LogGroupName"] == f"API-Gateway-Execution-Logs_{{ApiRest}}/{env}"
    assert any(name.startswith("ApiExecutionsLogGroup") for name in stage["DependsOn"])


@environments
def test_the_validator_checks_parameters_and_no_bodies(env: str) -> None:
    validator = properties(template(env), "AWS::ApiGateway::RequestValidator")
    assert validator["Name"] == f"simple-log-service-{env}-parameters"
    assert validator["ValidateRequestParameters"] is True
    assert validator["ValidateRequestBody"] is False
    assert {method["RequestValidatorId"] for method in methods(env).values()} == {"{ApiRestParameters}"}


@environments
def test_what_the_gateway_answers_by_itself_is_turned_into_text_first(env: str) -> None:
    for key, method in methods(env).items():
        if method["Integration"]["Type"] == "MOCK":
            (answer,) = method["Integration"]["IntegrationResponses"]
            assert method["Integration"]["ContentHandling"] == "CONVERT_TO_TEXT", key
            assert answer["ContentHandling"] == "CONVERT_TO_TEXT", key
            request = json.loads(method["Integration"]["RequestTemplates"]["application/json"])
            assert answer["StatusCode"] == str(request["statusCode"])


@environments
def test_a_preflight_is_answered_as_by_the_embedded_home(env: str) -> None:
    by_path = {path for _, path in methods(env)}
    for path in by_path:
        own = sorted(method for method, other in methods(env) if other == path and method != "OPTIONS")
        options = methods(env)["OPTIONS", path]
        (answer,) = options["Integration"]["IntegrationResponses"]
        assert answer["StatusCode"] == "204"
        assert headers_of(answer) == dict([*COMMON_HEADERS, *preflight(own).headers]), path
        (declared,) = options["MethodResponses"]
        assert declared["ResponseParameters"].keys() == answer["ResponseParameters"].keys()


@environments
def test_the_status_says_that_it_is_well_and_no_more(env: str) -> None:
    (answer,) = methods(env)["GET", "/health"]["Integration"]["IntegrationResponses"]
    assert answer["StatusCode"] == "200"
    assert answer["ResponseTemplates"] == {"application/json": '{"status":"ok"}'}
    assert headers_of(answer) == dict(COMMON_HEADERS)


@environments
def test_errors_get_headers_that_browsers_may_read_and_keep_their_bodies(env: str) -> None:
    found = {
        response["Properties"]["ResponseType"]: response["Properties"]
        for response in resources(template(env), "AWS::ApiGateway::GatewayResponse").values()
    }
    common = {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in COMMON_HEADERS}
    assert found.keys() == {"DEFAULT_4XX", "DEFAULT_5XX", "THROTTLED"}
    assert found["DEFAULT_4XX"]["ResponseParameters"] == common
    assert found["DEFAULT_5XX"]["ResponseParameters"] == common
    assert found["THROTTLED"]["ResponseParameters"] == common | {"gatewayresponse.header.Retry-After": "'1'"}
    for response in found.values():
        assert "ResponseTemplates" not in response


@environments
def test_the_accounts_role_for_logs_is_made_only_where_it_is_asked_for(env: str) -> None:
    assert resources(template(env), "AWS::ApiGateway::Account") == {}


def test_the_accounts_role_stays_when_the_stack_goes() -> None:
    asked = template("dev", "api_gateway_account_role=true", "config_recorder=true", "alarm_email=ops@example.com")
    (account,) = resources(asked, "AWS::ApiGateway::Account").values()
    (stage,) = resources(asked, "AWS::ApiGateway::Stage").values()
    role = resources(asked, "AWS::IAM::Role")["ApiAccountRole"]
    assert account["Properties"]["CloudWatchRoleArn"] == "{ApiAccountRole.Arn}"
    assert account["DeletionPolicy"] == role["DeletionPolicy"] == "Retain"
    assert any(name.startswith("ApiAccount") for name in stage["DependsOn"])


def headers_of(answer: dict[str, Any]) -> dict[str, str]:
    return {
        name.removeprefix("method.response.header."): value.strip("'")
        for name, value in answer["ResponseParameters"].items()
    }
