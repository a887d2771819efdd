"""The probabilities of a hidden Markov model: which state follows which."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.plot.chart import Chart
from emdist.plot.findings import Findings

_LARGEST, _NUMBERS = 40, 12


def _lacks(findings: Findings) -> str:
    if findings.transitions is None:
        return "only a hidden Markov model has transitions."
    return "" if findings.k <= _LARGEST else f"it is drawn for at most {_LARGEST} states."


def _draw(axes: Any, findings: Findings) -> str:
    assert findings.transitions is not None
    start, moves = findings.transitions
    # The first row, apart from the others, is where sequences begin.
    shown = np.vstack([start, np.full((1, len(start)), np.nan), moves])
    image = axes.imshow(shown, cmap="Blues", vmin=0, vmax=1)
    at = [0, *range(2, len(start) + 2)]
    axes.set_yticks(at, ["start", *(str(i) for i in range(len(start)))])
    axes.set_xticks(range(len(start)))
    axes.tick_params(length=0)
    axes.set_ylabel("state")
    axes.set_xlabel("next state")
    if len(start) <= _NUMBERS:
        for (a, b), value in np.ndenumerate(shown):
            if np.isfinite(value):
                axes.text(b, a, _told(value), ha="center", va="center", fontsize="small",
                          color="white" if value > 0.6 else "black")  # fmt: skip
    axes.figure.colorbar(image, ax=axes, fraction=0.05).set_label("probability", fontsize="small")
    stay = ", ".join(f"{i}: {moves[i, i]:.3g}" for i in range(min(len(start), _NUMBERS)))
    first = ", ".join(f"{i}: {start[i]:.3g}" for i in range(min(len(start), _NUMBERS)))
    return (
        f"Probabilities of the next state. Each state is kept with probability {stay}. Sequences "
        f"begin with probability {first}."
    )


def _told(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 or value == 0 else "<0.01"


CHART = Chart("Which state follows which", _draw, _lacks, (5.4, 4.6))
