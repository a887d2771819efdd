"""Weights with a Dirichlet prior, at their most probable value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import gammaln

from emdist.interfaces import Floats
from emdist.models.weights import Held, Point


@dataclass(frozen=True)
class Dirichlet(Point):
    """``weight_k = (n_k + concentration - 1) / sum``: maximum a posteriori.

    Attributes
    ----------
    concentration
        Of the symmetric prior: each component gets this, less 1, rows more. Below 1 the density
        is infinite where a weight is 0 and has no maximum.
    """

    concentration: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.0

    def estimate(self, n: Floats) -> Floats:
        return super().estimate(n + (self.concentration - 1.0))

    def log_prior(self, held: Held) -> float:
        k, a = len(held.weights), self.concentration
        norm = gammaln(k * a) - k * gammaln(a)
        if a == 1.0:  # 0 log 0 is 0.
            return float(norm)
        return float(norm + (a - 1.0) * np.log(held.weights).sum())


weights = Dirichlet
