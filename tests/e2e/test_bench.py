"""The benchmark, run as a person runs it: it measures every row, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import growth, plan
from bench.peers import OWN
from bench.plan import Plan
from support.command import clean_environ
from support.stub_peers import StubLoki, StubPeer, StubVictoriaLogs, serving

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmark needs epoll and /proc")

_CHECKOUT = Path(__file__).parents[2]
_SECONDS_MAX = 200.0
_INGEST = [shape.name for shape in plan.SHAPES]
_FACTS = [*plan.LIFE, *plan.KILL]
_ROWS = [name for name in plan.NAMES if name not in _FACTS]
_ONLY_OURS = ("callers' ids", "unknown fields", "at random")


def _start(tmp_path: Path, *flags: str, program: str = "bench") -> subprocess.Popen[str]:
    """The benchmark at work below ``tmp_path``. Its servers have its standard output, too."""
    return subprocess.Popen(
        [sys.executable, "-m", program, "--folder", os.fspath(tmp_path / "disk"), *flags],
        cwd=_CHECKOUT,
        env=clean_environ(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(tmp_path: Path, *flags: str, program: str = "bench") -> tuple[str, Any]:
    """What it prints, and its report."""
    report = tmp_path / "report.json"
    bench = _start(tmp_path, "--json", os.fspath(report), *flags, program=program)
    table, complaints = bench.communicate(timeout=_SECONDS_MAX)
    assert bench.returncode == 0, complaints
    return table, json.loads(report.read_bytes())


def test_a_quick_run_measures_every_row_and_leaves_nothing_behind(tmp_path: Path) -> None:
    table, report = _run(tmp_path, "--quick")
    rows = {row["name"]: row for row in report["rows"]}
    assert set(rows) == set(_ROWS)
    for name, row in rows.items():
        assert name in table
        assert "skipped" not in row
        assert row["target"] == OWN
        if not name.startswith(plan.STORE):
            assert row["requests"] > 0
            assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["p999_ms"]
    for shape in plan.SHAPES:
        row = rows[shape.name]
        assert row["records_per_second"] == pytest.approx(shape.batch * row["requests_per_second"])
    for name in (*_INGEST, *(plan.stored(plan.STORE, order) for order in plan.ORDERS)):
        assert rows[name]["disk_bytes_per_record"] > 10
        assert rows[name]["settled_disk_bytes_per_record"] > 10
        assert rows[name]["settled_cpu_seconds_per_million"] > 0
        assert rows[name]["rss_mib_max"] > 10
    facts = {fact["name"]: fact["value"] for fact in report["facts"]}
    assert set(facts) == set(_FACTS)
    assert facts[plan.LOST] == 0
    assert all(facts[name] > 0 for name in _FACTS if name != plan.LOST)
    assert [(each["name"], each["value"] > 0) for each in report["ceilings"]] == [
        ("fdatasync of 4 KiB, p50", True),
        ("fdatasync of 4 KiB, p99", True),
        ("codec alone, batch 1", True),
        ("SigV4 alone, batch 1", True),
        ("listener alone, batch 1", True),
        ("codec alone, batch 100", True),
        ("codec alone, batch 1000", True),
    ]
    assert {each["row"] for each in report["shares"]} == set(_INGEST[:3])
    assert list((tmp_path / "disk").iterdir()) == []
    # The user's own server stays the one that client commands find.
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "report.json"}
    written = [tmp_path / name for name in ("table.md", "chart.svg")]
    markdown, chart = map(os.fspath, written)
    again, _ = _run(tmp_path, "--read", os.fspath(tmp_path / "report.json"), "--markdown", markdown, "--chart", chart)
    assert again == table
    assert all(path.stat().st_size > 1000 for path in written)


@pytest.mark.parametrize(("name", "stub"), [("victorialogs", StubVictoriaLogs()), ("loki", StubLoki())])
def test_another_server_gets_the_rows_that_have_a_meaning_for_it(name: str, stub: StubPeer, tmp_path: Path) -> None:
    """Against stubs that take documented requests only; there is no such server here."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_bytes(bytes(100))
    told = f"pid={os.getpid()},data={tmp_path / 'data'}"
    with serving(stub):
        asked = ("1000", "in order", "search", "count")
        flags = [flag for text in asked for flag in ("--rows", text)]
        table, report = _run(tmp_path, "--quick", *flags, "--target", f"{name}=http://{stub.host},{told}")
    rows = {row["name"]: row for row in report["rows"] if row["target"] == name}
    wanted = {row for row in _ROWS if Plan(1, 1, asked).wants(row)}
    assert set(rows) == {row for row in wanted if not any(ours in row for ours in _ONLY_OURS)}
    skipped = {row for row, each in rows.items() if "skipped" in each}
    assert skipped == {plan.stored(page, plan.ORDERS[0]) for page in (plan.FIRST_PAGE, plan.LATER_PAGES)}
    assert not [row["wrong"] for row in rows.values() if "wrong" in row]
    for row in set(rows) - skipped - {plan.stored(plan.STORE, plan.ORDERS[0])}:
        assert rows[row]["requests"] > 0
        assert f"{name}: {row}" in table
    assert rows[plan.SHAPES[2].name]["cpu_seconds_per_million"] >= 0
    # What the run measured stands in the comparison in place of what was published.
    (compared,) = [line for line in table.splitlines() if line.startswith("ingest, batches of 1000")]
    assert f"{rows[plan.SHAPES[2].name]['records_per_second']:,.0f}" in compared


