"""Free weights: maximum likelihood, the shares of the rows."""

from __future__ import annotations

from dataclasses import dataclass

from emdist.models.weights import Point


@dataclass(frozen=True)
class Free(Point):
    """``weight_k = n_k / n``."""


weights = Free
