"""The AWS home on one machine: a gateway made of the synthesized template, its functions, and a DynamoDB engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from contract.http_caller import Caller
from contract.http_home import AnyHome, Route
from simple_log_service.api.signer import Credentials
from simple_log_service.server.access_keys import policy_document
from support.api_template import ACCOUNT, Deployment
from support.dynalite import create_table, delete_table
from support.gateway import Gateway, local_gateway
from support.synthesized import template

SESSION_SECONDS = 3600


class AwsHome(AnyHome):
    """The gateway and all behind it. Its callers have temporary credentials, as the AWS home requires."""

    account = ACCOUNT
    secure = True
    own_routes: Mapping[str, Route] = {}

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._admin = self.key()

    @property
    def endpoint(self) -> str:
        return self.gateway.url

    @property
    def admin(self) -> Caller:
        return self.caller(self._admin)

    def restart(self) -> None:
        """New containers: what the functions know must be in the table."""
        for function in self.gateway.functions.values():
            function.retire_containers()

    def key(
        self, policy: str | Mapping[str, Any] = "admin", *, expires_in_seconds: int | None = None, name: str = "tests"
    ) -> Credentials:
        document = self._policy(policy) if isinstance(policy, str) else policy
        return self.gateway.key(document, name=name, expires_in_seconds=expires_in_seconds or SESSION_SECONDS)

    def _policy(self, name: str) -> Mapping[str, Any]:
        """The template's own where it has one of that kind."""
        found = (each for full, each in self.gateway.deployment.policies.items() if f"-{name}-only-" in full)
        return next(found, None) or policy_document(name)

    def arn(self, method: str, path: str) -> str:
        return self.gateway.arn(method, path)


@contextmanager
def running_aws_home(
    dynamodb_url: str, *, environ: Mapping[str, str] | None = None, **changes: Any
) -> Iterator[AwsHome]:
    """An empty home over a table of its own in the engine at that URL, gone afterwards.

    ``changes`` replace what the template says of the deployment, ``environ`` what it says of the functions' variables.
    """
    table_name = f"logs-{uuid4().hex}"
    create_table(dynamodb_url, table_name)
    variables = {
        **(environ or {}),
        "SIMPLE_LOG_SERVICE_TABLE_NAME": table_name,
        "SIMPLE_LOG_SERVICE_DYNAMODB_ENDPOINT_URL": dynamodb_url,
    }
    try:
        with local_gateway(Deployment.of(template("dev"))._replace(**changes), variables) as gateway:
            yield AwsHome(gateway)
    finally:
        delete_table(dynamodb_url, table_name)
