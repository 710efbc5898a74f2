"""The benchmark, run as a person runs it: it measures every row, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import clean_environ

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmark needs epoll and /proc")

_CHECKOUT = Path(__file__).parents[2]
_SECONDS_MAX = 120.0
_INGEST = ["ingest, batch 1", "ingest, batch 100", "ingest, batch 1000"]
_READS = ["newest 100 by service", "newest 100 by type"]


def _start(tmp_path: Path, *flags: str) -> subprocess.Popen[str]:
    """The benchmark at work below ``tmp_path``. Its servers have its standard output, too."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "--folder", os.fspath(tmp_path / "disk"), *flags],
        cwd=_CHECKOUT,
        env=clean_environ(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_quick_run_measures_every_row_and_leaves_nothing_behind(tmp_path: Path) -> None:
    bench = _start(tmp_path, "--quick", "--json", os.fspath(tmp_path / "report.json"))
    table, complaints = bench.communicate(timeout=_SECONDS_MAX)
    assert bench.returncode == 0, complaints
    report = json.loads((tmp_path / "report.json").read_bytes())
    rows = {row["name"]: row for row in report["rows"]}
    assert list(rows) == [*_INGEST, *_READS]
    for row in rows.values():
        assert row["requests"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["p999_ms"]
        assert row["name"] in table
    for name in _INGEST:
        batch = int(name.rpartition(" ")[2])
        assert rows[name]["records_per_second"] == pytest.approx(batch * rows[name]["requests_per_second"])
        assert rows[name]["disk_bytes_per_record"] > 10
        assert rows[name]["rss_mib_max"] > 10
    assert [(each["name"], each["value"] > 0) for each in report["ceilings"]] == [
        ("fdatasync of 4 KiB, p50", True),
        ("fdatasync of 4 KiB, p99", True),
        ("codec alone, batch 1", True),
        ("SigV4 alone, batch 1", True),
        ("listener alone, batch 1", True),
        ("codec alone, batch 100", True),
        ("codec alone, batch 1000", True),
    ]
    assert {each["row"] for each in report["shares"]} == set(_INGEST)
    assert list((tmp_path / "disk").iterdir()) == []
    # The user's own server stays the one that client commands find.
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "report.json"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_behind(number: int, tmp_path: Path) -> None:
    bench = _start(tmp_path, "--seconds", "0.3")
    assert bench.stderr is not None
    while "batch 100" not in bench.stderr.readline():
        assert bench.poll() is None
    bench.send_signal(number)
    # This ends once nobody has the output open any more, so no server is left either.
    table, complaints = bench.communicate(timeout=_SECONDS_MAX)
    assert (bench.returncode, table, complaints) == (130, "", "")
    assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.parametrize("seconds", ["0", "-1", "1000", "nan", "many"])
def test_a_load_without_bound_is_refused(seconds: str, tmp_path: Path) -> None:
    bench = _start(tmp_path, f"--seconds={seconds}")
    table, complaints = bench.communicate(timeout=_SECONDS_MAX)
    assert (bench.returncode, table) == (2, "")
    assert "--seconds" in complaints
    assert list(tmp_path.iterdir()) == []
