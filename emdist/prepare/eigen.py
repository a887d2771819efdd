"""Principal components of a covariance matrix, in scikit-learn's order and with its signs."""

from __future__ import annotations

import numpy as np

from emdist.errors import DataError, WeightError
from emdist.interfaces import Floats

#: A matrix of pairwise moments may have negative eigenvalues of this size by rounding, relative to
#: the largest one and for each feature.
_ROUNDING = 1e-13


def decomposed(covariance: Floats, pairwise: bool = False) -> tuple[Floats, Floats]:
    """Return variances (d,), largest first, and unit vectors (d, d), one in each row.

    Parameters
    ----------
    covariance
        A symmetric matrix (d, d).
    pairwise
        Whether its entries come from different rows, so that it may be no covariance matrix.

    Raises
    ------
    DataError
        If it has an eigenvalue below 0 by more than rounding, and is `pairwise`.
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors.T[::-1]
    if pairwise and values[-1] < -_ROUNDING * len(values) * values[0]:
        raise DataError(
            "pca: the pairwise covariance of the incomplete rows is not positive semi-definite: "
            f"its eigenvalues range from {values[-1]:.3g} to {values[0]:.3g}. Too few rows have "
            "the same pairs of features. Set data.non_finite to 'drop' to use complete rows only, "
            "or leave out features that are mostly missing."
        )
    return np.maximum(values, 0.0), signed(vectors)


def signed(vectors: Floats) -> Floats:
    """Return `vectors` (k, d) with the sign that makes the largest entry of each positive."""
    largest = np.argmax(np.abs(vectors), axis=1)
    signs = np.sign(vectors[np.arange(len(vectors)), largest])
    return np.ascontiguousarray(vectors * signs[:, None])


def share_of(values: Floats, share: float) -> int:
    """Return how many components explain more than `share` of the variance together."""
    explained = np.cumsum(values / values.sum())
    return min(len(values), int(np.searchsorted(explained, share, side="right")) + 1)


def check_weight(weight: float) -> None:
    """Raise WeightError unless variances can be divided by `weight` less 1."""
    if not weight >= 2:
        raise WeightError(
            "pca needs at least two rows, but the total weight of the rows is "
            f"{weight:g} (n_samples={weight:g}). Variances are divided by that weight less 1. If "
            "sample weights are shares of 1, multiply them by the number of rows."
        )
