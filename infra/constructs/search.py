"""OpenSearch: the domain that the consumer indexes records into, and the policy of those who search.

The domain has a public address and lets nobody in but by IAM, signature by signature: the consumer may do what it does,
readers may search. It holds copies alone, and can be thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_opensearchservice as opensearch
from constructs import Construct

from infra.constructs.functions import allow
from infra.constructs.log_groups import log_group
from infra.constructs.watching import UNDER, Rule
from infra.profiles import Profile
from simple_log_service.aws.stream.search_documents import INDEX_PREFIX
from simple_log_service.aws.stream.search_index import BULK_PATH, EXPIRY_PATH, TEMPLATE_PATH

ENGINE = "OpenSearch_2.19"
"""``flat_object`` needs 2.7."""
TLS_POLICY = "Policy-Min-TLS-1-2-PFS-2023-10"
LOGS = {"ES_APPLICATION_LOGS": "errors", "INDEX_SLOW_LOGS": "slow-indexing", "SEARCH_SLOW_LOGS": "slow-searches"}
"""What the domain writes to CloudWatch, and the ends of the groups' names."""


SEARCHES = ("_search", "_count")
"""What readers may ask of an index."""
FINDINGS = {
    "OS1": "In a VPC the consumer would need a NAT gateway or endpoints of five services; IAM checks each request.",
    "OS3": "Lambda and people have no fixed addresses; the domain's policy names the account, IAM its principals.",
    "OS4": "Three dedicated masters cost more than the rest; the domain holds copies of the table's records alone.",
    "OS7": "prod has two nodes in two zones; dev has one node.",
}


class Size(NamedTuple):
    """What a domain is made of."""

    instance_type: str
    nodes: int
    volume_gib: int


SIZES: Mapping[str, Size] = {
    "dev": Size("t3.small.search", nodes=1, volume_gib=10),
    "prod": Size("m6g.large.search", nodes=2, volume_gib=100),
}
"""By environment. Two nodes stand in two zones, each with a copy of everything."""


FREE_SHARE_MIN = 0.2
"""Of a node's volume: the service keeps a part for itself, and takes nothing in below another."""


