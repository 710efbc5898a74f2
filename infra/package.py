"""The functions' code: the built package where there is one, else the sources, which are enough to look at a template."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from aws_cdk import aws_lambda as lambda_

from infra.profiles import Profile

ROOT = Path(__file__).parent.parent


class Package(NamedTuple):
    """A folder that becomes the functions' code; without its dependencies it cannot run."""

    folder: Path
    is_deployable: bool

    @property
    def code(self) -> lambda_.Code:
        """The folder as a CDK asset."""
        return lambda_.Code.from_asset(str(self.folder), exclude=["**/__pycache__", "**/*.pyc"])


def package_folder(profile: Profile) -> Path:
    """Where ``make package`` puts the code for the profile's architecture."""
    return ROOT / "build" / f"lambda-{profile.architecture}"


def package_of(profile: Profile) -> Package:
    """What was built for the profile, or the source folder."""
    built = package_folder(profile)
    return Package(built, is_deployable=True) if built.is_dir() else Package(ROOT / "src", is_deployable=False)
