"""Replica regions of the log table: DynamoDB global tables, version 2019.11.21.

CloudFormation knows two kinds of tables, and only ``AWS::DynamoDB::GlobalTable`` has replicas. ``replicate`` says what the
table says in that kind's terms: nothing of the table is decided here. A replica is encrypted with a key of its own
region; a stack there makes that key, under an alias that is known in advance.

The kind of a table that is there cannot be changed: CloudFormation refuses, before anything is touched.
"""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.table import LogTable
from infra.profiles import Profile
from infra.removal import removal_policy

Global = dynamodb.CfnGlobalTable


def replica_alias(profile: Profile) -> str:
    """The alias of the key of a replica, the same in every region."""
    return f"alias/{profile.named('replica')}"


def replicate(table: LogTable, profile: Profile) -> dynamodb.CfnGlobalTable | None:
    """Turn the table into one with a replica in each of the profile's regions, and make a stack with a key for each.

    The table's scaling becomes the new table's own, since a global table scales by itself. Nothing is done with a
    restored table, which is not the stack's to change.
    """
    plain = table.resource
    if plain is None:
        return None
    stack = cdk.Stack.of(table)
    made = _global_table(table, plain, profile)
    made.apply_removal_policy(removal_policy(profile))
    for child in table.node.children:
        if child is plain or isinstance(child, scaling.ScalableTarget):
            table.node.try_remove_child(child.node.id)
    for region in profile.replica_regions:
        stack.add_dependency(ReplicaKeyStack(stack.node.scope or stack, profile, region), "a replica is under this key")
    return made


def _global_table(scope: Construct, plain: dynamodb.CfnTable, profile: Profile) -> dynamodb.CfnGlobalTable:
    stack = cdk.Stack.of(scope)
    said: dict[str, Any] = stack.resolve(plain._to_cloud_formation())  # noqa: SLF001
    return Global(scope, "GlobalLogs", replicas=[said], attribute_definitions=[], key_schema=[])


class ReplicaKeyStack(cdk.Stack):
    """The key of one replica region, and nothing else."""

    def __init__(self, scope: Construct, profile: Profile, region: str) -> None:
        name = profile.named(f"replica-{region}")
        super().__init__(
            scope, name, stack_name=name, env=cdk.Environment(region=region), description="Simple Log Service"
        )
        kms.Key(
            self,
            "Key",
            alias=replica_alias(profile),
            description=f"Seals the replica of {profile.named('logs')} in {region}.",
            enable_key_rotation=True,
            pending_window=cdk.Duration.days(30),
            removal_policy=removal_policy(profile),
        )
