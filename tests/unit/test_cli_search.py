"""``search`` as a process before a stub: what it asks for, what it prints when, and what it says if it ends early."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from simple_log_service.core.cursor import encode_cursor
from simple_log_service.core.limits import SECOND_NS
from simple_log_service.core.query import Query
from simple_log_service.core.record import Position
from support.command import SLOG, TIMEOUT_SECONDS, Result, clean_environ, run, run_in_terminal
from support.stub_service import CREDENTIALS, Scripted, StubService

NOON_SECONDS = 1_767_268_800
"""2026-01-01T12:00:00Z."""


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


def _log(number: int) -> dict[str, Any]:
    return {
        "service_name": "shop",
        "log_type": "application",
        "timestamp": f"2026-01-01T12:00:{number:02d}Z",
        "level": "INFO",
        "message": f"message {number}",
        "metadata": {},
        "log_id": str(number),
    }


def _cursor(hours_back: int) -> str:
    moment_ns = (NOON_SECONDS - 3600 * hours_back) * SECOND_NS + 7
    return encode_cursor(Query(since_ns=0), Position(moment_ns, 5))


def _page(*logs: dict[str, Any], hours_back: int | None = None, complete: bool = True, held: bool = False) -> Scripted:
    cursor = None if hours_back is None else _cursor(hours_back)
    body = {"count": len(logs), "logs": logs, "next_cursor": cursor, "complete": complete}
    return Scripted(200, body, held=held)


def _asked(stub: StubService) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(stub.seen[-1].target.replace("+", "%2B")).query, strict_parsing=True))


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["disk"], {"q": "disk"}),
        (["disk", "full*", "10.0.0.1"], {"q": "disk full* 10.0.0.1"}),
        (["disk full", "now"], {"q": '"disk full" now'}),
        (["disk", "--", "-full", "-not here"], {"q": 'disk -full -"not here"'}),
        (['"disk full" -test'], {"q": '"disk full" -test'}),
        (["--pattern", "a+ b"], {"pattern": "a+ b"}),
        (
            ["--field", "user.id=4711", "--field", "k&=a=b+c"],
            {"metadata.user.id": "4711", "metadata.k&": "a=b+c"},
        ),
        (
            ["x", "--service", "shop", "--type", "access", "--level", "err", "--hours", "48"],
            {"q": "x", "service_name": "shop", "log_type": "access", "level": "ERROR", "hours": "48"},
        ),
    ],
)
def test_what_is_on_the_command_line_is_asked_for(
    arguments: list[str | bytes], asked: dict[str, str], stub: StubService, environ: Mapping[str, str]
) -> None:
    assert run(["search", *arguments], environ) == Result(0, "", "No records match.\n")
    assert _asked(stub) == asked | {"limit": "100"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Say what to search for"),
        (["--field", "user"], "is not KEY=VALUE"),
        (["--field", "=x"], "is not KEY=VALUE"),
        (["--field", "user="], "is not KEY=VALUE"),
        (["--field", "a=1", "--field", "a=2"], "may be given once"),
        (["-disk"], "No such option"),
        ([b"\xff"], "not UTF-8"),
        (["--field", b"k=\xff"], "not UTF-8"),
        (["x", "--since", "1h", "--hours", "2"], "either --hours or --since"),
    ],
)
def test_wrong_usage_ends_in_2_with_an_explanation(
    arguments: list[str | bytes], complaint: str, stub: StubService, environ: Mapping[str, str]
) -> None:
    result = run(["search", *arguments], environ)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert stub.seen == []


def test_what_the_service_does_not_take_ends_in_2_with_its_reason(
    stub: StubService, environ: Mapping[str, str]
) -> None:
    stub.script = [Scripted(400, {"message": "pattern is not a regular expression of RE2: missing ): (."})]
    result = run(["search", "--pattern", "("], environ)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "missing ): (" in result.stderr


def test_it_goes_on_by_cursor_until_the_end_or_the_limit(stub: StubService, environ: Mapping[str, str]) -> None:
    stub.script = [
        _page(hours_back=1, complete=False),
        _page(_log(3), hours_back=2, complete=False),
        _page(_log(2), _log(1)),
    ]
    assert run(["search", "message", "-o", "ndjson"], environ).stdout.count("\n") == 3
    assert [dict(parse_qsl(urlsplit(seen.target).query)).get("cursor") for seen in stub.seen] == [
        None,
        _cursor(1),
        _cursor(2),
    ]
    stub.script = [_page(_log(3), hours_back=1, complete=False), _page(_log(2), hours_back=2)]
    assert run(["search", "message", "-o", "ndjson", "--limit", "2"], environ).stdout.count("\n") == 2
    assert _asked(stub)["limit"] == "1"


def _start(environ: Mapping[str, str], *options: str) -> subprocess.Popen[str]:
    command = [SLOG, "search", "message", *options]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_what_is_found_is_printed_before_the_next_page_is_there(stub: StubService, environ: Mapping[str, str]) -> None:
    stub.script = [_page(_log(2), hours_back=1, complete=False), _page(_log(1), held=True)]
    process = _start(environ, "-o", "ndjson")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["message"] == "message 2"
    stub.release.set()
    rest, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert json.loads(rest)["message"] == "message 1"
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("output", ["pretty", "ndjson", "json"])
def test_ctrl_c_prints_what_was_found_and_says_how_far_back_was_looked(
    output: str, stub: StubService, environ: Mapping[str, str]
) -> None:
    stub.script = [_page(_log(2), hours_back=1), _page(hours_back=30, complete=False), _page(held=True)]
    process = _start(environ, "-o", output)
    for _ in range(3):
        stub.arrivals.get(timeout=TIMEOUT_SECONDS)
    process.send_signal(signal.SIGINT)
    found, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130
    assert "message 2" in found
    assert errors == "Error: Interrupted. Looked back to 2025-12-31T06:00:00Z, and at nothing older.\n"
    if output == "json":
        assert len(json.loads(found)) == 1


@pytest.mark.parametrize("output", ["pretty", "ndjson", "json"])
def test_nothing_is_never_said_for_what_was_not_looked_at(
    output: str, stub: StubService, environ: Mapping[str, str]
) -> None:
    stub.script = [_page(hours_back=1, complete=False), Scripted(403, {"message": "no more"})]
    result = run(["search", "message", "-o", output], environ)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "No records match" not in result.stderr
    assert result.stderr.endswith("Looked back to 2026-01-01T11:00:00Z, and at nothing older.\n")


def test_on_a_terminal_a_line_tells_how_far_back_was_looked_and_is_gone_before_anything_else(
    stub: StubService, environ: Mapping[str, str]
) -> None:
    stub.script = [
        _page(hours_back=1, complete=False),
        _page(hours_back=2, complete=False),
        _page(_log(1), hours_back=3),
        _page(),
    ]
    result = run_in_terminal(["search", "message"], environ)
    assert result.exit_code == 0
    assert result.stderr == (
        "\r\x1b[KLooked back to 2026-01-01T11:00:00Z ...\r\x1b[K\r\x1b[KLooked back to 2026-01-01T10:00:00Z ...\r\x1b[K"
    )
    assert "message 1" in result.stdout
