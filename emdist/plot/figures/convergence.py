"""The objective at each iteration, for each restart; on request with Q and entropy."""

from __future__ import annotations

import math
from typing import Any

from emdist.plot.chart import Chart
from emdist.plot.findings import Findings


def _lacks(findings: Findings) -> str:
    if not findings.fitted.history:
        return "the model has no history, because nothing was fitted, or it was converted."
    return ""


def _draw(axes: Any, findings: Findings, terms: bool = False) -> str:
    from matplotlib.ticker import MaxNLocator

    fitted = findings.fitted
    restarts: dict[int, list[Any]] = {}
    for record in fitted.history:
        if math.isfinite(record.objective):
            restarts.setdefault(record.restart, []).append(record)
    for number, records in restarts.items():
        best = number == fitted.restart
        axes.plot(
            [r.iteration for r in records],
            [r.objective for r in records],
            "o-" if len(records) < 60 else "-",
            markersize=3,
            color="#0f7cc0" if best else "#9a9a9a",
            linewidth=2 if best else 1,
            zorder=3 if best else 2,
            label="objective" if terms and best else f"restart {number + 1}",
        )
    own = restarts.get(fitted.restart, [])
    if terms:
        for name, label, colour in (
            ("expected", "Q", "#e07b00"),
            ("entropy", "entropy", "#0a9e73"),
        ):
            values = [getattr(r, name) for r in own]
            if any(math.isfinite(value) for value in values):
                axes.plot([r.iteration for r in own], values, "--", color=colour, label=label)
    if terms or 1 < len(restarts) <= 8:
        axes.legend(frameon=False, fontsize="small")
    axes.set_xlabel("iteration")
    axes.set_ylabel(findings.objective)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if not own:
        return "No iteration has a finite objective."
    first, last = own[0].objective, own[-1].objective
    told = (
        f"The {findings.objective} of the best restart goes from {first:.6g} to {last:.6g} in "
        f"{own[-1].iteration} iterations."
    )
    ends = [records[-1].objective for records in restarts.values()]
    if len(ends) > 1:
        told += f" {len(ends)} restarts end between {min(ends):.6g} and {max(ends):.6g}."
    return told


CHART = Chart("How the fit converged", _draw, _lacks, (6.4, 3.4))
