"""OpenSearch and Athena, switched on: how they are sealed, and who may do what."""

from __future__ import annotations

import json

import pytest

from simple_log_service.aws.stream.firehose import COLUMNS
from support.cloudformation import as_text, properties, resources, statements
from support.later_parts import KEY, arn, full, through
from support.synthesized import ENVIRONMENTS

FILES = "{AnalyticsFiles.Arn}"
TEMPORARY = {"Null": {"aws:TokenIssueTime": "false"}}

environments = pytest.mark.parametrize("env", ENVIRONMENTS)


# --- OpenSearch. ---


@environments
def test_the_domain_is_sealed_and_speaks_tls_alone(env: str) -> None:
    domain = properties(full(env), "AWS::OpenSearchService::Domain")
    assert domain["EncryptionAtRestOptions"] == {"Enabled": True, "KmsKeyId": KEY}
    assert domain["NodeToNodeEncryptionOptions"] == {"Enabled": True}
    assert domain["DomainEndpointOptions"] == {
        "EnforceHTTPS": True,
        "TLSSecurityPolicy": "Policy-Min-TLS-1-2-PFS-2023-10",
    }
    assert len(domain["DomainName"]) <= 28
    size = domain["ClusterConfig"]["InstanceCount"], domain["EBSOptions"]["VolumeSize"]
    assert size == {"dev": (1, 10), "prod": (2, 100)}[env]
    assert domain["ClusterConfig"]["ZoneAwarenessEnabled"] is (env == "prod")


def test_the_domain_lets_in_the_account_alone_and_readers_may_search_and_nothing_else() -> None:
    domain = properties(full(), "AWS::OpenSearchService::Domain")
    (row,) = domain["AccessPolicies"]["Statement"]
    assert row["Principal"] == {"AWS": "arn:{Partition}:iam::{AccountId}:root"}
    readers = properties(full(), "AWS::IAM::ManagedPolicy", "SearchReaders")
    indexes = arn("es", "domain/simple-log-service-prod/simple-log-service-logs-*")
    assert statements(readers["PolicyDocument"]) == [
        ("Allow", ("es:ESHttpGet", "es:ESHttpPost"), (f"{indexes}/_search", f"{indexes}/_count"), TEMPORARY)
    ]


def test_the_domain_may_write_its_logs_and_they_are_sealed() -> None:
    published = properties(full(), "AWS::OpenSearchService::Domain")["LogPublishingOptions"]
    assert published.keys() == {"ES_APPLICATION_LOGS", "INDEX_SLOW_LOGS", "SEARCH_SLOW_LOGS"}
    groups = resources(full(), "AWS::Logs::LogGroup")
    for option in published.values():
        group = groups[option["CloudWatchLogsLogGroupArn"].strip("{}").partition(".")[0]]["Properties"]
        assert group["LogGroupName"].startswith("/aws/opensearch/simple-log-service-prod-")
        assert (group["KmsKeyId"], group["RetentionInDays"]) == (KEY, 7)
    allowed = json.loads(as_text(properties(full(), "AWS::Logs::ResourcePolicy")["PolicyDocument"]))["Statement"][0]
    assert allowed["Principal"] == {"Service": "es.amazonaws.com"}
    assert len(allowed["Resource"]) == 3


# --- Athena. ---


