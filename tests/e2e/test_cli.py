"""The command line before a real server: what one command sends the next one shows, and keys do what they say."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.server_process import ServerProcess
from simple_log_service import Client
from support.command import SLOG, Result, clean_environ, run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("home") / "data", "--throttle-rate", "0") as running:
        yield running


@pytest.fixture
def environ(server: ServerProcess, tmp_path: Path) -> dict[str, str]:
    """That of the user who started the server, with nothing of AWS set."""
    return clean_environ(tmp_path, XDG_CONFIG_HOME=server.environ["XDG_CONFIG_HOME"])


def _key(server: ServerProcess, environ: dict[str, str], policy: str, *options: str) -> dict[str, str]:
    """The variables of a new key, for a command that names the endpoint."""
    arguments: list[str | bytes] = ["keys", "create", "--data-dir", os.fspath(server.data_dir)]
    result = run([*arguments, "--name", "test", "--policy", policy, "--output", "json", *options], environ)
    assert result.exit_code == 0, result.stderr
    created = json.loads(result.stdout)
    assert set(created) <= {"access_key_id", "secret_access_key", "session_token"}
    variables = {f"AWS_{name.upper()}": value for name, value in created.items()}
    return environ | variables | {"SIMPLE_LOG_SERVICE_ENDPOINT": server.endpoint}


def _keys(server: ServerProcess, environ: dict[str, str], *arguments: str) -> Result:
    return run(["keys", arguments[0], "--data-dir", os.fspath(server.data_dir), *arguments[1:]], environ)


def _messages(environ: dict[str, str], service: str) -> list[str]:
    result = run(["recent", "--service", service, "-o", "ndjson", "--limit", "100000"], environ)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line)["message"] for line in reversed(result.stdout.splitlines())]


def test_the_server_s_own_user_needs_no_flag(environ: dict[str, str]) -> None:
    sent = run(["send", "--service", "plain"], environ, "first\nsecond é \x1b[31m\n\nthird\n".encode())
    assert sent == Result(0, "", "sent 3 records: 3 accepted, 0 rejected\n")
    shown = run(["recent", "--service", "plain", "--since", "5m"], environ)
    assert shown.stderr == ""
    lines = [line.partition(" ")[2] for line in shown.stdout.splitlines()]
    assert lines == [f"INFO  plain/application  {text}" for text in ("first", "second é \\e[31m", "third")]


def test_a_search_finds_words_patterns_and_fields(environ: dict[str, str]) -> None:
    lines = b'{"message":"Disk full","user":{"id":4711}}\n{"message":"took 12345 ms"}\n{"message":"disk is not full"}\n'
    assert run(["send", "--service", "sought"], environ, lines).exit_code == 0
    for arguments, found in (
        (["disk", "full"], ["Disk full", "disk is not full"]),
        (["disk full"], ["Disk full"]),
        (["dis*", "--", "-not"], ["Disk full"]),
        (["--pattern", "took [0-9]{4,} ms"], ["took 12345 ms"]),
        (["--field", "user.id=4711"], ["Disk full"]),
    ):
        result = run(["search", "--service", "sought", "-o", "ndjson", *arguments], environ)
        assert (result.exit_code, result.stderr) == (0, "")
        assert [json.loads(line)["message"] for line in reversed(result.stdout.splitlines())] == found
    assert run(["search", "nothing"], environ) == Result(0, "", "No records match.\n")


def test_more_records_than_a_page_come_back_once_each_and_in_order(environ: dict[str, str]) -> None:
    texts = [f"line {number} {'x' * 300}" for number in range(12_345)]
    assert run(["send", "--service", "many"], environ, "\n".join(texts).encode()).exit_code == 0
    assert _messages(environ, "many") == texts


def test_an_exact_record_comes_back_exact(environ: dict[str, str]) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime())
    metadata = '{"n":12345678901234567890.123456789,"deep":{"list":[1,null,"\\u0000"]}}'
    record = (
        f'{{"message":"m\\n\\u0000","level":"critical","timestamp":"{stamp}","log_id":"mine","metadata":{metadata}}}'
    )
    assert run(["send", "--service", "exact", "--type", "audit"], environ, record.encode()).exit_code == 0
    assert run(["recent", "--service", "exact", "-o", "ndjson"], environ).stdout == (
        f'{{"service_name":"exact","log_type":"audit","timestamp":"{stamp}","level":"FATAL",'
        f'"message":"m\\n\\u0000","metadata":{metadata},"log_id":"mine"}}\n'
    )


def test_bad_records_are_named_and_the_good_ones_beside_them_stored(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "mixed.ndjson"
    lines = [
        b'{"message":"good 1"}',
        b'{"message":',
        b'{"message":"\xff"}',
        b'{"message":"old","timestamp":"2001-01-01T00:00:00Z"}',
        b'{"level":"nope","message":"x"}',
        b'{"message":"good 2","timestamp":null}',
        b'{"message":"good 3"}',
    ]
    path.write_bytes(b"\n".join(lines))
    result = run(["send", os.fspath(path), "-o", "json"], environ)
    assert result.exit_code == 1
    receipt = json.loads(result.stdout)
    assert (receipt["records"], receipt["accepted"]) == (7, 2)
    assert [(each["where"].rpartition(":")[2], each["code"]) for each in receipt["rejections"]] == [
        ("2", "Malformed"),
        ("3", "Malformed"),
        ("4", "TimestampTooOld"),
        ("5", "InvalidField"),
        ("6", "InvalidField"),
    ]
    assert _messages(environ, "mixed") == ["good 1", "good 3"]


def test_old_records_are_taken_with_the_time_of_receipt(environ: dict[str, str]) -> None:
    record = b'[{"message":"old","timestamp":"2001-01-01T00:00:00Z"}]'
    assert run(["send", "--service", "old"], environ, record).exit_code == 1
    assert run(["send", "--service", "old", "--time", "now"], environ, record).exit_code == 0
    assert _messages(environ, "old") == ["old"]


def test_the_python_client_reads_what_the_command_sent(server: ServerProcess, environ: dict[str, str]) -> None:
    assert run(["send", "--service", "both"], environ, b"from the command").exit_code == 0
    with Client(server.endpoint, credentials=server.credentials) as client:
        assert client.health() == "ok"
        receipt = client.send([{"service_name": "both", "log_type": "t", "message": "from Python"}])
        ((_, log_id),) = list(receipt.log_ids[0])
        newest, older = client.iter_recent(service_name="both")
    assert (newest.message, newest.log_id, older.message) == ("from Python", log_id, "from the command")


def test_a_retried_request_stores_nothing_twice(server: ServerProcess) -> None:
    from simple_log_service.client.batching import body_of

    body, headers = body_of([b'{"service_name":"twice","log_type":"t","message":"x"}'] * 100)
    headers.append(("Idempotency-Key", "the-same"))
    first, again = (server.request("POST", "/logs", body, headers=headers) for _ in range(2))
    assert first.body == again.body
    with Client(server.endpoint, credentials=server.credentials) as client:
        assert len(list(client.iter_recent(service_name="twice"))) == 100


# --- Keys, while the server runs ---


def test_a_key_may_do_what_its_policy_says_and_no_more(server: ServerProcess, environ: dict[str, str]) -> None:
    ingest, read = _key(server, environ, "ingest"), _key(server, environ, "read", "--expires", "3600")
    assert "AWS_SESSION_TOKEN" in read
    assert run(["send", "--service", "keys"], ingest, b"x").exit_code == 0
    assert run(["recent", "--service", "keys"], read).stdout.endswith("keys/application  x\n")
    for result in (run(["recent"], ingest), run(["send", "--service", "keys"], read, b"x")):
        assert result.exit_code == 3
        assert "403 AccessDeniedException" in result.stderr
        assert ingest["AWS_SECRET_ACCESS_KEY"] not in result.stderr
        assert read["AWS_SESSION_TOKEN"] not in result.stderr


def test_a_policy_may_come_from_a_file(server: ServerProcess, environ: dict[str, str], tmp_path: Path) -> None:
    resource = "arn:aws:execute-api:*:*:*/*/GET/logs/recent"
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}
    (tmp_path / "policy.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    own = _key(server, environ, os.fspath(tmp_path / "policy.json"))
    assert run(["recent"], own).exit_code == 0
    assert run(["send"], own, b"x").exit_code == 3
    assert "custom" in _keys(server, environ, "list").stdout


@pytest.mark.parametrize("command", ["disable", "delete"])
def test_a_key_that_is_taken_back_is_refused_within_a_second(
    command: str, server: ServerProcess, environ: dict[str, str]
) -> None:
    key = _key(server, environ, "admin")
    assert run(["recent"], key).exit_code == 0
    assert _keys(server, environ, command, key["AWS_ACCESS_KEY_ID"]).exit_code == 0
    taken_back_at = time.monotonic()
    while run(["recent"], key).exit_code != 3:
        assert time.monotonic() - taken_back_at < 10, "the key is still in force"
    listed = key["AWS_ACCESS_KEY_ID"] in _keys(server, environ, "list").stdout
    assert listed is (command == "disable")


def test_the_list_shows_no_secret(server: ServerProcess, environ: dict[str, str]) -> None:
    key = _key(server, environ, "ingest", "--expires", "60")
    for output in ("text", "json"):
        shown = _keys(server, environ, "list", "--output", output)
        assert key["AWS_ACCESS_KEY_ID"] in shown.stdout
        for secret in (key["AWS_SECRET_ACCESS_KEY"], key["AWS_SESSION_TOKEN"]):
            assert secret not in shown.stdout + shown.stderr
    assert {entry["status"] for entry in json.loads(_keys(server, environ, "list", "-o", "json").stdout)} >= {"active"}


def test_a_shell_can_take_a_key_over(server: ServerProcess, environ: dict[str, str]) -> None:
    create = f"{SLOG} keys create --data-dir {server.data_dir} --name sh --policy admin --output env 2>/dev/null"
    script = (
        f'eval "$({create})"\necho "${{AWS_SESSION_TOKEN-unset}}"\n'
        f"{SLOG} recent --limit 1 --endpoint {server.endpoint} -o json >/dev/null\n"
    )
    done = subprocess.run(
        ["sh", "-ec", script], env=environ | {"AWS_SESSION_TOKEN": "stale"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "unset\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("disable", "AKIANOBODY"), "no access key 'AKIANOBODY'"),
        (("create", "--name", "a b", "--policy", "read"), "does not fit"),
        (("create", "--name", "a", "--policy", "nothing.json"), "none of the policies ingest, read, admin"),
        (("create", "--name", "a", "--policy", "{}"), "Policy"),
        (("create", "--name", "a", "--policy", "read", "--expires", "0"), "seconds"),
    ],
)
def test_what_cannot_be_done_with_keys_ends_in_1_with_the_reason(
    arguments: tuple[str, ...], complaint: str, server: ServerProcess, environ: dict[str, str]
) -> None:
    result = _keys(server, environ, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_no_server_has_is_not_made_by_accident(environ: dict[str, str], tmp_path: Path) -> None:
    for arguments in (["list"], ["create", "--name", "a", "--policy", "read"]):
        done = subprocess.run([SLOG, "keys", *arguments], env=environ, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 1
        assert b"--data-dir" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_key_can_be_made_before_the_first_start(environ: dict[str, str], tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "new")
    key = _key(server, environ, "ingest")
    with server:
        assert run(["send"], key | {"SIMPLE_LOG_SERVICE_ENDPOINT": server.endpoint}, b"x").exit_code == 0


def test_a_setting_that_is_wrong_is_named_without_its_value(server: ServerProcess, environ: dict[str, str]) -> None:
    result = _keys(server, environ | {"SIMPLE_LOG_SERVICE_PORT": "hunter2"}, "list")
    assert result.exit_code == 2
    assert "SIMPLE_LOG_SERVICE_PORT" in result.stderr
    assert "hunter2" not in result.stderr
