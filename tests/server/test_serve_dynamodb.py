"""``serve --store dynamodb``: the embedded server over a table, alone and together with others."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from contract.http_caller import Caller, expanded_ids, said
from contract.http_home import record
from e2e.server_process import REGION, NotStarted, ServerProcess
from support import faulty_dynamodb as faults
from support.dynalite import create_table
from support.dynamodb_tables import CREDENTIALS


@pytest.fixture
def table(dynamodb_url: str) -> str:
    """An empty table."""
    name = f"logs-{uuid4().hex}"
    create_table(dynamodb_url, name)
    return name


def server(data_dir: Path, endpoint_url: str, table: str, **environ: str) -> ServerProcess:
    """A server over the table."""
    flags = ("--store", "dynamodb", "--table", table, "--endpoint-url", endpoint_url)
    return ServerProcess(data_dir, *flags, environ={**CREDENTIALS, **environ})


def test_records_survive_the_server_and_are_seen_by_others_at_once(
    tmp_path: Path, dynamodb_url: str, table: str
) -> None:
    sent = [{"service_name": "shop", "log_type": "application", "message": f"{n}"} for n in range(500)]
    with server(tmp_path / "one", dynamodb_url, table) as one, server(tmp_path / "two", dynamodb_url, table) as two:
        for start in range(0, 500, 100):
            assert one.client().send(sent[start : start + 100]).accepted == 100
        messages = [record.message for record in two.client().iter_recent(service_name="shop")]
        assert messages == [f"{n}" for n in range(499, -1, -1)]
        one.restart()
        assert len(list(one.client().iter_recent(log_type="application"))) == 500
        assert len(list(one.client().iter_recent())) == 500


def test_a_restart_makes_no_second_administrator(tmp_path: Path, dynamodb_url: str, table: str) -> None:
    with server(tmp_path / "data", dynamodb_url, table) as running:
        first = running.credentials
        running.restart()
        assert running.credentials == first


def test_what_calls_cost_shows_in_the_metrics(tmp_path: Path, dynamodb_url: str, table: str) -> None:
    with server(tmp_path / "data", dynamodb_url, table) as running:
        running.client().send([{"service_name": "shop", "log_type": "application", "message": "hello"}])
        metrics = running.request("GET", "/metrics").body.decode()
    # One unit for the type's slot, one for the claim on the client's Idempotency-Key, one for the record.
    assert 'slog_dynamodb_units_total{kind="write",target="table"} 3.0' in metrics
    assert 'slog_dynamodb_units_total{kind="write",target="index"} 1.0' in metrics


def test_what_a_table_has_no_capacity_for_is_429_with_the_receipt_and_a_repeat_stores_it(
    tmp_path: Path, dynamodb_url: str, table: str
) -> None:
    records = [record("cool"), record("hot"), record("cool")]
    with faults.faulty_dynamodb(dynamodb_url) as proxy, server(tmp_path / "data", proxy.endpoint_url, table) as running:
        address = urlsplit(running.endpoint)
        assert address.hostname is not None
        assert address.port is not None
        caller = Caller((address.hostname, address.port), running.credentials, REGION)
        proxy.inject(faults.unprocessed(lambda item: item["service_name"]["S"] == "hot"), "BatchWriteItem")
        throttled = caller.post(records, ("Idempotency-Key", "k"))
        assert (throttled.status, throttled.headers["x-amzn-errortype"]) == (429, "TooManyRequestsException")
        assert int(throttled.headers["retry-after"]) > 0
        receipt = said(throttled)
        assert (receipt["accepted"], [each["index"] for each in receipt["rejected"]]) == (2, [1])
        assert receipt["rejected"][0]["code"] == "Throttled"
        proxy.heal()
        whole = caller.post(records, ("Idempotency-Key", "k"))
        assert (whole.status, said(whole)["accepted"]) == (201, 3)
        ids = expanded_ids(said(whole))
        assert {ids[0], ids[2]} == set(expanded_ids(receipt).values())
        assert sorted(each["log_id"] for each in caller.logs()) == sorted(ids.values())


def test_a_table_that_is_not_there_is_said_before_anything_listens(tmp_path: Path, dynamodb_url: str) -> None:
    says = "nowhere cannot be read: The table nowhere or its index does not exist"
    with pytest.raises(NotStarted, match=says), server(tmp_path / "data", dynamodb_url, "nowhere"):
        pass


def test_a_table_without_credentials_is_said_before_anything_listens(
    tmp_path: Path, dynamodb_url: str, table: str
) -> None:
    nobody = dict.fromkeys(CREDENTIALS, "") | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    says = "finds no credentials for DynamoDB"
    with pytest.raises(NotStarted, match=says), server(tmp_path / "data", dynamodb_url, table, **nobody):
        pass


@pytest.mark.parametrize("flags", [("--store", "dynamodb"), ("--table", "logs")])
def test_the_store_and_its_table_go_together(tmp_path: Path, flags: tuple[str, ...]) -> None:
    says = "--store dynamodb and --table go together"
    with pytest.raises(NotStarted, match=says), ServerProcess(tmp_path / "data", *flags):
        pass