def test_wrong_answers_of_a_server_are_told_and_fail_the_run(tmp_path: Path) -> None:
    stub = StubVictoriaLogs()
    stub.records = [{"service_name": "left over", "log_type": "x", "message": "", "timestamp": "", "metadata": {}}]
    with serving(stub):
        bench = _start(tmp_path, "--quick", "--rows", plan.COUNT, "--target", f"victorialogs=http://{stub.host}")
        table, complaints = bench.communicate(timeout=_SECONDS_MAX)
    assert bench.returncode == 1
    assert "20,001 records and not 20,000 for count_by=service_name" in complaints
    assert "WRONG: victorialogs: count by service" in table


def test_only_the_rows_that_are_asked_for_are_measured(tmp_path: Path) -> None:
    _, report = _run(tmp_path, "--quick", "--rows", "BATCH 100,", "--rows", "kill")
    assert [row["name"] for row in report["rows"]] == ["ingest, batch 100, unknown fields"]
    assert [fact["name"] for fact in report["facts"]] == list(plan.KILL)


def test_the_growth_of_a_store_is_measured_at_each_size(tmp_path: Path) -> None:
    drawn = tmp_path / "growth.svg"
    flags = "--records", "20000,100000", "--seconds", "0.06", "--chart", os.fspath(drawn)
    table, report = _run(tmp_path, *flags, program="bench.growth")
    assert [point["records"] for point in report["points"]] == [20_000, 100_000]
    for point in report["points"]:
        # A page 10 takes a thousand records of a service.
        assert set(growth.UNITS) - set(point["values"]) <= {growth.PAGE_10}
        assert all(value > 0 for value in point["values"].values())
        assert point["wrong"] == []
    assert growth.PAGE_10 in report["points"][1]["values"]
    assert all(name in table for name in growth.UNITS)
    assert drawn.stat().st_size > 1000
    assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("during", "rows"),
    [("batch 100", "batch 100"), ("storing", "store"), ("reads", "while ingesting"), ("kill", "kill")],
)
def test_an_interrupted_run_leaves_nothing_behind(during: str, rows: str, number: int, tmp_path: Path) -> None:
    bench = _start(tmp_path, "--quick", "--rows", rows)
    assert bench.stderr is not None
    while during not in bench.stderr.readline():
        assert bench.poll() is None
    bench.send_signal(number)
    # This ends once nobody has the output open any more, so no server is left either.
    table, complaints = bench.communicate(timeout=_SECONDS_MAX)
    assert (bench.returncode, table) == (130, "")
    assert "Traceback" not in complaints
    assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--seconds", "0"),
        ("--seconds", "-1"),
        ("--seconds", "1000"),
        ("--seconds", "nan"),
        ("--seconds", "many"),
        ("--records", "100"),
        ("--records", "many"),
        ("--rows", "no such row"),
        ("--target", "elastic=http://127.0.0.1:9200"),
        ("--target", "loki"),
        ("--target", "loki=https://127.0.0.1:3100"),
        ("--target", "loki=http://127.0.0.1:3100,pid=many"),
        ("--target", "loki=http://127.0.0.1:3100,disk=/"),
    ],
)
def test_a_load_without_bound_or_sense_is_refused(option: str, value: str, tmp_path: Path) -> None:
    bench = _start(tmp_path, f"{option}={value}")
    table, complaints = bench.communicate(timeout=_SECONDS_MAX)
    assert (bench.returncode, table) == (2, "")
    assert option in complaints
    assert list(tmp_path.iterdir()) == []


def test_every_row_is_named_on_request(tmp_path: Path) -> None:
    bench = _start(tmp_path, "--list")
    names, complaints = bench.communicate(timeout=_SECONDS_MAX)
    assert (bench.returncode, complaints) == (0, "")
    assert names.splitlines() == list(plan.NAMES)
