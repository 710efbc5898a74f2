"""What becomes of what is stored when the stack goes."""

from __future__ import annotations

import aws_cdk as cdk

from infra.profiles import Profile


def removal_policy(profile: Profile) -> cdk.RemovalPolicy:
    """The profile's choice in the CDK's terms."""
    return cdk.RemovalPolicy.DESTROY if profile.removal_policy == "destroy" else cdk.RemovalPolicy.RETAIN
