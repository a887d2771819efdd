"""Squared Euclidean distance: K-means."""

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
    """``|x - mu|^2``, the centre the mean: isotropic Gaussians of variance 1/2, to the bit."""

    variance: float = field(default=0.5, init=False)

    @property
    def squares(self) -> bool:
        """Yes."""
        return True

    def check(self, x: Floats) -> None:
        """Nothing can be wrong."""

    def seed(self, rows: Floats, spread: Spread) -> Floats:
        return np.asarray(rows, np.float64)

    def gain(self, sums: Sums, params: Centres, new: Centres) -> float:
        """A centre that moves to its mean gains the weight times the squared distance."""
        moved = new.means - params.means
        return float(sums["n"] @ np.einsum("ij,ij->i", moved, moved))

    def amplification(self, params: Centres, spread: Spread) -> float:
        """Of labels alone: distances are taken by themselves."""
        return self.between(params, spread)

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        return float(spread.variance.mean())

    def with_missing(self) -> IncompleteSquaredEuclidean:
        return IncompleteSquaredEuclidean(self, self.variance, normalised=False)


class IncompleteSquaredEuclidean(IncompleteIsotropic[Centres]):
    """``|x - mu|^2`` over what a row has."""

    @property
    def squares(self) -> bool:
        """Yes."""
        return True

    def check(self, x: Floats) -> None:
        """Nothing can be wrong."""

    def seed(self, rows: Floats, spread: Spread) -> Floats:
        """`rows` (k, d), what they miss filled with the data's mean."""
        return filled(np.asarray(rows, np.float64), spread.mean)

    def gain(self, sums: Sums, params: Centres, new: Centres) -> float:
        """As of complete rows, feature by feature: by the weight of the rows that have it."""
        moved = new.means - params.means
        return float(np.sum(sums["t"][:, moved.shape[1] :] * moved * moved))

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        return float(spread.variance.mean())


dissimilarity = SquaredEuclidean
