"""The smoke test against the AWS home on this machine: the template's API, its functions, a DynamoDB engine.

It passes as it is; and with one thing changed in the API as it might be in an account, it fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contract.aws_home import AwsHome, running_aws_home
from contract.http_home import fresh_name, record
from infra.assumptions import Signer
from infra.restore.proof import newest_record
from infra.smoke.__main__ import run
from infra.smoke.beliefs import BELIEF_CHECKS
from infra.smoke.contract_ingest import INGEST_CHECKS
from infra.smoke.contract_read import READ_CHECKS
from infra.smoke.findings import Outcome
from infra.smoke.report import Report
from infra.smoke.scene import Scene
from simple_log_service.api.policy import ADMIN
from simple_log_service.api.signer import Credentials
from simple_log_service.client.endpoint import Endpoint
from support.api_template import Deployment
from support.dynalite import dynamodb_client
from support.gateway import Gateway, local_gateway
from support.loopback import answering

pytestmark = pytest.mark.xdist_group("smoke aws")

CHECKS = (*INGEST_CHECKS, *READ_CHECKS, *BELIEF_CHECKS)
NOT_TESTED_HERE = {
    "throttled", "tls_1_0_refused", "tls_1_1_refused", "tls_1_2_works", "lambda_throttled", "integration_timeout",
}  # fmt: skip
"""Plain HTTP, and no leave to send thousands of requests."""


@pytest.fixture(scope="module")
def home(dynamodb_url: str) -> Iterator[AwsHome]:
    with running_aws_home(dynamodb_url) as running:
        yield running


def smoked(home: AwsHome, *names: str, may_throttle: bool = False) -> Report:
    keys: dict[Signer, Credentials] = {
        "caller": home.key(),
        "ingest_only": home.key("ingest"),
        "expired": home.gateway.key(ADMIN, expires_in_seconds=0),
        "long_lived": home.gateway.key(ADMIN, expires_in_seconds=None),
    }
    scene = Scene(Endpoint.parse(home.gateway.stage_url), home.region, keys, may_throttle=may_throttle)
    return run(scene, [check for check in CHECKS if not names or check.name in names])


def names_of(report: Report, outcome: Outcome) -> set[str]:
    return {each.name for each in report.findings if each.outcome is outcome}


def test_the_aws_home_passes(home: AwsHome) -> None:
    report = smoked(home)
    assert not report.failed, [each for each in report.findings if each.outcome is Outcome.NOT_HELD]
    assert names_of(report, Outcome.NOT_TESTED) == NOT_TESTED_HERE


def test_functions_without_their_table_are_noticed(home: AwsHome, dynamodb_url: str) -> None:
    environ = {
        "SIMPLE_LOG_SERVICE_TABLE_NAME": "nowhere",
        "SIMPLE_LOG_SERVICE_DYNAMODB_ENDPOINT_URL": dynamodb_url,
    }
    with local_gateway(home.gateway.deployment, environ) as gateway:
        report = smoked(AwsHome(gateway), "one_record", "refused_questions", "health")
    assert names_of(report, Outcome.NOT_HELD) == {"one_record"}


def test_a_restores_proof_finds_the_newest_record_as_the_store_writes_it(home: AwsHome, dynamodb_url: str) -> None:
    service, now = fresh_name(), time.time()
    old, new = ({**record(service), "timestamp": now + seconds} for seconds in (-60, 5))
    for batch in ([new] * 3, [old]):
        assert home.admin.post(batch).status == 201
    later = datetime.now(UTC) + timedelta(seconds=10)
    with dynamodb_client(dynamodb_url) as dynamodb:
        tables = [name for name in dynamodb.list_tables()["TableNames"] if name.startswith("logs-")]
        found = [newest_record(dynamodb, table, {}, later) for table in tables]
    (own,) = (key for key in found if key is not None and key["service_name"]["S"] == service)
    assert int(own["timestamp"]["N"].partition(".")[0]) // 10**9 == int(new["timestamp"])


# --- An API with one thing changed. ---


@contextmanager
def changed_home(home: AwsHome, deployment: Deployment) -> Iterator[AwsHome]:
    """Another gateway before the same functions."""
    gateway = Gateway(deployment, home.gateway.functions)
    with answering(gateway.answer) as gateway.url:
        yield AwsHome(gateway)


def only(deployment: Deployment, path: str, http_method: str, **changes: Any) -> Deployment:
    method = deployment.methods[path, http_method]._replace(**changes)
    return deployment._replace(methods={**deployment.methods, (path, http_method): method})


def unreadable(deployment: Deployment) -> Deployment:
    methods = {
        where: method._replace(mock=method.mock._replace(reads_text=False)) if method.mock else method
        for where, method in deployment.methods.items()
    }
    return deployment._replace(methods=methods)


CHANGES: dict[str, tuple[Callable[[Deployment], Deployment], set[str]]] = {
    "bodies as text": (
        lambda made: made._replace(binary_media_types=frozenset()), {"gzip_body", "zstd_body", "every_form"},
    ),
    "error answers without headers": (
        lambda made: made._replace(gateway_headers={}), {"missing_token", "unknown_route", "denied"},
    ),
    "mocks that cannot read": (unreadable, {"health", "preflight_logs", "preflight_service"}),
    "an open route": (lambda made: only(made, "/logs/recent", "GET", needs_iam=False), {"wrong_secret", "denied"}),
    "a missing route": (
        lambda made: made._replace(methods={k: v for k, v in made.methods.items() if k != ("/logs", "OPTIONS")}),
        {"preflight_logs"},
    ),
    "status behind a signature": (
        lambda made: only(made, "/health", "GET", needs_iam=True), {"health"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_an_api_with_one_thing_changed_is_noticed(home: AwsHome, name: str) -> None:
    change, noticed_by = CHANGES[name]
    changed = change(home.gateway.deployment)
    with changed_home(home, changed) as other:
        report = smoked(other, *noticed_by)
    assert names_of(report, Outcome.NOT_HELD) == noticed_by, report.findings


def test_the_stages_rate_is_found(home: AwsHome) -> None:
    slow = home.gateway.deployment._replace(throttle_rate=20.0, throttle_burst=5)
    with changed_home(home, slow) as other:
        (found,) = smoked(other, "throttled", may_throttle=True).findings
    assert found.outcome is Outcome.HELD, found
