"""What cdk-nag's AwsSolutions rules find and we leave so, each with its reason. A finding that is not here fails the synthesis."""

from __future__ import annotations

from typing import NamedTuple

import aws_cdk as cdk


class Acknowledged(NamedTuple):
    """A rule that does not bind one construct and what it holds; ``path`` is the construct's, within the stack."""

    path: str
    rule: str
    reason: str


ACKNOWLEDGED: tuple[Acknowledged, ...] = (
    Acknowledged(
        "Functions",
        "AwsSolutions-IAM5[Resource::*]",
        "X-Ray's PutTraceSegments and PutTelemetryRecords know no resources to name; nothing else is allowed on *.",
    ),
    Acknowledged(
        "Functions",
        "AwsSolutions-L1",
        "Python 3.11 is what was asked for, supported until 2027-06-30; python_version chooses a newer one.",
    ),
    Acknowledged(
        "Api",
        "AwsSolutions-APIG2",
        "The validator checks parameters alone: a body model would refuse a whole batch for one bad record.",
    ),
    Acknowledged(
        "Api",
        "AwsSolutions-APIG3",
        "Every route but the status needs a signature, and the stage throttles; a web ACL costs more than the service.",
    ),
    Acknowledged(
        "Api/Rest/Default/health",
        "AwsSolutions-APIG4",
        "The status is open to load balancers and says nothing else; the gateway answers it by itself.",
    ),
    Acknowledged(
        "Api",
        "AwsSolutions-COG4",
        "Callers are programs with IAM's temporary credentials (AWS_IAM, Signature Version 4), not people with passwords.",
    ),
)


def acknowledge_findings(stack: cdk.Stack) -> None:
    """Apply the table to a stack; an entry whose construct is not part of this deployment is left out."""
    for entry in ACKNOWLEDGED:
        construct = _find(stack, entry.path)
        if construct is not None:
            cdk.Validations.of(construct).acknowledge(
                cdk.Acknowledgment(id=f"AwsSolutions::{entry.rule}", reason=entry.reason)
            )


def _find(stack: cdk.Stack, path: str) -> cdk.IConstruct | None:
    found = stack
    for part in path.split("/"):
        found = found.node.try_find_child(part)
        if found is None:
            return None
    return found
