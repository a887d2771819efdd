"""The silhouettes of the rows, cluster by cluster, as Rousseeuw 1987 draws them."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.plot.chart import Chart
from emdist.plot.colours import colours
from emdist.plot.findings import Findings


def _lacks(findings: Findings) -> str:
    if findings.rows is None:
        return "it needs rows. Pass X."
    return "" if findings.silhouettes is not None else "it needs two clusters and complete rows."


def _draw(axes: Any, findings: Findings) -> str:
    rows, values = findings.rows, findings.silhouettes
    assert rows is not None
    assert values is not None
    palette, start, told = colours(findings.k), 0, []
    gap = max(len(values) // 60, 1)
    for i in range(findings.k):
        own = np.sort(values[rows.labels == i])
        own = own[np.isfinite(own)]
        if not len(own):
            continue
        at = start + np.arange(len(own))
        axes.fill_betweenx(at, 0, own, color=palette[i], alpha=0.8, step="mid", linewidth=0,
                           rasterized=len(values) > 400)  # fmt: skip
        axes.text(-0.02, start + len(own) / 2, str(i), ha="right", va="center", fontsize="small")
        told.append(f"{i}: {own.mean():.3f}")
        start += len(own) + gap
    mean = float(np.nanmean(values))
    axes.axvline(mean, color="#9a9a9a", linestyle="--")
    axes.set_title(f"mean {mean:.3f} (dashed)", fontsize="small", loc="right")
    axes.set_yticks([])
    axes.set_ylabel(findings.word)
    axes.set_xlabel("silhouette (squared Euclidean distances)")
    low = min(-0.1, float(np.nanmin(values)))
    axes.set_xlim(low, 1.0)
    return (
        f"Silhouettes of {rows.told}. Their mean is {mean:.3f}. Means of the {findings.word}s: "
        f"{', '.join(told)}."
    )


CHART = Chart("How compact and separate the clusters are", _draw, _lacks, (6.4, 3.8))
