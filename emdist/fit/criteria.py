"""Criteria such as BIC, by which a sweep chooses one of several fitted models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from emdist.errors import ConfigError
from emdist.interfaces import Floats

#: The kinds of models that criteria distinguish.
Kind = Literal["mixture", "posterior", "centres", "kmeans", "kmedians"]


@dataclass(frozen=True)
class Judged:
    """What criteria know about one fitted model.

    Attributes
    ----------
    n_components
        The number of components that was asked for.
    total
        Weighted log-likelihood of all rows in nats, or their inertia.
    weight
        The total weight of all rows.
    objective
        The objective that the fit reports.
    free
        The number of free parameters; None for models that are no mixtures.
    entropy
        The entropy of the responsibilities of all rows in nats, or NaN.
    deviations
        The weighted sum of squared distances of all rows to their mean.
    kind
        The kind of model.
    values
        The weight of all numbers that were observed: rows times features if none is missing.
    features
        The number of features of a row.
    count
        (c,) the weight of the rows labelled with each component.
    silhouette, davies_bouldin
        Figures of the clusters that the labels make; NaN if they were not computed.
    """

    n_components: int
    total: float
    weight: float
    objective: float
    free: int | None
    entropy: float
    deviations: float
    kind: Kind
    values: float
    features: int
    count: Floats
    silhouette: float = math.nan
    davies_bouldin: float = math.nan


@dataclass(frozen=True)
class Criterion:
    """A number for each model, of which the lowest or the highest is best.

    Attributes
    ----------
    kinds
        The kinds of models for which it is defined.
    lower
        Whether the lowest value is best.
    values
        Computes the values of models that are compared with each other.
    least
        How many models of different sizes it needs.
    title
        Its name for axes and tables.
    heuristic
        Why its choice is not reliable; empty for criteria with a theoretical foundation.
    across
        Whether its values for models of several kinds can be compared.
    """

    kinds: frozenset[Kind]
    lower: bool
    values: Callable[[Sequence[Judged]], list[float]]
    least: int
    title: str
    heuristic: str = ""
    across: bool = True

    def serves(self, kinds: Sequence[Kind]) -> bool:
        """Return whether it can compare models of these kinds."""
        return self.kinds.issuperset(kinds) and (self.across or len(set(kinds)) == 1)

    def best(self, values: Sequence[float]) -> int:
        """Return the index of the best value; the first one among equals."""
        known = [math.inf if math.isnan(v) else (v if self.lower else -v) for v in values]
        return min(range(len(known)), key=known.__getitem__)


def _bic(one: Judged) -> float:
    return math.nan if one.free is None else -2 * one.total + one.free * math.log(one.weight)


def _aic(one: Judged) -> float:
    return math.nan if one.free is None else -2 * one.total + 2 * one.free


def _icl(one: Judged) -> float:
    """Return ICL (Biernacki, Celeux and Govaert 2000, IEEE PAMI 22): BIC plus twice the entropy.

    For centres, it is -2 times the log-likelihood of rows and labels together, under the mixture
    that has them as its hard clusters, plus a penalty for the parameters.
    """
    if one.kind in ("kmeans", "kmedians"):
        return _icl_of_centres(one)
    return _bic(one) + 2 * one.entropy


def _icl_of_centres(one: Judged) -> float:
    """Return ICL for Gaussians of one common variance (K-means), or Laplace of one common width.

    The width is its maximum-likelihood estimate, which is the mean of the distances. Cutting a
    single cluster into more gains as much from distances as the labels cost. This criterion can
    therefore have a minimum where the inertia has none.
    """
    if one.total <= 0 or one.values <= 0:
        return math.nan
    mean, count = one.total / one.values, one.count[one.count > 0]
    if one.kind == "kmeans":
        rows = one.values * (math.log(2 * math.pi * mean) + 1)
    else:
        rows = 2 * one.values * (math.log(2 * mean) + 1)
    labels = -2 * float(count @ np.log(count / count.sum()))
    free = one.n_components * one.features + one.n_components
    return rows + labels + free * math.log(one.weight)


def _calinski_harabasz(one: Judged) -> float:
    """Return dispersion between clusters over that within, each per degree of freedom.

    Calinski and Harabasz 1974.
    """
    k, within = one.n_components, one.total
    if k < 2 or within <= 0 or one.weight <= k:
        return math.nan
    return (one.deviations - within) / (k - 1) / (within / (one.weight - k))


def _each(value: Callable[[Judged], float]) -> Callable[[Sequence[Judged]], list[float]]:
    return lambda models: [value(one) for one in models]


def _elbow(models: Sequence[Judged]) -> list[float]:
    """Return how far the curve of inertias lies below its chord, for each model.

    Satopaa et al. 2011, "Finding a kneedle in a haystack". Sizes and inertias are scaled to 0 to
    1. The knee lies farthest below the line from the smallest model to the largest.
    """
    sizes, totals = [m.n_components for m in models], [m.total for m in models]
    wide, high = max(sizes) - min(sizes), max(totals) - min(totals)
    if wide == 0 or high <= 0:
        return [math.nan] * len(models)
    return [
        1 - (k - min(sizes)) / wide - (total - min(totals)) / high
        for k, total in zip(sizes, totals, strict=True)
    ]


_MIXTURES: frozenset[Kind] = frozenset({"mixture"})
_ALL: frozenset[Kind] = frozenset({"mixture", "posterior", "centres", "kmeans", "kmedians"})
_SEPARATION = (
    "Silhouettes and the Davies-Bouldin index say how separate clusters are, by Euclidean "
    "distances. They prefer round clusters of equal size, are not defined for one cluster, and do "
    "not show that there are clusters. They count rows without their sample weights."
)
_CENTRES: frozenset[Kind] = frozenset({"centres", "kmeans", "kmedians"})

CRITERIA: Mapping[str, Criterion] = {
    "bic": Criterion(_MIXTURES, True, _each(_bic), 1, "BIC"),
    "aic": Criterion(_MIXTURES, True, _each(_aic), 1, "AIC"),
    "icl": Criterion(
        frozenset({"mixture", "kmeans", "kmedians"}), True, _each(_icl), 1, "ICL", across=False
    ),
    "bound": Criterion(
        frozenset({"posterior"}), False, _each(lambda one: one.objective), 1, "bound per row, nats"
    ),
    "elbow": Criterion(
        _CENTRES,
        False,
        _elbow,
        3,
        "distance to the chord of inertia",
        "The elbow is a heuristic: it chooses the k at which the curve of the inertia bends most, "
        "between the smallest and the largest k of the sweep. It always finds one, and finds "
        "another one if the range changes. It does not show that there are clusters.",
    ),
    "calinski_harabasz": Criterion(
        frozenset({"kmeans"}), False, _each(_calinski_harabasz), 1, "Calinski-Harabasz index"
    ),
    "silhouette": Criterion(
        _ALL, False, _each(lambda one: one.silhouette), 1, "mean silhouette", _SEPARATION
    ),
    "davies_bouldin": Criterion(
        _ALL, True, _each(lambda one: one.davies_bouldin), 1, "Davies-Bouldin index", _SEPARATION
    ),
}

#: Criteria that follow from labels, in two more reads.
OF_LABELS = frozenset({"silhouette", "davies_bouldin"})


def default_criterion(kinds: Sequence[Kind]) -> str:
    """Return the first criterion with a foundation for all models; raise ConfigError if none."""
    fitting = [name for name, one in CRITERIA.items() if one.serves(kinds)]
    for name in fitting:
        if not CRITERIA[name].heuristic:
            return name
    raise ConfigError(
        "Only a heuristic can compare these models, because they have no likelihood or "
        "different ones. Run one sweep for each kind of model, or set sweep.criterion to "
        f"{' or '.join(map(repr, fitting))} to let the heuristic choose."
    )


def checked_criterion(name: str | None, kinds: Sequence[Kind], sizes: Sequence[int]) -> str:
    """Return `name` or the default if it can compare such models; raise ConfigError otherwise.

    Parameters
    ----------
    name
        The criterion that was asked for, or None.
    kinds, sizes
        The kind and the number of components of each model.
    """
    name = name or default_criterion(kinds)
    criterion = CRITERIA[name]
    if not criterion.serves(kinds):
        fitting = [n for n, c in CRITERIA.items() if c.serves(kinds) and not c.heuristic]
        remedy = f"Use {' or '.join(fitting)}." if fitting else "Run one sweep for each kind."
        one = "" if criterion.across else "one "
        raise ConfigError(
            f"The criterion {name!r} can only compare models of {one}kind "
            f"{' or '.join(sorted(criterion.kinds))}, but the sweep has "
            f"{', '.join(sorted(set(kinds)))}. {remedy}"
        )
    if name == "elbow" and len(set(sizes)) < len(sizes):
        raise ConfigError(
            "The criterion 'elbow' compares the inertias of one kind of model, but the sweep has "
            "several kinds. Run one sweep for each kind."
        )
    if len(set(sizes)) < criterion.least:
        raise ConfigError(
            f"The criterion {name!r} needs at least {criterion.least} numbers of components, got "
            f"{sorted(set(sizes))}."
        )
    return name
