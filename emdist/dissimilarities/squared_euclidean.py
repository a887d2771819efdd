"""Squared Euclidean distance: K-means."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emdist.families.isotropic import Isotropic
from emdist.interfaces import Floats, Spread


@dataclass(frozen=True)
class SquaredEuclidean(Isotropic):
    """``|x - mu|^2``, the centre the mean: isotropic Gaussians of variance 1/2, to the bit."""

    variance: float = field(default=0.5, init=False)

    def check(self, x: Floats) -> None:
        """Nothing can be wrong."""

    def seed(self, rows: Floats, spread: Spread) -> Floats:
        return np.asarray(rows, np.float64)

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        return float(spread.variance.mean())


dissimilarity = SquaredEuclidean
