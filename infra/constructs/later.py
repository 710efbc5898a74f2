"""The parts for later, all off by default: the table's stream, OpenSearch, Athena over Parquet, replica regions.

``add_later_parts`` is the one hook: the stack calls it once, last, with what the parts need. A part that is off leaves
no resource behind. Search and analytics are fed by the stream, so they cannot be on without it.
"""

from __future__ import annotations

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.table import LogTable
from infra.package import Package
from infra.profiles import Profile, Refused


def check_later_parts(profile: Profile) -> None:
    """Raise ``Refused``, saying what to set, where the profile asks for a part without what feeds it."""
    asked = [part for part in ("search", "analytics") if getattr(profile, part)]
    if asked and not profile.stream:
        raise Refused(f"{' and '.join(asked)} cannot do without the table's stream: set stream to true, too.")


def add_later_parts(
    scope: Construct, profile: Profile, *, table: LogTable, key: kms.IKey, topic: sns.ITopic, package: Package
) -> None:
    """Add what the profile switches on. Raises ``Refused``.

    ``key`` is the CMK of everything at rest, ``topic`` where alarms go, ``package`` the functions' code.
    """
    check_later_parts(profile)
