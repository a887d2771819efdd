"""Mixture weights with a Dirichlet process prior, by stick breaking: variational Bayes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, digamma

from emdist.interfaces import Floats
from emdist.models.weights import Posterior


@dataclass(frozen=True)
class VariationalProcess(Posterior):
    """The stick-breaking posterior of a Dirichlet process, truncated at k components.

    ``weight_k = v_k prod_{j<k} (1 - v_j)``, where ``q(v_k) = Beta(1 + n_k, c + sum_{j>k} n_j)``.
    Source: Blei and Jordan 2006, "Variational inference for Dirichlet process mixtures". The order
    of the components matters: the prior expects earlier ones to be larger.

    Attributes
    ----------
    concentration
        The concentration c of the prior Beta(1, c), or None for 1/k. The smaller it is, the fewer
        components are used.
    """

    def concentrations(self, n: Floats) -> Floats:
        """Return both parameters of the posterior of each v_k, a Beta distribution: (2, k)."""
        after = np.append(np.cumsum(n[:0:-1])[::-1], 0.0)
        return np.stack([1.0 + n, self.prior(n) + after])

    def estimate(self, n: Floats) -> Floats:
        a, b = self.concentrations(n)
        left = np.cumprod(b / (a + b))
        found = a / (a + b) * np.append(1.0, left[:-1])
        return np.asarray(found / found.sum())

    def _logarithms(self, n: Floats) -> tuple[Floats, Floats]:
        """Return the expected logarithms of v_k (k,) and of 1 - v_k (k,)."""
        a, b = self.concentrations(n)
        both = digamma(a + b)
        return digamma(a) - both, digamma(b) - both

    def expected_logarithms(self, n: Floats) -> Floats:
        takes, leaves = self._logarithms(n)
        return np.asarray(takes + np.append(0.0, np.cumsum(leaves)[:-1]))

    def divergence(self, n: Floats) -> float:
        (a, b), prior = self.concentrations(n), self.prior(n)
        takes, leaves = self._logarithms(n)
        norm = betaln(1.0, prior) - betaln(a, b)
        return float((norm + (a - 1.0) * takes + (b - prior) * leaves).sum())


weights = VariationalProcess
