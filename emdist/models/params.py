"""The parameters of a mixture: mixture weights, and the parameters of its components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from emdist.interfaces import Floats

P = TypeVar("P")


@dataclass(frozen=True)
class MixtureParams(Generic[P]):
    """Mixture weights and components.

    Attributes
    ----------
    weights
        The mixture weights, (k,), summing to 1. If they have a posterior, this is its expectation.
    components
        The family's parameters of k components, relative to the origin.
    counts
        The weight of the rows of each component, (k,), if the mixture weights have a posterior,
        which follows from it. Otherwise None.
    """

    weights: Floats
    components: P
    counts: Floats | None = None

    @property
    def shares(self) -> Floats:
        """The share of all rows for each column of responsibilities: (k,)."""
        return self.weights
