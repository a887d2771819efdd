"""Squared Euclidean distance: K-means."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emdist.families.isotropic import Centres, Isotropic
from emdist.interfaces import Floats, Spread
from emdist.sums import Sums


@dataclass(frozen=True)
class SquaredEuclidean(Isotropic):
    """``|x - mu|^2``, the centre the mean: isotropic Gaussians of variance 1/2, to the bit."""

    variance: float = field(default=0.5, init=False)

    def check(self, x: Floats) -> None:
        """Nothing can be wrong."""

    def seed(self, rows: Floats, spread: Spread) -> Floats:
        return np.asarray(rows, np.float64)

    def gain(self, sums: Sums, params: Centres, new: Centres) -> float:
        """A centre that moves to its mean gains the weight times the squared distance."""
        moved = new.means - params.means
        return float(sums["n"] @ np.einsum("ij,ij->i", moved, moved))

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        return float(spread.variance.mean())


dissimilarity = SquaredEuclidean
