"""What happens to a component that lost its rows or became too narrow for a density."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.errors import CollapseError
from emdist.fit.fit import Fit
from emdist.fit.passes import WorstRows
from emdist.inputs.quoting import listed
from emdist.interfaces import Numerics, Worst
from emdist.sums import Sums


@dataclass(frozen=True)
class Pass:
    """What one pass had and gave: its sums, and the parameters and numerics it ran with."""

    sums: Sums
    params: Any
    numerics: Numerics


def mend(fit: Fit, weak: NDArray[np.int64], new: Any, last: Pass) -> tuple[Any, int, int]:
    """Parameters after the policy, and how many components it reseeded and dropped.

    Parameters
    ----------
    fit
        Its policy and what a further pass needs.
    weak
        Components of `new` that collapsed, at least one.
    new
        Parameters from the plain M-step of `last`.
    """
    if fit.policy == "raise":
        which = listed(weak.tolist(), 10)
        if fit.model.minimises:
            raise CollapseError(
                f"Cluster(s) {which} have no rows any more: all are nearer to other "
                "centres. Ask for fewer clusters, give another start, or set fit.on_collapse to "
                "'reseed' or 'drop'."
            )
        raise CollapseError(
            f"Component(s) {which} collapsed: no weight left, or no positive "
            "definite covariance. Ask for fewer components, raise reg_covar, or set "
            "fit.on_collapse to 'reseed' or 'drop'."
        )
    if fit.policy == "drop":
        keep = np.setdiff1d(np.arange(len(fit.model.locations(new))), weak)
        if len(keep) == 0:
            raise CollapseError(
                "All components collapsed. Raise reg_covar or ask for fewer components."
            )
        return fit.model.take(new, keep), 0, len(weak)
    if fit.policy == "reseed":
        worst = worst_rows(fit, weak, last)
        if len(worst.index):
            reseeded = fit.model.reseed(
                last.sums, last.params, last.numerics, worst, fit.survey.spread
            )
            return reseeded, len(worst.index), 0
    return new, 0, 0


def worst_rows(fit: Fit, weak: NDArray[np.int64], last: Pass) -> Worst:
    """One badly explained row for each of `weak`; fewer if all rows are explained perfectly.

    Rows that are noise count as explained.

    Costs one more pass, which is cheaper than keeping candidates in every pass.
    """
    task = WorstRows(fit.source, fit.model, last.params, fit.origin, last.numerics, len(weak))
    found = fit.map_reduce("worst rows", task)
    used = min(len(weak), len(found.x))
    if fit.model.minimises:
        # A squared distance of 0 is a row on its centre: moving a centre there gains nothing.
        used = int(np.count_nonzero(found.priority[:used] > 0))
    return Worst(
        weak[:used],
        found.x[:used, :-1],
        found.x[:used, -1].astype(np.int64),
        found.weight[:used],
    )
