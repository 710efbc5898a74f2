"""The arithmetic of costs, by hand where a hand suffices, and the estimates it is used for."""

from __future__ import annotations

import math
from datetime import date
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.aws_costs import gb_costs, load_costing, traffic
from bench.aws_requests import generated
from infra.costs import (
    GB,
    HOURS,
    SECONDS,
    NotCarried,
    Request,
    Traffic,
    Usage,
    costs,
    price_list,
    standing,
    total,
    units_provisioned,
    usage,
)
from infra.profiles import DEV, PROD

FIELDS = [field.name for field in msgspec.structs.fields(Usage)]


def test_every_price_has_its_usage_and_every_usage_its_price() -> None:
    assert list(price_list().prices) == FIELDS


def test_every_price_names_a_page_of_aws_and_the_list_its_day() -> None:
    assert price_list().region == "us-east-1"
    assert date.fromisoformat(price_list().as_of).isoformat() == price_list().as_of
    for price in price_list().prices.values():
        assert urlsplit(price.source)[:2] == ("https", "aws.amazon.com")
        assert price.usd > 0


BILLS: list[tuple[Usage, str, float]] = [
    # Two million requests at $3.50 a million.
    (Usage(api_gateway_requests=2_000_000), "API Gateway", 7.0),
    # 100 ms at 256 MB a million times: 25,000 GB-seconds at $0.0000133334, and $0.20 for the invocations.
    (Usage(lambda_requests=1_000_000, lambda_arm64_gb_seconds=25_000), "Lambda", 0.533335),
    # Five units for 730 hours at $0.00065, of table and index: 10 * 730 * 0.00065.
    (Usage(dynamodb_write_unit_hours=7_300), "DynamoDB capacity", 4.745),
    # The same of reads at a fifth of the price.
    (Usage(dynamodb_read_unit_hours=7_300), "DynamoDB capacity", 0.949),
    # A million units on demand: $0.625 written, $0.125 read.
    (Usage(dynamodb_write_units=1_000_000, dynamodb_read_units=1_000_000), "DynamoDB capacity", 0.75),
    # Ten GB in the table, ten recoverable, ten in backups.
    (Usage(dynamodb_stored_gb_months=10), "DynamoDB storage", 2.5),
    (Usage(dynamodb_recovery_gb_months=10), "Point-in-time recovery", 2.0),
    (Usage(backup_gb_months=10), "AWS Backup", 1.0),
    # Four GB of lines at $0.50, and four kept at $0.03.
    (Usage(cloudwatch_logs_gb=4, cloudwatch_logs_gb_months=4), "CloudWatch Logs", 2.12),
    # A key, and 20,000 requests at $0.03 for ten thousand.
    (Usage(kms_keys=1, kms_requests=20_000), "KMS", 1.06),
    # A hundred items at $0.003 and a hundred evaluations at $0.001.
    (Usage(config_items=100, config_evaluations=100), "Config", 0.4),
    # A million data events at $0.10 for a hundred thousand.
    (Usage(cloudtrail_data_events=1_000_000), "CloudTrail", 1.0),
    # Half a dollar for a million notifications, five for a million traces.
    (Usage(sns_notifications=1_000_000), "SNS", 0.5),
    (Usage(xray_traces=1_000_000), "X-Ray", 5.0),
]


@pytest.mark.parametrize(("used", "line", "dollars"), BILLS)
def test_a_line_costs_as_worked_out_by_hand(used: Usage, line: str, dollars: float) -> None:
    assert costs(used) == {line: pytest.approx(dollars)}


amounts = st.floats(0, 1e9)
usages = st.builds(Usage, **dict.fromkeys(FIELDS, amounts))


@given(usages, usages)
def test_costs_add_up(one: Usage, other: Usage) -> None:
    assert total(costs(one + other)) == pytest.approx(total(costs(one)) + total(costs(other)))


