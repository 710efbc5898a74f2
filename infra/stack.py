"""One deployment of the AWS home, wired from top to bottom."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.acknowledgements import acknowledge_findings
from infra.constructs.api import Api
from infra.constructs.encryption import EncryptionKey
from infra.constructs.functions import Functions
from infra.constructs.table import LogTable
from infra.package import Package
from infra.profiles import Profile


class LogServiceStack(cdk.Stack):
    """All of one environment. It fits any account and region: the CDK fills them in when it is deployed."""

    def __init__(self, scope: Construct, profile: Profile, package: Package) -> None:
        super().__init__(scope, profile.prefix, stack_name=profile.prefix, description="Simple Log Service")
        key = EncryptionKey(self, profile).key
        table = LogTable(self, profile, key)
        functions = Functions(self, profile, table, key, package)
        Api(self, profile, functions, key)
        acknowledge_findings(self)
