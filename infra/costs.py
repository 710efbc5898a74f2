"""What a month costs: prices times usage, line by line. The prices are in ``prices.json``, and nowhere else.

Pure arithmetic. ``usage`` says what a deployment under steady traffic uses, ``costs`` what that costs. A month has 730
hours, a GB 2^30 bytes, as AWS counts them. Free tiers, taxes and discounts are left out. What cannot be computed is an
estimate and stands as a constant below, with where it comes from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import msgspec

from infra.profiles import Profile

HOURS = 730
SECONDS = HOURS * 3600
GB = 2**30
DAY_SECONDS = 86_400

# --- What stands there, whatever the traffic. ---

ALARM_METRICS = 11
"""What the stack's own alarms watch: one of several metrics is billed for each of them."""
METRICS = 22
"""Those that the functions publish under ordinary traffic, each a combination of dimensions."""
SCALING_POLICIES = 4
"""Reads and writes, of the table and of its index."""
SCALING_ALARMS_PER_POLICY = 4
"""Application Auto Scaling makes them: utilization and capacity, each too high and too low."""
DASHBOARDS = 1
KEYS = 1
KMS_REQUESTS_PER_HOUR = 60
"""DynamoDB asks again after five minutes for each role; logs, topic, bucket and starting functions add some."""
CONFIG_ITEMS_PER_DAY = 4
"""Changes of recorded resources; each change of the table's capacity is one."""
CONFIG_EVALUATIONS_PER_DAY = 16
"""Five rules look at what changes, and each day at some of what they watch."""
NOTIFICATIONS_PER_DAY = 10
FUNCTION_STARTS_PER_HOUR = 4
FUNCTION_START_MS = 2400
"""Measured at the share of a processor that 256 MB get; a start on Lambda gets more of it."""

# --- What every request uses. ---

MEMORY_GB = 256 / 1024
LOG_BYTES_PER_REQUEST = 3000
"""The gateway's access line, the function's lines with their metrics, the platform's three, and 26 for each line."""
LOG_COMPRESSION = 0.15
"""CloudWatch Logs bills what it keeps as compressed."""
TRAIL_BYTES_PER_EVENT = 250
"""A data event in CloudTrail's gzipped files."""
TRAIL_DAYS = 365
INGEST_MS = 19.0
INGEST_MS_PER_RECORD = 0.033
INGEST_MS_PER_ITEM = 1.2
"""Measured warm, at the share of a processor that 256 MB get: one small request, each further record and item."""
READ_MS = 40.0
READ_MS_PER_RECORD = 0.2
CALL_WAIT_MS = 6.0
"""These three are estimates; the last is a round trip to DynamoDB."""


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``usd`` dollars for each ``per`` units; ``service`` is the line of the bill; ``source`` the page it is from."""

    usd: float
    per: int
    unit: str
    service: str
    source: str


class PriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one list of prices. Their names are the fields of ``Usage``."""

    region: str
    as_of: str
    prices: dict[str, Price]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What is used in a month, each in the unit of the price of the same name."""

    api_gateway_requests: float = 0
    lambda_requests: float = 0
    lambda_arm64_gb_seconds: float = 0
    lambda_x86_64_gb_seconds: float = 0
    dynamodb_write_unit_hours: float = 0
    dynamodb_read_unit_hours: float = 0
    dynamodb_write_units: float = 0
    dynamodb_read_units: float = 0
    dynamodb_stored_gb_months: float = 0
    dynamodb_recovery_gb_months: float = 0
    backup_gb_months: float = 0
    cloudwatch_logs_gb: float = 0
    cloudwatch_logs_gb_months: float = 0
    cloudwatch_metrics: float = 0
    cloudwatch_alarms: float = 0
    cloudwatch_dashboards: float = 0
    kms_keys: float = 0
    kms_requests: float = 0
    config_items: float = 0
    config_evaluations: float = 0
    cloudtrail_data_events: float = 0
    s3_gb_months: float = 0
    sns_notifications: float = 0
    xray_traces: float = 0
    data_out_gb: float = 0

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        mine, others = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        return Usage(**{name: mine[name] + others[name] for name in mine})


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What one request of some kind uses: capacity units, calls to DynamoDB, bytes that it leaves behind or sends."""

    table_write_units: float = 0
    index_write_units: float = 0
    table_read_units: float = 0
    index_read_units: float = 0
    dynamodb_calls: float = 0
    table_bytes: float = 0
    index_bytes: float = 0
    billed_ms: float = 0
    out_bytes: float = 0


class Traffic(msgspec.Struct, frozen=True):
    """So many requests of a kind a second, all month."""

    request: Request
    per_second: float


class NotCarried(Exception):
    """The traffic needs more capacity units than the profile allows."""


@cache
def price_list() -> PriceList:
    """The prices, as the file has them."""
    return msgspec.json.decode((Path(__file__).parent / "prices.json").read_bytes(), type=PriceList)


def costs(used: Usage) -> dict[str, float]:
    """Dollars by line of the bill, in the order of the price list; lines that nothing falls on are left out."""
    lines: dict[str, float] = {}
    for name, price in price_list().prices.items():
        dollars = getattr(used, name) * price.usd / price.per
        if dollars:
            lines[price.service] = lines.get(price.service, 0.0) + dollars
    return lines


def total(lines: Mapping[str, float]) -> float:
    """The bill's sum, in dollars."""
    return math.fsum(lines.values())


