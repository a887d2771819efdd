"""Uniform weights: all 1/k, whatever the rows say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdist.interfaces import Floats
from emdist.models.weights import Held, Point


@dataclass(frozen=True)
class Uniform(Point):
    """``weight_k = 1/k``."""

    def estimate(self, n: Floats) -> Floats:
        return np.full(len(n), 1.0 / len(n))

    def logarithms(self, held: Held) -> Floats:
        # log(1/k) is the same for all and enters on the driver.
        return np.zeros(len(held.weights))

    def constant(self, k: int) -> float:
        return -float(np.log(k))


weights = Uniform
