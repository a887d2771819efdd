"""The means of the components as a heat map, features by components, in the data's units."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.plot.chart import Chart
from emdist.plot.colours import brief
from emdist.plot.findings import Findings

#: The largest number of features and of components that are shown.
_FEATURES, _COMPONENTS = 30, 24


def _lacks(findings: Findings) -> str:
    return ""


def _draw(axes: Any, findings: Findings) -> str:
    which = sorted(findings.telling(_FEATURES))
    shares = findings.shares
    order = sorted(int(i) for i in np.argsort(-shares, kind="stable")[:_COMPONENTS])
    means = findings.means[np.ix_(order, which)]
    contrasts = findings.contrasts
    if contrasts is not None:
        centre, unit = contrasts.total_mean[which], contrasts.total_deviation[which]
        scale = "deviations from the mean of all rows"
    else:
        weight = shares[order] / shares[order].sum()
        centre = weight @ means
        unit = np.sqrt(weight @ (means - centre) ** 2)
        scale = "deviations from the mean of the components"
    away = (means - centre) / np.where(unit > 0, unit, 1.0)
    image = axes.imshow(away.T, cmap="PuOr_r", vmin=-2.5, vmax=2.5, aspect="auto")
    axes.set_xticks(range(len(order)), [str(i) for i in order])
    axes.set_yticks(range(len(which)), [brief(findings.names[f]) for f in which])
    axes.tick_params(length=0)
    axes.set_xlabel(findings.word)
    if len(order) * len(which) <= 150:
        size = "small" if len(order) <= 8 else "xx-small"
        for (a, b), value in np.ndenumerate(away):
            colour = "white" if abs(value) > 1.7 else "black"
            axes.text(a, b, f"{means[a, b]:.4g}", ha="center", va="center", fontsize=size,
                      color=colour)  # fmt: skip
    bar = axes.figure.colorbar(image, ax=axes, extend="both", fraction=0.05)
    bar.set_label(scale, fontsize="small")
    lines = [
        f"{findings.names[f]}: " + ", ".join(f"{means[a, b]:.4g}" for a in range(len(order)))
        for b, f in enumerate(which[:12])
    ]
    return (
        f"Means of {findings.word}s {', '.join(map(str, order))} in each feature. "
        f"{'; '.join(lines)}. Colours are {scale}."
    )


CHART = Chart("The mean of each cluster in each feature", _draw, _lacks, (6.4, 3.8))
