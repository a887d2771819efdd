"""Mixture weights with noise as one more component, the last: its share, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdist.interfaces import Floats
from emdist.models.weights import Held, Weights


@dataclass(frozen=True)
class OfComponents:
    """What parameters with noise say of the weights of the components alone.

    Attributes
    ----------
    weights
        (k,) shares of the rows that are no noise, summing to 1.
    counts
        (k,) weight of the rows of each component, or None.
    """

    weights: Floats
    counts: Floats | None


def without_noise(held: Held) -> OfComponents:
    """`held` of k components and noise, of the components alone."""
    weights = held.weights[:-1]
    total = float(weights.sum())
    # Where all is noise nothing tells the components apart.
    own = weights / total if total > 0 else np.full(len(weights), 1.0 / len(weights))
    return OfComponents(own, None if held.counts is None else held.counts[:-1])


@dataclass(frozen=True)
class BesideNoise:
    """``weight_k = (1 - noise) inner_k``, and the share of noise is free: ``n_noise / n``.

    The shares and what is left of them have no parameter in common, so both are at their maximum.
    A prior or a posterior of `inner` is one of the components' weights among the rows that are no
    noise; the share itself has none.

    Attributes
    ----------
    inner
        How the components' weights are estimated.
    """

    inner: Weights

    @property
    def keeps_counts(self) -> bool:
        """As `inner`."""
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
        """None: that of `inner` is not the noise's."""
        return 0.0

    def log_prior(self, held: Held) -> float:
        return self.inner.log_prior(without_noise(held))
