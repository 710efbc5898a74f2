"""The table's changes as a Kinesis stream, and the one consumer that puts their records elsewhere.

DynamoDB writes to the stream by itself, under its service-linked role, which the key's policy lets the account allow.
Without search and analytics there is a stream and no consumer of ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.functions import allow, log_function
from infra.constructs.table import LogTable
from infra.constructs.watching import Rule
from infra.package import Package
from infra.profiles import Profile
from simple_log_service.core.limits import KIB, MIB

RETENTION_HOURS = 24
"""What a shard's price includes; a day more costs more than the shard."""
SHARD_BYTES_PER_SECOND = MIB
CHANGE_BYTES_PER_WRITE_UNIT = 3 * KIB
"""An item of 1 KiB as it was and as it is, binary values in base64, and the names around it."""

CONSUMER_MEMORY_MIB = 512
"""A batch of 6 MB from the stream may unpack to some tens."""
CONSUMER_TIMEOUT_SECONDS = 60
BATCH_RECORDS = 100
BATCH_WINDOW_SECONDS = 5
RECORD_AGE_SECONDS_MAX = 22 * 3600
"""Then a change is given up, while it can still be fetched from the stream by the position that the queue is told."""
RETRIES_MAX = 10_000
"""Lambda's highest number: it is the age that ends it, not a cluster that is down for an hour."""
DEAD_LETTER_DAYS = 14
"""SQS keeps nothing for longer."""

STREAM_ACTIONS = (
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
)
"""What Lambda does with the function's role to read a stream (Lambda Developer Guide, "Using Lambda with Kinesis")."""


def shard_count(profile: Profile) -> int:
    """How many shards take what the table takes at its highest capacity."""
    return math.ceil(profile.capacity_units_max * CHANGE_BYTES_PER_WRITE_UNIT / SHARD_BYTES_PER_SECOND)


class TableStream(Construct):
    """``name`` and ``arn`` are the stream's."""

    findings: Mapping[str, str] = {
        "KDS3": "Everything at rest is under the one customer-managed key; its requests cost cents."
    }
    rules: Sequence[Rule] = ()

    def __init__(self, scope: Construct, profile: Profile, key: kms.IKey) -> None:
        super().__init__(scope, "Stream")
        self.name = profile.named("changes")
        self.arn = cdk.Stack.of(self).format_arn(service="kinesis", resource="stream", resource_name=self.name)
        self.resource = kinesis.CfnStream(
            self,
            "Changes",
            name=self.name,
            shard_count=shard_count(profile),
            retention_period_hours=RETENTION_HOURS,
            stream_mode_details=kinesis.CfnStream.StreamModeDetailsProperty(stream_mode="PROVISIONED"),
            stream_encryption=kinesis.CfnStream.StreamEncryptionProperty(encryption_type="KMS", key_id=key.key_arn),
        )


class Consumer(Construct):
    """The function that the stream calls, and the queue of what it could not bring through.

    ``may`` are the statements that its sinks need, ``tells`` the environment that names them.
    """

    findings: Mapping[str, str] = {
        "IAM5[Resource::*]": "X-Ray's PutTraceSegments and PutTelemetryRecords know no resources to name.",
        "L1": "Python 3.11 is required, and supported until 2027-06-30; python_version chooses a newer one.",
        "SQS3": "This queue is the dead-letter queue: an alarm tells of each message in it, and nothing reads it.",
    }

    def __init__(
        self,
        scope: Construct,
        profile: Profile,
        table: LogTable,
        key: kms.IKey,
        package: Package,
        *,
        stream: TableStream,
        may: Sequence[iam.PolicyStatement],
        tells: Mapping[str, str],
    ) -> None:
        super().__init__(scope, "Consumer")
        stack = cdk.Stack.of(self)
        self.queue = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=profile.named("dead-letters"),
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(DEAD_LETTER_DAYS),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        queue_arn = stack.format_arn(service="sqs", resource=profile.named("dead-letters"))
        through = {
            service: {"StringEquals": {"kms:ViaService": f"{service}.{stack.region}.amazonaws.com"}}
            for service in ("kinesis", "sqs")
        }
        self.function = log_function(
            self,
            "consume",
            profile,
            table,
            key,
            package,
            (
                allow(STREAM_ACTIONS, stream.arn),
                allow(("kms:Decrypt",), key.key_arn, through["kinesis"]),
                allow(("sqs:SendMessage",), queue_arn),
                allow(("kms:Decrypt", "kms:GenerateDataKey"), key.key_arn, through["sqs"]),
                *may,
            ),
            folder="aws.stream",
        )
        for name, value in {"DEAD_LETTERS_URL": self.queue.queue_url, **tells}.items():
            self.function.add_environment(f"SIMPLE_LOG_SERVICE_{name}", value)
        self._size()
        self._map(stream)
        self.rules = _rules(self.function.function_name, self.queue.queue_name)

    def _size(self) -> None:
        function = self.function.node.default_child
        assert isinstance(function, lambda_.CfnFunction)
        function.memory_size = CONSUMER_MEMORY_MIB
        function.timeout = CONSUMER_TIMEOUT_SECONDS

    def _map(self, stream: TableStream) -> None:
        """Have Lambda bring the stream's records to the function, from the oldest on.

        The L1 resource: the L2 one would add to the function's role, which says all that it may by itself.
        """
        lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            event_source_arn=stream.resource.attr_arn,
            function_name=self.function.function_name,
            starting_position="TRIM_HORIZON",
            batch_size=BATCH_RECORDS,
            maximum_batching_window_in_seconds=BATCH_WINDOW_SECONDS,
            function_response_types=["ReportBatchItemFailures"],
            bisect_batch_on_function_error=True,
            maximum_retry_attempts=RETRIES_MAX,
            maximum_record_age_in_seconds=RECORD_AGE_SECONDS_MAX,
            destination_config=lambda_.CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(destination=self.queue.queue_arn)
            ),
        )


def _rules(function_name: str, queue_name: str) -> tuple[Rule, ...]:
    function = {"FunctionName": function_name}
    return (
        Rule(
            "dead-letters",
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            {"QueueName": queue_name},
            0,
            "Something did not get into search or files: the queue's messages say which records, and why.",
        ),
        Rule(
            "consumer-behind",
            "AWS/Lambda",
            "IteratorAge",
            function,
            15 * 60 * 1000,
            "The consumer is a quarter of an hour behind: see its log, then the domain and the Firehose stream.",
        ),
        Rule(
            "consumer-errors",
            "AWS/Lambda",
            "Errors",
            function,
            5,
            "The consumer failed as a whole more than five times in five minutes: see its log.",
            statistic="Sum",
        ),
    )
