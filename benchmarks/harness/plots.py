"""Draws plots as SVG files. Equal points give equal bytes, so a plot changes only if a measurement did."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.harness.report import Bars, Plot

# By default ids are hashes with a random salt. Text stays text, so that comparing files needs no fonts.
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "retail-pulse",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
}


def draw(plot: Plot | Bars, folder: Path) -> Path:
    """Draw a plot into a folder, which is created if needed, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{plot.name}.svg"
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(7, 4), layout="constrained")
        axes = canvas.subplots()
        axes.set(title=plot.title, xlabel=plot.x)
        if isinstance(plot, Bars):
            _draw_bars(plot, axes)
        else:
            _draw_lines(plot, axes)
        canvas.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    return path


def _draw_lines(plot: Plot, axes: Axes) -> None:
    for name, points in plot.series.items():
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=name)
    axes.set_ylabel(plot.y)
    axes.set_ylim(bottom=0)
    if plot.log_x:
        axes.set_xscale("log")
        # Label the measured values instead of powers of ten.
        measured = sorted({x for points in plot.series.values() for x, _ in points})
        axes.set_xticks(measured, [f"{x:,.0f}" for x in measured])
        axes.minorticks_off()
    if len(plot.series) > 1:
        axes.legend()


def _draw_bars(plot: Bars, axes: Axes) -> None:
    bars = axes.barh(list(plot.lengths), list(plot.lengths.values()))
    axes.bar_label(bars, fmt="%.2f", padding=3)
    # The first one is on top.
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
