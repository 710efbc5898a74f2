"""What looks over every template before it can be deployed: cdk-nag's AwsSolutions rules."""

from __future__ import annotations

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct

from infra.acknowledgements import ACKNOWLEDGED


def check_by_rules(app: cdk.App) -> None:
    """Have the synthesis of the app fail where a stack breaks a rule that is not acknowledged."""
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def acknowledge_findings(stack: cdk.Stack, environment: str) -> None:
    """Apply the table to a stack; an entry whose construct is not part of this deployment is left out."""
    for entry in ACKNOWLEDGED:
        construct = _find(stack, entry.path)
        if construct is not None:
            rule = entry.rule.replace("{environment}", environment)
            cdk.Validations.of(construct).acknowledge(
                cdk.Acknowledgment(id=f"AwsSolutions::{rule}", reason=entry.reason)
            )


def _find(stack: cdk.Stack, path: str) -> IConstruct | None:
    found: IConstruct | None = stack
    for part in path.split("/"):
        if found is None:
            return None
        found = found.node.try_find_child(part)
    return found
