"""The API as it is deployed: what API Gateway says of its endpoint, its stage, and the account's own limits."""

from __future__ import annotations

from typing import Any

from infra.smoke.findings import Check, checks_of, expect
from infra.smoke.scene import Scene
from simple_log_service.core.limits import THROTTLE_BURST_DEFAULT, THROTTLE_RATE_DEFAULT

EVERY_METHOD = "*/*"


def _stage(scene: Scene) -> dict[str, Any]:
    (api,) = scene.stack.resources("AWS::ApiGateway::RestApi")
    stage: dict[str, Any] = scene.stack.client("apigateway").get_stage(
        restApiId=api, stageName=scene.stack.profile.environment
    )
    return stage


def api(scene: Scene) -> str:
    """The endpoint is regional, wants TLS 1.2, and takes every body as bytes."""
    (name,) = scene.stack.resources("AWS::ApiGateway::RestApi")
    found = scene.stack.client("apigateway").get_rest_api(restApiId=name)
    expect(found["endpointConfiguration"]["types"] == ["REGIONAL"], found["endpointConfiguration"])
    policy = found.get("securityPolicy", "")
    expect("1_0" not in policy and "1_" in policy, f"the security policy is {policy or 'not set'}")
    expect(found.get("binaryMediaTypes") == ["*/*"], found.get("binaryMediaTypes"))
    expect("minimumCompressionSize" not in found, "the gateway would pack and unpack bodies")
    return f"{name}, {policy}"


def throttle(scene: Scene) -> str:
    """The stage throttles at the required rate and burst, and the account allows as much."""
    settings = _stage(scene)["methodSettings"][EVERY_METHOD]
    wanted = (THROTTLE_RATE_DEFAULT, THROTTLE_BURST_DEFAULT)
    found = (settings["throttlingRateLimit"], settings["throttlingBurstLimit"])
    expect(found == wanted, f"rate and burst of the stage are {found}")
    account = scene.stack.client("apigateway").get_account()["throttleSettings"]
    allowed = (account["rateLimit"], account["burstLimit"])
    expect(allowed[0] >= wanted[0] and allowed[1] >= wanted[1], f"rate and burst of the account are {allowed}")
    return f"{found[0]:,.0f} requests a second, {found[1]:,} at once, as the account allows"


def stage(scene: Scene) -> str:
    """The stage logs accesses, counts, and is traced."""
    found = _stage(scene)
    expect(found.get("accessLogSettings", {}).get("destinationArn"), "it has no access log")
    expect(found.get("tracingEnabled"), "it is not traced")
    settings = found["methodSettings"][EVERY_METHOD]
    expect(settings["metricsEnabled"], "it does not count")
    expect(not settings["dataTraceEnabled"], "it writes whole requests into its log")
    return str(found["accessLogSettings"]["destinationArn"])


API_CHECKS: tuple[Check[Scene], ...] = checks_of("api", api, throttle, stage)
