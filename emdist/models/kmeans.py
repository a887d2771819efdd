"""K-means: hard EM of isotropic Gaussians with uniform weights, its objective the inertia."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Assigned, Block, Floats, Numerics, Spread, Terms, Turn, Worst
from emdist.models.mixture import Mixture, MixtureParams
from emdist.sums import Sums

Params = MixtureParams[Any]


@dataclass(frozen=True)
class KMeans:
    """What EM sees of K-means.

    Attributes
    ----------
    mixture
        Hard, uniform, of isotropic Gaussians with variance 1/2, whose log-likelihood of a row
        is minus its squared distance.
    """

    mixture: Mixture[Any]

    @property
    def minimises(self) -> bool:
        return True

    @property
    def domain(self) -> None:
        """Any real numbers."""
        return None

    @property
    def approximation(self) -> str:
        """The M-step is exact."""
        return ""

    @property
    def settled(self) -> bool:
        return True

    @property
    def temperature(self) -> float:
        """Rows belong to one cluster."""
        return 0.0

    @property
    def additive(self) -> bool:
        """A centre is the mean of its rows."""
        return True

    def at(self, turn: Turn) -> KMeans:
        return self

    def start(self, seeds: Floats, spread: Spread) -> Params:
        """Centres at `seeds` (k, d)."""
        return self.mixture.start(seeds, spread)

    def numerics(self, params: Params, spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        return self.mixture.numerics(params, spread, dtype)

    def e_step(self, block: Block, params: Params, origin: Floats, numerics: Numerics) -> Sums:
        return self.mixture.e_step(block, params, origin, numerics)

    def first_step(
        self, block: Block, start: Params, nearest: NDArray[np.int32], origin: Floats
    ) -> Sums:
        """As the mixture's."""
        return self.mixture.first_step(block, start, nearest, origin)

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Nothing is shared: the inertia is summed row by row, free of cancellation."""
        return Sums({})

    def m_step(self, sums: Sums, params: Params, numerics: Numerics) -> Params:
        return self.mixture.m_step(sums, params, numerics)

    def objective(self, sums: Sums, params: Params, numerics: Numerics) -> float:
        """Inertia of `params`: weighted sum of squared distances, squared units of the data."""
        return -float(sums["objective"])

    def expected(self, sums: Sums, params: Params) -> float:
        """Minus the inertia of `params` under the same labels, but for the rows' own squares."""
        return self.mixture.linear(sums, None, params)

    def terms(self, sums: Sums, params: Params, new: Params, numerics: Numerics) -> Terms:
        """Moving a centre to its mean lowers the inertia by weight times squared distance."""
        moved = self.locations(new) - self.locations(params)
        gain = float(sums["n"] @ np.einsum("ij,ij->i", moved, moved))
        return Terms(updated=self.objective(sums, params, numerics) - gain)

    def weak(self, sums: Sums, params: Params) -> NDArray[np.int64]:
        """Clusters without weight."""
        return self.mixture.weak(sums, params)

    def reseed(
        self, sums: Sums, params: Params, numerics: Numerics, worst: Worst, spread: Spread
    ) -> Params:
        """The M-step with each empty cluster given one far row, taken from its own cluster.

        As scikit-learn relocates, so that both walk the same path.
        """
        n, t = sums["n"].copy(), sums["t"].copy()
        for at, (index, label) in enumerate(zip(worst.index, worst.labels, strict=True)):
            row, weight = worst.rows[at], worst.weight[at]
            n[index], t[index] = weight, weight * row
            n[label] -= weight
            t[label] -= weight * row
        return self.m_step(Sums({**sums.fields, "n": n, "t": t}), params, numerics)

    def assign(
        self, block: Block, params: Params, origin: Floats, numerics: Numerics, resp: bool = False
    ) -> Assigned:
        """Labels and squared distances of a block."""
        found = self.mixture.explain(block, params, origin, numerics, resp)
        return replace(found, score=np.maximum(-found.score, 0.0))

    def take(self, params: Params, index: NDArray[np.int64]) -> Params:
        """Only clusters `index`."""
        return self.mixture.take(params, index)

    def translate(self, params: Params, shift: Floats) -> Params:
        """Every centre moved by `shift` (d,)."""
        return self.mixture.translate(params, shift)

    def locations(self, params: Params) -> Floats:
        """(k, d) centres."""
        return self.mixture.locations(params)
