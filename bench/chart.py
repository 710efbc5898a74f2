"""The chart of the comparison: how many times as good as VictoriaLogs each server is, a lane for each quantity.

An SVG on white, which reads the same on light and on dark pages, byte for byte the same for the same report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from bench.peers import (
    ELSEWHEN,
    LOKI,
    OWN,
    TITLES,
    VICTORIALOGS,
    Comparison,
    Goal,
    caveats,
    compared,
    shown,
    shown_target,
)
from bench.results import Report

INK, FAINT = "#24292f", "#d0d7de"
BLUE, ORANGE, GREY, GREEN = "#1f6feb", "#d1570a", "#57606a", "#1a7f37"
STYLE: Any = {  # the stubs know rc parameters by their literal names alone
    "svg.hashsalt": "simple-log-service",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_MARKS = {OWN: ("o", BLUE), VICTORIALOGS: ("s", GREY), LOKI: ("^", ORANGE)}
_LANE_INCHES, _ABOVE_INCHES, _BELOW_INCHES = 0.34, 0.75, 1.2
_COLUMNS_AT = (1.23, 1.5, 1.68, 1.92)
"""Right ends of the columns of numbers, in widths of the lanes."""


def draw(report: Report, path: Path) -> None:
    """Write the chart; the name's ending says whether as SVG or PNG."""
    lines = [line for line in compared(report) if _is_drawn(line)]
    with mpl.rc_context(STYLE):
        height = _ABOVE_INCHES + _LANE_INCHES * len(lines) + _BELOW_INCHES
        figure = Figure(figsize=(11, height))
        # Set by hand: what stands right of the lanes is no part of any automatic layout.
        axes = figure.add_axes((0.28, _BELOW_INCHES / height, 0.37, _LANE_INCHES * len(lines) / height))
        for place, line in enumerate(reversed(lines)):
            _lane(axes, place, line)
        _frame(axes, [line.goal for line in reversed(lines)])
        figure.text(0.02, 0.4 / height, " ".join(caveats(report)), color=ORANGE)
        elsewhen = sorted({TITLES[server] for line in lines for server in line.elsewhen}, reverse=True)
        if elsewhen:
            figure.text(
                0.02, 0.13 / height, f"Hollow marks ({' and '.join(elsewhen)}): {ELSEWHEN}.", fontsize=11, color=GREY
            )
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write it without anything that differs from one time to the next."""
    metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else None
    figure.savefig(path, metadata=metadata, dpi=110)


def _is_drawn(line: Comparison) -> bool:
    """Ratios need something to be compared with, and no zeros."""
    return all(line.values.get(server, 0) > 0 for server in (OWN, VICTORIALOGS))


def _lane(axes: Axes, place: int, line: Comparison) -> None:
    """One quantity: marks, and the numbers in columns beside them."""
    goal, base = line.goal, line.values[VICTORIALOGS]
    axes.axhline(place, color=FAINT, linewidth=0.8, zorder=0)
    if goal.target:
        axes.plot(goal.better_by(goal.target, base), place, "|", color=GREEN, markersize=17, markeredgewidth=2.2)
    for server, value in sorted(line.values.items(), key=lambda each: each[0] == OWN):
        mark, colour = _MARKS[server]
        fill = "white" if server in line.elsewhen else colour
        axes.plot(goal.better_by(value, base), place, mark, color=colour, markersize=9, markerfacecolor=fill)
    texts = {server: shown(value) for server, value in line.values.items()}
    for x, (server, (_, colour)) in zip(_COLUMNS_AT, _MARKS.items(), strict=False):
        _beside(axes, x, place, texts.get(server, ""), colour, bold=server == OWN)
    _beside(axes, _COLUMNS_AT[-1], place, shown_target(goal), GREEN)


def _beside(axes: Axes, x: float, y: float, text: str, colour: str, *, bold: bool = False) -> None:
    """Right of the lanes, the columns as shares of their width."""
    place = axes.get_yaxis_transform()
    axes.text(x, y, text, color=colour, transform=place, ha="right", va="center", weight="bold" if bold else "normal")


def _frame(axes: Axes, goals: list[Goal]) -> None:
    axes.set_xscale("log")
    axes.set_ylim(-0.6, len(goals) - 0.4)
    axes.set_yticks(range(len(goals)), [f"{goal.title}, {goal.unit}" for goal in goals])
    axes.tick_params(axis="y", length=0)
    axes.axvline(1, color=GREY, linewidth=0.8, zorder=0)
    axes.xaxis.set_major_locator(LogLocator(base=100))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}\N{MULTIPLICATION SIGN}")
    axes.set_xlabel("times as good as VictoriaLogs; further to the right is better")
    for server, (mark, colour) in _MARKS.items():
        axes.plot([], [], mark, color=colour, markersize=9, label=TITLES[server])
    axes.plot([], [], "|", color=GREEN, markersize=14, markeredgewidth=2.2, label="to reach", linestyle="none")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.76, 1.02), ncols=4, frameon=False, handlelength=1.2)
    for x, title, colour in zip(
        _COLUMNS_AT, ("ours", "VictoriaLogs", "Loki", "to reach"), (BLUE, GREY, ORANGE, GREEN), strict=True
    ):
        _beside(axes, x, len(goals) - 0.2, title, colour)