@given(usages, st.sampled_from(FIELDS), st.floats(1, 1e6))
def test_more_of_anything_costs_more(used: Usage, name: str, more: float) -> None:
    larger = msgspec.structs.replace(used, **{name: getattr(used, name) + more})
    assert total(costs(larger)) >= total(costs(used))


def test_autoscaling_settles_where_the_target_is_met_within_its_bounds() -> None:
    # Seven units at 70 % are ten; a few are the minimum; eighty want 115 and get the maximum, which carries them.
    assert units_provisioned(PROD, 7) == 10
    assert units_provisioned(PROD, 0.1) == 5
    assert units_provisioned(PROD, 80) == 100
    with pytest.raises(NotCarried, match="101"):
        units_provisioned(PROD, 101)


def test_a_steady_load_is_used_as_worked_out_by_hand() -> None:
    request = Request(table_write_units=6, index_write_units=1, dynamodb_calls=2, table_bytes=GB, billed_ms=40)
    used = usage(PROD, [Traffic(request, 2.0)])
    assert used.api_gateway_requests == 2 * SECONDS
    # Twelve units a second want 18 of the table; two of the index want less than the minimum of five.
    assert used.dynamodb_write_unit_hours == (18 + 5) * HOURS
    assert used.dynamodb_read_unit_hours == (5 + 5) * HOURS
    # Two GB a second for 30 days are kept, all of it recoverable, and 7 times in backups.
    assert used.dynamodb_stored_gb_months == used.dynamodb_recovery_gb_months == 2 * 30 * 86_400
    assert used.backup_gb_months == pytest.approx(7 * 2 * 30 * 86_400)
    # Four calls a second are four data events.
    assert used.cloudtrail_data_events == 4 * SECONDS
    # One of the two requests of each second is traced in any case, and one in twenty of the others.
    assert used.xray_traces == pytest.approx(1.05 * SECONDS)
    # Forty milliseconds of a quarter of a GB, twice a second, beside the starts.
    assert used.lambda_arm64_gb_seconds - standing().lambda_arm64_gb_seconds == pytest.approx(0.02 * SECONDS)


def test_on_demand_pays_for_units_in_place_of_hours() -> None:
    used = usage(PROD, [Traffic(Request(table_write_units=6, index_write_units=1), 1000.0)], on_demand=True)
    assert (used.dynamodb_write_units, used.dynamodb_write_unit_hours) == (7000 * SECONDS, 0)


def test_dev_audits_no_access_to_the_table() -> None:
    assert usage(DEV, [Traffic(Request(dynamodb_calls=1), 1.0)]).cloudtrail_data_events == 0


def test_the_estimate_for_development_holds_for_a_few_requests_a_minute() -> None:
    for per_minute in (0, 2, 5):
        assert 15 <= total(costs(usage(DEV, traffic(generated(10, "own"), per_minute / 60)))) <= 25


@pytest.mark.parametrize("batch", [1, 10, 100, 1000])
def test_the_estimate_for_production_holds_between_its_loads_and_nowhere_else(batch: int) -> None:
    shape = generated(batch, "own")
    for dollars in (50, 150):
        load = load_costing(shape, dollars)
        below, above = (total(costs(usage(PROD, traffic(shape, load * share)))) for share in (0.99, 1.01))
        assert below < dollars < above


def test_batches_of_100_are_cheaper_than_cloudwatch_logs_and_single_records_much_dearer() -> None:
    logs = costs(Usage(cloudwatch_logs_gb=1))["CloudWatch Logs"]
    one_by_one, by_hundred, by_thousand = (
        total(gb_costs(generated(batch, "own", fewer_fields=True))) for batch in (1, 100, 1000)
    )
    assert one_by_one > 40 * logs
    assert by_thousand < by_hundred < logs


def test_no_bill_is_anything_but_a_number() -> None:
    for profile in (DEV, PROD):
        assert all(map(math.isfinite, costs(usage(profile, traffic(generated(100, "mixed"), 0.5))).values()))
