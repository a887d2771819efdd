"""Alignment of two fitted models: which component of one is which component of the other.

The labels of a mixture are arbitrary, so two fits of the same data may number the same components
differently. The remedy is an assignment problem between the components (Stephens 2000, "Dealing
with label switching in mixture models"). It is solved exactly, by
`scipy.optimize.linear_sum_assignment` (Crouse 2016, "On implementing 2D rectangular assignment
algorithms").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from emdist.errors import ConfigError, FeatureNamesError, ShapeError
from emdist.fit.fitted import Fitted
from emdist.fit.state import Status
from emdist.inputs.names import both, match
from emdist.interfaces import Block, Floats, Model

#: Components that keep their number win ties. What that saves is this part of the largest cost.
_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class Matching:
    """Which component of a model is which component of a reference.

    Attributes
    ----------
    order
        The components of the model in their new order, by their number so far: (k,).
    matches
        For each component in the new order, the component of the reference that it is, or -1 for a
        new one: (k,).
    moved
        How far its location is from that of the reference's component, in units of the spread of
        the data, (k,); NaN for a new component. See `matched`.
    gone
        The components of the reference that the model does not have.
    """

    order: NDArray[np.int64]
    matches: NDArray[np.int64]
    moved: Floats
    gone: tuple[int, ...]

    @property
    def new(self) -> tuple[int, ...]:
        """The components, by their new number, that the reference does not have."""
        return tuple(np.flatnonzero(self.matches < 0).tolist())

    @property
    def keeps_order(self) -> bool:
        """Whether every component keeps its number."""
        return bool((self.order == np.arange(len(self.order))).all())


def matched(
    model: Model[Any], fitted: Fitted, other: Model[Any], reference: Fitted, shares: bool = True
) -> Matching:
    """Match the components of `fitted` to those of `reference`.

    The distance of two components is ``D = sqrt(mean_j ((a_j - b_j) / s_j)^2)`` over the features j
    that both models look at. a and b are their locations, and s_j^2 is the mean of the variances of
    feature j in the data of both fits. The matching minimises the sum of ``D^2 + (sqrt(w) -
    sqrt(v))^2``, where w and v are the mixture weights (the square of their Hellinger distance).
    Without weights, as in K-means, it minimises the sum of ``D^2``.

    If the two prepare rows differently, the locations of `fitted` are moved back to the units of
    the data, and prepared as `reference` does; s is then the spread of the reference's data. A
    model that was made from given parameters knows no data, so the spread is that of the other one
    or, if both were given, that of the two mixtures.

    Parameters
    ----------
    model, fitted
        The model to be put in order.
    other, reference
        The model whose order counts.
    shares
        Whether mixture weights count.

    Raises
    ------
    ShapeError
        If they have different numbers of features.
    FeatureNamesError
        If their features have other names, or another order.
    ConfigError
        If they prepare rows differently, by steps that cannot be undone.
    """
    _check_features(fitted, reference)
    a, b, unit = _places(model, fitted, other, reference)
    used = _used(model, other, a.shape[1])
    # The origin of one of the two is taken off first, because means may be far from zero.
    origin = reference.spread.origin
    places = [((one - origin) / unit)[:, used] for one in (a, b)]
    distances = cdist(*places) / np.sqrt(len(used))
    cost = distances**2
    if shares and not (model.minimises or other.minimises):
        w, v = (np.sqrt(one.params.shares[: one.n_components]) for one in (fitted, reference))
        cost = cost + (w[:, None] - v) ** 2
    return _assigned(cost, distances)


def in_order(model: Model[Any], fitted: Fitted, matching: Matching) -> Fitted:
    """Return `fitted` with its components in the order of `matching`."""
    if matching.keeps_order:
        return fitted
    order = matching.order
    params = model.take(fitted.params, order)
    # `take` scales or estimates weights anew, which would change their last digits.
    return replace(fitted, params=replace(params, weights=fitted.params.weights[order]))


def _assigned(cost: Floats, distances: Floats) -> Matching:
    """Return the assignment of least cost of k components to those of the reference."""
    k, wanted = cost.shape
    tie = _TIE * max(float(cost.max(initial=0.0)), np.finfo(float).tiny) / max(k, wanted)
    kept = np.arange(min(k, wanted))
    favoured = cost.copy()
    favoured[kept, kept] -= tie
    rows, columns = linear_sum_assignment(favoured)
    first = np.argsort(columns, kind="stable")
    known, of = rows[first], columns[first]
    new = np.setdiff1d(np.arange(k), known)
    matches = np.concatenate([of, np.full(len(new), -1)]).astype(np.int64)
    moved = np.concatenate([distances[known, of], np.full(len(new), np.nan)])
    gone = np.setdiff1d(np.arange(wanted), of)
    order = np.concatenate([known, new]).astype(np.int64)
    return Matching(order, matches, moved, tuple(gone.tolist()))


def _places(
    model: Model[Any], fitted: Fitted, other: Model[Any], reference: Fitted
) -> tuple[Floats, Floats, Floats]:
    """Return the locations of both models in the same units, and the unit of each feature."""
    a, b = _locations(model, fitted), _locations(other, reference)
    own, theirs = fitted.preparation, reference.preparation
    if not _same_preparation(own, theirs):
        back = a
        if own is not None:
            if own.inverted_from:
                raise ConfigError(
                    "The two models prepare rows by different steps, and "
                    f"{own.steps[own.inverted_from - 1].name} of the first cannot be undone, so "
                    "their components cannot be compared. Compare models with the same steps."
                )
            back = own.moved_back(a)
        a = back if theirs is None else np.asarray(theirs(Block(0, 0, back)), np.float64)
        spreads = [reference]
    else:
        spreads = [fitted, reference]
    # A model that was given knows nothing of the data but its own components.
    known = [one for one in spreads if one.status is not Status.GIVEN] or spreads
    unit = np.sqrt(np.mean([one.spread.variance for one in known], axis=0))
    return a, b, np.where(unit > 0, unit, 1.0)


def _locations(model: Model[Any], fitted: Fitted) -> Floats:
    return np.asarray(model.locations(fitted.params) + fitted.spread.origin, np.float64)


def _used(model: Model[Any], other: Model[Any], d: int) -> NDArray[np.int64]:
    """Return the features that both models look at; all if there is none."""
    groups = [one.cells(d) for one in (model, other)]
    seen = [set(range(d)) if one is None else set().union(*one) for one in groups]
    return np.array(sorted(seen[0] & seen[1]) or range(d), np.int64)


def _same_preparation(one: Any, two: Any) -> bool:
    """Return whether two models prepare rows in the same way, with the same learned values."""
    if one is None or two is None:
        return one is two
    if one.config() != two.config() or one.n_features_in != two.n_features_in:
        return False
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in zip(one.learned, two.learned, strict=True)
    )


def _check_features(fitted: Fitted, reference: Fitted) -> None:
    if fitted.n_features_in != reference.n_features_in:
        raise ShapeError(
            f"The model has {fitted.n_features_in} features, but the reference has "
            f"{reference.n_features_in}. Align models of the same features."
        )
    known, found = reference.feature_names, fitted.feature_names
    if match(known, found).refused:
        raise FeatureNamesError(
            "The features of the model are not those of the reference. "
            f"{both(known, found, 'The reference', 'the model')} Align models of the same "
            "features, in the same order."
        )
