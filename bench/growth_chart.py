"""The chart of growth: each quantity in relation to its value at the smallest size, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from bench.chart import BLUE, FAINT, GREEN, GREY, ORANGE, STYLE, save
from bench.growth import COSTS, READS, SEARCHES, UNITS, Growth

_COLOURS = (BLUE, ORANGE, GREEN, "#8250df")
_MARKS = ("o", "s", "^", "D")
_TITLES = ("reads, p50", "searches and counts, p50", "start, memory, disk, CPU")


def draw(growth: Growth, path: Path) -> None:
    """Write the chart; the name's ending says whether as SVG or PNG."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13, 5.2), layout="constrained")
        panels = figure.subplots(1, 3, sharey=True)
        for axes, title, names in zip(panels, _TITLES, (READS, SEARCHES, COSTS), strict=True):
            _panel(axes, title, names, growth)
        panels[0].set_ylabel("times the value at the smallest size")
        save(figure, path)


def _panel(axes: Axes, title: str, names: Sequence[str], growth: Growth) -> None:
    sizes = [point.records for point in growth.points]
    linear = [size / sizes[0] for size in sizes]
    axes.plot(sizes, linear, ":", color=GREY, label="what grows with the records")
    for name, colour, mark in zip(names, _COLOURS, _MARKS, strict=True):
        places = [point for point in growth.points if point.values.get(name)]
        if places and places[0].records == sizes[0]:
            first = places[0].values[name]
            relative = [point.values[name] / first for point in places]
            last = places[-1].values[name]
            label = f"{name} ({last:,.0f}" if last >= 100 else f"{name} ({last:.3g}"
            label += f" {UNITS[name]} at last)"
            axes.plot([point.records for point in places], relative, color=colour, marker=mark, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(title, fontsize=12)
    axes.set_xlabel("records stored")
    axes.set_xticks(sizes, [_size(size) for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}\N{MULTIPLICATION SIGN}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(color=FAINT, linewidth=0.6)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16))


def _size(records: int) -> str:
    return f"{records / 1e6:g} M" if records >= 1_000_000 else f"{records / 1e3:g} k"
