"""Doubts: reasons why the result of a fit may be misleading, in words for reports."""

from __future__ import annotations

import math
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

#: Kinds of doubts. About a fit: components on the variance floor, components that coincide, or an
#: end before convergence. About a choice: it is at the edge of what was tried, or a heuristic's, or
#: weights have another sum than rows. About data: they have drifted from an earlier model.
#: About what rows can tell: see `emdist.quality.evidence`.
Kind = Literal[
    "floor", "coincident", "unfinished", "edge", "heuristic", "weights", "drift", "starts", "units",
    "few", "overlap",
]  # fmt: skip

#: A component with a prior must hold this many rows before its width depends on them.
_ROWS = 2.0
#: Components coincide if they differ by less than this fraction of the data's extent.
_ALIKE = 1e-3
#: A component with less than this share of the weight is practically empty.
_EMPTY = 1e-6
#: Weights whose mean differs from 1 by more than this factor change criteria noticeably.
_SCALE = 2.0


@dataclass(frozen=True)
class Doubt:
    """One reason why a result may be misleading.

    Attributes
    ----------
    kind
        The kind of doubt.
    components
        The components that it is about; empty if it is about the whole fit.
    message
        What the problem is, and what to do.
    """

    kind: Kind
    components: tuple[int, ...]
    message: str


def doubts_of(section: ModelSection, fitted: Fitted) -> tuple[Doubt, ...]:
    """Return doubts about the components of a fit; none for models of centres alone."""
    if section.name in CENTRES:
        return ()
    return (*_on_the_floor(section, fitted), *_alike(section, fitted))


def unfinished(fitted: Fitted, max_iter: str, tol: str) -> tuple[Doubt, ...]:
    """Return the doubt about a fit that max_iter ended; `max_iter` and `tol` name the settings."""
    if fitted.status is not Status.MAX_ITER:
        return ()
    change = abs(fitted.history[-1].change) if fitted.history else math.nan
    still = f", the objective by {change:.2g} in the last iteration" if change > 0 else ""
    what = (
        f"The best restart had not converged when it reached {max_iter} after "
        f"{fitted.iterations} iteration{'s' * (fitted.iterations != 1)}: its parameters still "
        f"change{still}. Raise {max_iter}, or raise {tol} if the last changes in the history are "
        "small enough for you."
    )
    return (Doubt("unfinished", (), what),)


def weighed(rows: int, weight: float, title: str) -> tuple[Doubt, ...]:
    """Return the doubt about a criterion of rows whose weights do not sum to about their number.

    Parameters
    ----------
    rows, weight
        The number of rows with weight > 0, and the sum of their weights.
    title
        The name of the criterion.
    """
    mean = weight / max(rows, 1)
    if 1 / _SCALE <= mean <= _SCALE:
        return ()
    more, than = ("more", "larger") if mean > 1 else ("fewer", "smaller")
    what = (
        f"The sample weights of {rows:,} rows sum to {weight:.6g}. {title} counts them as that "
        f"many rows, so it prefers {more} components: the data seem {than} than they are. Divide "
        f"the weights by their mean, {mean:.6g}, unless each of them counts equal rows."
    )
    return (Doubt("weights", (), what),)


def degenerate(section: ModelSection, fitted: Fitted) -> tuple[int, ...]:
    """Return the components that are on the variance floor."""
    return tuple(dict.fromkeys(one.component for one in _narrow(section, fitted)))


def mean_floor(spread: Spread) -> float:
    """Return the variance floor, in the mean over all features. See `floors`."""
    return float(floors(spread, 0.0).mean())


def _narrow(section: ModelSection, fitted: Fitted) -> list[Narrow]:
    """Return the components, features and variances that are on the variance floor."""
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
    # If the prior alone made a component narrow, the rows are not the reason.
    return [one for one in found if family.prior is None or n[one.component] >= _ROWS]


def _on_the_floor(section: ModelSection, fitted: Fitted) -> list[Doubt]:
    """Return the doubt about components on the variance floor, if there are any."""
    found = _narrow(section, fitted)
    if not found:
        return []
    own = tuple(dict.fromkeys(one.component for one in found))
    if section.name.endswith("tied"):
        who = "The covariance that all components share is"
    else:
        who = f"Components {listed(own)} of {fitted.n_components} are"
        if len(own) == 1:
            who = f"Component {own[0]} of {fitted.n_components} is"
    first = min(found, key=lambda one: one.variance)
    where = (
        f"hardly vary in some direction (feature {first.feature}: variance {first.variance:.2g})"
    )
    if all(one.point for one in found):
        where = "hardly vary in any direction"
    message = (
        f"{who} on the variance floor: the rows {where}, which happens with repeated, rounded or "
        "saturated values. The floor then determines likelihood and BIC, and the data do not. Ask "
        "for fewer components, leave out such rows or features, or add noise as large as the steps "
        "between values. If model.options.reg_covar is larger than the variances of the data, "
        "lower it."
    )
    return [Doubt("floor", own, message)]


def _alike(section: ModelSection, fitted: Fitted) -> list[Doubt]:
    """Return the doubt about components that are the same, as annealing may leave them."""
    params = fitted.params
    held = np.flatnonzero(params.weights > max(_EMPTY, _ROWS / fitted.spread.weight))
    if len(held) < 2:
        return []
    pairs = _pairs(_flat(make_family(section), params.components, fitted.spread)[held])
    if not pairs:
        return []
    same = tuple(sorted({int(held[i]) for pair in pairs for i in pair}))
    message = (
        f"Components {listed(same)} of {fitted.n_components} coincide: they have the same "
        "parameters as another component, and count as one. Ask for fewer components, try more "
        "restarts (n_init) or another random seed, or begin tempered assignment at a lower "
        "temperature."
    )
    return [Doubt("coincident", same, message)]


def _flat(family: Placed[Any], components: Any, spread: Spread) -> Floats:
    """Return parameters of the components as (k, w).

    Locations are in units of the data's deviations, and widths relative to the widest component.
    """
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
    """Return pairs of rows of `points` that differ by less than `_ALIKE` in every coordinate."""
    pairs: set[tuple[int, int]] = cKDTree(points).query_pairs(_ALIKE, p=np.inf)
    return sorted(pairs)
