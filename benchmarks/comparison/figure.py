"""Draw the figure of ratios and their targets."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.comparison.report import GROUPS, number
from benchmarks.comparison.rows import Row

_MET, _MISSED, _FREE = "#2a7f62", "#c0504d", "#7f7f7f"


def draw(rows: Sequence[Row], path: Path, caption: str) -> None:
    """Draw a panel per table: a bar per row on a logarithmic scale, with a mark at the target."""
    panels = [[r for r in rows if r.group == group and r.ratio] for group in GROUPS]
    panels_with = [(title, p) for title, p in zip(GROUPS.values(), panels, strict=True) if p]
    if not panels_with:
        return
    heights = [len(panel) + 1.5 for _, panel in panels_with]
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(9, 0.24 * sum(heights) + 0.8), dpi=110, layout="constrained")
        axes = figure.subplots(len(panels_with), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, (title, panel) in zip(axes, panels_with, strict=True):
            _panel(ax, title, panel)
        figure.supxlabel("\n".join(textwrap.wrap(caption, 150)), fontsize=7, color="0.4")
        figure.savefig(path)


def _panel(ax: mpl.axes.Axes, title: str, rows: Sequence[Row]) -> None:
    places = range(len(rows))
    ratios = [row.ratio or 0.0 for row in rows]
    colours = [_FREE if row.met is None else _MET if row.met else _MISSED for row in rows]
    ax.barh(places, [r - 1e-9 for r in ratios], color=colours, height=0.7)
    ax.set_xscale("log")
    ax.set_yticks(places, [f"{row.title} · {row.rival}" for row in rows])
    ax.invert_yaxis()
    ax.set_ylim(len(rows) - 0.4, -0.6)
    for at, row in enumerate(rows):
        assert row.low is not None
        assert row.high is not None
        ax.plot([row.low, row.high], [at, at], color="black", lw=1)
        if row.at_least is not None:
            ax.plot([row.at_least] * 2, [at - 0.42, at + 0.42], color="black", lw=2)
        edge = max(row.high, row.at_least or 0.0)
        ax.annotate(number(row.ratio), (edge, at), (4, -3), textcoords="offset points", fontsize=7)
    low, high = min(0.5, *ratios) * 0.8, max(ratios) * 2
    ax.set_xlim(low, max(high, 2 * max((row.at_least or 0) for row in rows)))
    ax.axvline(1, color="0.6", lw=0.8, zorder=0)
    ax.set_title(title, loc="left", fontsize=9)
    ax.set_xlabel("bar: median; line: range of the rounds; mark: target")
