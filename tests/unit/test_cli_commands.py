"""``send`` and ``recent`` as processes before a stub: pipes and terminals, exit codes, retries, interruption."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.command import SLOG, TIMEOUT_SECONDS, Result, clean_environ, run, run_in_terminal
from support.stub_service import CREDENTIALS, Scripted, StubService


@pytest.fixture
def stub() -> Iterator[StubService]:
    with StubService().running() as running:
        yield running


@pytest.fixture
def environ(stub: StubService, tmp_path: Path) -> dict[str, str]:
    return clean_environ(
        tmp_path,
        SIMPLE_LOG_SERVICE_ENDPOINT=stub.url,
        AWS_ACCESS_KEY_ID=CREDENTIALS.access_key_id,
        AWS_SECRET_ACCESS_KEY=CREDENTIALS.secret_access_key,
    )


def _log(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "service_name": "shop",
        "log_type": "application",
        "timestamp": f"2026-01-01T00:00:{number:02d}Z",
        "level": "ERROR",
        "message": f"message {number}",
        "metadata": {},
        "log_id": str(number),
    } | fields


def _page(*logs: dict[str, Any], cursor: str | None = None) -> Scripted:
    return Scripted(200, {"count": len(logs), "logs": logs, "next_cursor": cursor, "complete": True})


def _messages(stub: StubService) -> list[str]:
    return [record["message"] for request in stub.seen for record in request.records]


@pytest.fixture
def app_log(tmp_path: Path) -> str:
    path = tmp_path / "app.log"
    path.write_text("".join(f"line {number}\n" for number in range(1, 26)))
    return os.fspath(path)


# --- send ---


def test_files_arrive_in_order_with_a_receipt_on_standard_error(
    stub: StubService, environ: Mapping[str, str], app_log: str, tmp_path: Path
) -> None:
    (tmp_path / "more.ndjson").write_text('{"message":"last","service_name":"own","log_type":"audit"}\n')
    result = run(["send", app_log, os.fspath(tmp_path / "more.ndjson"), "--batch", "10"], environ)
    assert result == Result(0, "", "sent 26 records: 26 accepted, 0 rejected\n")
    assert [len(request.records) for request in stub.seen] == [10, 10, 6]
    assert _messages(stub) == [f"line {number}" for number in range(1, 26)] + ["last"]
    assert stub.seen[0].records[0] == {"service_name": "app", "log_type": "application", "message": "line 1"}
    assert stub.seen[2].records[-1] == {"service_name": "own", "log_type": "audit", "message": "last"}


def test_standard_input_is_sent_where_there_is_no_file(stub: StubService, environ: Mapping[str, str]) -> None:
    result = run(["send", "--service", "shop", "--type", "access", "--level", "warning"], environ, b"one\ntwo")
    assert result.exit_code == 0
    assert stub.seen[0].records == [
        {"service_name": "shop", "log_type": "access", "message": text, "level": "WARN"} for text in ("one", "two")
    ]
    assert run(["send", "-", "-q"], environ, b"three") == Result(0, "", "")
    assert stub.seen[1].records[0]["service_name"] == "stdin"


def test_nothing_to_send_is_done(stub: StubService, environ: Mapping[str, str]) -> None:
    assert run(["send"], environ) == Result(0, "", "sent 0 records: 0 accepted, 0 rejected\n")
    assert stub.seen == []


def test_a_pipe_that_pauses_is_not_held_back(stub: StubService, environ: Mapping[str, str]) -> None:
    process = subprocess.Popen([SLOG, "send", "-q"], env=environ, stdin=subprocess.PIPE)
    assert process.stdin is not None
    for text in ("one", "two"):
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()
        assert stub.arrivals.get(timeout=TIMEOUT_SECONDS).records[0]["message"] == text
    process.stdin.close()
    assert process.wait(TIMEOUT_SECONDS) == 0


def test_rejected_records_are_named_by_file_and_line_and_end_in_1(
    stub: StubService, environ: Mapping[str, str], app_log: str
) -> None:
    rejected = [{"index": 1, "code": "TimestampTooOld", "reason": "too old\x1b[2J"}]
    stub.script = [
        Scripted(201, {"accepted": 10, "duplicates": 0, "rejected": []}),
        Scripted(201, {"accepted": 9, "duplicates": 3, "rejected": rejected}),
    ]
    result = run(["send", app_log, "--batch", "10", "--output", "json", "--quiet"], environ)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[:2] == [
        "sent 25 records: 24 accepted (3 of them duplicates), 1 rejected",
        f"  {app_log}:12: too old\\e[2J (TimestampTooOld)",
    ]
    assert "--time now" in result.stderr
    receipt = json.loads(result.stdout)
    assert receipt["rejections"] == [{"where": f"{app_log}:12", "code": "TimestampTooOld", "reason": "too old\x1b[2J"}]
    assert (receipt["complete"], receipt["accepted"], receipt["duplicates"], receipt["rejected"]) == (True, 24, 3, 1)


def test_a_failure_that_passes_is_told_of_and_repeated_under_its_key(
    stub: StubService, environ: Mapping[str, str], app_log: str
) -> None:
    stub.script = [Scripted(503, {"message": "later"}), Scripted(None)]
    result = run(["send", app_log], environ)
    assert result.exit_code == 0
    assert [line.split(" Trying again in ")[0] for line in result.stderr.splitlines()] == [
        "503 later (request r-1)",
        f"{stub.url} broke the connection before it had answered.",
        "sent 25 records: 25 accepted, 0 rejected",
    ]
    assert len({request.headers["idempotency-key"] for request in stub.seen}) == 1
    assert len({request.body for request in stub.seen}) == 1


def test_a_refusal_ends_in_3_and_says_that_nothing_is_stored(
    stub: StubService, environ: dict[str, str], app_log: str
) -> None:
    result = run(["send", app_log, "-o", "json"], environ | {"AWS_SECRET_ACCESS_KEY": "hunter2"})
    assert result.exit_code == 3
    error, stopped = result.stderr.splitlines()
    assert error.startswith("Error: 403 InvalidSignatureException: ")
    assert stopped == f"Stopped: {app_log}:1 and what follows it was not stored."
    assert json.loads(result.stdout) == {
        "complete": False,
        "records": 0,
        "accepted": 0,
        "duplicates": 0,
        "rejected": 0,
        "rejections": [],
    }
    assert "hunter2" not in result.stdout + result.stderr


def test_nobody_there_ends_in_4_with_one_line_and_no_traceback(environ: dict[str, str], stub: StubService) -> None:
    result = run(["recent"], environ | {"SIMPLE_LOG_SERVICE_ENDPOINT": "http://127.0.0.1:9"})
    assert result.exit_code == 4
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("Error: http://127.0.0.1:9 cannot be reached. Is the server")


def test_a_file_that_vanishes_in_between_ends_in_1_and_says_how_far_it_got(
    stub: StubService, environ: Mapping[str, str], app_log: str, tmp_path: Path
) -> None:
    second = tmp_path / "second.log"
    second.write_text("never read\n")
    stub.script = [Scripted(201, {"accepted": 25}, held=True)]
    process = subprocess.Popen(
        [SLOG, "send", app_log, os.fspath(second), "--batch", "25"], env=environ, stderr=subprocess.PIPE, text=True
    )
    stub.arrivals.get(timeout=TIMEOUT_SECONDS)
    second.unlink()
    stub.release.set()
    _, stderr = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 1
    assert stderr.splitlines() == [
        "sent 25 records: 25 accepted, 0 rejected",
        f"Error: {second} cannot be read: No such file or directory.",
        f"Stopped: nothing after {app_log}:25 was sent.",
    ]


def test_ctrl_c_ends_in_130_and_says_what_is_certain(
    stub: StubService, environ: Mapping[str, str], app_log: str
) -> None:
    stub.script = [Scripted(201, {"accepted": 10}), Scripted(201, {"accepted": 10}, held=True)]
    process = subprocess.Popen([SLOG, "send", app_log, "--batch", "10"], env=environ, stderr=subprocess.PIPE, text=True)
    for _ in range(2):
        stub.arrivals.get(timeout=TIMEOUT_SECONDS)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130
    assert stderr.splitlines() == [
        "sent 10 records: 10 accepted, 0 rejected",
        "Error: Interrupted.",
        f"Stopped: {app_log}:11 to {app_log}:20 may or may not be stored; nothing after that was sent.",
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["send", "/nonexistent.log"], "does not exist"),
        (["send", "--service", " x"], "white space"),
        (["send", "--service", ""], "1 to 256 characters"),
        (["send", "--service", b"\xff"], "not UTF-8"),
        (["send", "--type", "x" * 129], "1 to 128 characters"),
        (["send", "--level", "loud"], "not one of TRACE"),
        (["send", "--batch", "10001"], "not in the range"),
        (["send", "--time", "then"], "'then' is not one of"),
        (["recent", "--since", "1h", "--hours", "2"], "either --hours or --since"),
        (["recent", "--since", b"\xff"], "not UTF-8"),
        (["recent", "--limit", "0"], "not in the range"),
        (["recent", "--endpoint", "http://user:hunter2@h"], "no more than scheme"),
        (["recent", "--profile", "nobody"], "nobody"),
    ],
)
def test_wrong_usage_ends_in_2_with_an_explanation(
    arguments: list[str | bytes], complaint: str, stub: StubService, environ: Mapping[str, str]
) -> None:
    result = run(arguments, environ)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr
    assert stub.seen == []


def test_without_any_endpoint_the_line_says_how_to_give_one(tmp_path: Path) -> None:
    result = run(["recent"], clean_environ(tmp_path))
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: Which service? Give --endpoint")


def test_a_file_s_name_in_another_encoding_is_written_out(
    stub: StubService, environ: Mapping[str, str], tmp_path: Path
) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.log"
    Path(os.fsdecode(path)).write_text("x\n")
    assert run(["send", path], environ).exit_code == 0
    assert stub.seen[0].records[0]["service_name"] == "caf\\xe9"


# --- recent ---


def test_people_get_lines_with_the_newest_last(stub: StubService, environ: Mapping[str, str]) -> None:
    stub.script = [_page(_log(3), _log(2), cursor="c"), _page(_log(1, message="a\x1b[31m\nb"))]
    result = run(["recent", "--service", "shop", "--level", "err", "--since", "10m", "--limit", "5"], environ)
    assert result == Result(
        0,
        "2026-01-01T00:00:01Z ERROR shop/application  a\\e[31m\\nb\n"
        "2026-01-01T00:00:02Z ERROR shop/application  message 2\n"
        "2026-01-01T00:00:03Z ERROR shop/application  message 3\n",
        "",
    )
    assert stub.seen[0].target == "/logs/recent?service_name=shop&level=ERROR&since=10m&limit=5"
    assert stub.seen[1].target.endswith("&limit=3&cursor=c")


def test_programs_get_json_with_the_newest_first(stub: StubService, environ: Mapping[str, str]) -> None:
    logs = [_log(2, message="\x9b\u202e é\n"), _log(1)]
    for output in ("json", "ndjson"):
        stub.script = [_page(logs[0], cursor="c"), _page(logs[1])]
        result = run(["recent", "-o", output], environ)
        parsed = json.loads(result.stdout) if output == "json" else list(map(json.loads, result.stdout.splitlines()))
        assert parsed == logs
        assert not set(result.stdout) & {"\x9b", "\u202e"}


def test_nothing_that_matches_is_done(stub: StubService, environ: Mapping[str, str]) -> None:
    assert run(["recent"], environ) == Result(0, "", "No records match.\n")
    assert run(["recent", "-o", "json"], environ) == Result(0, "[]\n", "")
    assert run(["recent", "-o", "ndjson"], environ) == Result(0, "", "")


def test_a_reader_that_has_seen_enough_ends_it_quietly(stub: StubService, environ: Mapping[str, str]) -> None:
    stub.script = [_page(*[_log(1, message="x" * 1000)] * 1000, cursor=f"c{number}") for number in range(3)]
    process = subprocess.Popen(
        [SLOG, "recent", "-o", "ndjson", "--limit", "3000"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == ""
    assert process.wait(TIMEOUT_SECONDS) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
@pytest.mark.parametrize("command", [["recent"], ["recent", "-o", "json"], ["send", "-o", "json"]])
def test_output_that_cannot_be_written_ends_in_1(
    command: list[str], stub: StubService, environ: Mapping[str, str]
) -> None:
    if command[0] == "recent":
        stub.script = [_page(_log(1))]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [SLOG, *command], env=environ, input=b"x", stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == "Error: The output cannot be written: No space left on device."


# --- Terminals ---


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_gets_colours_unless_it_does_not_want_them(
    variables: dict[str, str], stub: StubService, environ: dict[str, str]
) -> None:
    stub.script = [_page(_log(1))]
    result = run_in_terminal(["recent"], environ | variables)
    assert ("\x1b[31mERROR" in result.stdout) is (variables == {})
    assert re.sub(r"\x1b\[\d+m", "", result.stdout) == "2026-01-01T00:00:01Z ERROR shop/application  message 1\r\n"


def test_json_on_a_terminal_has_neither_colours_nor_controls(stub: StubService, environ: Mapping[str, str]) -> None:
    stub.script = [_page(_log(1, message="\x1b[31m\x9b"))]
    result = run_in_terminal(["recent", "-o", "ndjson"], environ)
    assert not set(result.stdout) & {"\x1b", "\x9b"}
    assert json.loads(result.stdout)["message"] == "\x1b[31m\x9b"


def test_progress_is_drawn_on_a_terminal_and_the_receipt_stays(
    stub: StubService, environ: dict[str, str], app_log: str
) -> None:
    result = run_in_terminal(["send", app_log], environ)
    assert result.exit_code == 0
    assert "25 records" in result.stderr
    assert "\x1b[" in result.stderr
    assert result.stderr.endswith("sent 25 records: 25 accepted, 0 rejected\r\n")
    assert result.stdout == ""


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {}])
def test_progress_is_not_drawn_where_it_is_not_wanted(
    variables: dict[str, str], stub: StubService, environ: dict[str, str], app_log: str
) -> None:
    quiet = [] if variables else ["--quiet"]
    result = run_in_terminal(["send", app_log, *quiet], environ | variables)
    assert result.exit_code == 0
    assert "\x1b" not in result.stderr
    assert result.stderr == ("" if quiet else "sent 25 records: 25 accepted, 0 rejected\r\n")


def test_what_is_typed_is_sent_line_by_line(stub: StubService, environ: Mapping[str, str]) -> None:
    result = run_in_terminal(["send", "--service", "typed"], environ, typed=b"hello\n\x04")
    assert result.exit_code == 0
    assert "Ctrl-D ends" in result.stderr
    assert _messages(stub) == ["hello"]


# --- A service that is broken, and an output that is closed ---


@pytest.mark.parametrize("output", ["pretty", "json", "ndjson"])
@pytest.mark.parametrize("body", [b'{"logs":[1]}', b'{"logs":[' + b"[" * 200_000, b'{"logs":[{"message":"\xff"}]}'])
def test_a_page_that_is_none_ends_in_4_with_one_line(
    body: bytes, output: str, stub: StubService, environ: Mapping[str, str]
) -> None:
    stub.script = [Scripted(200, body)]
    result = run(["recent", "-o", output], environ)
    expected = f"Error: {stub.url} does not answer as a Simple Log Service: is the endpoint right?\n"
    assert result == Result(4, "", expected)


def test_a_receipt_for_other_records_ends_in_4_and_leaves_them_in_doubt(
    stub: StubService, environ: Mapping[str, str], app_log: str
) -> None:
    rejected = [{"index": 999, "code": "\x1b", "reason": "\x9b"}]
    stub.script = [Scripted(201, {"accepted": 24, "duplicates": 0, "rejected": rejected})]
    result = run(["send", app_log], environ)
    assert result.exit_code == 4
    assert result.stderr.splitlines() == [
        f"Error: {stub.url} answered with a receipt that is not for the records that were sent.",
        f"Stopped: {app_log}:1 to {app_log}:25 may or may not be stored; nothing after that was sent.",
    ]
    assert len(stub.seen) == 1


def _run_without_stdout(arguments: list[str], environ: Mapping[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" "$@" >&-', SLOG, *arguments],
        env=environ,
        input=b"x",
        stderr=subprocess.PIPE,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    "command", [["recent"], ["recent", "-o", "json"], ["send", "-q", "-o", "json"], ["keys", "list"]]
)
def test_data_for_an_output_that_is_closed_ends_in_1(
    command: list[str], stub: StubService, environ: Mapping[str, str], tmp_path: Path
) -> None:
    if command[0] == "recent":
        stub.script = [_page(_log(1))]
    if command[0] == "keys":
        command = [*command, "--data-dir", os.fspath(tmp_path / "data")]
        run(["keys", "create", "--name", "n", "--policy", "read", "--data-dir", command[-1]], environ)
    assert _run_without_stdout(command, environ) == (1, "Error: The output cannot be written: Bad file descriptor.\n")


def test_a_closed_output_is_no_matter_where_nothing_is_written_to_it(
    stub: StubService, environ: Mapping[str, str]
) -> None:
    assert _run_without_stdout(["send"], environ) == (0, "sent 1 record: 1 accepted, 0 rejected\n")
    assert _run_without_stdout(["recent"], environ) == (0, "No records match.\n")
