"""What an operator's choices change of the contract: temporary credentials alone, another retention, another region."""

from __future__ import annotations

import time

import pytest

from contract.http_caller import Caller, refusal, said
from contract.http_home import fresh_name, record, running_home
from simple_log_service.core.timestamps import format_timestamp
from support.signing import TOKEN_INVALID

pytestmark = pytest.mark.xdist_group("contract settings")


def test_temporary_only_refuses_every_long_lived_key() -> None:
    with running_home("--temporary-only") as home:
        for credentials in (home.server.credentials, home.key()):
            answer = home.caller(credentials).get()
            assert refusal(answer) == (403, "UnrecognizedClientException", {"message": TOKEN_INVALID})
        temporary = home.caller(home.key(expires_in_seconds=60))
        assert temporary.post(record("a")).status == 201
        assert temporary.page()["count"] == 1


def test_the_region_of_a_signature_is_the_servers() -> None:
    with running_home("--region", "eu-central-1") as home:
        assert home.admin.get().status == 403
        assert Caller(home.address, home.server.credentials, "eu-central-1").get().status == 200


def day_ago(seconds: float) -> str:
    """A moment this many seconds younger than a day."""
    return format_timestamp(time.time_ns() - 86_400 * 10**9 + int(seconds * 10**9))


def test_what_the_retention_lets_go_is_neither_taken_nor_shown() -> None:
    service = fresh_name()
    with running_home("--retention-days", "1") as home:
        receipt = said(home.admin.post([record(service, timestamp=day_ago(2)), record(service, timestamp=day_ago(-1))]))
        assert receipt["accepted"] == 1
        assert [each["code"] for each in receipt["rejected"]] == ["TimestampTooOld"]
        deadline = time.monotonic() + 20
        while home.admin.page(service_name=service, since="30d")["count"]:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("own", [{}, {"log_id": "mine"}])
def test_a_retry_gets_the_first_receipt_even_where_its_record_has_grown_too_old(own: dict[str, str]) -> None:
    service = fresh_name()
    key = ("Idempotency-Key", service)
    with running_home("--retention-days", "1") as home:
        sent = record(service, timestamp=day_ago(1), **own)
        first = home.admin.post(sent, key)
        assert first.status == 201
        deadline = time.monotonic() + 20
        while home.admin.post(sent).status == 201:
            assert time.monotonic() < deadline
        again = home.admin.post(sent, key)
        assert (again.status, again.body) == (201, first.body)
