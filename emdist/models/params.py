"""What a mixture is at one moment: weights and components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from emdist.interfaces import Floats

P = TypeVar("P")


@dataclass(frozen=True)
class MixtureParams(Generic[P]):
    """Weights and components.

    Attributes
    ----------
    weights
        (k,), summing to 1: as estimated, or the posterior's expectation.
    components
        The family's parameters, relative to the origin.
    counts
        (k,) weight of the rows of each component, where the weights have a posterior.
    """

    weights: Floats
    components: P
    counts: Floats | None = None

    @property
    def shares(self) -> Floats:
        """(c,) of all rows, one for each column of responsibilities."""
        return self.weights