def test_the_files_are_sealed_versioned_private_and_expire() -> None:
    bucket = properties(full(), "AWS::S3::Bucket", "AnalyticsFiles")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    expiry = {rule["Prefix"]: rule["ExpirationInDays"] for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert expiry == {"records/": 365, "errors/": 365, "results/": 7}
    policy = properties(full(), "AWS::S3::BucketPolicy", "AnalyticsFilesPolicy")["PolicyDocument"]
    denied = [row[3] for row in statements(policy) if row[0] == "Deny"]
    assert {"Bool": {"aws:SecureTransport": "false"}} in denied
    assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in denied


def test_firehose_writes_parquet_by_day_with_the_columns_of_the_table() -> None:
    stream = properties(full(), "AWS::KinesisFirehose::DeliveryStream")
    files = stream["ExtendedS3DestinationConfiguration"]
    conversion = files["DataFormatConversionConfiguration"]
    table = properties(full(), "AWS::Glue::Table")
    assert stream["DeliveryStreamEncryptionConfigurationInput"] == {"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": KEY}
    assert files["Prefix"] == "records/day=!{timestamp:yyyy-MM-dd}/"
    assert files["BufferingHints"] == {"SizeInMBs": 128, "IntervalInSeconds": 300}
    assert conversion["Enabled"] is True
    assert conversion["OutputFormatConfiguration"] == {"Serializer": {"ParquetSerDe": {"Compression": "SNAPPY"}}}
    schema = conversion["SchemaConfiguration"]
    assert (schema["DatabaseName"], schema["TableName"]) == (table["DatabaseName"], table["TableInput"]["Name"])
    assert schema["DatabaseName"] == properties(full(), "AWS::Glue::Database")["DatabaseInput"]["Name"]
    columns = table["TableInput"]["StorageDescriptor"]["Columns"]
    assert [(column["Name"], column["Type"]) for column in columns] == list(COLUMNS)


def test_athena_computes_the_partitions_that_firehose_makes() -> None:
    table = properties(full(), "AWS::Glue::Table")["TableInput"]
    assert table["PartitionKeys"] == [{"Name": "day", "Type": "string"}]
    assert table["Parameters"] == {
        "classification": "parquet",
        "projection.enabled": "true",
        "projection.day.type": "date",
        "projection.day.format": "yyyy-MM-dd",
        "projection.day.range": "NOW-365DAYS,NOW+1DAYS",
        "storage.location.template": "s3://{AnalyticsFiles}/records/day=${day}/",
    }
    assert "day" not in dict(COLUMNS)


def test_the_workgroup_seals_its_answers_and_cuts_dear_questions_off() -> None:
    workgroup = properties(full(), "AWS::Athena::WorkGroup")
    enforced = workgroup["WorkGroupConfiguration"]
    assert enforced["EnforceWorkGroupConfiguration"] is True
    assert enforced["BytesScannedCutoffPerQuery"] == 10 * 2**30
    assert enforced["ResultConfiguration"] == {
        "OutputLocation": "s3://{AnalyticsFiles}/results/",
        "ExpectedBucketOwner": "{AccountId}",
        "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": KEY},
    }


GLUE = tuple(
    arn("glue", part) for part in ("catalog", "database/simple_log_service_prod", "table/simple_log_service_prod/logs")
)


def test_firehose_may_do_exactly_this() -> None:
    role = properties(full(), "AWS::IAM::Role", "AnalyticsRole")
    (policy,) = role["Policies"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "firehose.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": "{AccountId}"}}
    written = (f"{FILES}/records/*", f"{FILES}/errors/*")
    columns = ("glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions")
    assert statements(policy["PolicyDocument"]) == [
        ("Allow", ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"), (FILES,), None),
        ("Allow", ("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"), written, None),
        ("Allow", ("kms:Decrypt", "kms:GenerateDataKey"), (KEY,), {"StringEquals": through("s3")}),
        ("Allow", columns, GLUE, None),
        ("Allow", ("logs:PutLogEvents",), ("{AnalyticsLogLogGroup.Arn}",), None),
    ]


def test_analysts_may_ask_and_cannot_change_a_file() -> None:
    policy = properties(full(), "AWS::IAM::ManagedPolicy", "AnalyticsAnalysts")["PolicyDocument"]
    rows = statements(policy)
    assert {row[0] for row in rows} == {"Allow"}
    assert all(row[3]["Null"] == TEMPORARY["Null"] for row in rows)
    writes = [row[2] for row in rows if "s3:PutObject" in row[1]]
    assert writes == [(f"{FILES}/results/*",)]
    assert [row[2] for row in rows if row[1][0].startswith("glue:")] == [GLUE]
    assert [row[2] for row in rows if row[1][0].startswith("athena:")] == [
        (arn("athena", "workgroup/simple-log-service-prod"),)
    ]
