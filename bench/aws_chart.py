"""The chart of what the AWS home carries: an SVG that says the same on light and on dark pages, byte for byte again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.aws_requests import generated
from bench.aws_simulation import simulate
from infra.profiles import PROD

INK = "#7d8590"
"""Grey with contrast enough on white and on black."""
BLUE, ORANGE, GREEN = "#3b82f6", "#e0762f", "#2a9d5c"
BATCHES = (1, 10, 100, 1000)
SUDDEN_UNITS = 50
MINUTES = 60

_STYLE: Any = {  # the stubs know rc parameters by their literal names alone
    "svg.hashsalt": "simple-log-service",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(path: Path) -> None:
    """Write the chart: records a second by batch, and the first hour of a sudden load."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
        _carried(left)
        _sudden(right)
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})


def _carried(axes: Axes) -> None:
    """Bars: what prod's maximum carries in the long run."""
    units = PROD.capacity_units_max
    for offset, mix, colour, label in (
        (-0.2, "own", BLUE, "each of one service and type"),
        (0.2, "mixed", ORANGE, "of 50 services and 8 types"),
    ):
        rates = [units / generated(batch, mix).units * batch for batch in BATCHES]
        places = [place + offset for place in range(len(BATCHES))]
        bars = axes.bar(places, rates, 0.38, color=colour, label=label)
        axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], color=INK, fontsize=8, padding=2)
    axes.set_yscale("log")
    axes.set_ylim(10, 10_000)
    axes.set_xticks(range(len(BATCHES)), [f"{batch:,}" for batch in BATCHES])
    axes.set_xlabel("records in a request")
    axes.set_title(f"Records/s that {units} units carry", color=INK, fontsize=10)
    axes.legend(frameon=False, labelcolor=INK, fontsize=8, loc="upper left")


def _sudden(axes: Axes) -> None:
    """Lines by the minute: what is asked for, what is there, what is carried."""
    shape = generated(100, "own")
    course = simulate(PROD, shape, SUDDEN_UNITS / shape.units, MINUTES * 60)
    minutes = [course[start : start + 60] for start in range(0, len(course), 60)]
    carried = [sum(second.carried for second in minute) / 60 * shape.table_units for minute in minutes]
    capacity = [minute[-1].table_capacity for minute in minutes]
    axes.axhline(SUDDEN_UNITS, color=INK, linestyle=":", label="asked for")
    axes.stairs(capacity, color=ORANGE, alpha=0.35, fill=True, label="provisioned")
    axes.stairs(carried, baseline=None, color=GREEN, linewidth=1.6, label="carried")
    axes.set_xlim(0, MINUTES)
    axes.set_ylim(0, PROD.capacity_units_max * 1.1)
    axes.set_xlabel("minutes")
    axes.set_title(f"Write units/s: a load of {SUDDEN_UNITS} that sets in at once", color=INK, fontsize=10)
    axes.legend(frameon=False, labelcolor=INK, fontsize=8, loc="upper left")
