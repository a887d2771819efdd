"""How mixture weights are estimated: one strategy per file, found by its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeAlias

import numpy as np
from pydantic import Field

from emdist.interfaces import Floats

#: Of a prior: positive and finite.
Concentration: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Held(Protocol):
    """What a mixture's parameters say of its weights.

    Attributes
    ----------
    weights
        (k,), summing to 1: as estimated, or the posterior's expectation.
    counts
        (k,) weight of the rows of each component, which determines a posterior; else None.
    """

    @property
    def weights(self) -> Floats: ...

    @property
    def counts(self) -> Floats | None: ...


class Weights(Protocol):
    """From the weight of the rows of each component to mixture weights, and into the scores."""

    @property
    def keeps_counts(self) -> bool:
        """Whether parameters hold `Held.counts`."""
        ...

    def estimate(self, n: Floats) -> Floats:
        """(k,) weights, summing to 1, of components that were given rows of weight `n` (k,)."""
        ...

    def logarithms(self, held: Held) -> Floats:
        """(k,) what is added to the scores of each component, without `constant`: nats."""
        ...

    def constant(self, k: int) -> float:
        """What is added to every score: nats."""
        ...

    def log_prior(self, held: Held) -> float:
        """Log-density of the prior at the weights, or minus the posterior's divergence: nats."""
        ...


class Point:
    """For weights that are numbers, without a prior."""

    @property
    def keeps_counts(self) -> bool:
        """The weights say all."""
        return False

    def estimate(self, n: Floats) -> Floats:
        return np.asarray(n / n.sum())

    def logarithms(self, held: Held) -> Floats:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(held.weights))

    def constant(self, k: int) -> float:
        return 0.0

    def log_prior(self, held: Held) -> float:
        return 0.0


@dataclass(frozen=True)
class Posterior(ABC):
    """For weights with a posterior distribution, which the counts determine."""

    concentration: Concentration | None = None

    def prior(self, n: Floats) -> float:
        """The prior's concentration: as given, or 1/k."""
        return 1.0 / len(n) if self.concentration is None else self.concentration

    @abstractmethod
    def concentrations(self, n: Floats) -> Floats:
        """Of the posterior: (k,), or more of them for each component."""

    @property
    def keeps_counts(self) -> bool:
        """They determine the posterior."""
        return True

    @abstractmethod
    def estimate(self, n: Floats) -> Floats:
        """(k,) expected weights."""

    @abstractmethod
    def expected_logarithms(self, n: Floats) -> Floats:
        """(k,) expected logarithms of the weights: nats."""

    @abstractmethod
    def divergence(self, n: Floats) -> float:
        """Of the posterior from the prior (Kullback and Leibler): nats, >= 0."""

    def logarithms(self, held: Held) -> Floats:
        return self.expected_logarithms(counts_of(held))

    def constant(self, k: int) -> float:
        return 0.0

    def log_prior(self, held: Held) -> float:
        return -self.divergence(counts_of(held))


def counts_of(held: Held) -> Floats:
    """The counts of parameters whose weights have a posterior; ValueError without."""
    if held.counts is None:
        raise ValueError("these parameters hold no counts; variational weights need them")
    return held.counts
