"""How the rows of one model's clusters are spread over those of another model."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.plot.chart import Chart
from emdist.plot.colours import NOBODY, colours
from emdist.plot.findings import Findings

_POINTS = 40


def _lacks(findings: Findings) -> str:
    if findings.rows is None or findings.other is None:
        return "it needs rows and the labels of another model. Pass X and other=."
    return ""


def _draw(axes: Any, findings: Findings) -> str:
    rows = findings.rows
    assert rows is not None
    assert findings.other is not None
    left, a = np.unique(rows.labels, return_inverse=True)
    right, b = np.unique(findings.other, return_inverse=True)
    table = np.zeros((len(left), len(right)))
    np.add.at(table, (a, b), 1.0)
    # Clusters of the other model come in the order of those from which most of their rows come.
    order = np.lexsort((-table.max(axis=0), table.argmax(axis=0)))
    table, right = 100 * table[:, order] / table.sum(), right[order]
    palette = colours(int(left.max()) + 1 if len(left) else 1)
    gap = 12.0 / max(len(left), len(right))
    ends = [_starts(table.sum(axis=side), gap) for side in (1, 0)]
    for at, names, sizes, x in (
        (0, left, table.sum(axis=1), 0.0),
        (1, right, table.sum(axis=0), 1.0),
    ):
        for start, name, size in zip(ends[at], names, sizes, strict=True):
            shade = (palette[name] if name >= 0 else NOBODY) if at == 0 else "#808080"
            axes.bar(x, size, bottom=start, width=0.05, color=shade)
            axes.text(x + (-0.05 if at == 0 else 0.05), start + size / 2, str(name),
                      ha="right" if at == 0 else "left", va="center", fontsize="small")  # fmt: skip
    _bands(axes, table, ends, [palette[i] if i >= 0 else NOBODY for i in left])
    axes.set_xticks([0, 1], findings.names_of_labels)
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlim(-0.2, 1.2)
    axes.invert_yaxis()
    told = [
        f"{left[i]} to {right[j]}: {table[i, j]:.1f} %"
        for i, j in sorted(np.ndindex(*table.shape), key=lambda at: -table[at])[:12]
        if table[i, j] > 0
    ]
    return f"Rows of each cluster in both models, for {rows.told}: {', '.join(told)}."


def _starts(sizes: Any, gap: float) -> list[float]:
    return [float(s) for s in np.concatenate([[0.0], np.cumsum(sizes + gap)])[: len(sizes)]]


def _bands(axes: Any, table: Any, ends: list[list[float]], shades: list[str]) -> None:
    t = np.linspace(0.0, 1.0, _POINTS)
    smooth = t * t * (3 - 2 * t)
    left, right = list(ends[0]), list(ends[1])
    for i in range(len(table)):
        for j in range(len(table[0])):
            size = table[i, j]
            if size <= 0:
                continue
            low = left[i] + (right[j] - left[i]) * smooth
            axes.fill_between(0.025 + 0.95 * t, low, low + size, color=shades[i], alpha=0.45,
                              linewidth=0)  # fmt: skip
            left[i] += size
            right[j] += size


CHART = Chart("How two models divide the same rows", _draw, _lacks, (6.4, 4.2))
