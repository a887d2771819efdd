"""How sure the labels are: the largest responsibility of each row, as cumulative shares."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.plot.chart import Chart
from emdist.plot.colours import colours
from emdist.plot.findings import Findings, certainty

_LINES = 12


def _lacks(findings: Findings) -> str:
    if findings.rows is None:
        return "it needs rows. Pass X."
    return "" if findings.rows.resp is not None else "the model has no responsibilities."


def _draw(axes: Any, findings: Findings) -> str:
    rows = findings.rows
    assert rows is not None
    sure = certainty(rows)
    assert sure is not None
    doubt, palette, told = np.sort(1.0 - sure), colours(findings.k), []
    share = np.arange(1, len(doubt) + 1) / len(doubt)
    if findings.k <= _LINES:
        for i in range(findings.k):
            own = np.sort(1.0 - sure[rows.labels == i])
            if len(own):
                axes.plot(own, np.arange(1, len(own) + 1) / len(own) * 100, color=palette[i],
                          label=f"{findings.word} {i}")  # fmt: skip
                told.append(f"{i}: {100 * (own > 0.1).mean():.1f} %")
    axes.plot(doubt, 100 * share, color="#808080", linewidth=2, linestyle="--", label="all rows")
    axes.set_xlabel("probability that the label is wrong, if the model is right")
    axes.set_ylabel("share of the rows below, %")
    axes.set_xlim(0, max(0.5, float(doubt[-1])))
    axes.set_ylim(0, 102)
    axes.legend(frameon=False, fontsize="small")
    return (
        f"Of {rows.told}, {100 * (doubt > 0.1).mean():.1f} % have a label that is wrong with a "
        "probability above 10 % if the model is right"
        + (f" (by {findings.word}: {', '.join(told)})." if told else ".")
    )


CHART = Chart("How certain the labels are", _draw, _lacks, (6.4, 3.4))
