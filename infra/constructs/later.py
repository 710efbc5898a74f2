"""The parts for later, all off by default: the table's stream, OpenSearch, Athena over Parquet, replica regions.

``add_later_parts`` is the one hook: the stack calls it once, last, with what the parts need. A part that is off leaves
no resource behind. Search and analytics are fed by the stream, so they cannot be on without it.
"""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct, IConstruct

from infra.constructs.analytics import Analytics
from infra.constructs.replicas import add_replicas
from infra.constructs.search import Search
from infra.constructs.streaming import Consumer, TableStream
from infra.constructs.table import LogTable
from infra.constructs.watching import watch
from infra.package import Package
from infra.profiles import Profile, Refused


def add_later_parts(
    scope: Construct, profile: Profile, *, table: LogTable, key: kms.IKey, topic: sns.ITopic, package: Package
) -> None:
    """Add what the profile switches on. Raises ``Refused`` where it asks for a part without what feeds it.

    ``key`` is the CMK of everything at rest, ``topic`` where alarms go, ``package`` the functions' code.
    """
    _check(profile)
    if profile.replica_regions and table.resource is None:
        cdk.Annotations.of(table).add_warning_v2(
            f"{profile.prefix}:restored-table",
            "A restored table is not the stack's to change: docs/LATER_PARTS.md says how it gets its replicas again.",
        )
    elif profile.replica_regions:
        add_replicas(table, profile)
    if profile.stream:
        _add_stream(scope, profile, table, key, topic, package)


def _check(profile: Profile) -> None:
    asked = [part for part in ("search", "analytics") if getattr(profile, part)]
    if asked and not profile.stream:
        raise Refused(f"{' and '.join(asked)} cannot do without the table's stream: set stream to true, too.")
    if len(set(profile.replica_regions)) < len(profile.replica_regions):
        raise Refused("replica_regions names a region twice.")


def _add_stream(
    scope: Construct, profile: Profile, table: LogTable, key: kms.IKey, topic: sns.ITopic, package: Package
) -> None:
    stream = TableStream(scope, profile, key)
    if table.resource is not None:
        # A restored table got the streams of the one before it when it was restored.
        table.send_changes_to(stream.resource.attr_arn)
    sinks: list[Search | Analytics] = []
    if profile.search:
        sinks.append(Search(scope, profile, key))
    if profile.analytics:
        sinks.append(Analytics(scope, profile, key))
    parts: list[TableStream | Search | Analytics | Consumer] = [stream, *sinks]
    if sinks:
        may = [statement for sink in sinks for statement in sink.may]
        tells = {name: value for sink in sinks for name, value in sink.tells.items()}
        parts.append(Consumer(scope, profile, table, key, package, stream=stream, may=may, tells=tells))
    for part in parts:
        _acknowledge(part, part.findings)
        watch(part, profile, topic, part.rules)


def _acknowledge(part: IConstruct, findings: Mapping[str, str]) -> None:
    """Of cdk-nag's AwsSolutions rules those that the part is left to break, each with its reason."""
    for rule, reason in findings.items():
        cdk.Validations.of(part).acknowledge(cdk.Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason))
