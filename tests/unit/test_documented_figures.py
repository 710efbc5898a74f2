"""Every table of capacity and cost in the documentation is what is computed now."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bench import aws_costs, aws_throughput
from bench.aws_chart import draw
from bench.aws_costs import gb_costs, load_costing, traffic
from bench.aws_figures import named, updated
from bench.aws_requests import generated
from bench.aws_simulation import BURST_SECONDS
from infra.costs import Request, Traffic, Usage, costs, price_list, total, usage
from infra.profiles import PROD

COSTS = aws_throughput.DOCUMENTS[0]
FIGURES = aws_costs.FIGURES | aws_throughput.FIGURES
ANEW = "run python -m bench.aws_throughput --write"


def test_every_figure_has_one_place_in_the_documents_and_every_place_its_figure() -> None:
    places = [name for path in aws_throughput.DOCUMENTS for name in named(path.read_text(encoding="utf-8"))]
    assert sorted(places) == sorted([*FIGURES, "corpora"])


@pytest.mark.parametrize("name", FIGURES)
def test_a_documented_table_is_what_is_computed_now(name: str) -> None:
    for path in aws_throughput.DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        assert updated(text, {name: FIGURES[name]}) == text, ANEW


def test_the_table_of_real_lines_is_what_is_computed_now() -> None:
    folder = Path(os.environ.get("LOG_CORPORA", ""))
    names = dict.fromkeys(re.findall(r"^\| (\w+) \| 1", _corpora(), re.MULTILINE))
    assert len(names) == 8
    # Another collection says nothing about these; the next test holds whatever the files.
    if all((folder / f"{name}_2k.log").is_file() for name in names):
        assert _corpora() == aws_costs.corpora(folder), f"{ANEW} --corpora {folder}"


def test_the_dollars_of_real_lines_follow_from_their_units_and_the_prices() -> None:
    prices = price_list().prices
    rows = re.findall(r"^\| \w+ \| (100|1,000) \|(.*)\|$", _corpora(), re.MULTILINE)
    assert len(rows) == 16
    for batch, rest in rows:
        size, _, table, index, dollars = (cell.strip() for cell in rest.split("|"))
        requests = 2**30 / (float(size) * int(batch.replace(",", "")))
        writes = requests * (float(table) + float(index)) * prices["dynamodb_write_units"].usd / 1e6
        gateway = requests * prices["api_gateway_requests"].usd / 1e6
        # The rest (function, audit, own logs) is less than both together, and never nothing.
        assert writes + gateway < float(dollars) * 1.05 < 2 * (writes + gateway) + 0.05


def test_the_chart_is_what_is_drawn_now(tmp_path: Path) -> None:
    draw(tmp_path / "first.svg")
    draw(tmp_path / "second.svg")
    first = (tmp_path / "first.svg").read_bytes()
    assert first == (tmp_path / "second.svg").read_bytes()
    assert first == aws_throughput.CHART.read_bytes(), ANEW
    assert len(first) < 60_000


def test_the_document_says_how_old_its_prices_are() -> None:
    assert price_list().as_of in COSTS.read_text(encoding="utf-8")


def _prod(batch: int, per_second: float) -> dict[str, float]:
    return costs(usage(PROD, traffic(generated(batch, "own"), per_second)))


def _gb(batch: int) -> float:
    return total(gb_costs(generated(batch, "own", fewer_fields=True)))


def _thousand() -> dict[str, float]:
    shape = generated(1, "own")
    holding = aws_throughput.holding(aws_throughput.units_holding(shape, 1000))
    return costs(usage(holding, [Traffic(shape.request(), 1000)]))


def _estimated(used: Usage) -> float:
    names = ("Lambda", "CloudWatch Logs", "CloudWatch metrics", "KMS", "Config")
    return sum(costs(used).get(name, 0.0) for name in names) - costs(Usage(kms_keys=1))["KMS"]


CLAIMS: list[tuple[str, Callable[[], float], float]] = [
    ("idle deployment costs about $20", lambda: total(costs(usage(PROD, []))), 20),
    ("about 0.8 to 5 requests", lambda: load_costing(generated(10, "own"), 50), 0.8),
    ("about 0.8 to 5 requests", lambda: load_costing(generated(10, "own"), 150), 5),
    ("for 0.6 to\n  3 of a hundred", lambda: load_costing(generated(100, "own"), 50), 0.6),
    ("for 0.6 to\n  3 of a hundred", lambda: load_costing(generated(100, "own"), 150), 3),
    ("about $28 sent one by one", lambda: _gb(1), 28),
    ("about $0.41 in batches of\n  100", lambda: _gb(100), 0.41),
    ("CloudWatch Logs takes $0.50", lambda: costs(Usage(cloudwatch_logs_gb=1))["CloudWatch Logs"], 0.5),
    ("cost about $440, 18 % of it for backups", lambda: total(_prod(100, 10)), 440),
    ("cost about $440, 18 % of it for backups", lambda: _prod(100, 10)["AWS Backup"], 0.18 * 440),
    ("That is $13 a month", lambda: costs(usage(PROD, [Traffic(Request(), 1.0)]))["X-Ray"], 13),
    ("about 9 % here", lambda: 26 / generated(1, "own", fewer_fields=True).json_bytes, 0.09),
    ("1,500 units at the start", lambda: BURST_SECONDS * PROD.capacity_units_min, 1500),
    ("at most a factor of 1.43", lambda: 100 / PROD.capacity_target_percent, 1.43),
    (
        "costs about $51 a month more",
        lambda: (
            total(costs(usage(msgspec.structs.replace(PROD, capacity_units_min=50), [])))
            - total(costs(usage(PROD, [])))
        ),
        51,
    ),
    ("45 % of the bill", lambda: _thousand()["API Gateway"] / total(_thousand()), 0.45),
    ("itself is about 8 %", lambda: _thousand()["DynamoDB capacity"] / total(_thousand()), 0.08),
    ("about $8 of an idle month", lambda: _estimated(usage(PROD, [])), 8),
    (
        "about $5 more for each request a second",
        lambda: _estimated(usage(PROD, traffic(generated(100, "own"), 1.0))) - _estimated(usage(PROD, [])),
        5,
    ),
]


@pytest.mark.parametrize(("words", "computed", "documented"), CLAIMS, ids=[words for words, *_ in CLAIMS])
def test_a_figure_in_the_text_is_what_is_computed_now(
    words: str, computed: Callable[[], float], documented: float
) -> None:
    assert words in COSTS.read_text(encoding="utf-8")
    assert computed() == pytest.approx(documented, rel=0.08)


def test_a_thousand_requests_a_second_cost_more_than_is_said() -> None:
    assert "more than $20,000 a month" in COSTS.read_text(encoding="utf-8")
    assert total(_thousand()) > 20_000


def _corpora() -> str:
    text = COSTS.read_text(encoding="utf-8")
    return text.partition("<!-- figures: corpora -->\n")[2].partition("<!-- end -->")[0]
