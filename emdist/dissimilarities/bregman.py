"""The base class of Bregman divergences: D(x, mu) = phi(x) - phi(mu) - <x - mu, grad phi(mu)>."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.dissimilarities.base import Expandable
from emdist.interfaces import Array, Floats, Spread


class Bregman(Expandable):
    """Base class of the divergences of a convex function phi.

    For any phi, the best centre is the weighted mean. With eta = grad phi(mu) and
    b = phi(mu) - <mu, eta>, the score of a row is <eta, x> + b - phi(x) = -D. Source: Banerjee,
    Merugu, Dhillon and Ghosh 2005, "Clustering with Bregman divergences", J. Mach. Learn. Res. 6.
    """

    @abstractmethod
    def phi(self, t: Array) -> Floats:
        """Return the convex function phi of rows `t` (m, d), summed over features: (m,)."""

    @abstractmethod
    def kernel(self, t: Array, centres: Floats, labels: NDArray[np.int32], out: Floats) -> Any:
        """Fill `out` (m,) with D of rows `t` (m, d) to the centres of their labels."""

    def log_base(self, x: Array) -> Floats:
        return -self.phi(self.expand(x))

    def exact(self, t: Array, centres: Floats, labels: NDArray[np.int32]) -> Floats:
        out = np.empty(len(t))
        self.kernel(t, centres, labels, out)
        return out

    def seed(self, rows: Floats, spread: Spread) -> Floats:
        """Return centres at `rows` (k, d), or half-way to the mean if rows are on the edge.

        The edge is that of the domain. From a centre on the edge, such as a rate of 0, nearly all
        rows are infinitely far.
        """
        t = self.expand(np.asarray(rows, np.float64))
        inside = self.bounded(t)
        edge = (np.abs(inside - t) > 1e-9 * inside).any(axis=1, keepdims=True)
        mean = self.expand(spread.mean[None])
        return np.where(edge, self.bounded(0.5 * (t + mean)), inside)
