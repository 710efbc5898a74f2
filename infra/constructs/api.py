"""The REST API: the routes of ``api.routes``, checked by IAM, answered by the two functions.

Bodies pass as bytes (``binaryMediaTypes`` ``*/*``): as text they would grow past Lambda's 6 MB. What the gateway
answers by itself, preflights and /health, must then be turned into text first, or it is a 500. Error answers get
headers and keep their bodies: a body template of ours would rename ``Message``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.functions import Functions
from infra.constructs.log_groups import log_group
from infra.profiles import Profile
from simple_log_service.api.cors import COMMON_HEADERS, preflight
from simple_log_service.api.routes import HEALTH, METRICS, ROUTES
from simple_log_service.core.limits import THROTTLE_BURST_DEFAULT, THROTTLE_RATE_DEFAULT

HEALTHY = {"status": "ok"}
THROTTLED_RETRY_SECONDS = 1
_CONTEXT_LOGGED = {
    "request_id": "requestId",
    "time": "requestTimeEpoch",
    "source_ip": "identity.sourceIp",
    "caller": "identity.userArn",
    "method": "httpMethod",
    "resource": "resourcePath",
    "status": "status",
    "error_type": "error.responseType",
    "tls": "tlsVersion",
    "response_bytes": "responseLength",
    "answer_ms": "responseLatency",
    "function_ms": "integrationLatency",
    "trace": "xrayTraceId",
}
"""Members of an access log line, and the gateway's names of what they hold. Paths stay out: they name services."""


class Api(Construct):
    """``rest`` is the API; its stage bears the environment's name."""

    def __init__(self, scope: Construct, profile: Profile, functions: Functions, key: kms.IKey) -> None:
        super().__init__(scope, "Api")
        self.rest = apigateway.RestApi(
            self,
            "Rest",
            rest_api_name=profile.named("api"),
            description=f"POST /logs, GET /logs/recent and GET /logs/stats of {profile.prefix}.",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            binary_media_types=["*/*"],
            cloud_watch_role=False,
            deploy_options=self._stage_options(profile, key),
        )
        self.endpoint = self.rest.url.rstrip("/")
        # The L2 construct says its endpoint by an output with a made-up name; the stack says it by its own.
        self.rest.node.try_remove_child("Endpoint")
        _resource_of(self.rest).security_policy = "TLS_1_2"
        self._log_executions(profile, key)
        validator = self.rest.add_request_validator(
            "Parameters",
            request_validator_name=profile.named("parameters"),
            validate_request_parameters=True,
            validate_request_body=False,
        )
        self._add_routes({"POST": functions.ingest, "GET": functions.read}, validator)
        self._add_error_headers()
        if profile.api_gateway_account_role:
            self._account_role()

    def _stage_options(self, profile: Profile, key: kms.IKey) -> apigateway.StageOptions:
        access = log_group(Construct(self, "Access"), f"/aws/apigateway/{profile.named('access')}", profile, key)
        line = json.dumps({member: f"$context.{name}" for member, name in _CONTEXT_LOGGED.items()})
        return apigateway.StageOptions(
            stage_name=profile.environment,
            throttling_rate_limit=THROTTLE_RATE_DEFAULT,
            throttling_burst_limit=THROTTLE_BURST_DEFAULT,
            access_log_destination=apigateway.LogGroupLogDestination(access),
            access_log_format=apigateway.AccessLogFormat.custom(line),
            logging_level=apigateway.MethodLoggingLevel.ERROR,
            data_trace_enabled=False,
            metrics_enabled=True,
            tracing_enabled=True,
        )

    def _log_executions(self, profile: Profile, key: kms.IKey) -> None:
        """The gateway makes this group at the first request, unless it is there: then it keeps key and retention."""
        name = f"API-Gateway-Execution-Logs_{self.rest.rest_api_id}/{profile.environment}"
        self.rest.deployment_stage.node.add_dependency(log_group(Construct(self, "Executions"), name, profile, key))

    def _add_routes(self, functions: Mapping[str, lambda_.IFunction], validator: apigateway.IRequestValidator) -> None:
        routes = [route for route in ROUTES if route != METRICS]
        for route in routes:
            resource = self.rest.root.resource_for_path(route.path)
            if route == HEALTH:
                resource.add_method(
                    route.method,
                    _canned(200, _headers(COMMON_HEADERS), json.dumps(HEALTHY, separators=(",", ":"))),
                    authorization_type=apigateway.AuthorizationType.NONE,
                    request_validator=validator,
                    method_responses=[_declared(200, _headers(COMMON_HEADERS))],
                )
                continue
            resource.add_method(
                route.method,
                apigateway.LambdaIntegration(functions[route.method], proxy=True, allow_test_invoke=False),
                authorization_type=apigateway.AuthorizationType.IAM,
                request_validator=validator,
            )
        for path in dict.fromkeys(route.path for route in routes):
            methods = sorted(route.method for route in routes if route.path == path)
            headers = _headers([*COMMON_HEADERS, *preflight(methods).headers])
            self.rest.root.resource_for_path(path).add_method(
                "OPTIONS",
                _canned(204, headers, None),
                authorization_type=apigateway.AuthorizationType.NONE,
                request_validator=validator,
                method_responses=[_declared(204, headers)],
            )

    def _add_error_headers(self) -> None:
        """Whoever may not read an error's type can only guess, browsers included."""
        headers = {name: f"'{value}'" for name, value in COMMON_HEADERS}
        for response_type in (apigateway.ResponseType.DEFAULT_4_XX, apigateway.ResponseType.DEFAULT_5_XX):
            self._error_headers(response_type, headers)
        self._error_headers(
            apigateway.ResponseType.THROTTLED, headers | {"Retry-After": f"'{THROTTLED_RETRY_SECONDS}'"}
        )

    def _error_headers(self, response_type: apigateway.ResponseType, headers: Mapping[str, str]) -> None:
        self.rest.add_gateway_response(response_type.response_type, type=response_type, response_headers=headers)

    def _account_role(self) -> None:
        """With which API Gateway writes logs: one for an account and region. It stays, since other APIs may use it."""
        role = iam.Role(
            self,
            "AccountRole",
            assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AmazonAPIGatewayPushToCloudWatchLogs")
            ],
        )
        account = apigateway.CfnAccount(self, "Account", cloud_watch_role_arn=role.role_arn)
        role.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
        account.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
        self.rest.deployment_stage.node.add_dependency(account)


def _canned(status: int, headers: Mapping[str, str], body: str | None) -> apigateway.MockIntegration:
    """An answer that the gateway gives by itself."""
    return apigateway.MockIntegration(
        content_handling=apigateway.ContentHandling.CONVERT_TO_TEXT,
        passthrough_behavior=apigateway.PassthroughBehavior.NEVER,
        request_templates={"application/json": json.dumps({"statusCode": status})},
        integration_responses=[
            apigateway.IntegrationResponse(
                status_code=str(status),
                content_handling=apigateway.ContentHandling.CONVERT_TO_TEXT,
                response_parameters={name: f"'{value}'" for name, value in headers.items()},
                response_templates=None if body is None else {"application/json": body},
            )
        ],
    )


def _declared(status: int, headers: Mapping[str, str]) -> apigateway.MethodResponse:
    return apigateway.MethodResponse(status_code=str(status), response_parameters=dict.fromkeys(headers, True))


def _headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {f"method.response.header.{name}": value for name, value in headers}


def _resource_of(rest: apigateway.RestApi) -> apigateway.CfnRestApi:
    resource = rest.node.default_child
    assert isinstance(resource, apigateway.CfnRestApi)
    return resource
