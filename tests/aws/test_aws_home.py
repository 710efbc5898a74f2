"""What only the AWS home is asked: its endpoint with a stage, and what the gateway makes of a query."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contract.aws_home import AwsHome, running_aws_home
from contract.http_home import fresh_name, record
from simple_log_service.client.client import Client

pytestmark = pytest.mark.xdist_group("callers")


@pytest.fixture(scope="module")
def home(dynamodb_url: str) -> Iterator[AwsHome]:
    with running_aws_home(dynamodb_url) as running:
        yield running


def test_our_own_client_works_under_the_stages_url(home: AwsHome) -> None:
    service = fresh_name()
    with Client(home.gateway.stage_url, region=home.region, credentials=home.key(), attempts_max=1) as client:
        assert client.health() == "ok"
        assert client.send([record(service, message=str(number)) for number in range(3)]).accepted == 3
        assert [each.message for each in client.recent(service_name=service).logs] == ["2", "1", "0"]


@pytest.mark.parametrize("query", ["service_name=%FF", "%FF=1", "service_name=%ED%A0%80", "limit=%"])
def test_a_query_that_is_not_utf_8_finds_nothing_or_is_refused(home: AwsHome, query: str) -> None:
    answer = home.admin.ask("GET", "/logs/recent", query)
    assert answer.status == 400 or b'"count":0' in answer.body


def test_a_raw_plus_sign_in_a_query_is_a_space(home: AwsHome) -> None:
    service = fresh_name("a b")
    assert home.admin.post(record(service)).status == 201
    answer = home.admin.ask("GET", "/logs/recent", f"service_name={service.replace(' ', '+')}")
    assert b'"count":1' in answer.body


def test_the_gateways_health_says_nothing_but_the_status_whatever_is_asked(home: AwsHome) -> None:
    assert home.stranger.ask("GET", "/health", "verbose=a").body == b'{"status":"ok"}'
