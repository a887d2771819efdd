"""How large the components are, as bars."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.plot.chart import Chart
from emdist.plot.colours import colours
from emdist.plot.findings import Findings

#: How many components have a bar.
_BARS = 40


def _lacks(findings: Findings) -> str:
    if findings.has_centres and findings.rows is None:
        return "the sizes of clusters need rows. Pass X."
    return ""


def _draw(axes: Any, findings: Findings) -> str:
    shares = findings.shares
    order = [int(i) for i in np.argsort(-shares, kind="stable")]
    shown, palette = order[:_BARS], colours(findings.k)
    at = np.arange(len(shown))
    bars = axes.bar(at, 100 * shares[shown], color=[palette[i] for i in shown])
    if len(shown) <= 12:
        axes.bar_label(bars, [f"{100 * shares[i]:.3g} %" for i in shown], fontsize="small")
    axes.set_xticks(
        at, [str(i) for i in shown], fontsize="small" if len(shown) < 25 else "xx-small"
    )
    axes.set_xlabel(f"{findings.word}, the largest first")
    axes.set_ylabel("share of the rows, %")
    told = ", ".join(f"{i}: {100 * shares[i]:.3g} %" for i in shown)
    more = f", and {len(order) - len(shown)} smaller ones" if len(order) > len(shown) else ""
    return f"Shares of the {findings.word}s: {told}{more}."


CHART = Chart("How large the clusters are", _draw, _lacks, (6.4, 3.2))