def usage(profile: Profile, traffic: Iterable[Traffic], *, on_demand: bool = False) -> Usage:
    """A month of this deployment under steady traffic, once what it keeps has reached its retention.

    Raises ``NotCarried``.
    """
    flows = list(traffic)
    capacity = _on_demand(flows) if on_demand else _provisioned(profile, flows)
    return standing() + capacity + _kept(profile, flows) + _per_request(profile, flows)


def ingest_ms(records: float, items: float, calls: float) -> float:
    """What Lambda bills a warm ingest request for, in milliseconds."""
    work = INGEST_MS + INGEST_MS_PER_RECORD * (records - 1) + INGEST_MS_PER_ITEM * (items - 1)
    return work + CALL_WAIT_MS * calls


def read_ms(records: float) -> float:
    """What Lambda bills a warm read for that answers so many records, in milliseconds."""
    return READ_MS + READ_MS_PER_RECORD * records


def standing() -> Usage:
    """What costs money before the first request, but for the capacity; with what starts functions once in a while."""
    days = HOURS / 24
    return Usage(
        lambda_arm64_gb_seconds=FUNCTION_STARTS_PER_HOUR * HOURS * FUNCTION_START_MS / 1000 * MEMORY_GB,
        cloudwatch_metrics=METRICS,
        cloudwatch_alarms=ALARM_METRICS + SCALING_POLICIES * SCALING_ALARMS_PER_POLICY,
        cloudwatch_dashboards=DASHBOARDS,
        kms_keys=KEYS,
        kms_requests=KMS_REQUESTS_PER_HOUR * HOURS,
        config_items=CONFIG_ITEMS_PER_DAY * days,
        config_evaluations=CONFIG_EVALUATIONS_PER_DAY * days,
        sns_notifications=NOTIFICATIONS_PER_DAY * days,
    )


def units_provisioned(profile: Profile, per_second: float) -> int:
    """Where autoscaling settles for so many units a second. Raises ``NotCarried``."""
    if per_second > profile.capacity_units_max:
        raise NotCarried(f"{per_second:.0f} units a second are over the {profile.capacity_units_max} that are allowed.")
    wanted = math.ceil(per_second * 100 / profile.capacity_target_percent)
    return min(max(wanted, profile.capacity_units_min), profile.capacity_units_max)


def _sum(flows: Iterable[Traffic], *names: str) -> float:
    """What all requests together use of this in a second."""
    return math.fsum(flow.per_second * getattr(flow.request, name) for flow in flows for name in names)


def _provisioned(profile: Profile, flows: list[Traffic]) -> Usage:
    writes = [units_provisioned(profile, _sum(flows, f"{owner}_write_units")) for owner in ("table", "index")]
    reads = [units_provisioned(profile, _sum(flows, f"{owner}_read_units")) for owner in ("table", "index")]
    return Usage(dynamodb_write_unit_hours=sum(writes) * HOURS, dynamodb_read_unit_hours=sum(reads) * HOURS)


def _on_demand(flows: list[Traffic]) -> Usage:
    return Usage(
        dynamodb_write_units=_sum(flows, "table_write_units", "index_write_units") * SECONDS,
        dynamodb_read_units=_sum(flows, "table_read_units", "index_read_units") * SECONDS,
    )


def _kept(profile: Profile, flows: list[Traffic]) -> Usage:
    """The table and its index in the steady state; recovery and backups are of the table alone.

    All is taken to be kept for ``retention_days``: which services send how much is not known here.
    """
    kept_seconds = profile.retention_days * DAY_SECONDS
    table_gb = _sum(flows, "table_bytes") * kept_seconds / GB
    index_gb = _sum(flows, "index_bytes") * kept_seconds / GB
    return Usage(
        dynamodb_stored_gb_months=table_gb + index_gb,
        dynamodb_recovery_gb_months=table_gb,
        backup_gb_months=table_gb * profile.backup_retention_days,
    )


def _per_request(profile: Profile, flows: list[Traffic]) -> Usage:
    requests_per_second = math.fsum(flow.per_second for flow in flows)
    requests = requests_per_second * SECONDS
    gb_seconds = _sum(flows, "billed_ms") / 1000 * SECONDS * MEMORY_GB
    log_gb = requests * LOG_BYTES_PER_REQUEST / GB
    data_events = _sum(flows, "dynamodb_calls") * SECONDS if profile.table_data_events else 0
    # X-Ray samples the first request of each second, and of the others a share.
    first_of_second = min(1.0, requests_per_second)
    traces_per_second = first_of_second + (requests_per_second - first_of_second) * profile.trace_rate
    months_kept = profile.log_retention_days * DAY_SECONDS / SECONDS
    return Usage(
        api_gateway_requests=requests,
        lambda_requests=requests,
        lambda_arm64_gb_seconds=gb_seconds if profile.architecture == "arm64" else 0,
        lambda_x86_64_gb_seconds=gb_seconds if profile.architecture == "x86_64" else 0,
        cloudwatch_logs_gb=log_gb,
        cloudwatch_logs_gb_months=log_gb * LOG_COMPRESSION * months_kept,
        cloudtrail_data_events=data_events,
        s3_gb_months=data_events * TRAIL_BYTES_PER_EVENT * TRAIL_DAYS * DAY_SECONDS / SECONDS / GB,
        xray_traces=traces_per_second * SECONDS,
        data_out_gb=_sum(flows, "out_bytes") * SECONDS / GB,
    )
