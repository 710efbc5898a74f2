"""Idempotency-Key, end to end: a retry stores nothing twice and gets the first receipt."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from contract.http_caller import NDJSON, refusal, said
from contract.http_home import AnyHome, fresh_name, record
from simple_log_service.core.limits import IDEMPOTENCY_KEY_CHARS_MAX

pytestmark = pytest.mark.xdist_group("http retries")

MISMATCH = (
    422,
    "IdempotentParameterMismatchException",
    {"message": "This Idempotency-Key was used before, with another request."},
)


@pytest.fixture
def service() -> str:
    return fresh_name()


@pytest.fixture
def key() -> tuple[str, str]:
    return "Idempotency-Key", uuid4().hex


Header = tuple[str, str]


@pytest.mark.parametrize("size", [None, 1, 500])
def test_a_repeat_gets_the_first_receipt_and_stores_nothing(
    home: AnyHome, service: str, key: Header, size: int | None
) -> None:
    sent = record(service) if size is None else [record(service)] * size
    first, *repeats = [home.admin.post(sent, key) for _ in range(3)]
    assert first.status == 201
    assert all((again.status, again.body) == (201, first.body) for again in repeats)
    assert len(home.admin.logs(service_name=service)) == (size or 1)


def test_the_first_receipt_comes_back_with_its_rejections_and_duplicates(
    home: AnyHome, service: str, key: Header
) -> None:
    sent = [record(service, log_id="a"), record(service, log_id="a"), record(service, level="x"), record(service)]
    first, again = home.admin.post(sent, key), home.admin.post(sent, key)
    assert (first.status, first.body) == (again.status, again.body)
    receipt = said(first)
    assert (receipt["accepted"], receipt["duplicates"], len(receipt["rejected"])) == (3, 1, 1)


def test_without_a_key_a_repeat_is_stored_again(home: AnyHome, service: str) -> None:
    for _ in range(2):
        assert home.admin.post(record(service)).status == 201
    assert len(home.admin.logs(service_name=service)) == 2


def test_another_request_under_the_same_key_is_refused(home: AnyHome, service: str, key: Header) -> None:
    body = json.dumps(record(service)).encode()
    assert home.admin.post(body, key).status == 201
    others = {
        "another body": home.admin.post(body + b" ", key),
        "another path": home.admin.post(body, key, path=f"/services/{service}/logs"),
        "another content type": home.admin.post(body, key, NDJSON),
        "another encoding": home.admin.post(gzip.compress(body), key, ("Content-Encoding", "gzip")),
    }
    assert {name: refusal(answer) for name, answer in others.items()} == dict.fromkeys(others, MISMATCH)
    assert len(home.admin.logs(service_name=service)) == 1


def test_a_key_is_its_callers_own(home: AnyHome, service: str, key: Header) -> None:
    other = home.caller(home.key(name="somebody-else"))
    assert home.admin.post(record(service), key).status == 201
    assert other.post(record(service, message="mine"), key).status == 201
    assert len(home.admin.logs(service_name=service)) == 2


def test_renewed_temporary_credentials_are_the_same_caller(home: AnyHome, service: str, key: Header) -> None:
    callers = [home.caller(home.key(expires_in_seconds=60, name="role")) for _ in range(2)]
    first, again = [caller.post(record(service), key) for caller in callers]
    assert first.body == again.body
    assert len(home.admin.logs(service_name=service)) == 1


def test_a_request_of_which_nothing_was_stored_leaves_no_trace(home: AnyHome, service: str, key: Header) -> None:
    assert home.admin.post(record(service, level="x"), key).status == 400
    assert home.admin.post(b"nonsense", key).status == 400
    assert home.admin.post(record(service), key).status == 201


@pytest.mark.parametrize("length", [1, IDEMPOTENCY_KEY_CHARS_MAX])
def test_a_key_may_be_as_long_as_its_bound(home: AnyHome, service: str, length: int) -> None:
    text = uuid4().hex[:1] if length == 1 else uuid4().hex.ljust(length, "k")
    first, again = [home.admin.post(record(service), ("Idempotency-Key", text)) for _ in range(2)]
    assert (first.status, first.body) == (201, again.body)


@pytest.mark.parametrize("text", ["", "k" * (IDEMPOTENCY_KEY_CHARS_MAX + 1)])
def test_a_key_out_of_bounds_is_refused(home: AnyHome, service: str, text: str) -> None:
    message = {"message": "Idempotency-Key must have 1 to 255 characters."}
    answer = home.admin.post(record(service), ("Idempotency-Key", text))
    assert refusal(answer) == (400, "BadRequestException", message)
    assert home.admin.logs(service_name=service) == []


def test_two_keys_in_one_request_are_refused(home: AnyHome, service: str, key: Header) -> None:
    """They are sent by hand: a signer joins them, and a server must not choose one."""
    request = home.admin.signed("POST", "/logs", "", (), json.dumps(record(service)).encode())
    for name in (b"Idempotency-Key", b"idempotency-key"):
        request.headers.append((name, key[1].encode()))
    assert refusal(home.admin.send(request))[:2] == (400, "BadRequestException")
    assert home.admin.logs(service_name=service) == []


def test_concurrent_repeats_wait_for_the_first_and_get_its_receipt(home: AnyHome, service: str, key: Header) -> None:
    sent = [record(service)] * 1000
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: home.admin.post(sent, key), range(32)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert len(home.admin.logs(service_name=service, limit=2000)) == 1000


def test_of_concurrent_requests_under_one_key_exactly_one_wins(home: AnyHome, service: str, key: Header) -> None:
    def post(number: int) -> int:
        return home.admin.post(record(service, message=str(number)), key).status

    with ThreadPoolExecutor(16) as threads:
        statuses = sorted(threads.map(post, range(16)))
    assert statuses == [201] + [422] * 15
    assert len(home.admin.logs(service_name=service)) == 1


def test_a_key_is_remembered_over_a_restart(home_of_its_own: AnyHome, service: str, key: Header) -> None:
    home = home_of_its_own
    first = home.admin.post([record(service), record(service, level="x")], key)
    home.restart()
    again = home.admin.post([record(service), record(service, level="x")], key)
    assert (first.status, first.body) == (again.status, again.body)
    assert refusal(home.admin.post(record(service), key)) == MISMATCH
    assert len(home.admin.logs(service_name=service)) == 1
