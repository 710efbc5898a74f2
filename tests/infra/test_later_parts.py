"""The parts for later: nothing of them while they are off, and every figure, name and permission when they are on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.profiles import DEV, PROD
from simple_log_service.aws.settings import read_settings
from simple_log_service.aws.stream.home import ConsumerSettings
from support.cloudformation import as_text, properties, resources, statements
from support.later_parts import ALL, KEY, REPLICAS, arn, full, named, through
from support.synthesized import ENVIRONMENTS, ROOT, synthesize, template, template_file, validation_report

STREAM_ALONE = ("stream=true", "capacity_units_max=1000")
TYPES = (
    "AWS::Athena::WorkGroup",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::Kinesis::Stream",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::Lambda::EventSourceMapping",
    "AWS::OpenSearchService::Domain",
    "AWS::SQS::Queue",
)
PARTS = ("Stream", "Search", "Analytics", "Consumer")

environments = pytest.mark.parametrize("env", ENVIRONMENTS)


# --- Off. ---


@environments
def test_off_means_not_a_single_resource(env: str) -> None:
    off = template(env)["Resources"].values()
    assert not [resource for resource in off if resource["Type"] in TYPES]
    (table,) = (resource["Properties"] for resource in off if resource["Type"] == "AWS::DynamoDB::GlobalTable")
    assert [list(as_text(replica)) for replica in table["Replicas"] if "KinesisStreamSpecification" in replica] == []
    assert len(table["Replicas"]) == 1
    assert DEV.stream is DEV.search is DEV.analytics is PROD.stream is PROD.search is PROD.analytics is False
    assert DEV.replica_regions == PROD.replica_regions == ()


@environments
def test_switching_everything_on_changes_nothing_else_but_the_table(env: str) -> None:
    """The old resources are all there, as they were, so that the switch is an update and not a migration."""
    off, on = template(env)["Resources"], full(env)["Resources"]
    assert [name for name in off if on[name] != off[name] and off[name]["Type"] != "AWS::DynamoDB::GlobalTable"] == []


def test_a_stream_alone_has_no_consumer() -> None:
    on, off = template("prod", *STREAM_ALONE)["Resources"], template("prod")["Resources"]
    assert [on[name]["Type"] for name in on.keys() - off.keys()] == ["AWS::Kinesis::Stream"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param(["search=true"], "search cannot do without the table's stream", id="search"),
        pytest.param(["analytics=true"], "analytics cannot do without the table's stream", id="analytics"),
        pytest.param(['replica_regions=["eu-west-1","eu-west-1"]'], "names a region twice", id="region"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(settings: list[str], words: str, tmp_path: Path) -> None:
    done = synthesize(tmp_path, "env=dev", *settings)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


# --- The stream and its consumer. ---


def test_the_tables_changes_go_to_an_encrypted_stream() -> None:
    stream = properties(full(), "AWS::Kinesis::Stream")
    assert stream["Name"] == named("changes")
    assert stream["StreamEncryption"] == {"EncryptionType": "KMS", "KeyId": KEY}
    assert (stream["ShardCount"], stream["RetentionPeriodHours"]) == (1, 24)
    own, *others = properties(full(), "AWS::DynamoDB::GlobalTable")["Replicas"]
    assert own["Region"] == "{Region}"
    assert own["KinesisStreamSpecification"]["StreamArn"] == "{StreamChanges.Arn}"
    assert not [replica for replica in others if "KinesisStreamSpecification" in replica]


def test_there_are_shards_for_all_that_the_table_can_take() -> None:
    assert properties(template("prod", *STREAM_ALONE), "AWS::Kinesis::Stream")["ShardCount"] == 3


def test_what_failed_comes_again_until_it_is_a_day_old_and_is_then_told() -> None:
    mapping = properties(full(), "AWS::Lambda::EventSourceMapping")
    del mapping["Tags"]
    assert mapping == {
        "EventSourceArn": "{StreamChanges.Arn}",
        "FunctionName": "{ConsumerConsumeFunction}",
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 5,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": 10_000,
        "MaximumRecordAgeInSeconds": 79_200,
        "DestinationConfig": {"OnFailure": {"Destination": "{ConsumerDeadLetters.Arn}"}},
    }
    stream = properties(full(), "AWS::Kinesis::Stream")
    assert mapping["MaximumRecordAgeInSeconds"] < stream["RetentionPeriodHours"] * 3600


def test_the_dead_letters_are_encrypted_kept_long_and_sent_over_tls() -> None:
    queue = properties(full(), "AWS::SQS::Queue")
    assert queue["KmsMasterKeyId"] == KEY
    assert queue["MessageRetentionPeriod"] == 14 * 86_400
    assert ("Deny", ("sqs:*",), ("{ConsumerDeadLetters.Arn}",), {"Bool": {"aws:SecureTransport": "false"}}) in (
        statements(properties(full(), "AWS::SQS::QueuePolicy")["PolicyDocument"])
    )


def test_the_consumer_is_made_as_the_other_functions_are() -> None:
    functions = resources(full(), "AWS::Lambda::Function")
    consumer, ingest = (
        functions[name]["Properties"] for name in ("ConsumerConsumeFunction", "FunctionsIngestFunction")
    )
    same = ("Architectures", "Runtime", "Code", "KmsKeyArn", "TracingConfig")
    assert {name: consumer[name] for name in same} == {name: ingest[name] for name in same}
    assert consumer["Handler"] == "simple_log_service.aws.stream.consume.handler"
    assert (consumer["MemorySize"], consumer["Timeout"]) == (512, 60)


def test_the_consumers_environment_is_what_it_reads() -> None:
    function = resources(full(), "AWS::Lambda::Function")["ConsumerConsumeFunction"]["Properties"]
    environ = {**function["Environment"]["Variables"], "AWS_REGION": "eu-central-1"}
    assert read_settings(environ, ConsumerSettings) == ConsumerSettings(
        region="eu-central-1",
        dead_letters_url="{ConsumerDeadLetters}",
        search_url="https://{SearchDomain.DomainEndpoint}",
        firehose_name=named("parquet"),
        retention_days=30,
    )


@pytest.mark.parametrize(
    ("settings", "services"),
    [
        pytest.param(("stream=true", "search=true"), {"es"}, id="search"),
        pytest.param(ALL, {"es", "firehose"}, id="both"),
    ],
)
def test_the_consumer_may_do_exactly_this(settings: tuple[str, ...], services: set[str]) -> None:
    role = properties(template("prod", *settings), "AWS::IAM::Role", "ConsumerConsumeRole")
    (policy,) = role["Policies"]
    assert "ManagedPolicyArns" not in role
    stream = ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
    domain = arn("es", "domain/simple-log-service-prod")
    setup = (
        f"{domain}/_index_template/simple-log-service-logs",
        f"{domain}/_plugins/_ism/policies/simple-log-service-logs",
    )
    function = arn("lambda", f"function:{named('consume')}")
    by_service: dict[str, list[Any]] = {
        "es": [
            ("Allow", ("es:ESHttpPost",), (f"{domain}/_bulk",), None),
            ("Allow", ("es:ESHttpPut",), setup, None),
        ],
        "firehose": [
            ("Allow", ("firehose:PutRecordBatch",), (arn("firehose", f"deliverystream/{named('parquet')}"),), None)
        ],
    }
    assert statements(policy["PolicyDocument"]) == [
        (
            "Allow",
            tuple(f"kinesis:{action}" for action in stream),
            (arn("kinesis", f"stream/{named('changes')}"),),
            None,
        ),
        ("Allow", ("kms:Decrypt",), (KEY,), {"StringEquals": through("kinesis")}),
        ("Allow", ("sqs:SendMessage",), (arn("sqs", named("dead-letters")),), None),
        ("Allow", ("kms:Decrypt", "kms:GenerateDataKey"), (KEY,), {"StringEquals": through("sqs")}),
        *(row for service in ("es", "firehose") if service in services for row in by_service[service]),
        (
            "Allow",
            ("kms:Decrypt",),
            (KEY,),
            {"StringEquals": {"kms:EncryptionContext:aws:lambda:FunctionArn": function}},
        ),
        ("Allow", ("logs:CreateLogStream", "logs:PutLogEvents"), ("{ConsumerConsumeLogGroup.Arn}",), None),
        ("Allow", ("xray:PutTelemetryRecords", "xray:PutTraceSegments"), ("*",), None),
    ]


def test_the_names_in_arns_are_those_of_the_resources() -> None:
    on = full()
    assert properties(on, "AWS::SQS::Queue")["QueueName"] == named("dead-letters")
    assert properties(on, "AWS::KinesisFirehose::DeliveryStream")["DeliveryStreamName"] == named("parquet")
    assert properties(on, "AWS::OpenSearchService::Domain")["DomainName"] == "simple-log-service-prod"
    assert resources(on, "AWS::Lambda::Function")["ConsumerConsumeFunction"]["Properties"]["FunctionName"] == (
        named("consume")
    )


@environments
def test_no_role_is_made_beside_those_that_are_tested(env: str) -> None:
    new = resources(full(env), "AWS::IAM::Role").keys() - resources(template(env), "AWS::IAM::Role").keys()
    assert new == {"ConsumerConsumeRole", "AnalyticsRole"}
    assert resources(full(env), "AWS::IAM::Policy") == {}


# --- Replicas. ---


def test_a_replica_is_what_the_table_is_under_a_key_of_its_region() -> None:
    table = properties(full(), "AWS::DynamoDB::GlobalTable")
    own, *others = table["Replicas"]
    different = {"Region", "SSESpecification", "KinesisStreamSpecification"}
    assert tuple(replica["Region"] for replica in others) == REPLICAS
    for replica in others:
        alias = f"arn:{{Partition}}:kms:{replica['Region']}:{{AccountId}}:alias/{named('replica')}"
        assert replica["SSESpecification"] == {"KMSMasterKeyId": alias}
        assert {key: replica[key] for key in replica.keys() - different} == {
            key: own[key] for key in own.keys() - different
        }
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


@pytest.mark.parametrize("region", REPLICAS)
def test_each_replica_region_has_a_stack_with_its_key_that_comes_first(region: str) -> None:
    folder = template_file("prod", *ALL).parent
    name = named(f"replica-{region}")
    made = json.loads((folder / f"{name}.template.json").read_text())
    key = properties(made, "AWS::KMS::Key")
    assert key["EnableKeyRotation"] is True
    assert properties(made, "AWS::KMS::Alias")["AliasName"] == f"alias/{named('replica')}"
    artifacts = json.loads((folder / "manifest.json").read_text())["artifacts"]
    assert artifacts[name]["environment"].endswith(f"/{region}")
    assert name in artifacts["simple-log-service-prod"]["dependencies"]


# --- All together. ---


def test_every_alarm_tells_the_topic_and_says_what_to_do() -> None:
    on, off = resources(full(), "AWS::CloudWatch::Alarm"), resources(template("prod"), "AWS::CloudWatch::Alarm")
    new = {on[name]["Properties"]["AlarmName"]: on[name]["Properties"] for name in on.keys() - off.keys()}
    parts = (
        "consumer-behind",
        "consumer-errors",
        "dead-letters",
        "files-late",
        "files-unconverted",
        "search-blocked",
        "search-full",
        "search-red",
    )
    assert new.keys() == {named(part) for part in parts}
    for alarm in new.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == ["{NotificationsTopic}"]
        assert alarm["AlarmDescription"].endswith(".")
    assert (new[named("dead-letters")]["Threshold"], new[named("dead-letters")]["Period"]) == (0, 300)


def test_the_page_about_the_parts_names_settings_alarms_figures_and_policies() -> None:
    page = (ROOT / "docs" / "LATER_PARTS.md").read_text(encoding="utf-8")
    alarms = resources(full(), "AWS::CloudWatch::Alarm").items()
    names = [
        alarm["Properties"]["AlarmName"].removeprefix(named("")) for path, alarm in alarms if path.startswith(PARTS)
    ]
    policies = [
        policy["Properties"]["ManagedPolicyName"].replace("-prod-", "-ENV-")
        for path, policy in resources(full(), "AWS::IAM::ManagedPolicy").items()
        if path.startswith(PARTS)
    ]
    domains = [properties(full(env), "AWS::OpenSearchService::Domain") for env in ENVIRONMENTS]
    sizes = [f"`{domain['ClusterConfig']['InstanceType']}`" for domain in domains]
    sizes += [f"{domain['EBSOptions']['VolumeSize']} GiB" for domain in domains]
    assert len(names) == 8
    for text in ("`stream`", "`search`", "`analytics`", "`replica_regions`", *names, *policies, *sizes):
        assert text in page


@environments
def test_everything_that_keeps_anything_is_under_the_key(env: str) -> None:
    sealed = {
        "AWS::Kinesis::Stream": "StreamEncryption",
        "AWS::SQS::Queue": "KmsMasterKeyId",
        "AWS::Logs::LogGroup": "KmsKeyId",
        "AWS::S3::Bucket": "BucketEncryption",
        "AWS::OpenSearchService::Domain": "EncryptionAtRestOptions",
        "AWS::KinesisFirehose::DeliveryStream": "DeliveryStreamEncryptionConfigurationInput",
    }
    for resource_type, name in sealed.items():
        for resource in resources(full(env), resource_type).values():
            assert KEY in json.dumps(resource["Properties"][name])


def test_copies_go_with_their_part_and_files_stay_in_prod() -> None:
    on = full()["Resources"].values()
    kept = {resource["Type"]: resource.get("DeletionPolicy", "Delete") for resource in on}
    for resource_type in ("AWS::OpenSearchService::Domain", "AWS::Kinesis::Stream", "AWS::SQS::Queue"):
        assert kept[resource_type] == "Delete"
    assert resources(full(), "AWS::S3::Bucket")["AnalyticsFiles"]["DeletionPolicy"] == "Retain"
    assert resources(full("dev"), "AWS::S3::Bucket")["AnalyticsFiles"]["DeletionPolicy"] == "Delete"


@environments
def test_the_checks_at_synthesis_find_nothing_that_has_no_reason(env: str) -> None:
    (plugin,) = validation_report(env, *ALL)["pluginReports"]
    assert (plugin["conclusion"], plugin["violations"]) == ("success", [])


def test_no_finding_is_acknowledged_that_is_not_there() -> None:
    found = {
        finding["ruleName"].removeprefix("AwsSolutions-").partition("[")[0]: finding["reason"]
        for env in ENVIRONMENTS
        for plugin in validation_report(env, *ALL)["pluginReports"]
        for finding in plugin["suppressedViolations"]
        if any(each["constructPath"].split("/")[1] in PARTS for each in finding["violatingConstructs"])
    }
    assert found.keys() == {"IAM5", "KDS3", "L1", "OS1", "OS3", "OS4", "OS7", "S1", "SQS3"}
    assert all(reason.endswith(".") for reason in found.values())


@environments
def test_cfn_lint_finds_no_error(env: str) -> None:
    """W3005: the CDK names a role that its function refers to anyway."""
    templates = sorted(template_file(env, *ALL).parent.glob("*.template.json"))
    program = str(Path(sys.executable).with_name("cfn-lint"))
    command = [program, "--ignore-checks", "W3005", "--template", *map(str, templates)]
    linted = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
