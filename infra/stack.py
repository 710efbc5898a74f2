"""One deployment of the AWS home, wired from top to bottom."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.checks import acknowledge_findings
from infra.constructs.api import Api
from infra.constructs.audit import Audit
from infra.constructs.backups import Backups
from infra.constructs.compliance import Compliance
from infra.constructs.encryption import EncryptionKey
from infra.constructs.functions import Functions
from infra.constructs.identity import CallerPolicies
from infra.constructs.later import add_later_parts
from infra.constructs.monitoring import Monitoring
from infra.constructs.notifications import Notifications
from infra.constructs.table import LogTable
from infra.package import Package
from infra.profiles import Profile


class LogServiceStack(cdk.Stack):
    """All of one environment. It fits any account and region: the CDK fills them in when it is deployed.

    ``package`` is what its functions run.
    """

    def __init__(self, scope: Construct, profile: Profile, package: Package) -> None:
        super().__init__(
            scope,
            profile.prefix,
            stack_name=profile.prefix,
            description=f"Simple Log Service, {profile.environment}",
            # The CDK's own check of its bootstrap would be the template's only parameter and rule.
            synthesizer=cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
        )
        self.package = package
        for name, value in profile.tags.items():
            cdk.Tags.of(self).add(name, value)

        key = EncryptionKey(self, profile).key
        topic = Notifications(self, profile, key).topic
        table = LogTable(self, profile, key)
        functions = Functions(self, profile, table, key, package)
        api = Api(self, profile, functions, key)
        callers = CallerPolicies(self, profile, api.rest)
        Monitoring(self, profile, table, topic)
        Compliance(self, profile, topic, key)
        Audit(self, profile, table, key)
        Backups(self, profile, table, key)
        add_later_parts(self, profile, table=table, key=key, topic=topic, package=package)
        acknowledge_findings(self, profile.environment)

        self._tell("Endpoint", api.endpoint)
        self._tell("Region", self.region)
        self._tell("TableName", table.name)
        self._tell("KeyArn", key.key_arn)
        self._tell("TopicArn", topic.topic_arn)
        self._tell("IngestOnlyPolicyArn", callers.ingest_only.managed_policy_arn)
        self._tell("ReadOnlyPolicyArn", callers.read_only.managed_policy_arn)
        self._tell("IngestAndReadPolicyArn", callers.ingest_and_read.managed_policy_arn)

    def _tell(self, name: str, value: str) -> None:
        """What a deployment answers with: see ``infra.outputs``."""
        cdk.CfnOutput(self, name, value=value)
