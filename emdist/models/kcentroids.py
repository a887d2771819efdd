"""K-centroids: hard assignment of rows to centres by a dissimilarity, such as K-means.

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
class KCentroidsModel(Mixture[Any]):
    """Centres that minimise ``sum_n D(x_n, centre of x_n)``.

    This is a mixture with hard assignment and without mixture weights. The log-likelihood of a row
    is minus its dissimilarity D. For K-means, `family` is isotropic Gaussians with variance 1/2.
    """

    assignment: Assignment = field(default_factory=Hard)
    weights: Weights = field(default_factory=Uniform)

    @property
    def dissimilarity(self) -> Any:
        """The dissimilarity of rows and centres."""
        return self.family

    minimises: ClassVar[bool] = True

    @property
    def squares(self) -> bool:
        """Whether the dissimilarity adds up squares of the features."""
        found: bool = self.dissimilarity.squares
        return found

    def numerics(self, params: Params, spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """Return the cheapest arithmetic that is accurate enough for these parameters.

        It is a ConfigError if the user asked for float32 and it cannot hold the squares.
        """
        found = super().numerics(params, spread, dtype)
        if self.squares:
            whitening = getattr(self.dissimilarity, "whitening", None)
            check_squares_fit(self.dissimilarity, found, spread, whitening)
        return found

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Return no sums: D is summed row by row, free of cancellation, so no sum is shared."""
        return Sums({})

    def objective(self, sums: Sums, params: Params, numerics: Numerics) -> float:
        """Return the inertia of `params`: the weighted sum of D.

        For K-means, it is in squared units of the data.
        """
        return 0.0 - float(sums["objective"])  # A unary minus would turn 0.0 into -0.0.

    def expected(self, sums: Sums, params: Params) -> float:
        """Return minus the inertia of `params` under the same labels, without a common term.

        The part of D that depends on the row alone is left out: for K-means, the rows' squares.
        """
        return self.linear(sums, None, params)

    def terms(self, sums: Sums, params: Params, new: Params, numerics: Numerics) -> Terms:
        """Return the inertia of the new centres under the same labels, in `Terms.updated`."""
        gain = self.dissimilarity.gain(sums, params.components, new.components)
        return Terms(updated=self.objective(sums, params, numerics) - gain)

    def reseed(
        self, sums: Sums, params: Params, numerics: Numerics, worst: Worst, spread: Spread
    ) -> Params:
        """Make the M-step after each empty cluster took a far row from the row's own cluster.

        scikit-learn relocates empty clusters in the same way, so both fits proceed alike.
        """
        n, t = sums["n"].copy(), sums["t"].copy()
        # T(x) is summed about the origin in both arithmetics, centred or not.
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
        """Return labels and dissimilarities of the rows of a block."""
        found = self.explain(block, params, origin, numerics, resp)
        return replace(found, score=np.maximum(0.0 - found.score, 0.0))

    def shown(self, params: Params, numerics: Numerics, resp: bool = False) -> Numerics:
        """Return the arithmetic for what users see, which is `numerics` itself for K-means.

        K-means computes distances in float64 in any case, unless responsibilities are asked for.
        """
        density = READY.density(self.family, params.components, numerics)
        if does_whole_blocks(density) and density.has_wide_rows() and not resp:
            return numerics
        return super().shown(params, numerics, resp)
