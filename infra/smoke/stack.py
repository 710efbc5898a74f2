"""The deployed stack: its outputs, its resources by type, and clients for the services behind them.

Everything is looked up in CloudFormation; no name of a resource is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from infra.assumptions import Signer
from infra.profiles import Profile

_PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=20)
_SETTLED = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"})


class NoStack(Exception):
    """There is no such stack, or it is not in a state to be asked; the message says what to do."""


class Stack:
    """One environment as it is deployed. ``profile`` is what it was deployed with."""

    def __init__(self, session: Session, region: str, profile: Profile) -> None:
        self._session = session
        self.region = region
        self.profile = profile
        self.client = cache(self._client)

    @property
    def table(self) -> str:
        """The table of logs that is in use."""
        return self.outputs["TableName"]

    @property
    def endpoint(self) -> str:
        """Where the API is."""
        return self.outputs["Endpoint"]

    @property
    def caller_policies(self) -> Mapping[Signer, str]:
        """The managed policies for callers who may do less than everything."""
        return {"ingest_only": self.outputs["IngestOnlyPolicyArn"], "read_only": self.outputs["ReadOnlyPolicyArn"]}

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs by key. Raises ``NoStack``."""
        name = self.profile.prefix
        try:
            (stack,) = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise NoStack(
                f"There is no stack {name} in {self.region}: run make deploy ENV={self.profile.environment}, or name "
                "another --region or --profile."
            ) from None
        if stack["StackStatus"] not in _SETTLED:
            raise NoStack(f"The stack {name} is in the state {stack['StackStatus']}: wait, or look at its events.")
        return {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}

    @cached_property
    def _resources(self) -> list[dict[str, Any]]:
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        return [
            each
            for page in pages.paginate(StackName=self.profile.prefix)
            for each in page["StackResourceSummaries"]
            if not each["ResourceStatus"].startswith("DELETE")
        ]

    def resources(self, kind: str) -> list[str]:
        """The physical ids of the stack's resources of a type, such as ``AWS::Logs::LogGroup``."""
        return [each["PhysicalResourceId"] for each in self._resources if each["ResourceType"] == kind]

    def _client(self, service: str) -> Any:
        return self._session.create_client(service, region_name=self.region, config=_PATIENT)
