"""The CDK app: the stacks of the environments that ``-c env=...`` names, dev and prod without it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import aws_cdk as cdk

from infra.checks import check_by_rules
from infra.package import package_of
from infra.profiles import PROFILES, profile_of
from infra.stack import LogServiceStack

FLAGS = {
    "@aws-cdk/core:validateAgainstDefaultRules": True,
    "aws:cdk:enable-path-metadata": False,
    "aws:cdk:version-reporting": False,
}


def build(context: Mapping[str, object], outdir: Path | None = None) -> cdk.App:
    """The app, with cdk-nag's checks plugged in. ``context`` is added to what the CDK's own command line gives."""
    app = cdk.App(
        context={**FLAGS, **context}, outdir=None if outdir is None else str(outdir), analytics_reporting=False
    )
    given = app.node.get_all_context()
    environments = [str(given["env"])] if "env" in given else list(PROFILES)
    for environment in environments:
        profile = profile_of(environment, given)
        LogServiceStack(app, profile, package_of(profile))
    check_by_rules(app)
    return app


def written(app: cdk.App) -> Iterator[str]:
    """What the synthesis wrote, for people: a line for each template, and one where it cannot be deployed yet."""
    for stack in app.node.children:
        if isinstance(stack, LogServiceStack):
            file = Path(app.outdir) / stack.template_file
            resources = json.loads(file.read_text())["Resources"]
            yield f"{os.path.relpath(file)}: {len(resources)} resources"
            if not stack.package.is_deployable:
                yield "No package is built, so this cannot be deployed: first `make package`."
