"""The functions' code: the built package if there is one, else the sources, enough to look at a template."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from aws_cdk import aws_lambda as lambda_

from infra.profiles import Profile

ROOT = Path(__file__).parent.parent


class Package(NamedTuple):
    """What becomes the functions' code; the sources, without their dependencies, cannot run."""

    path: Path
    is_deployable: bool

    @property
    def code(self) -> lambda_.Code:
        """The CDK's asset of it: the zip file as it was built, or a folder that the CDK packs."""
        return lambda_.Code.from_asset(str(self.path), exclude=None if self.is_deployable else ["**/__pycache__"])


def package_of(profile: Profile) -> Package:
    """What was built for the profile, or the source folder."""
    built = ROOT / "build" / f"lambda-{profile.architecture}.zip"
    return Package(built, is_deployable=True) if built.is_file() else Package(ROOT / "src", is_deployable=False)
