"""Athena over Parquet: Firehose turns the consumer's records into files, Glue knows their columns, a workgroup asks.

A partition is the UTC day in which Firehose took the records in. Athena computes the partitions from a rule (partition
projection): no crawler, nothing to add day by day. Files are copies of all that was taken in, and expire after a year.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.functions import allow
from infra.constructs.log_groups import log_group
from infra.constructs.removal import removal_policy
from infra.constructs.watching import Rule
from infra.profiles import Profile
from simple_log_service.aws.stream.firehose import COLUMNS

FILES_DAYS = 365
RESULTS_DAYS = 7
TABLE = "logs"
PARTITION = "day"
BUFFER_MIB = 128
BUFFER_SECONDS = 300
"""Files are written at whichever comes first; 64 MiB is the least that a conversion takes."""
SCANNED_BYTES_MAX = 10 * 2**30
"""A query that would read more is cut off: at $5 per TB, this is 5 cents."""
ASK_ACTIONS = (
    "athena:GetQueryExecution",
    "athena:GetQueryResults",
    "athena:GetWorkGroup",
    "athena:StartQueryExecution",
    "athena:StopQueryExecution",
)
_PARQUET = "org.apache.hadoop.hive.ql.io.parquet"


class Analytics(Construct):
    """``tells`` is what the consumer has to know, ``may`` what its role has to allow; ``rules`` are the alarms."""

    def __init__(self, scope: Construct, profile: Profile, key: kms.IKey) -> None:
        super().__init__(scope, "Analytics")
        stack = cdk.Stack.of(self)
        self.stream_name = profile.named("parquet")
        self.tells = {"FIREHOSE_NAME": self.stream_name}
        arn = stack.format_arn(service="firehose", resource="deliverystream", resource_name=self.stream_name)
        self.may = (allow(("firehose:PutRecordBatch",), arn),)
        self.bucket = self._bucket(profile, key)
        self.database_name = profile.prefix.replace("-", "_")
        self.table = self._table(profile)
        self._firehose(profile, key)
        self.workgroup = self._workgroup(profile, key)
        self.rules = _rules(self.stream_name)
        self.findings = self._findings()
        self._analysts(profile, key)

    def _bucket(self, profile: Profile, key: kms.IKey) -> s3.Bucket:
        return s3.Bucket(
            self,
            "Files",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            removal_policy=removal_policy(profile),
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=cdk.Duration.days(days),
                    noncurrent_version_expiration=cdk.Duration.days(RESULTS_DAYS),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(RESULTS_DAYS),
                    prefix=prefix,
                )
                for prefix, days in (("records/", FILES_DAYS), ("errors/", FILES_DAYS), ("results/", RESULTS_DAYS))
            ],
        )

    def _table(self, profile: Profile) -> glue.CfnTable:
        account = cdk.Stack.of(self).account
        own = glue.CfnTable
        database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=account,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=self.database_name, description=f"The records of {profile.prefix} as files."
            ),
        )
        location = f"s3://{self.bucket.bucket_name}/records/"
        table = own(
            self,
            "Table",
            catalog_id=account,
            database_name=self.database_name,
            table_input=own.TableInputProperty(
                name=TABLE,
                table_type="EXTERNAL_TABLE",
                partition_keys=[own.ColumnProperty(name=PARTITION, type="string")],
                parameters={
                    "classification": "parquet",
                    "projection.enabled": "true",
                    f"projection.{PARTITION}.type": "date",
                    f"projection.{PARTITION}.format": "yyyy-MM-dd",
                    f"projection.{PARTITION}.range": f"NOW-{FILES_DAYS}DAYS,NOW+1DAYS",
                    "storage.location.template": f"{location}{PARTITION}=${{{PARTITION}}}/",
                },
                storage_descriptor=own.StorageDescriptorProperty(
                    columns=[own.ColumnProperty(name=name, type=kind) for name, kind in COLUMNS],
                    location=location,
                    input_format=f"{_PARQUET}.MapredParquetInputFormat",
                    output_format=f"{_PARQUET}.MapredParquetOutputFormat",
                    serde_info=own.SerdeInfoProperty(serialization_library=f"{_PARQUET}.serde.ParquetHiveSerDe"),
                ),
            ),
        )
        table.add_resource_dependency(database)
        return table

    def _firehose(self, profile: Profile, key: kms.IKey) -> None:
        group = log_group(Construct(self, "Log"), f"/aws/kinesisfirehose/{self.stream_name}", profile, key)
        lines = logs.LogStream(self, "Lines", log_group=group, log_stream_name="delivery")
        role = self._role(key, group)
        own = firehose.CfnDeliveryStream
        by_day = f"{PARTITION}=!{{timestamp:yyyy-MM-dd}}/"
        stream = own(
            self,
            "Firehose",
            delivery_stream_name=self.stream_name,
            delivery_stream_type="DirectPut",
            delivery_stream_encryption_configuration_input=own.DeliveryStreamEncryptionConfigurationInputProperty(
                key_type="CUSTOMER_MANAGED_CMK", key_arn=key.key_arn
            ),
            extended_s3_destination_configuration=own.ExtendedS3DestinationConfigurationProperty(
                bucket_arn=self.bucket.bucket_arn,
                role_arn=role.role_arn,
                prefix=f"records/{by_day}",
                error_output_prefix=f"errors/!{{firehose:error-output-type}}/{by_day}",
                buffering_hints=own.BufferingHintsProperty(size_in_m_bs=BUFFER_MIB, interval_in_seconds=BUFFER_SECONDS),
                encryption_configuration=own.EncryptionConfigurationProperty(
                    kms_encryption_config=own.KMSEncryptionConfigProperty(awskms_key_arn=key.key_arn)
                ),
                cloud_watch_logging_options=own.CloudWatchLoggingOptionsProperty(
                    enabled=True, log_group_name=group.log_group_name, log_stream_name=lines.log_stream_name
                ),
                data_format_conversion_configuration=self._conversion(role),
            ),
        )
        stream.add_resource_dependency(self.table)

    def _conversion(self, role: iam.Role) -> firehose.CfnDeliveryStream.DataFormatConversionConfigurationProperty:
        own = firehose.CfnDeliveryStream
        return own.DataFormatConversionConfigurationProperty(
            enabled=True,
            input_format_configuration=own.InputFormatConfigurationProperty(
                deserializer=own.DeserializerProperty(open_x_json_ser_de=own.OpenXJsonSerDeProperty())
            ),
            output_format_configuration=own.OutputFormatConfigurationProperty(
                serializer=own.SerializerProperty(parquet_ser_de=own.ParquetSerDeProperty(compression="SNAPPY"))
            ),
            schema_configuration=own.SchemaConfigurationProperty(
                catalog_id=cdk.Stack.of(self).account,
                region=cdk.Stack.of(self).region,
                database_name=self.database_name,
                table_name=TABLE,
                role_arn=role.role_arn,
                version_id="LATEST",
            ),
        )

    @property
    def _glue_arns(self) -> list[str]:
        """Glue asks for the whole path to a table."""
        parts = ("catalog", f"database/{self.database_name}", f"table/{self.database_name}/{TABLE}")
        return [cdk.Stack.of(self).format_arn(service="glue", resource=part) for part in parts]

    def _role(self, key: kms.IKey, group: logs.ILogGroup) -> iam.Role:
        """What Firehose does by itself: read the columns, write files under two prefixes, tell about errors."""
        stack = cdk.Stack.of(self)
        bucket_arn = self.bucket.bucket_arn
        files = [f"{bucket_arn}/{prefix}/*" for prefix in ("records", "errors")]
        via_s3 = {"StringEquals": {"kms:ViaService": f"s3.{stack.region}.amazonaws.com"}}
        statements = [
            iam.PolicyStatement(
                actions=["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
                resources=[bucket_arn],
            ),
            iam.PolicyStatement(actions=["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], resources=files),
            allow(("kms:Decrypt", "kms:GenerateDataKey"), key.key_arn, via_s3),
            iam.PolicyStatement(
                actions=["glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"], resources=self._glue_arns
            ),
            allow(("logs:PutLogEvents",), group.log_group_arn),
        ]
        return iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "firehose.amazonaws.com", conditions={"StringEquals": {"sts:ExternalId": stack.account}}
            ),
            description=f"What {self.stream_name} may do.",
            inline_policies={"own": iam.PolicyDocument(statements=statements)},
        )

    def _workgroup(self, profile: Profile, key: kms.IKey) -> athena.CfnWorkGroup:
        own = athena.CfnWorkGroup
        return own(
            self,
            "Workgroup",
            name=profile.prefix,
            description=f"Questions to the records of {profile.prefix}.",
            state="ENABLED",
            recursive_delete_option=profile.removal_policy == "destroy",
            work_group_configuration=own.WorkGroupConfigurationProperty(
                bytes_scanned_cutoff_per_query=SCANNED_BYTES_MAX,
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                engine_version=own.EngineVersionProperty(selected_engine_version="Athena engine version 3"),
                result_configuration=own.ResultConfigurationProperty(
                    output_location=f"s3://{self.bucket.bucket_name}/results/",
                    expected_bucket_owner=cdk.Stack.of(self).account,
                    encryption_configuration=own.EncryptionConfigurationProperty(
                        encryption_option="SSE_KMS", kms_key=key.key_arn
                    ),
                ),
            ),
        )

    def _findings(self) -> dict[str, str]:
        files = self.bucket.node.default_child
        assert isinstance(files, cdk.CfnElement)
        bucket = f"<{cdk.Stack.of(self).get_logical_id(files)}.Arn>"
        return {
            f"IAM5[Resource::{bucket}/{prefix}/*]": f"Every file under {prefix}/ is meant: files have no fixed names."
            for prefix in ("records", "errors", "results")
        } | {"S1": "Files are read through Athena, which CloudTrail records; a trail may record each object."}

    def _analysts(self, profile: Profile, key: kms.IKey) -> iam.ManagedPolicy:
        """Who may ask: in this workgroup, of this table, with temporary credentials."""
        stack, bucket_arn = cdk.Stack.of(self), self.bucket.bucket_arn
        temporary = {"Null": {"aws:TokenIssueTime": "false"}}

        def may(actions: tuple[str, ...], *arns: str, **conditions: object) -> iam.PolicyStatement:
            return iam.PolicyStatement(
                actions=list(actions), resources=list(arns), conditions={**temporary, **conditions}
            )

        workgroup_arn = stack.format_arn(service="athena", resource="workgroup", resource_name=profile.prefix)
        via_s3 = {"kms:ViaService": f"s3.{stack.region}.amazonaws.com"}
        return iam.ManagedPolicy(
            self,
            "Analysts",
            managed_policy_name=profile.named("analytics"),
            description="May ask Athena about the records, with temporary credentials.",
            statements=[
                may(ASK_ACTIONS, workgroup_arn),
                may(("glue:GetDatabase", "glue:GetPartitions", "glue:GetTable"), *self._glue_arns),
                may(("s3:GetBucketLocation", "s3:ListBucket"), bucket_arn),
                may(("s3:GetObject",), f"{bucket_arn}/records/*", f"{bucket_arn}/results/*"),
                may(("s3:AbortMultipartUpload", "s3:PutObject"), f"{bucket_arn}/results/*"),
                may(("kms:Decrypt", "kms:GenerateDataKey"), key.key_arn, StringEquals=via_s3),
            ],
        )


def _rules(stream_name: str) -> tuple[Rule, ...]:
    stream = {"DeliveryStreamName": stream_name}
    return (
        Rule(
            "files-late",
            "AWS/Firehose",
            "DeliveryToS3.DataFreshness",
            stream,
            1800,
            "Firehose has held records for half an hour: see its log.",
        ),
        Rule(
            "files-unconverted",
            "AWS/Firehose",
            "FailedConversion.Records",
            stream,
            0,
            "Firehose could not make Parquet of some records: they are under errors/ in the bucket.",
            statistic="Sum",
        ),
    )
