"""Uniform mixture weights: all are 1/k, whatever the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdist.interfaces import Floats
from emdist.models.weights import Held, Point


@dataclass(frozen=True)
class Uniform(Point):
    """Equal mixture weights: ``weight_k = 1/k``."""

    def estimate(self, n: Floats) -> Floats:
        return np.full(len(n), 1.0 / len(n))

    def logarithms(self, held: Held) -> Floats:
        # log(1/k) is the same for all components. The driver adds it, as `constant`.
        return np.zeros(len(held.weights))

    def constant(self, k: int) -> float:
        return -float(np.log(k))


weights = Uniform
