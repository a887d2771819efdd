"""Mixture weights with a Dirichlet prior, at their most probable value."""

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
    """Maximum a posteriori: ``weight_k = (n_k + concentration - 1) / sum``.

    Attributes
    ----------
    concentration
        The concentration of the symmetric prior, at least 1. It adds (concentration - 1)
        pseudo-rows to each component. Below 1 there would be no maximum, because the density is
        infinite where a weight is 0.
    """

    concentration: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.0

    def estimate(self, n: Floats) -> Floats:
        return super().estimate(n + (self.concentration - 1.0))

    def log_prior(self, held: Held) -> float:
        k, a = len(held.weights), self.concentration
        norm = gammaln(k * a) - k * gammaln(a)
        if a == 1.0:  # Here 0 * log(0), which is NaN in floating point, counts as 0.
            return float(norm)
        return float(norm + (a - 1.0) * np.log(held.weights).sum())


weights = Dirichlet
