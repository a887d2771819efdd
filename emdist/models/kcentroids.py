"""K-centroids: rows hardly assigned to centres by a dissimilarity; squared Euclidean is K-means.

Source: Leisch 2006, "A toolbox for K-centroids cluster analysis", Comput. Stat. Data Anal. 51.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.components import does_whole_blocks
from emdist.interfaces import (
    Assigned,
    Block,
    Cells,
    Domain,
    Floats,
    Numerics,
    Spread,
    Terms,
    Turn,
    Worst,
)
from emdist.models.mixture import Mixture
from emdist.models.params import MixtureParams
from emdist.models.precision import check_squares_fit
from emdist.models.ready import READY
from emdist.sums import Sums

Params = MixtureParams[Any]


@dataclass(frozen=True)
class KCentroids:
    """What EM sees of ``min sum_n D(x_n, centre of x_n)``.

    Attributes
    ----------
    mixture
        Hard and uniform, of components whose log-likelihood of a row is minus its dissimilarity:
        for K-means, isotropic Gaussians with variance 1/2.
    """

    mixture: Mixture[Any]

    @property
    def dissimilarity(self) -> Any:
        """Of rows to centres."""
        return self.mixture.family

    @property
    def minimises(self) -> bool:
        return True

    @property
    def domain(self) -> Domain | None:
        """What the dissimilarity is defined for."""
        return self.mixture.domain

    def cells(self, d: int) -> Cells | None:
        """As the mixture."""
        return self.mixture.cells(d)

    @property
    def approximation(self) -> str:
        """The dissimilarity's."""
        found: str = self.dissimilarity.approximation
        return found

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

    @property
    def squares(self) -> bool:
        """The dissimilarity's."""
        found: bool = self.dissimilarity.squares
        return found

    def at(self, turn: Turn) -> KCentroids:
        return self

    @property
    def missing(self) -> bool:
        """Whether distances are taken over what a row has."""
        return self.mixture.missing

    def with_missing(self) -> KCentroids:
        """The same of incomplete rows; ConfigError if the dissimilarity has none of them."""
        return KCentroids(self.mixture.with_missing())

    def start(self, seeds: Floats, spread: Spread) -> Params:
        """Centres at `seeds` (k, d)."""
        return self.mixture.start(seeds, spread)

    def numerics(self, params: Params, spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """As the mixture; ConfigError where float32 is asked for and cannot hold the squares."""
        found = self.mixture.numerics(params, spread, dtype)
        if self.squares:
            whitening = getattr(self.dissimilarity, "whitening", None)
            check_squares_fit(self.dissimilarity, found, spread, whitening)
        return found

    def e_step(self, block: Block, params: Params, origin: Floats, numerics: Numerics) -> Sums:
        return self.mixture.e_step(block, params, origin, numerics)

    def first_step(
        self, block: Block, start: Params, nearest: NDArray[np.int32], origin: Floats
    ) -> Sums:
        """As the mixture's."""
        return self.mixture.first_step(block, start, nearest, origin)

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Nothing is shared: D is summed row by row, free of cancellation."""
        return Sums({})

    def m_step(self, sums: Sums, params: Params, numerics: Numerics) -> Params:
        return self.mixture.m_step(sums, params, numerics)

    def objective(self, sums: Sums, params: Params, numerics: Numerics) -> float:
        """Inertia of `params`: weighted sum of D, for K-means in squared units of the data."""
        return 0.0 - float(sums["objective"])  # -0.0 would be shown

    def expected(self, sums: Sums, params: Params) -> float:
        """Minus the inertia of `params` under the same labels, but for the rows' own squares."""
        return self.mixture.linear(sums, None, params)

    def terms(self, sums: Sums, params: Params, new: Params, numerics: Numerics) -> Terms:
        """The inertia after the assignment is the objective; this is that of the new centres."""
        gain = self.dissimilarity.gain(sums, params.components, new.components)
        return Terms(updated=self.objective(sums, params, numerics) - gain)

    def shift(self, params: Params, new: Params) -> float:
        return self.mixture.shift(params, new)

    def unchanged(self, sums: Sums, previous: Sums | None, params: Params, new: Params) -> bool:
        return self.mixture.unchanged(sums, previous, params, new)

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
        # T(x) is summed about the origin in either numerics.
        density = self.mixture.family.density(params.components, Numerics("float64"))
        statistics = density.statistics(worst.rows)
        for at, (index, label) in enumerate(zip(worst.index, worst.labels, strict=True)):
            row, weight = statistics[at], worst.weight[at]
            n[index], t[index] = weight, weight * row
            n[label] -= weight
            t[label] -= weight * row
        return self.m_step(Sums({**sums.fields, "n": n, "t": t}), params, numerics)

    def assign(
        self, block: Block, params: Params, origin: Floats, numerics: Numerics, resp: bool = False
    ) -> Assigned:
        """Labels and dissimilarities of a block."""
        found = self.mixture.explain(block, params, origin, numerics, resp)
        return replace(found, score=np.maximum(0.0 - found.score, 0.0))

    def shown(self, params: Params, numerics: Numerics, resp: bool = False) -> Numerics:
        """As the mixture, but for K-means: its distances are taken in float64 in any case."""
        density = READY.density(self.mixture.family, params.components, numerics)
        if does_whole_blocks(density) and not resp:
            return numerics
        return self.mixture.shown(params, numerics, resp)

    def take(self, params: Params, index: NDArray[np.int64]) -> Params:
        """Only clusters `index`."""
        return self.mixture.take(params, index)

    def translate(self, params: Params, shift: Floats) -> Params:
        """Every centre moved by `shift` (d,)."""
        return self.mixture.translate(params, shift)

    def locations(self, params: Params) -> Floats:
        """(k, d) centres."""
        return self.mixture.locations(params)
