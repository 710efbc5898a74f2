"""A function's settings are its environment's, and what is wrong with them is said by name."""

from __future__ import annotations

import pytest

from simple_log_service.aws.settings import BadSettings, Settings, read_settings
from simple_log_service.core.limits import RETENTION_DAYS_DEFAULT
from simple_log_service.core.retention import Retention

LEAST = {
    "AWS_REGION": "eu-central-1",
    "SIMPLE_LOG_SERVICE_TABLE_NAME": "simple-log-service-dev-logs",
    "SIMPLE_LOG_SERVICE_INDEX_NAME": "TimestampIndex",
}


def test_region_table_and_index_are_enough() -> None:
    assert read_settings({**LEAST, "PATH": "/bin"}, Settings) == Settings(
        region="eu-central-1",
        table_name="simple-log-service-dev-logs",
        index_name="TimestampIndex",
        retention_days=RETENTION_DAYS_DEFAULT,
        retention_by_service={},
        retention_by_type={},
        type_shards={},
        dynamodb_endpoint_url=None,
        metrics_namespace="SimpleLogService",
    )


def test_everything_may_be_set() -> None:
    settings = read_settings(
        {
            **LEAST,
            "SIMPLE_LOG_SERVICE_RETENTION_DAYS": "7",
            "SIMPLE_LOG_SERVICE_RETENTION_BY_SERVICE": '{"debug-app": 3}',
            "SIMPLE_LOG_SERVICE_RETENTION_BY_TYPE": '{"audit": 365}',
            "SIMPLE_LOG_SERVICE_TYPE_SHARDS": '{"application": 8, "access": 2}',
            "SIMPLE_LOG_SERVICE_DYNAMODB_ENDPOINT_URL": "http://127.0.0.1:4567",
            "SIMPLE_LOG_SERVICE_METRICS_NAMESPACE": "SimpleLogService/dev",
        },
        Settings,
    )

    assert settings.retention == Retention(7, {"debug-app": 3}, {"audit": 365})
    assert settings.type_shards == {"application": 8, "access": 2}
    assert settings.dynamodb_endpoint_url == "http://127.0.0.1:4567"
    assert settings.metrics_namespace == "SimpleLogService/dev"


@pytest.mark.parametrize("name", LEAST)
def test_a_variable_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(BadSettings, match=f"{name} is not set"):
        read_settings({key: value for key, value in LEAST.items() if key != name}, Settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RETENTION_DAYS", "0"),
        ("RETENTION_DAYS", "a week"),
        ("RETENTION_DAYS", ""),
        ("RETENTION_BY_SERVICE", "debug-app=3"),
        ("RETENTION_BY_SERVICE", '{"debug-app": 0}'),
        ("RETENTION_BY_SERVICE", '{"debug-app": 3651}'),
        ("RETENTION_BY_SERVICE", '{"debug-app": true}'),
        ("RETENTION_BY_SERVICE", '{" debug-app": 3}'),
        ("RETENTION_BY_TYPE", "[]"),
        ("RETENTION_BY_TYPE", '{"": 3}'),
        ("RETENTION_BY_TYPE", '{"%s": 3}' % ("x" * 129)),
        ("TYPE_SHARDS", "application=8"),
        ("TYPE_SHARDS", '["application"]'),
        ("TYPE_SHARDS", '{"application": 0}'),
        ("TYPE_SHARDS", '{"application": "many"}'),
        ("TABLE_NAME", ""),
        ("METRICS_NAMESPACE", "white space"),
    ],
)
def test_a_bad_value_is_refused_with_the_name_of_its_variable(variable: str, value: str) -> None:
    with pytest.raises(BadSettings, match=f"SIMPLE_LOG_SERVICE_{variable}"):
        read_settings({**LEAST, f"SIMPLE_LOG_SERVICE_{variable}": value}, Settings)
