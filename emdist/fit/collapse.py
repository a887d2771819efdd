"""The collapse policy: what happens to a component that lost its rows or became too narrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.errors import CollapseError
from emdist.fit.fit import Fit
from emdist.fit.linking import linked
from emdist.fit.passes import WorstRows
from emdist.inputs.quoting import listed
from emdist.interfaces import Numerics, Worst
from emdist.sums import Sums


@dataclass(frozen=True)
class Pass:
    """The sums of one pass, with the parameters and the numerics that it used."""

    sums: Sums
    params: Any
    numerics: Numerics


def mend(fit: Fit, weak: NDArray[np.int64], new: Any, last: Pass) -> tuple[Any, int, int]:
    """Apply the policy; return the parameters, and how many components it reseeded and dropped.

    Parameters
    ----------
    fit
        Has the policy, and what a further pass needs.
    weak
        The components of `new` that collapsed; at least one.
    new
        The parameters from the plain M-step of `last`.
    last
        The last pass.
    """
    if fit.policy == "raise":
        which = listed(weak.tolist(), 10)
        if fit.model.minimises:
            raise CollapseError(
                f"{_these(weak, 'Cluster')} {which} lost all rows, which are nearer to other "
                "centres. Ask for fewer clusters, use other starting values, or set "
                "fit.on_collapse to 'reseed' or 'drop'."
            )
        least = getattr(fit.model, "min_weight", 0.0)
        n = last.sums["n"]
        if least > 0 and np.all(n[weak] <= least * float(last.sums["weight"])):
            raise CollapseError(
                f"{_these(weak, 'Component')} {which} collapsed: {least:g} or less of the weight "
                "of the rows is left, which is model.min_weight. Lower model.min_weight, ask for "
                "fewer components, or set fit.on_collapse to 'reseed' or 'drop'."
            )
        raise CollapseError(
            f"{_these(weak, 'Component')} {which} collapsed: no weight is left, or the covariance "
            "is not positive definite. Ask for fewer components, raise model.options.reg_covar, "
            "or set fit.on_collapse to 'reseed' or 'drop'."
        )
    if fit.policy == "drop":
        keep = np.setdiff1d(np.arange(len(fit.model.locations(new))), weak)
        if len(keep) == 0:
            if getattr(fit.model, "min_weight", 0.0) > 0:
                raise CollapseError(
                    "All components collapsed. Lower model.min_weight, which each component's "
                    "share of the rows must exceed, or ask for fewer components."
                )
            raise CollapseError(
                "All components collapsed. Raise model.options.reg_covar, or ask for fewer "
                "components."
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
    """Return one badly explained row for each of `weak`; fewer if all rows fit perfectly.

    Rows that are noise count as explained.

    This costs one more pass. Keeping candidates in every pass would cost more.
    """
    params = linked(
        fit.source, fit.model, last.params, fit.origin, last.numerics,
        lambda task, blocks: fit.map_reduce("sequences", task, blocks), True,
    )  # fmt: skip
    task = WorstRows(fit.source, fit.model, params, fit.origin, last.numerics, len(weak))
    found = fit.map_reduce("worst rows", task)
    used = min(len(weak), len(found.x))
    if fit.model.minimises:
        # A squared distance of 0 is a row on its centre: a centre moved there gains nothing.
        used = int(np.count_nonzero(found.priority[:used] > 0))
    return Worst(
        weak[:used],
        found.x[:used, :-1],
        found.x[:used, -1].astype(np.int64),
        found.weight[:used],
    )


def _these(which: NDArray[np.intp], name: str) -> str:
    """Return "Components" for several, and "Component" for one."""
    return name if len(which) == 1 else f"{name}s"
