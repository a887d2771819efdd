"""The squared Euclidean distance, which makes K-centroids K-means."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emdist.families.gaussian.incomplete import IncompleteIsotropic
from emdist.families.isotropic import Centres, Isotropic
from emdist.interfaces import Floats, Spread
from emdist.kernels.tiles.missing import filled
from emdist.sums import Sums


@dataclass(frozen=True)
class SquaredEuclidean(Isotropic):
    """The squared Euclidean distance: ``D = |x - mu|^2``. The centre is the mean.

    Results are bit-identical to those of isotropic Gaussians with variance 1/2.
    """

    variance: float = field(default=0.5, init=False)

    @property
    def squares(self) -> bool:
        """True: squares of the features are added up."""
        return True

    def check(self, x: Floats) -> None:
        """Accept all rows."""

    def seed(self, rows: Floats, spread: Spread) -> Floats:
        return np.asarray(rows, np.float64)

    def gain(self, sums: Sums, params: Centres, new: Centres) -> float:
        """Return by how much the sum of D falls if centres move from `params` to `new`.

        A centre that moves to the mean of its rows gains their weight times the squared distance.
        """
        moved = new.means - params.means
        return float(sums["n"] @ np.einsum("ij,ij->i", moved, moved))

    def amplification(self, params: Centres, spread: Spread) -> float:
        """Return how rounding errors grow in differences of scores, which decide labels.

        Only labels depend on the expanded scores: distances are computed without an expansion.
        """
        return self.between(params, spread)

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        return float(spread.variance.mean())

    def with_missing(self) -> IncompleteSquaredEuclidean:
        return IncompleteSquaredEuclidean(self, self.variance, normalised=False)


class IncompleteSquaredEuclidean(IncompleteIsotropic[Centres]):
    """The squared Euclidean distance over the observed features of rows with missing values."""

    @property
    def squares(self) -> bool:
        """True: squares of the features are added up."""
        return True

    def check(self, x: Floats) -> None:
        """Accept all rows."""

    def seed(self, rows: Floats, spread: Spread) -> Floats:
        """Return `rows` (k, d) with the mean of the data in place of missing values."""
        return filled(np.asarray(rows, np.float64), spread.mean)

    def gain(self, sums: Sums, params: Centres, new: Centres) -> float:
        """Return by how much the sum of D falls if centres move from `params` to `new`.

        Each feature counts with the weight of the rows in which it was observed.
        """
        moved = new.means - params.means
        return float(np.sum(sums["t"][:, moved.shape[1] :] * moved * moved))

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        return float(spread.variance.mean())


dissimilarity = SquaredEuclidean
