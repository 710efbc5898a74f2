"""The table of logs with its one index, and the scaling of both.

The index has the table's capacity, always: an index short of write capacity fails the table's writes. The table is a
``GlobalTable`` of one region, because the other resource type cannot get replicas later without being made anew. With
``restored_table`` no table is made, and everything that hangs on the table hangs on that one.
"""

from __future__ import annotations

from typing import Literal

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.removal import removal_policy
from infra.profiles import RECOVERY_DAYS, Profile, Refused
from simple_log_service.stores.dynamodb.keys import EXPIRES, INDEX_KEY, INDEX_NAME, PARTITION_KEY, SORT_KEY

Global = dynamodb.CfnGlobalTable


class LogTable(Construct):
    """``name``, ``arn`` and ``index_arn`` hold for a restored table, too; ``resource`` is then ``None``."""

    def __init__(self, scope: Construct, profile: Profile, key: kms.IKey) -> None:
        super().__init__(scope, "Table")
        self._profile = profile
        self._key = key
        self._replicas: list[cdk.IResolvable | Global.ReplicaSpecificationProperty] = [
            self._replica(cdk.Stack.of(self).region, key.key_arn)
        ]
        self.name = profile.restored_table or profile.named("logs")
        self.arn = cdk.Stack.of(self).format_arn(service="dynamodb", resource="table", resource_name=self.name)
        self.index_arn = f"{self.arn}/index/{INDEX_NAME}"
        self.resource = None if profile.restored_table else self._table()
        if self.resource is None:
            self._scale_restored()

    def add_replica(self, region: str, key_arn: str) -> None:
        """Keep a copy in another region, under a key of that region. ``Refused`` for a restored table."""
        table = self._own("replicas")
        self._replicas.append(self._replica(region, key_arn))
        table.replicas = self._replicas
        # Replication reads the table's stream (Developer Guide, "Global tables: How it works").
        table.stream_specification = Global.StreamSpecificationProperty(stream_view_type="NEW_AND_OLD_IMAGES")

    def send_changes_to(self, stream_arn: str) -> None:
        """Have DynamoDB send every change to a Kinesis stream. ``Refused`` for a restored table."""
        table = self._own("a stream")
        self._replicas[0] = self._replica(cdk.Stack.of(self).region, self._key.key_arn, stream_arn)
        table.replicas = self._replicas

    def _own(self, part: str) -> Global:
        if self.resource is None:
            raise Refused(f"{self.name} was restored: CloudFormation cannot give it {part}, DynamoDB's own API can.")
        return self.resource

    def _table(self) -> Global:
        index = Global.GlobalSecondaryIndexProperty(
            index_name=INDEX_NAME,
            key_schema=_key_schema(INDEX_KEY),
            projection=Global.ProjectionProperty(projection_type="ALL"),
            write_provisioned_throughput_settings=self._write_settings(),
        )
        table = Global(
            self,
            "Logs",
            table_name=self.name,
            attribute_definitions=[
                _attribute(PARTITION_KEY, "S"),
                _attribute(SORT_KEY, "N"),
                _attribute(INDEX_KEY, "S"),
            ],
            key_schema=_key_schema(PARTITION_KEY),
            global_secondary_indexes=[index],
            billing_mode="PROVISIONED",
            write_provisioned_throughput_settings=self._write_settings(),
            sse_specification=Global.SSESpecificationProperty(sse_enabled=True, sse_type="KMS"),
            time_to_live_specification=Global.TimeToLiveSpecificationProperty(attribute_name=EXPIRES, enabled=True),
            replicas=self._replicas,
        )
        table.apply_removal_policy(removal_policy(self._profile))
        return table

    def _replica(self, region: str, key_arn: str, stream_arn: str | None = None) -> Global.ReplicaSpecificationProperty:
        """The table in one region: its own one, too, is a replica in CloudFormation's terms."""
        index = Global.ReplicaGlobalSecondaryIndexSpecificationProperty(
            index_name=INDEX_NAME, read_provisioned_throughput_settings=self._read_settings()
        )
        return Global.ReplicaSpecificationProperty(
            region=region,
            global_secondary_indexes=[index],
            read_provisioned_throughput_settings=self._read_settings(),
            sse_specification=Global.ReplicaSSESpecificationProperty(kms_master_key_id=key_arn),
            point_in_time_recovery_specification=Global.PointInTimeRecoverySpecificationProperty(
                point_in_time_recovery_enabled=True, recovery_period_in_days=RECOVERY_DAYS
            ),
            deletion_protection_enabled=self._profile.deletion_protection,
            tags=[cdk.CfnTag(key=key, value=value) for key, value in self._profile.tags.items()],
            kinesis_stream_specification=None if stream_arn is None else _kinesis(stream_arn),
        )

    def _write_settings(self) -> Global.WriteProvisionedThroughputSettingsProperty:
        return Global.WriteProvisionedThroughputSettingsProperty(write_capacity_auto_scaling_settings=self._capacity())

    def _read_settings(self) -> Global.ReadProvisionedThroughputSettingsProperty:
        return Global.ReadProvisionedThroughputSettingsProperty(read_capacity_auto_scaling_settings=self._capacity())

    def _capacity(self) -> Global.CapacityAutoScalingSettingsProperty:
        return Global.CapacityAutoScalingSettingsProperty(
            min_capacity=self._profile.capacity_units_min,
            max_capacity=self._profile.capacity_units_max,
            target_tracking_scaling_policy_configuration=Global.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=self._profile.capacity_target_percent
            ),
        )

    def _scale_restored(self) -> None:
        """DynamoDB restores a table without its scaling."""
        for owner, path in (("table", f"table/{self.name}"), ("index", f"table/{self.name}/index/{INDEX_NAME}")):
            for side, metric in _UTILIZATION.items():
                target = scaling.ScalableTarget(
                    self,
                    f"{owner.title()}{side}Scaling",
                    service_namespace=scaling.ServiceNamespace.DYNAMODB,
                    resource_id=path,
                    scalable_dimension=f"dynamodb:{owner}:{side}CapacityUnits",
                    min_capacity=self._profile.capacity_units_min,
                    max_capacity=self._profile.capacity_units_max,
                )
                target.scale_to_track_metric(
                    "Utilization", predefined_metric=metric, target_value=self._profile.capacity_target_percent
                )


_UTILIZATION = {
    "Read": scaling.PredefinedMetric.DYNAMODB_READ_CAPACITY_UTILIZATION,
    "Write": scaling.PredefinedMetric.DYNAMODB_WRITE_CAPACITY_UTILIZATION,
}


def _kinesis(stream_arn: str) -> Global.KinesisStreamSpecificationProperty:
    return Global.KinesisStreamSpecificationProperty(
        stream_arn=stream_arn, approximate_creation_date_time_precision="MICROSECOND"
    )


def _attribute(name: str, kind: Literal["S", "N"]) -> Global.AttributeDefinitionProperty:
    return Global.AttributeDefinitionProperty(attribute_name=name, attribute_type=kind)


def _key_schema(partition: str) -> list[Global.KeySchemaProperty]:
    return [
        Global.KeySchemaProperty(attribute_name=partition, key_type="HASH"),
        Global.KeySchemaProperty(attribute_name=SORT_KEY, key_type="RANGE"),
    ]
