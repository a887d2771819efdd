"""Figures of fitted models, sweeps and runs: one figure per file in `figures`, by matplotlib.

`chart.plot` draws one by its name, from `findings.Findings`. matplotlib is imported when a figure
is drawn; `pip install 'emdist[plot]'` installs it.
"""

from typing import TYPE_CHECKING

from emdist.runtime.submodules import on_first_use

if TYPE_CHECKING:
    from emdist.plot import chart, drawing, findings

__all__ = ["chart", "drawing", "findings"]

__getattr__ = on_first_use(__name__)
