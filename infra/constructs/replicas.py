"""Replica regions of the log table: DynamoDB global tables, version 2019.11.21.

A replica is encrypted with a key of its own region. A stack there makes that key, under an alias that is known in
advance, and the table names it by that alias: the main stack reads nothing from the other one, it only waits for it.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.removal import removal_policy
from infra.constructs.table import LogTable
from infra.profiles import SERVICE, Profile


def add_replicas(table: LogTable, profile: Profile) -> None:
    """Give the table a replica in each of the profile's regions, and each region a stack with its key."""
    stack, app = cdk.Stack.of(table), cdk.Stage.of(table)
    assert app is not None
    for region in profile.replica_regions:
        home = ReplicaKeyStack(app, profile, region)
        stack.add_stack_dependency(home, "the replica is sealed with this key")
        # DynamoDB takes an alias where it takes a key (AWS::DynamoDB::GlobalTable ReplicaSSESpecification).
        alias = stack.format_arn(service="kms", region=region, resource=home.alias)
        table.add_replica(region, alias)


class ReplicaKeyStack(cdk.Stack):
    """The key of one replica region, and nothing else; ``alias`` is the same in every region."""

    def __init__(self, scope: Construct, profile: Profile, region: str) -> None:
        name = profile.named(f"replica-{region}")
        super().__init__(
            scope, name, stack_name=name, env=cdk.Environment(region=region), description="Simple Log Service"
        )
        self.alias = f"alias/{profile.named('replica')}"
        cdk.Tags.of(self).add("service", SERVICE)
        cdk.Tags.of(self).add("environment", profile.environment)
        kms.Key(
            self,
            "Key",
            alias=self.alias,
            description=f"Seals the replica of {profile.named('logs')} in {region}.",
            enable_key_rotation=True,
            pending_window=cdk.Duration.days(30),
            removal_policy=removal_policy(profile),
        )
