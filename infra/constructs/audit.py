"""Who did what: a CloudTrail trail of this region, with accesses to the log table where the profile says so."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.buckets import let_write, sealed_bucket
from infra.constructs.encryption import AUDIT_TRAIL
from infra.constructs.table import LogTable
from infra.profiles import Profile

KEEP_DAYS = 365
PREFIX = "trail"

Trail = cloudtrail.CfnTrail


class Audit(Construct):
    """The trail and its bucket. Whether its files are as they were written can be validated."""

    def __init__(self, scope: Construct, profile: Profile, table: LogTable, key: kms.IKey) -> None:
        super().__init__(scope, "Audit")
        name = profile.named(AUDIT_TRAIL)
        arn = cdk.Stack.of(self).format_arn(service="cloudtrail", resource="trail", resource_name=name)
        bucket = sealed_bucket(self, key, keep_days=KEEP_DAYS)
        let_write(bucket, "cloudtrail.amazonaws.com", PREFIX, arn)
        trail = Trail(
            self,
            "Trail",
            trail_name=name,
            s3_bucket_name=bucket.bucket_name,
            s3_key_prefix=PREFIX,
            kms_key_id=key.key_arn,
            is_logging=True,
            enable_log_file_validation=True,
            include_global_service_events=True,
            is_multi_region_trail=False,
            advanced_event_selectors=_selectors(profile, table),
        )
        assert bucket.policy is not None
        # CloudTrail tries the bucket when the trail is made.
        trail.node.add_dependency(bucket.policy)


def _selectors(profile: Profile, table: LogTable) -> list[Trail.AdvancedEventSelectorProperty]:
    management = _selector("management", {"eventCategory": "Management"})
    accesses = _selector(
        "log table",
        {"eventCategory": "Data", "resources.type": "AWS::DynamoDB::Table", "resources.ARN": table.arn},
    )
    return [management, accesses] if profile.table_data_events else [management]


def _selector(name: str, equal: dict[str, str]) -> Trail.AdvancedEventSelectorProperty:
    fields = [Trail.AdvancedFieldSelectorProperty(field=field, equal_to=[value]) for field, value in equal.items()]
    return Trail.AdvancedEventSelectorProperty(name=name, field_selectors=fields)
