"""Backups beside point-in-time recovery: once a day, in a vault of their own, which outlives the table."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_backup as backup
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.removal import removal_policy
from infra.constructs.table import LogTable
from infra.profiles import Profile

HOUR_UTC = 5
MANAGED_POLICY = "service-role/AWSBackupServiceRolePolicyForBackup"


class Backups(Construct):
    """The vault, the plan, and the log table as the one thing that it saves."""

    def __init__(self, scope: Construct, profile: Profile, table: LogTable, key: kms.IKey) -> None:
        super().__init__(scope, "Backups")
        vault = backup.BackupVault(
            self,
            "Vault",
            backup_vault_name=profile.named(f"backups-{_part_of_stack_id(self)}"),
            encryption_key=key,
            removal_policy=removal_policy(profile),
        )
        plan = backup.BackupPlan(self, "Plan", backup_plan_name=profile.named("daily"), backup_vault=vault)
        plan.add_rule(
            backup.BackupPlanRule(
                rule_name="daily",
                schedule_expression=events.Schedule.cron(hour=str(HOUR_UTC), minute="0"),
                start_window=cdk.Duration.hours(1),
                completion_window=cdk.Duration.hours(8),
                delete_after=cdk.Duration.days(profile.backup_retention_days),
            )
        )
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
            description=f"With which AWS Backup saves the log table of {profile.prefix}.",
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(MANAGED_POLICY)],
        )
        plan.add_selection(
            "LogTable",
            backup_selection_name=profile.named("log-table"),
            resources=[backup.BackupResource.from_arn(table.arn)],
            role=role,
            disable_default_backup_policy=True,
        )


def _part_of_stack_id(scope: Construct) -> str:
    """Eight digits that no other stack has: a vault that was left behind keeps its name."""
    uuid = cdk.Fn.select(2, cdk.Fn.split("/", cdk.Stack.of(scope).stack_id))
    return cdk.Fn.select(0, cdk.Fn.split("-", uuid))