class Search(Construct):
    """``tells`` is what the consumer has to know, ``may`` what its role has to allow; ``rules`` are the alarms."""

    def __init__(self, scope: Construct, profile: Profile, key: kms.IKey) -> None:
        super().__init__(scope, "Search")
        self.name = profile.prefix
        self.arn = cdk.Stack.of(self).format_arn(service="es", resource="domain", resource_name=self.name)
        self.may = (
            allow(("es:ESHttpPost",), self.arn + BULK_PATH),
            iam.PolicyStatement(
                actions=["es:ESHttpPut"], resources=[self.arn + path for path in (TEMPLATE_PATH, EXPIRY_PATH)]
            ),
        )
        self.domain = self._domain(profile, key, self._log_groups(profile, key))
        self.tells = {"SEARCH_URL": f"https://{self.domain.attr_domain_endpoint}"}
        self.rules = self._rules(SIZES[profile.environment])
        self.findings = self._findings()
        self.readers = iam.ManagedPolicy(
            self,
            "Readers",
            managed_policy_name=profile.named("search"),
            description="May search and count, with temporary credentials.",
            statements=[
                iam.PolicyStatement(
                    actions=["es:ESHttpGet", "es:ESHttpPost"],
                    resources=[f"{self.arn}/{INDEX_PREFIX}*/{verb}" for verb in SEARCHES],
                    conditions={"Null": {"aws:TokenIssueTime": "false"}},
                )
            ],
        )

    def _domain(self, profile: Profile, key: kms.IKey, groups: Mapping[str, logs.ILogGroup]) -> opensearch.CfnDomain:
        size = SIZES[profile.environment]
        own = opensearch.CfnDomain
        domain = own(
            self,
            "Domain",
            domain_name=self.name,
            engine_version=ENGINE,
            cluster_config=own.ClusterConfigProperty(
                instance_type=size.instance_type,
                instance_count=size.nodes,
                zone_awareness_enabled=size.nodes > 1,
                zone_awareness_config=own.ZoneAwarenessConfigProperty(availability_zone_count=2)
                if size.nodes > 1
                else None,
            ),
            ebs_options=own.EBSOptionsProperty(ebs_enabled=True, volume_type="gp3", volume_size=size.volume_gib),
            encryption_at_rest_options=own.EncryptionAtRestOptionsProperty(enabled=True, kms_key_id=key.key_arn),
            node_to_node_encryption_options=own.NodeToNodeEncryptionOptionsProperty(enabled=True),
            domain_endpoint_options=own.DomainEndpointOptionsProperty(
                enforce_https=True, tls_security_policy=TLS_POLICY
            ),
            access_policies=self._account_alone(),
            software_update_options=own.SoftwareUpdateOptionsProperty(auto_software_update_enabled=True),
            off_peak_window_options=own.OffPeakWindowOptionsProperty(enabled=True),
            log_publishing_options={
                kind: own.LogPublishingOptionProperty(enabled=True, cloud_watch_logs_log_group_arn=group.log_group_arn)
                for kind, group in groups.items()
            },
        )
        # In prod, too: one that stayed behind would cost as much as before, and hold its name.
        domain.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
        domain.node.add_dependency(self._log_policy(profile, groups))
        return domain

    def _account_alone(self) -> dict[str, object]:
        """The domain's own policy: the account's principals, each as far as its own policies allow."""
        statement = iam.PolicyStatement(
            principals=[iam.AccountRootPrincipal()],
            actions=["es:ESHttpGet", "es:ESHttpPost", "es:ESHttpPut"],
            resources=[f"{self.arn}/*"],
        )
        document: dict[str, object] = iam.PolicyDocument(statements=[statement]).to_json()
        return document

    def _log_groups(self, profile: Profile, key: kms.IKey) -> dict[str, logs.ILogGroup]:
        return {
            kind: log_group(Construct(self, end), f"/aws/opensearch/{profile.named(f'search-{end}')}", profile, key)
            for kind, end in LOGS.items()
        }

    def _log_policy(self, profile: Profile, groups: Mapping[str, logs.ILogGroup]) -> logs.CfnResourcePolicy:
        """Without it the domain is not made: it has to be let write its logs first."""
        statement = iam.PolicyStatement(
            principals=[iam.ServicePrincipal("es.amazonaws.com")],
            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[group.log_group_arn for group in groups.values()],
            conditions={
                "StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account},
                "ArnEquals": {"aws:SourceArn": self.arn},
            },
        )
        document = iam.PolicyDocument(statements=[statement])
        return logs.CfnResourcePolicy(
            self,
            "LogPolicy",
            policy_name=profile.named("search-logs"),
            policy_document=cdk.Stack.of(self).to_json_string(document.to_json()),
        )

    def _rules(self, size: Size) -> tuple[Rule, ...]:
        domain = {"DomainName": self.name, "ClientId": cdk.Stack.of(self).account}
        return (
            Rule(
                "search-red",
                "AWS/ES",
                "ClusterStatus.red",
                domain,
                0,
                "An index of the domain is lost, its records are not: they are in the table.",
            ),
            Rule(
                "search-blocked",
                "AWS/ES",
                "ClusterIndexWritesBlocked",
                domain,
                0,
                "The domain takes nothing in: it is out of memory or of room.",
            ),
            Rule(
                "search-full",
                "AWS/ES",
                "FreeStorageSpace",
                domain,
                size.volume_gib * 1024 * FREE_SHARE_MIN,
                "A volume of the domain fills up: choose larger ones.",
                statistic="Minimum",
                comparison=UNDER,
            ),
        )

    def _findings(self) -> dict[str, str]:
        domain = f"arn:<AWS::Partition>:es:<AWS::Region>:<AWS::AccountId>:domain/{self.name}"
        return {
            f"IAM5[Resource::{domain}/{INDEX_PREFIX}*/{verb}]": "There is an index for each day." for verb in SEARCHES
        } | FINDINGS
