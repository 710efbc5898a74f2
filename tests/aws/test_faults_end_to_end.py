"""DynamoDB's failures as callers see them: through the gateway and the functions, with every call on the record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from contract.aws_home import AwsHome, running_aws_home
from contract.http_caller import JSON, refusal, said, wire
from contract.http_home import fresh_name, record
from simple_log_service.core.receipts import THROTTLED as THROTTLED_CODE
from support import faulty_dynamodb as faults
from support.faulty_dynamodb import FaultyDynamoDB, Json, faulty_dynamodb, writes
from support.raw_http import Answer, connected
from support.runtime_api import SECRET_ACCESS_KEY, SESSION_TOKEN

pytestmark = pytest.mark.xdist_group("faults end to end")


@pytest.fixture(scope="module")
def proxy(dynamodb_url: str) -> Iterator[FaultyDynamoDB]:
    with faulty_dynamodb(dynamodb_url) as made:
        yield made


@pytest.fixture(scope="module")
def running(proxy: FaultyDynamoDB) -> Iterator[AwsHome]:
    with running_aws_home(proxy.endpoint_url) as made:
        yield made


@pytest.fixture
def home(running: AwsHome, proxy: FaultyDynamoDB) -> Iterator[AwsHome]:
    yield running
    proxy.heal()


@pytest.fixture
def service() -> str:
    return fresh_name()


def of_service(service: str) -> faults.Predicate:
    """Items that hold records of a service: its plain ones, entries and bodies."""
    return lambda item: item["service_name"]["S"] in {service, f"\x1fbody\x1f{service}"}


def ask(home: AwsHome, method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> Answer:
    """As the administrator, whatever the answer."""
    path, _, query = target.partition("?")
    with connected(home.address) as client:
        return client.ask(wire(home.admin.signed(method, path, query, headers, body)))


def key() -> tuple[str, str]:
    return "Idempotency-Key", uuid4().hex


def unavailable(answer: Answer) -> None:
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (503, "ServiceUnavailableException")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert int(answer.headers["retry-after"]) > 0


def test_where_all_is_throttled_the_receipt_says_so_and_a_repeat_stores_it_once(
    home: AwsHome, proxy: FaultyDynamoDB, service: str
) -> None:
    rule = proxy.inject(faults.THROTTLED, "BatchWriteItem", when=writes(of_service(service)))
    again = key()
    answer = home.admin.post([record(service, message=str(number)) for number in range(30)], again)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (429, "TooManyRequestsException")
    assert int(answer.headers["retry-after"]) > 0
    receipt = said(answer)
    assert receipt["accepted"] == 0
    assert [each["index"] for each in receipt["rejected"]] == list(range(30))
    assert {each["code"] for each in receipt["rejected"]} == {THROTTLED_CODE}
    assert rule.acted > 1, "the store tried again by itself"
    proxy.heal()
    assert home.admin.logs(service_name=service) == []
    for _ in range(2):
        repeated = home.admin.post([record(service, message=str(number)) for number in range(30)], again)
        assert (repeated.status, said(repeated)["accepted"]) == (201, 30)
    assert len(home.admin.logs(service_name=service)) == 30


def test_what_could_be_stored_is_and_the_rest_is_named(home: AwsHome, proxy: FaultyDynamoDB, service: str) -> None:
    other = fresh_name()
    proxy.inject(faults.unprocessed(of_service(service)), "BatchWriteItem")
    batch = [record(each, message=each) for each in (service, other, other, service)]
    answer = home.admin.post(batch, again := key())
    receipt = said(answer)
    assert (answer.status, receipt["accepted"]) == (429, 2)
    assert [(each["index"], each["code"]) for each in receipt["rejected"]] == [(0, THROTTLED_CODE), (3, THROTTLED_CODE)]
    assert len(home.admin.logs(service_name=other)) == 2
    proxy.heal()
    assert said(home.admin.post(batch, again))["accepted"] == 4
    assert len(home.admin.logs(service_name=service)) == len(home.admin.logs(service_name=other)) == 2


@pytest.mark.parametrize(
    "fault",
    [
        faults.THROTTLED,
        faults.THROTTLING,
        faults.INTERNAL_ERROR,
        faults.internal_error_after,
        faults.cut_before,
        faults.cut_after,
    ],
    ids=["throttled", "throttling", "500", "500 after the write", "cut before", "cut after"],
)
def test_a_failure_that_passes_is_not_seen_and_nothing_is_stored_twice(
    home: AwsHome, proxy: FaultyDynamoDB, service: str, fault: faults.Fault
) -> None:
    rules = [proxy.inject(fault, each, times=1) for each in ("BatchWriteItem", "UpdateItem", "Query")]
    assert home.admin.post(record(service)).status == 201
    assert home.admin.post([record(service, log_id=f"{number}") for number in range(40)]).status == 201
    assert len(home.admin.logs(service_name=service)) == 41
    assert [rule.acted for rule in rules] == [1, 1, 1]


@pytest.mark.parametrize(
    "fault",
    [faults.MISSING_TABLE, faults.EXPIRED_TOKEN, faults.CLOCK_SKEW, faults.ACCESS_DENIED, faults.INTERNAL_ERROR],
    ids=["missing table", "expired token", "clock skew", "access denied", "500"],
)
def test_a_failure_that_stays_is_503_for_writes_and_reads_alike(
    home: AwsHome, proxy: FaultyDynamoDB, service: str, fault: faults.Fault
) -> None:
    proxy.inject(fault)
    unavailable(ask(home, "POST", "/logs", JSON, body=b'{"service_name":"a","log_type":"b","message":"c"}'))
    unavailable(ask(home, "GET", f"/logs/recent?service_name={service}"))
    assert ask(home, "GET", "/health").status == 200, "the gateway answers that by itself"
    proxy.heal()
    assert home.admin.post(record(service)).status == 201
    assert len(home.admin.logs(service_name=service)) == 1


def test_a_throttled_read_is_429_and_goes_on_later(home: AwsHome, proxy: FaultyDynamoDB, service: str) -> None:
    assert home.admin.post(record(service)).status == 201
    proxy.inject(faults.THROTTLED, "Query")
    status, error_type, _ = refusal(home.admin.get(service_name=service))
    assert (status, error_type) == (429, "TooManyRequestsException")
    proxy.heal()
    assert home.admin.page(service_name=service)["count"] == 1


def test_a_read_by_service_is_strongly_consistent_and_no_read_scans(
    home: AwsHome, proxy: FaultyDynamoDB, service: str
) -> None:
    assert home.admin.post([record(service, log_type=service)] * 3).status == 201
    seen = len(proxy.calls)
    for parameters in ({"service_name": service}, {"log_type": service}, {}):
        assert home.admin.page(**parameters, limit=3)["count"] == 3
    calls = proxy.calls[seen:]
    assert {call.operation for call in calls} <= {"Query", "GetItem", "BatchGetItem"}
    of_table: list[Json] = [call.parameters for call in calls if "IndexName" not in call.parameters]
    assert all(_is_consistent(parameters) for parameters in of_table)


def test_each_function_calls_nothing_but_what_its_role_allows(
    home: AwsHome, proxy: FaultyDynamoDB, service: str
) -> None:
    batch = [record(service, message="x" * 3000, log_id=str(number)) for number in range(60)]
    for _ in range(2):
        assert home.admin.post([*batch, record(service, log_type=service)], key()).status == 201
    for parameters in ({"service_name": service}, {"log_type": service}, {"limit": 100}):
        assert home.admin.logs(**parameters, since="1h")
    for function in home.gateway.functions.values():
        own = {call.operation for call in proxy.calls if call.access_key_id == f"ASIA-{function.plan.name}"}
        assert own
        assert {f"dynamodb:{operation}" for operation in own} <= function.plan.actions


def _is_consistent(parameters: Json) -> Any:
    if "RequestItems" in parameters:
        return all(asked.get("ConsistentRead") for asked in parameters["RequestItems"].values())
    return parameters.get("ConsistentRead")


def test_no_log_of_a_function_holds_a_secret_or_what_was_sent(home: AwsHome, proxy: FaultyDynamoDB) -> None:
    message = uuid4().hex
    proxy.inject(faults.ACCESS_DENIED, times=1)
    body = b'{"service_name":"a","log_type":"b","message":"%b"}' % message.encode()
    unavailable(ask(home, "POST", "/logs", JSON, body=body))
    credentials = home.admin.credentials
    assert credentials is not None
    log = "".join(function.log for function in home.gateway.functions.values())
    assert '"status":"503"' in log
    callers = (message, credentials.secret_access_key, str(credentials.session_token))
    for secret in (*callers, SECRET_ACCESS_KEY, SESSION_TOKEN):
        assert secret not in log
