"""The template's policies for callers, laid upon callers of the local gateway: each opens its routes and no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contract.aws_home import AwsHome, running_aws_home
from contract.http_caller import Caller, refusal
from contract.http_home import record
from simple_log_service.api.policy import ADMIN

pytestmark = pytest.mark.xdist_group("callers")

WRITES = {("POST", "/logs"), ("POST", "/services/shop/logs")}
READS = {("GET", "/logs/recent"), ("GET", "/logs/stats"), ("GET", "/services/shop/logs")}
OPENED = {"ingest-only": WRITES, "read-only": READS, "ingest-and-read": WRITES | READS}


@pytest.fixture(scope="module")
def home(dynamodb_url: str) -> Iterator[AwsHome]:
    with running_aws_home(dynamodb_url) as running:
        yield running


def policy_named(home: AwsHome, kind: str) -> dict[str, object]:
    (found,) = (each for name, each in home.gateway.deployment.policies.items() if f"-{kind}-" in name)
    return found


def status_of(caller: Caller, method: str, path: str) -> int:
    return caller.ask(method, path, "", (), b"[]" if method == "POST" else b"").status


def test_there_is_no_other_policy(home: AwsHome) -> None:
    assert len(home.gateway.deployment.policies) == len(OPENED)


@pytest.mark.parametrize("kind", OPENED)
def test_a_policy_opens_its_routes_alone(home: AwsHome, kind: str) -> None:
    caller = home.caller(home.key(policy_named(home, kind)))
    opened = {(method, path) for method, path in WRITES | READS if status_of(caller, method, path) != 403}
    assert opened == OPENED[kind]


@pytest.mark.parametrize("kind", OPENED)
def test_a_policy_denies_long_lived_keys_whatever_else_allows(home: AwsHome, kind: str) -> None:
    policy = policy_named(home, kind)
    statements = policy["Statement"]
    assert isinstance(statements, list)
    both = {**policy, "Statement": [*statements, *ADMIN["Statement"]]}
    caller = home.caller(home.gateway.key(both, expires_in_seconds=None))
    for method, path in WRITES | READS:
        _, error_type, body = refusal(caller.ask(method, path))
        assert error_type == "AccessDeniedException"
        assert body["Message"].endswith(" with an explicit deny")


def test_the_functions_refuse_a_long_lived_key_that_every_policy_allows(home: AwsHome) -> None:
    caller = home.caller(home.gateway.key(ADMIN, expires_in_seconds=None))
    answers = [caller.post(record("shop")), caller.get(), caller.get("/services/shop/logs")]
    assert {refusal(answer)[1] for answer in answers} == {"UnrecognizedClientException"}
    assert home.admin.page(limit=1)["logs"] == []
