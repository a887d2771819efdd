"""Mixture weights with a noise component: its weight, and the weight left for the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdist.interfaces import Floats
from emdist.models.weights import Held, Weights


@dataclass(frozen=True)
class OfComponents:
    """The mixture weights of the components alone, without the noise.

    Attributes
    ----------
    weights
        The shares of the components in the rows that are not noise, (k,), summing to 1.
    counts
        The weight of the rows of each component, (k,), or None if there is no posterior.
    """

    weights: Floats
    counts: Floats | None


def without_noise(held: Held) -> OfComponents:
    """Return the mixture weights of the k components in `held`, which ends with the noise."""
    weights = held.weights[:-1]
    total = float(weights.sum())
    # If all rows are noise, nothing distinguishes the components.
    own = weights / total if total > 0 else np.full(len(weights), 1.0 / len(weights))
    return OfComponents(own, None if held.counts is None else held.counts[:-1])


@dataclass(frozen=True)
class BesideNoise:
    """Mixture weights with noise: ``weight_k = (1 - noise) inner_k`` and ``noise = n_noise / n``.

    The weight of the noise and the weights ``inner_k`` are independent parameters, so each can be
    at its own maximum. A prior or a posterior of `inner` is that of the weights ``inner_k``, among
    the rows that are not noise. The weight of the noise has no prior.

    Attributes
    ----------
    inner
        How the weights ``inner_k`` of the components are estimated.
    """

    inner: Weights

    @property
    def keeps_counts(self) -> bool:
        """Whether `inner` needs the counts of the components."""
        return self.inner.keeps_counts

    def estimate(self, n: Floats) -> Floats:
        rows = float(n[:-1].sum())
        if not rows > 0:
            return np.append(np.zeros(len(n) - 1), 1.0)
        noise = float(n[-1]) / (rows + float(n[-1]))
        return np.append((1.0 - noise) * self.inner.estimate(n[:-1]), noise)

    def logarithms(self, held: Held) -> Floats:
        noise = held.weights[-1]
        own = self.inner.logarithms(without_noise(held))
        with np.errstate(divide="ignore"):
            own = own + np.log1p(-noise) + self.inner.constant(len(own))
            return np.append(own, np.log(noise))

    def constant(self, k: int) -> float:
        """Return 0: the constant of `inner` does not apply to the noise, so `logarithms` has it."""
        return 0.0

    def log_prior(self, held: Held) -> float:
        return self.inner.log_prior(without_noise(held))
