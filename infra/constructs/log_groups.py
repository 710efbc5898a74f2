"""Log groups, made before anybody writes to them: who writes first otherwise makes one unencrypted and without end."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.profiles import Profile

_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}


def log_group(scope: Construct, name: str, profile: Profile, key: kms.IKey) -> logs.LogGroup:
    """A group under the environment's key, with its retention.

    It goes with the stack whatever the profile says: its lines live for days only, and a group that stayed behind would
    keep the stack from being made again.
    """
    return logs.LogGroup(
        scope,
        "LogGroup",
        log_group_name=name,
        encryption_key=key,
        retention=_RETENTION[profile.log_retention_days],
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )
