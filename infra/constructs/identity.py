"""What callers are given: managed policies to attach to their roles, for sending, for reading, and for both.

Each also denies long-lived keys: their requests carry no token, so no time at which one was issued (IAM User Guide,
"AWS global condition context keys"). A deny wins over whatever else a caller has.
"""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.profiles import Profile
from simple_log_service.api.routes import METRICS, ROUTES, Route

INVOKE = "execute-api:Invoke"
SENDING = tuple(route for route in ROUTES if route.method == "POST")
READING = tuple(route for route in ROUTES if route.method == "GET" and route.needs_identity and route != METRICS)


class CallerPolicies(Construct):
    """``ingest_only``, ``read_only`` and ``ingest_and_read``."""

    def __init__(self, scope: Construct, profile: Profile, rest: apigateway.RestApi) -> None:
        super().__init__(scope, "Callers")
        self._profile = profile
        self._rest = rest
        self.ingest_only = self._policy("ingest-only", "send logs to", SENDING)
        self.read_only = self._policy("read-only", "read the logs of", READING)
        self.ingest_and_read = self._policy("ingest-and-read", "send logs to and read those of", SENDING + READING)

    def _policy(self, part: str, may: str, routes: Sequence[Route]) -> iam.ManagedPolicy:
        stage = self._profile.environment
        arns = [
            self._rest.arn_for_execute_api(route.method, route.path.replace("{service_name}", "*"), stage)
            for route in routes
        ]
        return iam.ManagedPolicy(
            self,
            part.title().replace("-", ""),
            # IAM knows no regions: without one in the name a second region's deployment would clash.
            managed_policy_name=f"{self._profile.named(part)}-{cdk.Stack.of(self).region}",
            description=f"May {may} {self._profile.prefix}, with temporary credentials.",
            statements=[
                iam.PolicyStatement(actions=[INVOKE], resources=arns),
                iam.PolicyStatement(
                    effect=iam.Effect.DENY,
                    actions=[INVOKE],
                    resources=[self._rest.arn_for_execute_api("*", "/*", stage)],
                    conditions={"Null": {"aws:TokenIssueTime": "true"}},
                ),
            ],
        )
