"""What a careful statistician would doubt of a fitted model, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.spatial import cKDTree

from emdist.components import Family, Placed
from emdist.composition.model import CENTRES, make_family
from emdist.families.gaussian.floors import Narrow, floors, narrow
from emdist.families.gaussian.normal_wishart import Conjugate
from emdist.families.product import Product, of_columns
from emdist.fit.fitted import Fitted
from emdist.fit.state import Status
from emdist.inputs.quoting import listed
from emdist.interfaces import Floats, Spread
from emdist.models.arrays import arrays_of
from emdist.settings.config import ModelSection

#: What is doubted: the variance floor, components that coincide, an end before convergence; and of
#: a choice, that it is at the edge of what was tried, or made by a heuristic.
Kind = Literal["floor", "coincident", "unfinished", "edge", "heuristic"]

#: Rows that a component with a prior must hold before its width says anything of them.
_ROWS = 2.0
#: Components coincide where they differ by less than this part of the data's extent.
_ALIKE = 1e-3
#: Share of the weight below which a component is as good as empty.
_EMPTY = 1e-6


@dataclass(frozen=True)
class Doubt:
    """One reason not to trust a fit.

    Attributes
    ----------
    kind
        Of doubt.
    components
        That it is about; none for all of the fit.
    message
        What it is and what to do.
    """

    kind: Kind
    components: tuple[int, ...]
    message: str


def doubts_of(section: ModelSection, fitted: Fitted) -> tuple[Doubt, ...]:
    """Doubts about the components of a fit; none for models that are centres alone."""
    if section.name in CENTRES:
        return ()
    return (*_on_the_floor(section, fitted), *_alike(section, fitted))


def unfinished(fitted: Fitted, max_iter: str, tol: str) -> tuple[Doubt, ...]:
    """The doubt about a fit that max_iter cut off; `max_iter` and `tol` name the settings."""
    if fitted.status is not Status.MAX_ITER:
        return ()
    what = (
        f"The best start had not converged after {fitted.iterations} iteration(s), the most that "
        f"{max_iter} allows: its parameters still change. Raise {max_iter}, or raise {tol} if the "
        "last changes in the history are small enough for you."
    )
    return (Doubt("unfinished", (), what),)


def degenerate(section: ModelSection, fitted: Fitted) -> tuple[int, ...]:
    """Components that stand on the variance floor."""
    return tuple(dict.fromkeys(one.component for one in _narrow(section, fitted)))


def mean_floor(spread: Spread) -> float:
    """Variance of a feature, in the mean of all, that says nothing: see `floors`."""
    return float(floors(spread, 0.0).mean())


def _narrow(section: ModelSection, fitted: Fitted) -> list[Narrow]:
    family = make_family(section).informed(fitted.spread)
    params = fitted.params
    n = params.weights * fitted.spread.weight
    return _of_family(family, params.components, n, fitted.spread)


def _of_family(family: Family[Any], params: Any, n: Floats, spread: Spread) -> list[Narrow]:
    if isinstance(family, Product):
        return [
            Narrow(one.component, int(columns[one.feature]), one.variance, one.point)
            for (columns, part), own in zip(family.parts, params.parts, strict=True)
            for one in _of_family(part, own, n, of_columns(spread, columns))
        ]
    if not isinstance(family, Conjugate):
        return []
    n = getattr(params, "counts", n)
    weighed = np.maximum(n, _ROWS)
    rows = family.of_rows(params, weighed)
    found = narrow(rows, family.shape, params.means, n, spread, family.reg_covar)
    # What a prior alone has made narrow is no fault of the rows.
    return [one for one in found if family.prior is None or n[one.component] >= _ROWS]


def _on_the_floor(section: ModelSection, fitted: Fitted) -> list[Doubt]:
    found = _narrow(section, fitted)
    if not found:
        return []
    own = tuple(dict.fromkeys(one.component for one in found))
    if section.name.endswith("tied"):
        who = "The covariance that all components share stands"
    else:
        who = f"Component(s) {listed(own)} of {fitted.n_components} stand"
    first = min(found, key=lambda one: one.variance)
    where = f"hardly vary in some direction (feature {first.feature}: {first.variance:.2g})"
    if all(one.point for one in found):
        where = "hardly vary in any direction"
    message = (
        f"{who} on the variance floor: the rows {where}, as repeated, rounded or saturated values "
        "do. Likelihood, BIC and the like are then set by the floor and not by the data. Ask for "
        "fewer components, leave such rows or features out, or add noise as large as the steps "
        "between values; lower reg_covar if it exceeds the data's own variances."
    )
    return [Doubt("floor", own, message)]


def _alike(section: ModelSection, fitted: Fitted) -> list[Doubt]:
    """The doubt about components that are the same, as annealing leaves them."""
    params = fitted.params
    held = np.flatnonzero(params.weights > max(_EMPTY, _ROWS / fitted.spread.weight))
    if len(held) < 2:
        return []
    pairs = _pairs(_flat(make_family(section), params.components, fitted.spread)[held])
    if not pairs:
        return []
    same = tuple(sorted({int(held[i]) for pair in pairs for i in pair}))
    message = (
        f"Components {listed(same)} of {fitted.n_components} coincide with others of them: they "
        "have the same parameters and count as one. Ask for fewer components, take other starts "
        "(n_init, another seed), or start tempered assignment less hot."
    )
    return [Doubt("coincident", same, message)]


def _flat(family: Placed[Any], components: Any, spread: Spread) -> Floats:
    """(k, w) parameters of the components: locations in units of the data, widths of the widest."""
    unit = np.sqrt(spread.variance)
    where = family.locations(components)
    k, out = len(where), [where / np.where(unit > 0, unit, 1.0)]
    for name, value in arrays_of(components).items():
        last, flat = name.rpartition(".")[2], value.reshape(len(value), -1)
        if len(value) == k and last in ("covariances", "variances"):
            size = np.abs(flat).max(axis=0)
            out.append(flat / np.where(size > 0, size, 1.0))
        elif len(value) == k and last == "probabilities":
            out.append(flat)
    return np.concatenate(out, axis=1)


def _pairs(points: Floats) -> Sequence[tuple[int, int]]:
    pairs: set[tuple[int, int]] = cKDTree(points).query_pairs(_ALIKE, p=np.inf)
    return sorted(pairs)
