"""Detection of components on the variance floor: as narrow as `reg_covar` or the data's own steps.

A Gaussian of repeated or saturated values has no width but that of `reg_covar`. The lower the floor
is, the higher is its density, and with it the likelihood and every criterion (Day 1969, "Estimating
the components of a mixture of normal distributions", Biometrika 56).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.families.gaussian.base import indefinite
from emdist.families.gaussian.shapes import Matrices, Shape, Spheres
from emdist.interfaces import Floats, Spread

#: The variance of rounding to whole numbers.
STEP = 1.0 / 12.0
#: Two shares of a variance. Below the first, with respect to the variance of the data, nothing
#: varies. Below the second, an eigenvalue of a correlation matrix counts as 0.
_NOTHING, _DEPENDENT = 1e-16, 1e-9


@dataclass(frozen=True)
class Narrow:
    """A component on the variance floor.

    Attributes
    ----------
    component
        The index of the component.
    feature
        The index of the feature in which it is narrowest, relative to the floor.
    variance
        The variance of its rows in the narrowest direction.
    point
        Whether the component is on the floor in every direction, because all its rows are the
        same.
    """

    component: int
    feature: int
    variance: float
    point: bool


def floors(spread: Spread, reg_covar: float) -> Floats:
    """Return the variance floor of each feature: (d,).

    It is `reg_covar`, or the variance of rounding to whole numbers if that is larger.
    """
    step = np.where(spread.whole, STEP, 0.0)
    return np.maximum(np.maximum(step, reg_covar), _NOTHING * spread.variance)


def narrow(
    rows: Floats, shape: Shape, means: Floats, shares: Floats, spread: Spread, reg_covar: float
) -> list[Narrow]:
    """Return the components whose rows vary by no more than the floor in some direction.

    Features that are constant in all data, or follow from others, do not distinguish components.
    So they do not count.

    Parameters
    ----------
    rows
        The covariance of the rows of each component, in the shape of the family. `of_rows` of the
        family returns them.
    shape, means, shares
        The shape of the covariances, the means of components and their mixture weights.
    spread, reg_covar
        The spread of the data, and the number that was added to variances.
    """
    varies = np.flatnonzero(spread.variance > 0)
    if not len(varies):
        return []
    floor = floors(spread, reg_covar)
    if isinstance(shape, Matrices):
        covariances = np.broadcast_to(rows, (1 if shape.pooled else len(means), *rows.shape[-2:]))
        inner = covariances[:, varies[:, None], varies]
        return _of_matrices(inner, means[:, varies], shares, floor[varies], varies)
    if isinstance(shape, Spheres):
        # The variance is the mean over all features, to which constant features add nothing.
        low = float(floor[varies].sum()) / len(floor)
        found = np.flatnonzero(rows <= low)
        return [Narrow(int(k), int(varies[0]), float(rows[k]), True) for k in found]
    return _of_axes(rows[:, varies], floor[varies], varies)


def _of_axes(rows: Floats, floor: Floats, names: NDArray[np.int64]) -> list[Narrow]:
    """Return the narrow components of diagonal covariances `rows` (k, d), with `floor` (d,).

    `names` (d,) are the indices of the features in the data.
    """
    ratio = rows / floor
    out = []
    for k in np.flatnonzero((ratio <= 1).any(axis=1)):
        j = int(np.argmin(ratio[k]))
        out.append(Narrow(int(k), int(names[j]), float(rows[k, j]), bool((ratio[k] <= 1).all())))
    return out


def _of_matrices(
    rows: Floats, means: Floats, shares: Floats, floor: Floats, names: NDArray[np.int64]
) -> list[Narrow]:
    """Return the narrow components of covariances `rows` (k, d, d), with `floor` (d,).

    Directions in which the whole mixture does not vary are left out. A component is narrow if its
    covariance minus the floor is not positive definite in the other directions. `names` (d,) are
    the indices of the features in the data.
    """
    scale, basis = _directions(rows, means, shares)
    both = scale[:, None] * scale
    above = basis.T @ (rows * both - np.diag(floor * scale * scale)) @ basis
    out = []
    for k in np.flatnonzero(indefinite(above)):
        values, vectors = np.linalg.eigh(above[k])
        along = basis @ vectors[:, 0]
        raw = along * scale
        variance = float(raw @ rows[k] @ raw) / float(raw @ raw)
        feature = int(names[int(np.argmax(np.abs(along)))])
        out.append(Narrow(int(k), feature, max(variance, 0.0), bool(values[-1] <= 0)))
    return out


def _directions(rows: Floats, means: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Return scales of the features (d,), and r directions in which the mixture varies (d, r)."""
    w = shares / shares.sum()
    centred = means - w @ means
    within = rows[0] if len(rows) == 1 else np.einsum("k,kij->ij", w, rows)
    total = within + (w[:, None] * centred).T @ centred
    size = np.diag(total)
    scale = 1.0 / np.sqrt(np.where(size > 0, size, 1.0))
    correlation = total * scale[:, None] * scale
    correlation[size <= 0, :] = correlation[:, size <= 0] = 0.0
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    return scale, vectors[:, values > _DEPENDENT]
