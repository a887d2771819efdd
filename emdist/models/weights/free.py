"""Free mixture weights: the share of the rows of each component, by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

from emdist.models.weights import Point


@dataclass(frozen=True)
class Free(Point):
    """Maximum likelihood: ``weight_k = n_k / n``."""


weights = Free
