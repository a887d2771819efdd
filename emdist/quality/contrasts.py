"""How clusters differ in each feature: means, deviations, and how much of a variance they explain.

They are computed from rows in memory, such as a random sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Floats


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Moments of clusters in each feature, of the values that are observed.

    Attributes
    ----------
    count
        (k, d) how many values are observed.
    mean, deviation
        (k, d) their mean and standard deviation (over n); NaN where there is none.
    total_mean, total_deviation
        (d,) the same of all rows.
    explained
        (d,) the share of the variance that lies between clusters, 0 to 1; NaN if a feature is
        constant.
    """

    count: Floats
    mean: Floats
    deviation: Floats
    total_mean: Floats
    total_deviation: Floats
    explained: Floats

    @property
    def away(self) -> Floats:
        """(k, d) how far a cluster's mean is from that of all rows, in deviations of all rows."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Floats = (self.mean - self.total_mean) / self.total_deviation
        return found

    def marks(self, cluster: int, n: int = 3) -> list[int]:
        """Return the features that set a cluster apart from all rows, the first one most."""
        away = np.nan_to_num(np.abs(self.away[cluster]), nan=-1.0, posinf=-1.0)
        return [int(i) for i in np.argsort(-away, kind="stable")[:n] if away[i] >= 0]


def contrasts_of(x: Floats, labels: NDArray[np.int64], k: int) -> Contrasts:
    """Return the contrasts of clusters 0..k-1 of the rows `x` (m, d); NaN is not observed."""
    d = x.shape[1]
    count, mean, squares = (np.zeros((k, d)) for _ in range(3))
    for i in range(k):
        own = x[labels == i]
        seen = np.isfinite(own)
        count[i] = seen.sum(axis=0)
        mean[i] = np.where(seen, own, 0.0).sum(axis=0) / np.maximum(count[i], 1)
        squares[i] = (np.where(seen, own - mean[i], 0.0) ** 2).sum(axis=0)
    total = np.maximum(count.sum(axis=0), 1)
    centre = (count * mean).sum(axis=0) / total
    within = squares.sum(axis=0)
    between = (count * (mean - centre) ** 2).sum(axis=0)
    whole = within + between
    with np.errstate(invalid="ignore", divide="ignore"):
        explained = np.where(whole > 0, between / np.where(whole > 0, whole, 1.0), np.nan)
        deviation = np.where(count > 0, np.sqrt(squares / np.maximum(count, 1)), np.nan)
    return Contrasts(
        count,
        np.where(count > 0, mean, np.nan),
        deviation,
        centre,
        np.sqrt(whole / total),
        explained,
    )
