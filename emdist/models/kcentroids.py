"""K-centroids: rows hardly assigned to centres by a dissimilarity; squared Euclidean is K-means.

Source: Leisch 2006, "A toolbox for K-centroids cluster analysis", Comput. Stat. Data Anal. 51.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from emdist.components import does_whole_blocks
from emdist.interfaces import Assigned, Block, Floats, Numerics, Spread, Terms, Worst
from emdist.models.assignments import Assignment
from emdist.models.assignments.hard import Hard
from emdist.models.mixture import Mixture
from emdist.models.params import MixtureParams
from emdist.models.precision import check_squares_fit
from emdist.models.ready import READY
from emdist.models.weights import Weights
from emdist.models.weights.uniform import Uniform
from emdist.sums import Sums

Params = MixtureParams[Any]


@dataclass(frozen=True)
class KCentroids(Mixture[Any]):
    """``min sum_n D(x_n, centre of x_n)``: a hard mixture without weights, its objective D.

    The log-likelihood of a row is minus its dissimilarity: for K-means, `family` is isotropic
    Gaussians with variance 1/2.
    """

    assignment: Assignment = field(default_factory=Hard)
    weights: Weights = field(default_factory=Uniform)

    @property
    def dissimilarity(self) -> Any:
        """Of rows to centres."""
        return self.family

    minimises: ClassVar[bool] = True

    @property
    def squares(self) -> bool:
        """The dissimilarity's."""
        found: bool = self.dissimilarity.squares
        return found

    def numerics(self, params: Params, spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """As of any mixture; ConfigError where float32 is asked for and cannot hold the squares."""
        found = super().numerics(params, spread, dtype)
        if self.squares:
            whitening = getattr(self.dissimilarity, "whitening", None)
            check_squares_fit(self.dissimilarity, found, spread, whitening)
        return found

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Nothing is shared: D is summed row by row, free of cancellation."""
        return Sums({})

    def objective(self, sums: Sums, params: Params, numerics: Numerics) -> float:
        """Inertia of `params`: weighted sum of D, for K-means in squared units of the data."""
        return 0.0 - float(sums["objective"])  # -0.0 would be shown

    def expected(self, sums: Sums, params: Params) -> float:
        """Minus the inertia of `params` under the same labels, but for the rows' own squares."""
        return self.linear(sums, None, params)

    def terms(self, sums: Sums, params: Params, new: Params, numerics: Numerics) -> Terms:
        """The inertia after the assignment is the objective; this is that of the new centres."""
        gain = self.dissimilarity.gain(sums, params.components, new.components)
        return Terms(updated=self.objective(sums, params, numerics) - gain)

    def reseed(
        self, sums: Sums, params: Params, numerics: Numerics, worst: Worst, spread: Spread
    ) -> Params:
        """The M-step with each empty cluster given one far row, taken from its own cluster.

        As scikit-learn relocates, so that both walk the same path.
        """
        n, t = sums["n"].copy(), sums["t"].copy()
        # T(x) is summed about the origin in either numerics.
        density = self.family.density(params.components, Numerics("float64"))
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
        found = self.explain(block, params, origin, numerics, resp)
        return replace(found, score=np.maximum(0.0 - found.score, 0.0))

    def shown(self, params: Params, numerics: Numerics, resp: bool = False) -> Numerics:
        """As of any mixture, but for K-means: its distances are taken in float64 in any case."""
        density = READY.density(self.family, params.components, numerics)
        if does_whole_blocks(density) and not resp:
            return numerics
        return super().shown(params, numerics, resp)
