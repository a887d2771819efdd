"""Strategies to estimate mixture weights: one per file, found by the name of the file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeAlias

import numpy as np
from pydantic import Field

from emdist.interfaces import Floats

#: The concentration of a prior: positive and finite.
Concentration: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Held(Protocol):
    """What the parameters of a mixture say about its mixture weights.

    Attributes
    ----------
    weights
        The mixture weights, (k,), summing to 1. If they have a posterior, this is its expectation.
    counts
        The weight of the rows of each component, (k,), if a posterior follows from it. Otherwise
        None.
    """

    @property
    def weights(self) -> Floats: ...

    @property
    def counts(self) -> Floats | None: ...


class Weights(Protocol):
    """A way to estimate mixture weights, and what they add to the scores."""

    @property
    def keeps_counts(self) -> bool:
        """Whether parameters hold `Held.counts`."""
        ...

    def estimate(self, n: Floats) -> Floats:
        """Return mixture weights (k,), summing to 1, from the weight `n` (k,) of the rows."""
        ...

    def logarithms(self, held: Held) -> Floats:
        """Return the numbers to add to the scores of each component, without `constant`: (k,) nats.

        They are the logarithms of the mixture weights, or the expected logarithms.
        """
        ...

    def constant(self, k: int) -> float:
        """Return the number to add to every score, in nats."""
        ...

    def log_prior(self, held: Held) -> float:
        """Return the log-density of the prior at the mixture weights, in nats.

        If the mixture weights have a posterior, return minus its divergence from the prior.
        """
        ...


class Point:
    """Base class of strategies whose mixture weights are numbers and have no posterior."""

    @property
    def keeps_counts(self) -> bool:
        """False: nothing but the mixture weights is needed."""
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
    """Base class of strategies whose mixture weights have a posterior, based on the counts."""

    concentration: Concentration | None = None

    def prior(self, n: Floats) -> float:
        """Return the concentration of the prior: as given, or 1/k."""
        return 1.0 / len(n) if self.concentration is None else self.concentration

    @abstractmethod
    def concentrations(self, n: Floats) -> Floats:
        """Return the concentrations of the posterior: (k,), or several for each component."""

    @property
    def keeps_counts(self) -> bool:
        """True: the posterior follows from the counts."""
        return True

    @abstractmethod
    def estimate(self, n: Floats) -> Floats:
        """Return the expected mixture weights: (k,)."""

    @abstractmethod
    def expected_logarithms(self, n: Floats) -> Floats:
        """Return the expected logarithms of the mixture weights in nats: (k,)."""

    @abstractmethod
    def divergence(self, n: Floats) -> float:
        """Return the Kullback-Leibler divergence of the posterior from the prior in nats, >= 0."""

    def logarithms(self, held: Held) -> Floats:
        return self.expected_logarithms(counts_of(held))

    def constant(self, k: int) -> float:
        return 0.0

    def log_prior(self, held: Held) -> float:
        return -self.divergence(counts_of(held))


def counts_of(held: Held) -> Floats:
    """Return the counts of parameters; ValueError if they hold none."""
    if held.counts is None:
        raise ValueError("these parameters hold no counts, which variational weights need")
    return held.counts
