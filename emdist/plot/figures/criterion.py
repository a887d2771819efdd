"""The criterion of a sweep against the number of components, with models that are in doubt."""

from __future__ import annotations

import math
from typing import Any

from emdist.fit.criteria import CRITERIA
from emdist.plot.chart import Chart
from emdist.plot.colours import colours
from emdist.plot.findings import Findings
from emdist.quality.ranking import Row


def _lacks(findings: Findings) -> str:
    return "" if findings.models else "only a sweep has several models."


def drawn_value(row: Row, criterion: str) -> float:
    """Return the value to draw: the criterion, or for 'elbow' the curve that may have an elbow."""
    return row.score if criterion == "elbow" else row.criteria[criterion]


def _draw(axes: Any, findings: Findings, criterion: str | None = None) -> str:
    from matplotlib.ticker import MaxNLocator

    rows, name = findings.models, criterion or findings.criterion
    families = list(dict.fromkeys(row.family for row in rows))
    for family, colour in zip(families, colours(len(families)), strict=True):
        own = sorted((r for r in rows if r.family == family), key=lambda r: r.n_components)
        sizes = [row.n_components for row in own]
        axes.plot(sizes, [drawn_value(row, name) for row in own], "o-", color=colour, label=family)
        for mark, which, label in (
            ("x", [r for r in own if r.degenerate], "on the variance floor"),
            ("s", [r for r in own if not r.converged], "not converged"),
        ):
            if which:
                axes.plot(
                    [row.n_components for row in which],
                    [drawn_value(row, name) for row in which],
                    mark,
                    color="#d1452f",
                    markerfacecolor="none",
                    markersize=10,
                    zorder=4,
                    label=f"{family}, {label}",
                )
    best = next(row for row in rows if row.name == findings.best)
    axes.axvline(best.n_components, color="#9a9a9a", linestyle="--", zorder=0)
    sizes = sorted({row.n_components for row in rows})
    edge = len(sizes) > 1 and best.n_components in (sizes[0], sizes[-1])
    label = f"best: {findings.best}" + (", at the edge of what was tried" if edge else "")
    axes.plot([best.n_components], [drawn_value(best, name)], "o", markersize=13,
              markerfacecolor="none", color="#0a9e73", zorder=5, label=label)  # fmt: skip
    title = "inertia" if name == "elbow" else CRITERIA[name].title
    axes.set_xlabel("number of components")
    axes.set_ylabel(title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize="small")
    known = [row for row in rows if math.isfinite(drawn_value(row, name))]
    values = "; ".join(f"{row.name}: {drawn_value(row, name):.6g}" for row in known[:40])
    return f"{title} of {len(rows)} models. The best is {findings.best}. {values}."


CHART = Chart("The criterion for each number of components", _draw, _lacks, (6.4, 3.8))
