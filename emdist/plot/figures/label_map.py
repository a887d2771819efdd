"""Labels on two dimensions of their grid: a map, or a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.plot.chart import Chart
from emdist.plot.colours import NOBODY, colours
from emdist.plot.findings import Findings


def _lacks(findings: Findings) -> str:
    return "" if findings.grid is not None else "the labels lie on no grid of two dimensions."


def _draw(axes: Any, findings: Findings) -> str:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    grid, k = findings.grid, findings.k
    assert grid is not None
    masked = np.ma.masked_equal(grid.labels, grid.left_out)
    palette = ListedColormap([NOBODY, *findings.shades(colours(k))])
    norm = BoundaryNorm(np.arange(-1.5, k + 0.5), palette.N)
    image = axes.imshow(masked, cmap=palette, norm=norm, interpolation="nearest",
                        origin=grid.origin)  # fmt: skip
    axes.set_xlabel(grid.names[1])
    axes.set_ylabel(grid.names[0])
    for side in axes.spines.values():
        side.set_visible(False)
    if k <= 20:
        bar = axes.figure.colorbar(image, ax=axes, ticks=range(k), fraction=0.05)
        bar.set_label(findings.word, fontsize="small")
        bar.ax.tick_params(length=0)
        bar.ax.set_ylim(-0.5, k - 0.5)
    a, b = grid.labels.shape
    known, count = np.unique(grid.labels, return_counts=True)
    told = ", ".join(
        f"{i}: {100 * n / grid.labels.size:.1f} %"
        for i, n in list(zip(known.tolist(), count.tolist(), strict=True))[:24]
    )
    return (
        f"Labels on {grid.names[0]} by {grid.names[1]}, {a} x {b} positions"
        f"{f' ({grid.note})' if grid.note else ''}. Shares of the positions: {told}."
    )


CHART = Chart("Where the clusters are", _draw, _lacks, (6.4, 4.6))
