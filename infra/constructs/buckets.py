"""Buckets for what AWS itself writes: encrypted, versioned, closed to the public and to plain HTTP."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct


def sealed_bucket(scope: Construct, key: kms.IKey, *, keep_days: int) -> s3.Bucket:
    """A bucket under the environment's key whose objects go after so many days.

    It stays when the stack goes, since a bucket that holds something cannot go. CloudFormation makes up its name, from
    the stack's, so that one left behind is in nobody's way.
    """
    return s3.Bucket(
        scope,
        "Bucket",
        encryption=s3.BucketEncryption.KMS,
        encryption_key=key,
        bucket_key_enabled=True,
        versioned=True,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="expire",
                expiration=cdk.Duration.days(keep_days),
                noncurrent_version_expiration=cdk.Duration.days(keep_days),
                abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
            )
        ],
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )


def let_write(bucket: s3.Bucket, service: str, prefix: str, source_arn: str | None) -> None:
    """Have an AWS service put objects under ``prefix/AWSLogs/`` of this account, and look whether it may.

    The form is CloudTrail's and Config's (their guides' bucket policies); ``source_arn`` narrows it to one resource.
    """
    account = cdk.Stack.of(bucket).account
    origin = {"aws:SourceAccount": account} | ({"aws:SourceArn": source_arn} if source_arn else {})
    principal = iam.ServicePrincipal(service)
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[principal],
            actions=["s3:GetBucketAcl", "s3:ListBucket"],
            resources=[bucket.bucket_arn],
            conditions={"StringEquals": origin},
        )
    )
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[principal],
            actions=["s3:PutObject"],
            resources=[bucket.arn_for_objects(f"{prefix}/AWSLogs/{account}/*")],
            conditions={"StringEquals": origin | {"s3:x-amz-acl": "bucket-owner-full-control"}},
        )
    )
