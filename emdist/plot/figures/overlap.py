"""Which components overlap: how much of the rows of one may belong to another."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.plot.chart import Chart
from emdist.plot.findings import NEAR, Findings

_LARGEST = 40


def _lacks(findings: Findings) -> str:
    if findings.rows is None:
        return "it needs rows. Pass X."
    if findings.k < 2:
        return "one component has nothing to overlap with."
    if findings.overlap is None:
        return "the model has neither responsibilities nor distances."
    if findings.k > _LARGEST:
        return f"it is drawn for at most {_LARGEST} components."
    return ""


def _draw(axes: Any, findings: Findings) -> str:
    found, k = findings.overlap, findings.k
    assert found is not None
    shown = np.where(np.eye(k, dtype=bool), np.nan, 100 * found)
    top = max(float(np.nanmax(shown)), 1.0)
    image = axes.imshow(shown, cmap="Oranges", vmin=0, vmax=top)
    axes.set_xticks(range(k), [str(i) for i in range(k)])
    axes.set_yticks(range(k), [str(i) for i in range(k)])
    axes.set_ylabel(f"rows labelled with this {findings.word}")
    axes.set_xlabel("that may belong to")
    if k <= 12:
        for (a, b), value in np.ndenumerate(shown):
            if value >= 0.05:
                colour = "white" if value > 0.6 * top else "black"
                axes.text(b, a, f"{value:.1f}", ha="center", va="center", fontsize="small",
                          color=colour)  # fmt: skip
    what = (
        f"% of rows nearly as near (ratio > {NEAR:g})"
        if findings.has_centres
        else "mean responsibility, %"
    )
    axes.figure.colorbar(image, ax=axes, fraction=0.05).set_label(what, fontsize="small")
    pairs = sorted(((found[i, j], i, j) for i in range(k) for j in range(k)), reverse=True)
    told = ", ".join(f"{i} to {j}: {100 * value:.1f} %" for value, i, j in pairs[:5] if value > 0)
    return f"The largest overlaps ({what}): {told or 'none'}."


CHART = Chart("Which clusters overlap", _draw, _lacks, (5.4, 4.2))
