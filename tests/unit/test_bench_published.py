"""The figures that the README shows are those of one run, none of them typed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench import chart, growth_chart
from bench.growth import Growth
from bench.report import as_markdown, placed
from bench.results import Report

ROOT = Path(__file__).parents[2]
PUBLISHED, GROWTH = ROOT / "bench" / "published.json", ROOT / "bench" / "published_growth.json"
IMAGES = ROOT / "docs" / "images"


def test_the_readme_shows_the_published_run() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    report = msgspec.json.decode(PUBLISHED.read_bytes(), type=Report)
    assert placed(readme, as_markdown(report)) == readme
    assert report.wrong == []


def test_the_charts_show_the_published_runs(tmp_path: Path) -> None:
    chart.draw(msgspec.json.decode(PUBLISHED.read_bytes(), type=Report), tmp_path / "benchmark.svg")
    growth_chart.draw(msgspec.json.decode(GROWTH.read_bytes(), type=Growth), tmp_path / "growth.svg")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("benchmark.svg", "growth.svg"):
        assert (tmp_path / name).read_bytes() == (IMAGES / name).read_bytes()
        assert f"docs/images/{name}" in readme
