"""The cosine dissimilarity, for spherical K-means: rows are compared by their directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.dissimilarities.base import Normalised, deviation, zero_rows
from emdist.families.gaussian.base import DUST
from emdist.interfaces import Array, Floats, Spread
from emdist.kernels.vector.divergences import directions, half_squares


@dataclass(frozen=True)
class Cosine(Normalised):
    """The cosine dissimilarity: ``D = 1 - <x, mu> / (|x| |mu|)``.

    The centre is the direction of the mean of x / |x|. A row of zeros has no direction: its D is 0
    for every centre, and it moves no centre. Source: Dhillon and Modha 2001, "Concept
    decompositions for large sparse text data using clustering", Machine Learning 42.
    """

    def expand(self, x: Array) -> Array:
        return directions(x)

    def bounded(self, centres: Floats) -> Floats:
        return directions(centres)

    def centre(self, mean: Floats, before: Floats) -> Floats:
        # If the directions of the rows cancel, every centre is equally near to them.
        known = np.einsum("ij,ij->i", mean, mean) > DUST**2
        return np.where(known[:, None], directions(mean), before)

    def natural(self, centres: Floats) -> tuple[Floats, Floats]:
        return centres, np.zeros(len(centres))

    def log_base(self, x: Array) -> Floats:
        return zero_rows(self.expand(x)).astype(np.float64) - 1.0

    def exact(self, t: Array, centres: Floats, labels: NDArray[np.int32]) -> Floats:
        out = np.empty(len(t))
        # For two directions, |t - mu|^2 / 2 = 1 - <t, mu>, but without the cancelling 1.
        half_squares(t, centres, labels, zero_rows(centres).astype(np.float64), out)
        return out

    def size(self, spread: Spread) -> Floats:
        found = np.hypot(spread.mean, deviation(spread))
        return directions(found[None]).reshape(-1)


dissimilarity = Cosine
