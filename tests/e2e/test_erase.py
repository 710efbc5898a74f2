"""``slog erase`` before a real server, beside none, and before one whose records are in a table."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.server_process import ServerProcess
from support.command import SLOG, Result, run, run_in_terminal

SECRET = "zwiebelkuchen"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data") as running:
        yield running


def send(server: ServerProcess, service: str, records: int, text: str = "text", **fields: Any) -> None:
    record = {"service_name": service, "log_type": "application", "message": text, **fields}
    body = "\n".join(json.dumps({**record, "message": f"{text} {n}"}) for n in range(records))
    answer = server.request("POST", "/logs", body.encode(), headers=[("Content-Type", "application/x-ndjson")])
    assert answer.status == 201, answer


def erase(server: ServerProcess, *arguments: str, **variables: str) -> Result:
    return run(["erase", "--data-dir", os.fspath(server.data_dir), *arguments], {**server.environ, **variables})


def audit(server: ServerProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (server.data_dir / "audit.ndjson").read_text().splitlines()]


def services(server: ServerProcess) -> set[str]:
    return {record["service_name"] for record in server.logs()}


def assert_nothing_waits(server: ServerProcess) -> None:
    assert list((server.data_dir / "erasures").iterdir()) == []


def test_a_person_is_asked_twice_and_the_service_is_gone(server: ServerProcess) -> None:
    send(server, "shop", 3000, SECRET)
    send(server, "other", 10)
    result = run_in_terminal(
        ["erase", "--data-dir", os.fspath(server.data_dir), "--service", "shop"],
        server.environ,
        b"shop\ny\n",
    )
    assert result.exit_code == 0, result
    assert "3,000" in result.stderr
    assert "Really erase? [y/N]" in result.stderr
    assert "Erased: 3,000 records." in result.stderr
    assert services(server) == {"other"}
    found = server.request("GET", f"/logs/recent?q={SECRET}")
    assert json.loads(found.body)["logs"] == []
    counted = json.loads(server.request("GET", "/logs/stats").body)
    assert sum(bucket["count"] for bucket in counted["buckets"]) == 10
    assert_nothing_waits(server)


def test_every_step_stands_in_the_audit_file_which_nobody_else_may_read(server: ServerProcess) -> None:
    send(server, "shop", 5)
    result = erase(server, "--service", "shop", "--since", "1h", "--confirm", "shop", "--yes")
    assert result.exit_code == 0, result
    begun, ended = audit(server)
    assert begun["event"] == "erasure begun"
    assert ended["event"] == "erasure ended"
    assert ended["records_erased"] == 5
    assert ended["records_unreadable"] == 0
    for line in (begun, ended):
        assert line["service_name"] == "shop"
        assert line["user_id"] == os.getuid()
        assert line["confirmed"] == "--confirm and --yes"
        assert line["records_counted"] == 5
        assert line["since"].endswith("Z")
        assert "until" not in line
    assert begun["request"] == ended["request"]
    assert stat.S_IMODE((server.data_dir / "audit.ndjson").stat().st_mode) == 0o600
    assert stat.S_IMODE((server.data_dir / "erasures").stat().st_mode) == 0o700
    server.stop()
    said = [json.loads(line) for line in server.stderr.splitlines() if line.startswith("{")]
    assert [line["event"] for line in said if "erasure" in line["event"]] == ["erasure begun", "erasure ended"]


def test_without_a_server_the_command_erases_by_itself(server: ServerProcess) -> None:
    send(server, "shop", 50, SECRET)
    send(server, "other", 10)
    server.stop()
    result = erase(server, "--service", "shop", "--confirm", "shop", "--yes")
    assert result.exit_code == 0, result
    assert result.stdout == ""
    assert "Erased: 50 records." in result.stderr
    assert [line["event"] for line in audit(server)] == ["erasure begun", "erasure ended"]
    assert_nothing_waits(server)
    server.start()
    assert services(server) == {"other"}


def test_what_comes_in_meanwhile_is_taken_and_stays(server: ServerProcess) -> None:
    send(server, "shop", 5000, SECRET)
    stop, sent = threading.Event(), [0]

    def ingest() -> None:
        while not stop.is_set():
            send(server, "later", 10)
            sent[0] += 10

    thread = threading.Thread(target=ingest)
    thread.start()
    try:
        result = erase(server, "--service", "shop", "--confirm", "shop", "--yes")
    finally:
        stop.set()
        thread.join()
    assert result.exit_code == 0, result
    assert sent[0] > 0
    assert len(server.logs("service_name=later&limit=10000")) == sent[0]
    assert services(server) == {"later"}


def test_what_a_killed_server_left_is_carried_out_at_its_next_start(server: ServerProcess) -> None:
    send(server, "shop", 100, SECRET)
    send(server, "other", 1)
    # Stopped, the server neither answers nor lets go of its folder.
    os.kill(server.pid, 19)
    process = subprocess.Popen(
        [SLOG, "erase", "--data-dir", server.data_dir, "--service", "shop", "--confirm", "shop", "--yes"],
        env=server.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    folder = server.data_dir / "erasures"
    _until(lambda: list(folder.glob("*.request")))
    (counting,) = folder.glob("*.request")
    os.kill(server.pid, 18)
    _until(lambda: [path for path in folder.glob("*.request") if path != counting] or process.poll() is not None)
    server.kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 4), said
    server.start()
    _until(lambda: services(server) == {"other"} and not list(folder.glob("*.request")))
    assert {line["event"] for line in audit(server)} == {"erasure begun", "erasure ended"}


def _until(is_so: Any) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_ends_the_waiting_alone(server: ServerProcess) -> None:
    send(server, "shop", 10)
    os.kill(server.pid, 19)
    process = subprocess.Popen(
        [SLOG, "erase", "--data-dir", server.data_dir, "--service", "shop", "--confirm", "shop", "--yes"],
        env=server.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    folder = server.data_dir / "erasures"
    _until(lambda: list(folder.glob("*.request")))
    process.send_signal(2)
    _, said = process.communicate(timeout=60)
    os.kill(server.pid, 18)
    assert process.returncode == 130, said
    # It was counting yet, and took its question back.
    assert list(folder.glob("*.request")) == []
    assert services(server) == {"shop"}


@pytest.mark.parametrize(
    ("name", "content", "mode"),
    [
        ("0" * 32 + ".request", b"{", 0o600),
        ("0" * 32 + ".request", b'{"type":"erase"}', 0o600),
        ("0" * 32 + ".request", b'{"type":"count","erasure":{}}', 0o600),
        ("0" * 32 + ".request", b'{"type":"count","erasure":{"service_name":"\\u0000"}}', 0o600),
        ("0" * 32 + ".request", b'{"type":"count","erasure":{"since_ns":5,"until_ns":5}}', 0o600),
        ("0" * 32 + ".request", b'{"type":"count","erasure":{"since_ns":-1}}', 0o600),
        ("0" * 32 + ".request", b"[" * 50_000, 0o600),
        ("0" * 32 + ".request", b" " * 70_000, 0o600),
        ("0" * 32 + ".request", b"\xff", 0o600),
        ("0" * 32 + ".request", b'{"type":"count","erasure":{"service_name":"shop"}}', 0o644),
        ("../x.request".replace("/", "_"), b"{}", 0o600),
        ("notes.txt", b"mine", 0o600),
    ],
)
def test_what_is_no_request_is_refused_and_said(server: ServerProcess, name: str, content: bytes, mode: int) -> None:
    send(server, "shop", 3)
    path = server.data_dir / "erasures" / name
    made = server.data_dir / "made"
    made.write_bytes(content)
    made.chmod(mode)
    made.rename(path)
    _until(lambda: (server.data_dir / "audit.ndjson").exists() and audit(server))
    (line,) = audit(server)
    assert line["event"] == "erasure refused"
    assert line["request"] == name
    assert line["reason"]
    result = erase(server, "--service", "shop", "--confirm", "shop", "--yes")
    assert result.exit_code == 0, result
    if name.startswith("0"):
        answer = json.loads(path.with_suffix(".answer").read_bytes())
        assert answer["type"] == "refused"
        assert not path.exists()
    else:
        assert path.read_bytes() == content
    assert len(audit(server)) == 3


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_is_no_file_is_passed_over(server: ServerProcess, kind: str) -> None:
    send(server, "shop", 3)
    path = server.data_dir / "erasures" / ("1" * 32 + ".request")
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        os.mkfifo(path)
    assert erase(server, "--service", "shop", "--confirm", "shop", "--yes").exit_code == 0
    assert [line["event"] for line in audit(server)] == ["erasure refused", "erasure begun", "erasure ended"]
    assert services(server) == set()
    assert path.exists() == (kind == "folder")


def test_a_folder_of_the_requests_name_that_others_may_write_to_keeps_the_server_from_starting(
    tmp_path: Path,
) -> None:
    with ServerProcess(tmp_path / "data") as server:
        server.stop()
        (server.data_dir / "erasures").chmod(0o770)
        result = subprocess.run(server.command, env=server.environ, capture_output=True, text=True, check=False)
        assert result.returncode == 1
        assert "erasures" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Say what to erase"),
        (["--yes", "--confirm", "everything"], "Say what to erase"),
        (["--service", "shop"], "--confirm 'shop' and --yes"),
        (["--service", "shop", "--yes"], "--confirm 'shop' and --yes"),
        (["--service", "shop", "--confirm", "shop"], "--confirm 'shop' and --yes"),
        (["--service", "shop", "--confirm", "Shop", "--yes"], "must be 'shop'"),
        (["--type", "application", "--confirm", "shop", "--yes"], "must be 'application'"),
        (["--since", "1h", "--confirm", "4", "--yes"], "must be '3'"),
        (["--since", "1h", "--until", "2h", "--confirm", "3", "--yes"], "since must be before until"),
        (["--since", "yesterday"], "since must be RFC 3339"),
        (["--service", ""], "must have 1 to 256 characters"),
    ],
)
def test_what_nobody_clearly_wants_is_not_done(server: ServerProcess, arguments: list[str], says: str) -> None:
    send(server, "shop", 3)
    result = erase(server, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(server.logs()) == 3
    assert not (server.data_dir / "audit.ndjson").exists()
    assert_nothing_waits(server)


@pytest.mark.parametrize("typed", [b"Shop\ny\n", b"\n", b"shop\nn\n", b"shop\n\n", b"y\ny\n", b"\x04", b"shop\n\x04"])
def test_a_person_who_does_not_say_yes_twice_erases_nothing(server: ServerProcess, typed: bytes) -> None:
    send(server, "shop", 3)
    result = run_in_terminal(
        ["erase", "--data-dir", os.fspath(server.data_dir), "--service", "shop"], server.environ, typed
    )
    assert result.exit_code == 1
    assert "Nothing was erased." in result.stderr
    assert len(server.logs()) == 3
    assert not (server.data_dir / "audit.ndjson").exists()


def test_a_range_is_confirmed_by_the_number_of_its_records(server: ServerProcess) -> None:
    send(server, "shop", 3)
    send(server, "other", 2)
    assert erase(server, "--since", "1h", "--confirm", "5", "--yes").exit_code == 0
    assert server.logs() == []


def test_where_nothing_matches_nothing_is_asked(server: ServerProcess) -> None:
    send(server, "shop", 3)
    result = erase(server, "--service", "shopp")
    assert result.exit_code == 0
    assert "No records match" in result.stderr
    assert not (server.data_dir / "audit.ndjson").exists()


def test_a_folder_without_a_store_is_refused(tmp_path: Path, server: ServerProcess) -> None:
    (tmp_path / "empty").mkdir()
    for folder, says in (("empty", "There are no records"), ("none", "There is no folder")):
        result = run(["erase", "--data-dir", os.fspath(tmp_path / folder), "--service", "a"], server.environ)
        assert result.exit_code == 1
        assert says in result.stderr
        assert not (tmp_path / folder / "erasures").exists()


def test_records_in_a_table_are_refused_with_what_to_do_instead(server: ServerProcess) -> None:
    result = erase(server, "--service", "a", SIMPLE_LOG_SERVICE_STORE="dynamodb", SIMPLE_LOG_SERVICE_TABLE="some-table")
    assert result.exit_code == 2
    assert "DynamoDB table" in result.stderr
    assert "Erasing on purpose" in result.stderr
