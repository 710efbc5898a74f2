"""The smoke test passes where the contract is kept and fails where it is not: each breakage is made to happen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from e2e.server_process import REGION, ServerProcess
from infra.assumptions import ASSUMPTIONS, Signer
from infra.smoke.__main__ import CHECKS, EXIT_NOT_HELD, EXIT_NOT_RUN, run
from infra.smoke.beliefs import BELIEF_CHECKS, matches, message_matches
from infra.smoke.contract_ingest import INGEST_CHECKS
from infra.smoke.contract_read import READ_CHECKS
from infra.smoke.findings import Check, Finding, NotHeld, NotTested, Outcome, run_checks
from infra.smoke.report import Report, as_json
from infra.smoke.scene import SERVICE_PREFIX, Scene
from simple_log_service.api.signer import Credentials
from simple_log_service.client.endpoint import Endpoint
from simple_log_service.server.access_keys import policy_document
from simple_log_service.server.data_dir import DataDir
from support.meddler import Meddling, Passing, meddling

pytestmark = pytest.mark.xdist_group("smoke")

ROOT = Path(__file__).parents[2]
CONTRACT_CHECKS = (*INGEST_CHECKS, *READ_CHECKS)
NOT_TESTED_HERE = {
    "expired_token", "denied_long_lived", "throttled", "tls_1_0_refused", "tls_1_1_refused", "tls_1_2_works",
    "lambda_throttled", "integration_timeout",
}  # fmt: skip
"""Without a stack, TLS, bad keys and leave to send thousands of requests."""
DIFFERS_HERE = {"raw_plus_in_a_query"}
"""Where the embedded home does something else than API Gateway is believed to do."""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with (
        TemporaryDirectory(prefix="slog-smoke-") as folder,
        ServerProcess(Path(folder) / "data", "--throttle-rate", "0") as running,
    ):
        yield running


@pytest.fixture(scope="module")
def keys(server: ServerProcess) -> dict[Signer, Credentials]:
    store = DataDir(server.data_dir, None).access_keys
    policies: dict[Signer, str] = {"caller": "admin", "ingest_only": "ingest", "read_only": "read"}
    made = {
        signer: store.create(signer, policy_document(policy), expires_in_seconds=3600)
        for signer, policy in policies.items()
    }
    return {
        signer: Credentials(each.access_key_id, each.secret_access_key, each.session_token)
        for signer, each in made.items()
    }


def scene(endpoint: str, keys: Mapping[Signer, Credentials], **settings: Any) -> Scene:
    return Scene(Endpoint.parse(endpoint), REGION, keys, **settings)


def named(findings: list[Finding], outcome: Outcome) -> set[str]:
    return {each.name for each in findings if each.outcome is outcome}


# --- Where the contract is kept. ---


def test_a_server_that_keeps_the_contract_passes(server: ServerProcess, keys: dict[Signer, Credentials]) -> None:
    report = run(scene(server.endpoint, keys), (*CONTRACT_CHECKS, *BELIEF_CHECKS))
    failed = [each for each in report.findings if each.outcome is Outcome.NOT_HELD]
    assert {each.name for each in failed} == DIFFERS_HERE, failed
    assert named(report.findings, Outcome.NOT_TESTED) == NOT_TESTED_HERE
    assert 100 < report.requests < 300


def test_nothing_but_its_own_services_is_left_behind(server: ServerProcess, keys: dict[Signer, Credentials]) -> None:
    run(scene(server.endpoint, keys), CONTRACT_CHECKS)
    left = {each["service_name"] for each in server.logs("limit=10000&hours=168")}
    # The one name that an example of the contract rejects is never stored.
    assert left
    assert all(name.startswith(SERVICE_PREFIX) for name in left)


def test_every_check_has_a_name_of_its_own_and_a_belief() -> None:
    assert len({(check.group, check.name) for check in CHECKS}) == len(CHECKS)
    assert all(check.belief.endswith(".") for check in CHECKS)
    assert len({each.name for each in ASSUMPTIONS}) == len(ASSUMPTIONS)


# --- Where it is broken. ---


def replaced(old: bytes, new: bytes, *, where: Callable[[Passing], bool] = lambda _: True) -> Meddling:
    def meddle(passing: Passing) -> Passing:
        return passing._replace(body=passing.body.replace(old, new)) if where(passing) else passing

    return meddle


def without_header(name: str) -> Meddling:
    def meddle(passing: Passing) -> Passing:
        return passing._replace(headers=[each for each in passing.headers if each[0].lower() != name.lower()])

    return meddle


def page_changed(change: Callable[[list[Any]], list[Any]]) -> Meddling:
    """Change the records of every page of several records."""

    def meddle(passing: Passing) -> Passing:
        if passing.method != "GET" or passing.status != 200 or not passing.body.startswith(b'{"count":'):
            return passing
        page = json.loads(passing.body)
        if len(page["logs"]) < 3:
            return passing
        page["logs"] = change(page["logs"])
        page["count"] = len(page["logs"])
        return passing._replace(body=json.dumps(page).encode())

    return meddle


def status_changed(old: int, new: int) -> Meddling:
    return lambda passing: passing._replace(status=new) if passing.status == old else passing


def is_post(passing: Passing) -> bool:
    return passing.method == "POST"


BREAKAGES: dict[str, tuple[Meddling, set[str]]] = {
    "a wrong text": (replaced(b"Missing Authentication Token", b"Forbidden"), {"missing_token", "unknown_route"}),
    "a renamed member": (replaced(b'{"Message":', b'{"message":'), {"denied"}),
    "no request id": (without_header("x-amzn-RequestId"), {"missing_token", "health", "preflight_logs"}),
    "no error type": (without_header("x-amzn-ErrorType"), {"missing_token", "error_type_of_the_handler", "too_old"}),
    "no CORS": (without_header("Access-Control-Allow-Origin"), {"health", "preflight_logs", "denied"}),
    "CORS hides headers": (without_header("Access-Control-Expose-Headers"), {"missing_token", "health"}),
    "no methods in a preflight": (without_header("Access-Control-Allow-Methods"), {"preflight_logs"}),
    "a lost record": (page_changed(lambda logs: logs[:-1]), {"every_form", "ten_thousand", "paging", "timestamps"}),
    "a repeated record": (page_changed(lambda logs: [logs[0], *logs]), {"every_form", "paging", "retry_key"}),
    "oldest first": (page_changed(lambda logs: logs[::-1]), {"every_form", "paging", "filters"}),
    "records of others": (
        page_changed(lambda logs: [*logs, {**logs[0], "level": "TRACE", "message": "foreign"}]),
        {"every_form", "filters"},
    ),
    "lost nanoseconds": (replaced(b"001001Z", b"001Z"), {"timestamps"}),
    "an escaped text": (replaced("価".encode(), b"?"), {"every_field"}),
    "a receipt with other ids": (replaced(b'"log_id":"', b'"log_id":"x', where=is_post), {"one_record"}),
    "a receipt that hides rejections": (
        replaced(b'"index":1', b'"index":0', where=is_post), {"bad_beside_good", "largest_record"},
    ),
    "wrong statuses": (status_changed(400, 500), {"bad_bodies", "all_bad", "refused_questions", "one_too_many"}),
    "OK instead of created": (status_changed(201, 200), {"one_record", "every_form", "text_body"}),
    "no end of pages": (replaced(b'"next_cursor":null', b'"next_cursor":"AAAA"'), {"paging", "one_record"}),
    "incomplete JSON": (
        lambda passing: passing._replace(body=passing.body[:-1]), {"one_record", "paging", "health", "missing_token"},
    ),
    "an open door": (
        lambda passing: passing._replace(status=200, body=b"{}") if passing.status == 403 else passing,
        {"missing_token", "wrong_secret", "other_body", "too_old", "denied", "unknown_key"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKAGES)
def test_what_is_broken_does_not_hold(server: ServerProcess, keys: dict[Signer, Credentials], name: str) -> None:
    meddle, noticed_by = BREAKAGES[name]
    checks = [check for check in (*CONTRACT_CHECKS, *BELIEF_CHECKS) if check.name in noticed_by]
    assert len(checks) == len(noticed_by)
    with meddling(server.endpoint, meddle) as endpoint:
        report = run(scene(endpoint, keys), checks)
    assert named(report.findings, Outcome.NOT_HELD) == noticed_by, report.findings
    assert report.failed


def test_a_proxy_that_meddles_with_nothing_changes_nothing(
    server: ServerProcess, keys: dict[Signer, Credentials]
) -> None:
    """So that the tests above prove what they say."""
    noticed = set().union(*(names for _, names in BREAKAGES.values()))
    checks = [check for check in (*CONTRACT_CHECKS, *BELIEF_CHECKS) if check.name in noticed]
    with meddling(server.endpoint, lambda passing: passing) as endpoint:
        report = run(scene(endpoint, keys), checks)
    assert not report.failed, [each for each in report.findings if each.outcome is not Outcome.HELD]


def test_an_endpoint_that_is_gone_does_not_hold(keys: dict[Signer, Credentials]) -> None:
    report = run(scene("http://127.0.0.1:1", keys), INGEST_CHECKS[:1])
    assert report.failed
    assert report.findings[0].seen.startswith("no answer: ConnectionRefusedError")


# --- On request. ---


def test_the_throttle_is_found_and_then_left_alone(keys: dict[Signer, Credentials]) -> None:
    with (
        TemporaryDirectory(prefix="slog-smoke-") as folder,
        ServerProcess(Path(folder) / "data", "--throttle-rate", "50", "--throttle-burst", "20") as server,
    ):
        own: dict[Signer, Credentials] = {"caller": server.credentials}
        checks = [check for check in BELIEF_CHECKS if check.name == "throttled"]
        (found,) = run(scene(server.endpoint, own, may_throttle=True), checks).findings
        assert found.outcome is Outcome.HELD, found
        assert "429 TooManyRequestsException" in found.seen


# --- Reporting. ---


def test_no_secret_is_ever_shown(keys: dict[Signer, Credentials]) -> None:
    key = keys["caller"]
    asked = scene("http://127.0.0.1:1", keys)

    def quotes(_scene: Scene) -> str:
        raise NotHeld(f"x-amz-security-token:{key.session_token} secret {key.secret_access_key}")

    (found,) = run_checks([Check("a", "b", "c.", quotes)], asked, asked.redact)
    assert found.seen == "x-amz-security-token:*** secret ***"


def test_a_long_answer_is_cut() -> None:
    (found,) = run_checks([Check("a", "b", "c.", lambda _: "x" * 10_000)], None, str)
    assert len(found.seen) < 700
    assert found.seen.endswith("… (10,000 characters)")


def test_what_was_not_tested_does_not_fail_the_run() -> None:
    def cannot(_: None) -> str:
        raise NotTested("no key")

    findings = list(run_checks([Check("a", "b", "c.", cannot)], None, str))
    report = Report("http://a", "smoke-test-", 0, findings)
    assert (findings[0].outcome, report.failed) == (Outcome.NOT_TESTED, False)
    assert report.summary == "0 held, 0 did not hold, 1 not tested"
    assert json.loads(as_json(report))["findings"][0]["outcome"] == "not tested"


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a*c", "abc", True),
        ("a*c", "abcd", False),
        ("(* - 5 min.)", "(X - 5 min.)", True),
        ("", "anything", False),
    ],
)
def test_texts_fit_as_they_are_written(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"message":"Denied"}', True),
        ('{"message":"Denied for good"}', True),
        ('{ "message" : "Denied" }', True),
        ('{"Message":"Denied"}', False),
        ('{"message":"Not Denied"}', False),
        ('{"message":"Denied","more":""}', False),
        ('{"message":"Denied"', False),
        ('{"message":1}', False),
        ("{}", False),
        ("", False),
    ],
)
def test_messages_may_go_on_and_nothing_else(text: str, fits: bool) -> None:
    assert message_matches('{"message":"Denied"}', text) is fits


# --- The command. ---


def smoke(*arguments: str, key: Credentials | None = None) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if key is not None:
        environ |= {"AWS_ACCESS_KEY_ID": key.access_key_id, "AWS_SECRET_ACCESS_KEY": key.secret_access_key}
        environ |= {"AWS_SESSION_TOKEN": key.session_token} if key.session_token else {}
    return subprocess.run(
        [sys.executable, "-m", "infra.smoke", *arguments],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_command_prints_a_table_and_says_that_all_is_well(
    server: ServerProcess, keys: dict[Signer, Credentials]
) -> None:
    key = keys["caller"]
    ended = smoke("--endpoint", server.endpoint, "--group", "ingest", "--group", "read", key=key)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(CONTRACT_CHECKS)} held, 0 did not hold, 0 not tested" in ended.stdout
    assert SERVICE_PREFIX in ended.stdout
    assert key.secret_access_key not in ended.stdout + ended.stderr
    assert str(key.session_token) not in ended.stdout + ended.stderr


def test_the_command_prints_json_and_fails_where_something_did_not_hold(
    server: ServerProcess, keys: dict[Signer, Credentials]
) -> None:
    ended = smoke("--endpoint", server.endpoint, "--json", "--group", "gateway", key=keys["read_only"])
    assert ended.returncode == EXIT_NOT_HELD
    outcomes = {each["name"]: each["outcome"] for each in json.loads(ended.stdout)["findings"]}
    assert (outcomes["missing_token"], outcomes["text_body"]) == ("held", "did not hold")


def test_without_credentials_or_with_long_lived_ones_nothing_is_asked(server: ServerProcess) -> None:
    nobody = smoke("--endpoint", server.endpoint)
    assert (nobody.returncode, nobody.stderr.count("\n")) == (EXIT_NOT_RUN, 1), nobody.stderr
    assert "no credentials" in nobody.stderr
    lasting = smoke("--endpoint", server.endpoint, key=server.credentials)
    assert lasting.returncode == EXIT_NOT_RUN
    assert "temporary credentials alone" in lasting.stderr


def test_either_an_environment_or_an_endpoint_has_to_be_given() -> None:
    for arguments in ((), ("--env", "dev", "--endpoint", "http://127.0.0.1:1")):
        ended = smoke(*arguments)
        assert ended.returncode == 2
        assert "Give either --env or --endpoint." in ended.stderr
