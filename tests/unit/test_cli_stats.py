"""``slog stats`` as a process before a stub, and the bars that it draws."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from simple_log_service.cli.histogram import ASCII, BAR_CELLS_MIN, BLOCKS, OTHERS, Row, bars, legend, signs_of, stacked
from support.command import clean_environ, run, run_in_terminal
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
        COLUMNS="60",
        PYTHONUTF8="1",
    )


def bucket(start: str, counts: Mapping[str, int] | int) -> dict[str, Any]:
    if isinstance(counts, int):
        return {"start": start, "count": counts}
    return {"start": start, "count": sum(counts.values()), "counts": counts}


def answer(*buckets: dict[str, Any], cursor: str | None = None, complete: bool = True) -> Scripted:
    count = sum(each["count"] for each in buckets)
    return Scripted(200, {"count": count, "buckets": buckets, "next_cursor": cursor, "complete": complete})


def asked(stub: StubService) -> dict[str, str]:
    return dict(parse_qsl(stub.seen[-1].target.partition("?")[2]))


RANGE = ["--since", "2026-01-01T08:00:00Z", "--until", "2026-01-01T12:00:00Z"]


def test_a_histogram_has_a_line_for_each_interval_of_the_range_those_without_records_too(
    stub: StubService, environ: Mapping[str, str]
) -> None:
    stub.script = [answer(bucket("2026-01-01T10:00:00Z", 1000), bucket("2026-01-01T08:00:00Z", 250))]
    result = run(["stats", *RANGE, "--interval", "1h"], environ)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "2026-01-01 08:00    250  " + "█" * 8 + "▊",
        "2026-01-01 09:00      0",
        "2026-01-01 10:00  1,000  " + "█" * 35,
        "2026-01-01 11:00      0",
        "1,250 records, 1h a line, times in UTC",
    ]
    assert asked(stub) == {"interval": "1h", "since": RANGE[1], "until": RANGE[3]}


def test_answers_of_several_pages_are_added_up(stub: StubService, environ: Mapping[str, str]) -> None:
    stub.script = [
        answer(bucket("2026-01-01T10:00:00Z", 3), cursor="c", complete=False),
        answer(bucket("2026-01-01T10:00:00Z", 4)),
    ]
    result = run(["stats", *RANGE, "--interval", "1h", "-o", "csv"], environ)
    assert result == (0, "start,count\n2026-01-01T10:00:00Z,7\n", "")


@pytest.mark.parametrize("since", ["10m", "1h", "2h", "24h", "2d", "7d", "30d"])
def test_the_interval_fits_the_range_where_none_is_given(
    stub: StubService, environ: Mapping[str, str], since: str
) -> None:
    now = datetime.fromtimestamp(time.time() // 60 * 60, UTC).isoformat()
    stub.script = [answer(bucket(now, 1))]
    result = run(["stats", "--since", since], environ)
    assert asked(stub).keys() == {"since", "interval"}
    # The stub's one bucket may begin a moment before or after those of the range.
    assert 20 <= len(result.stdout.splitlines()) - 1 <= 62


def test_groups_without_an_interval_are_a_sorted_list_of_bars(stub: StubService, environ: Mapping[str, str]) -> None:
    stub.script = [answer(bucket("2026-01-01T08:00:00Z", {"web": 30, "shop": 60, "雑誌": 10}))]
    result = run(["stats", *RANGE, "--by", "service"], environ)
    assert result.stdout.splitlines() == [
        "shop  60   60.0%  " + "█" * 42,
        "web   30   30.0%  " + "█" * 21,
        "雑誌  10   10.0%  " + "█" * 7,
        "100 records, 3 groups",
    ]
    assert asked(stub)["by"] == "service_name"
    assert "interval" not in asked(stub)


def test_of_many_groups_the_largest_are_listed_and_the_others_are_one_line(
    stub: StubService, environ: Mapping[str, str]
) -> None:
    stub.script = [answer(bucket("2026-01-01T08:00:00Z", {f"s{n:03}": 1000 - n for n in range(100)}))]
    lines = run(["stats", "--by", "service"], environ).stdout.splitlines()
    assert len(lines) == 42
    assert lines[40].startswith("60 others  ")


def test_groups_with_an_interval_are_stacked_and_explained(stub: StubService, environ: Mapping[str, str]) -> None:
    counts = {"INFO": 40, "ERROR": 10}
    stub.script = [answer(bucket("2026-01-01T10:00:00Z", counts), bucket("2026-01-01T08:00:00Z", {"ERROR": 25}))]
    lines = run(["stats", *RANGE, "--by", "level", "--interval", "1h"], environ).stdout.splitlines()
    assert lines[0] == "█ INFO 40  ▓ ERROR 35"
    assert lines[1] == "2026-01-01 08:00  25  " + "▓" * 19
    assert lines[3] == "2026-01-01 10:00  50  " + "█" * 30 + "▓" * 8


def test_colours_are_for_terminals_unless_they_are_not_wanted(stub: StubService, environ: dict[str, str]) -> None:
    page = answer(bucket("2026-01-01T10:00:00Z", {"ERROR": 25, "INFO": 5}))
    for arguments in (
        ["--by", "level"],
        ["--by", "level", "--interval", "1h"],
        ["--by", "service", "--interval", "1h"],
    ):
        stub.script = [page] * 3
        assert "\x1b[" in run_in_terminal(["stats", *RANGE, *arguments], environ).stdout
        assert "\x1b" not in run_in_terminal(["stats", *RANGE, *arguments], environ | {"NO_COLOR": "1"}).stdout
        assert "\x1b" not in run(["stats", *RANGE, *arguments], environ).stdout


def test_an_encoding_without_blocks_gets_plain_ascii(stub: StubService, environ: dict[str, str]) -> None:
    environ |= {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    counts = {"shop": 40, "雑誌": 20}
    for arguments in (["--interval", "1h"], [], ["--by", "service"]):
        stub.script = [answer(bucket("2026-01-01T10:00:00Z", counts))]
        result = run(["stats", *RANGE, *arguments], environ)
        assert result.exit_code == 0
        assert result.stdout.isascii()
        assert "###" in result.stdout


def test_names_cannot_command_a_terminal(stub: StubService, environ: Mapping[str, str]) -> None:
    name = "\x1b[2J\u202eevil\nline"
    for arguments in (["--by", "service"], ["--by", "service", "--interval", "1h"], ["--by", "service", "-o", "json"],
                      ["--by", "service", "-o", "csv"]):  # fmt: skip
        stub.script = [answer(bucket("2026-01-01T10:00:00Z", {name: 4}))]
        shown = run_in_terminal(["stats", *RANGE, *arguments], {**environ, "NO_COLOR": "1"}).stdout
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", shown)
        assert shown.count("evil") == 1


def test_json_is_one_object_for_programs(stub: StubService, environ: Mapping[str, str]) -> None:
    stub.script = [answer(bucket("2026-01-01T10:00:00Z", {"INFO": 4}), bucket("2026-01-01T09:00:00Z", {"WARN": 1}))]
    result = run(["stats", *RANGE, "--by", "level", "--interval", "60m", "-o", "json"], environ)
    assert json.loads(result.stdout) == {
        "count": 5,
        "by": "level",
        "interval": "1h",
        "buckets": [bucket("2026-01-01T09:00:00Z", {"WARN": 1}), bucket("2026-01-01T10:00:00Z", {"INFO": 4})],
    }


def test_a_csv_cell_is_never_a_formula(stub: StubService, environ: Mapping[str, str]) -> None:
    names = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", 'a "b", c', "plain"]
    stub.script = [answer(bucket("2026-01-01T10:00:00Z", {name: 9 - n for n, name in enumerate(names)}))]
    result = run(["stats", "--by", "service", "-o", "csv"], environ)
    header, *rows = csv.reader(io.StringIO(result.stdout, newline=""))
    assert header == ["start", "service_name", "count"]
    assert [row[1] for row in rows] == ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\\rx", 'a "b", c', "plain"]


def test_nothing_that_matches_is_said_to_people_and_is_no_error(stub: StubService, environ: Mapping[str, str]) -> None:
    for output, shown in (("pretty", ""), ("csv", "start,count\n")):
        stub.script = [answer()]
        result = run(["stats", "-o", output], environ)
        assert (result.exit_code, result.stdout) == (0, shown)
        assert result.stderr == ("No records match.\n" if output == "pretty" else "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--interval", "1w"], "interval must be like 10s, 5m, 1h or 1d"),
        (["--interval", "0s"], "interval must be like 10s, 5m, 1h or 1d"),
        (["--by", "message"], "'message' is not one of 'service', 'type', 'level'"),
        (["--since", "tomorrow"], "since must be RFC 3339 with an offset"),
        (["--since", "1h", "--until", "2h"], "since must be before until"),
        (["--since", "1h", "--hours", "2"], "Give either hours or since"),
        (["--limit", "3"], "No such option '--limit'"),
    ],
)
def test_what_cannot_be_counted_is_wrong_usage_and_not_sent(
    stub: StubService, environ: Mapping[str, str], arguments: list[str], said: str
) -> None:
    result = run(["stats", *arguments], environ)
    assert result.exit_code == 2
    assert said in re.sub(r"\s+", " ", result.stderr)
    assert (stub.seen, result.stdout) == ([], "")


def test_buckets_of_any_time_make_no_endless_histogram(stub: StubService, environ: Mapping[str, str]) -> None:
    stub.script = [answer(bucket("9999-01-01T00:00:00Z", 3), bucket("0001-01-01T00:00:00Z", 4))]
    lines = run(["stats", "--interval", "1s", "--since", "10s"], environ).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["0001-01-01", "9999-01-01", "7"]


# --- Bars. ---


def plain(text: str, _: str) -> str:
    return text


LABELS = st.text(st.characters(min_codepoint=32, exclude_categories=["C", "Z", "M"]), min_size=1, max_size=60)
ROWS = st.lists(st.builds(Row, LABELS, st.integers(0, 10**9), st.just({})), min_size=1, max_size=9).filter(
    lambda rows: any(row.records for row in rows)
)


@given(ROWS, st.integers(60, 200), st.sampled_from([BLOCKS, ASCII]), st.booleans())
def test_lines_are_aligned_and_no_wider_than_the_terminal(rows: list[Row], width: int, signs: Any, share: bool) -> None:
    lines = bars(rows, width, signs, plain, share=share)
    assert max(map(cell_len, lines)) <= width + (10 if share else 0)
    longest = max(range(len(rows)), key=lambda at: rows[at].records)
    assert lines[longest].endswith(signs.full * BAR_CELLS_MIN)
    for row, line in zip(rows, lines, strict=True):
        assert (line[-1] in signs.full + signs.eighths) == (row.records > 0)


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), min_size=1, max_size=6), st.integers(40, 120))
def test_the_parts_of_a_stacked_bar_fill_it(counts: list[list[int]], width: int) -> None:
    rows = [Row("r", sum(each), dict(zip("abc", each, strict=True))) for each in counts]
    if not any(row.records for row in rows):
        return
    lines = stacked(rows, ["a", "b"], width, BLOCKS, plain)
    cells = max(len(line) for line in lines)
    for row, line in zip(rows, lines, strict=True):
        assert cell_len(line) <= width
        bar = re.sub(r"^r\s+[\d,]+\s*", "", line)
        assert bool(bar) == bool(row.records)
        assert bar == "".join(sign * bar.count(sign) for sign in "█▓·")
        if row.records == max(each.records for each in rows):
            assert len(line) == cells


def test_the_legend_names_the_others_only_if_there_are_any() -> None:
    assert legend([("a", 3), ("b", 2)], 0, BLOCKS, plain) == "█ a 3  ▓ b 2"
    assert legend([("a", 3000)], 7, ASCII, plain) == "# a 3,000  . others 7"


@pytest.mark.parametrize(("encoding", "signs"), [("utf-8", BLOCKS), ("ascii", ASCII), ("latin-1", ASCII), (None, ASCII),
                                                 ("nonsense", ASCII), ("cp1252", ASCII)])  # fmt: skip
def test_bars_are_made_of_what_the_encoding_has(encoding: str | None, signs: object) -> None:
    assert signs_of(encoding) == signs


def test_no_group_is_called_as_the_others_are() -> None:
    assert OTHERS == ""


def test_what_is_searched_for_is_asked_as_a_search_asks_it(stub: StubService, environ: Mapping[str, str]) -> None:
    stub.script = [answer(bucket("2026-01-01T08:00:00Z", {"shop": 2}))]
    words = ["timeout", "disk full", "--pattern", "a+b", "--field", "user.id=7"]
    result = run(["stats", *RANGE, "--by", "service", *words], environ)
    assert (result.exit_code, result.stderr) == (0, "")
    sought = {"q": 'timeout "disk full"', "pattern": "a+b", "metadata.user.id": "7"}
    assert sought.items() <= asked(stub).items()
