"""What cdk-nag's AwsSolutions rules find and we leave so, each with its reason. Others fail the synthesis."""

from __future__ import annotations

from typing import NamedTuple


class Acknowledged(NamedTuple):
    """A rule that does not bind one construct and what it holds; ``path`` is the construct's, within the stack.

    ``{environment}`` in a rule stands for dev or prod.
    """

    path: str
    rule: str
    reason: str


_STAGE_ARN = "arn:<AWS::Partition>:execute-api:<AWS::Region>:<AWS::AccountId>:<ApiRest4DEC74FE>/{environment}"
_AWS_POLICY = "Policy::arn:<AWS::Partition>:iam::aws:policy/service-role"

ACKNOWLEDGED: tuple[Acknowledged, ...] = (
    Acknowledged(
        "Functions",
        "AwsSolutions-IAM5[Resource::*]",
        "X-Ray's PutTraceSegments and PutTelemetryRecords know no resources to name; nothing else is allowed on *.",
    ),
    Acknowledged(
        "Functions",
        "AwsSolutions-L1",
        "Python 3.11 is required, and supported until 2027-06-30; python_version chooses a newer one.",
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
        "Callers are programs with IAM's temporary credentials (Signature Version 4), not people with passwords.",
    ),
    *(
        Acknowledged(
            "Callers",
            f"AwsSolutions-IAM5[Resource::{_STAGE_ARN}/{method}/services/*/logs]",
            "Whoever may send or read may do so for every service; a policy of one's own names one in place of the *.",
        )
        for method in ("GET", "POST")
    ),
    Acknowledged(
        "Audit/Bucket",
        "AwsSolutions-S1",
        "The bucket holds the audit trail itself; an access log of it would want one of its own, and so on.",
    ),
    Acknowledged(
        "Compliance/Recording/Bucket",
        "AwsSolutions-S1",
        "The bucket holds AWS Config's own records of configurations, which the audit trail covers.",
    ),
    Acknowledged(
        "Compliance/Recording/Role",
        f"AwsSolutions-IAM4[{_AWS_POLICY}/AWS_ConfigRole]",
        "AWS extends this policy as AWS Config learns to read more resource types; it reads configurations alone.",
    ),
    Acknowledged(
        "Backups/Role",
        f"AwsSolutions-IAM4[{_AWS_POLICY}/AWSBackupServiceRolePolicyForBackup]",
        "AWS keeps this policy in step with what AWS Backup calls; a copy that is not would break backups silently.",
    ),
    Acknowledged(
        "Api/AccountRole",
        f"AwsSolutions-IAM4[{_AWS_POLICY}/AmazonAPIGatewayPushToCloudWatchLogs]",
        "API Gateway takes this role for all APIs of account and region, and this is the policy that it asks for.",
    ),
)
