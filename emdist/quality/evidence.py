"""Doubts about what the rows of a fit can tell: few rows, overlap, units, and other starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from emdist.composition.model import CENTRES, kind_of, make_family
from emdist.fit.fitted import Fitted
from emdist.fit.state import Record
from emdist.inputs.quoting import listed
from emdist.quality.doubts import Doubt
from emdist.settings.config import ModelSection

#: Share of the entropy of mixture weights that responsibilities may have.
_UNSURE = 0.5
#: Share of the variance of all features that one of them may have, where units matter.
_ALONE = 0.999
#: The fewest restarts that can disagree, and how much worse than the best one is as good: nats per
#: row, or a share of the inertia.
_RESTARTS, _AS_GOOD = 3, 0.01
#: Families whose components are as wide in every feature. So are clusters of centres.
_ROUND = ("spherical", "isotropic")
#: Models of centres that add up differences of features in their own units.
_DISTANCES = ("kmeans", "kmedians")


def doubts_of_evidence(
    section: ModelSection, fitted: Fitted, history: Sequence[Record] | None = None
) -> tuple[Doubt, ...]:
    """Return doubts about what the rows of a fit can tell.

    Parameters
    ----------
    section, fitted
        The model.
    history
        The history of all restarts; None if it is that of `fitted`.
    """
    minimises = section.name in CENTRES
    found = list(_restarts(history or fitted.history, minimises))
    found += _units(section, fitted)
    if not minimises and kind_of(section) == "mixture" and section.chain is None:
        found += _few_rows(section, fitted)
        found += _overlap(section, fitted)
    return tuple(found)


def _restarts(history: Sequence[Record], minimises: bool) -> Iterator[Doubt]:
    """Yield the doubt about restarts of which only one found the best objective."""
    last = {one.restart: one.objective for one in history if not one.rejected}
    ends = np.array([value for value in last.values() if np.isfinite(value)])
    if len(ends) < _RESTARTS:
        return
    best = ends.min() if minimises else ends.max()
    scale = abs(best) if minimises else 1.0
    gaps = np.sort(np.abs(ends - best))
    if gaps[1] <= _AS_GOOD * scale:
        return
    how = f"{gaps[1] / scale:.1%} of the inertia" if minimises else f"{gaps[1]:.2g} nats per row"
    yield Doubt(
        "starts",
        (),
        f"Only 1 of {len(ends)} restarts reached the best objective; the next one is worse by "
        f"{how}. More restarts (n_init) may find a better model still.",
    )


def _units(section: ModelSection, fitted: Fitted) -> Iterator[Doubt]:
    """Yield the doubt about features of such different units that one of them decides alone."""
    if section.name not in _DISTANCES and section.name not in _ROUND:
        return
    variance = fitted.spread.variance
    varying = np.flatnonzero(variance > 0)
    total = float(variance.sum())
    if len(varying) < 2 or not np.isfinite(total):
        return
    first = int(variance.argmax())
    share = float(variance[first]) / total
    if share < _ALONE:
        return
    names = fitted.prepared_names
    name = f"Feature {first}" if names is None else f"Feature {names[first]!r}"
    yield Doubt(
        "units",
        (),
        f"{name} has {min(share, 0.9999):.2%} of the variance of all features, so it decides on "
        "the clusters almost alone. If the units of features are arbitrary, standardise them "
        "(prepare).",
    )


def _few_rows(section: ModelSection, fitted: Fitted) -> Iterator[Doubt]:
    """Yield the doubt about components that hold fewer rows than they have parameters."""
    family, d = make_family(section), fitted.n_features
    each = int(family.free_parameters(2, d) - family.free_parameters(1, d))
    rows = fitted.params.shares[: fitted.n_components] * fitted.spread.weight
    few = np.flatnonzero(rows < each)
    if not len(few):
        return
    own = tuple(few.tolist())
    counts = ", ".join(f"{rows[i]:.3g}" for i in own[:5]) + (", ..." if len(own) > 5 else "")
    one = len(own) == 1
    who = f"Component {own[0]} holds" if one else f"Components {listed(own)} hold"
    yield Doubt(
        "few",
        own,
        f"{who} {counts} rows by the sum of responsibilities, fewer than the {each} parameters of "
        "a component: they are hardly determined. Ask for fewer components or a simpler "
        "covariance, or give a prior.",
    )


def _overlap(section: ModelSection, fitted: Fitted) -> Iterator[Doubt]:
    """Yield the doubt about responsibilities that tell little."""
    known = [one.entropy for one in fitted.history if np.isfinite(one.entropy)]
    weights = np.asarray(fitted.params.shares)
    held = weights[weights > 0]
    most = float(-(held * np.log(held)).sum())
    if not known or section.assignment != "soft" or most <= 0:
        return
    share = known[-1] / most
    if share < _UNSURE:
        return
    yield Doubt(
        "overlap",
        (),
        f"Components overlap: the responsibilities of rows have {min(share, 1.0):.0%} of the "
        "entropy that the mixture weights have, so labels are uncertain. The density may "
        "still be right. A profile says which components overlap. Combine them, or ask for fewer.",
    )
