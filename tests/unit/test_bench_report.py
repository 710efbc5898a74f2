"""The benchmark's report: what this run measured takes the place of what was published, and nothing is hidden."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from bench import chart, growth, growth_chart, plan
from bench.load import Load
from bench.peers import ELSEWHEN, GOALS, LOKI, OWN, TITLES, VICTORIALOGS, compared
from bench.report import as_markdown, as_text, placed
from bench.results import Fact, Report, Row, row_of


def _report() -> Report:
    """A report with every row, of ours."""
    rows = [
        row_of(name, OWN, 1, Load(2.0, [1_000_000, 3_000_000], 0.5))
        for name in plan.NAMES
        if name not in (*plan.LIFE, *plan.KILL)
    ]
    for row in rows:
        row.records_per_second = 123_456.0
        row.cpu_seconds_per_million = row.settled_cpu_seconds_per_million = 4.0
        row.settled_disk_bytes_per_record, row.rss_mib_max = 41.0, 100.0
    facts = [Fact(name, OWN, 0.0 if name == plan.LOST else 0.25, "s") for name in (*plan.LIFE, *plan.KILL)]
    return Report(0.1, 2, 3_000_000, 3.0, rows, facts)


def test_every_goal_has_a_row_that_a_run_measures() -> None:
    assert {goal.row for goal in GOALS} <= set(plan.NAMES)
    assert all(OWN in line.values for line in compared(_report()))


def test_what_was_published_is_marked_until_the_run_measures_it() -> None:
    report = _report()
    assert "116,930*" in as_markdown(report)
    assert ELSEWHEN in as_markdown(report)
    row = row_of(GOALS[0].row, VICTORIALOGS, 8, Load(2.0, [1, 2], 0.5))
    row.records_per_second = 99_999.0
    report.rows.append(row)
    assert "| 99,999 |" in as_markdown(report)
    assert "116,930" not in as_markdown(report)
    assert "| the last 5 to 10 s* | 0, not synced* |" in as_markdown(report)
    report.facts.append(Fact(plan.LOST, LOKI, 7, "records"))
    assert "| the last 5 to 10 s* | 7 |" in as_markdown(report)


@pytest.mark.parametrize("write", [as_text, as_markdown])
def test_every_goal_stands_in_the_comparison(write: object) -> None:
    text = write(_report())  # type: ignore[operator]
    assert all(goal.title in text for goal in GOALS)
    assert all(title in text for title in TITLES.values())


def test_a_small_run_and_a_busy_machine_are_told_from_a_whole_run_on_an_idle_one() -> None:
    report = _report()
    assert "small run" not in as_markdown(report)
    assert "busy" not in as_markdown(report)
    report.load_average = 2.5
    assert "busy: load average 2.5 on 2 cores" in as_markdown(report)
    report.records = 60_000
    assert "A small run: reads are over 60,000 stored records" in as_markdown(report)


def test_the_comparison_takes_its_place_in_a_document() -> None:
    document = "before\n<!-- benchmark -->\nold\n<!-- end -->\nafter\n"
    assert placed(document, "new\n") == "before\n<!-- benchmark -->\nnew\n<!-- end -->\nafter\n"
    assert placed("no marks", "new\n") is None


def test_skipped_and_wrong_rows_and_a_busy_generator_are_told() -> None:
    report = _report()
    report.rows[0].generator_cores = 0.97
    report.rows[1].wrong = "7 records and not 10"
    report.rows.append(Row(plan.COUNT, LOKI, skipped="it knows none"))
    report.facts.append(Fact(plan.LOST, LOKI, 3, "records", wrong="3 are gone"))
    text = as_text(report)
    assert "0.97!" in text
    assert "near a whole core" in text
    assert f"WRONG: {report.rows[1].name}: 7 records and not 10" in text
    assert f"skipped: loki: {plan.COUNT}: it knows none" in text
    assert "3 are gone" in text
    assert len(report.wrong) == 2


def test_a_report_without_rows_is_a_report() -> None:
    assert "Compared" in as_text(Report(0.0, 1, 1, 1.0))


def test_a_report_survives_its_json() -> None:
    report = _report()
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def _texts(path: Path) -> str:
    return " ".join(element.text or "" for element in ET.parse(path).iter() if element.tag.endswith("text"))


def test_the_chart_names_every_goal_that_can_be_compared_and_is_the_same_again(tmp_path: Path) -> None:
    chart.draw(_report(), tmp_path / "one.svg")
    chart.draw(_report(), tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    texts = _texts(tmp_path / "one.svg")
    drawn = [goal for goal in GOALS if VICTORIALOGS in goal.published]
    assert len(drawn) == 16
    assert all(goal.title in texts for goal in drawn)
    assert "123,456" in texts
    assert ELSEWHEN in texts


def _growth(*sizes: int) -> growth.Growth:
    return growth.Growth([growth.Point(size, dict.fromkeys(growth.UNITS, 1.0 + size / 1000000.0)) for size in sizes])


def test_the_chart_of_growth_names_every_quantity_and_size_and_is_the_same_again(tmp_path: Path) -> None:
    measured = _growth(1_000_000, 30_000_000)
    for name in ("one.svg", "two.svg"):
        growth_chart.draw(measured, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    texts = _texts(tmp_path / "one.svg")
    assert all(name in texts for name in growth.UNITS)
    assert "30 M" in texts


def test_growth_as_text_has_a_line_for_each_quantity_and_what_went_wrong() -> None:
    measured = _growth(1_000_000, 30_000_000)
    del measured.points[0].values[growth.CPU]
    measured.points[1].remarks.append("not settled")
    text = growth.as_text(measured)
    assert all(name in text for name in growth.UNITS)
    assert "15.50" in text
    assert "30,000,000 records: not settled" in text
