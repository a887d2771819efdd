"""Weights with a Dirichlet process prior: a stick of length 1, broken k times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, digamma

from emdist.interfaces import Floats
from emdist.models.weights import Posterior


@dataclass(frozen=True)
class VariationalProcess(Posterior):
    """``weight_k = v_k prod_{j<k} (1 - v_j)``, ``q(v_k) = Beta(1 + n_k, c + sum_{j>k} n_j)``.

    Blei and Jordan 2006, "Variational inference for Dirichlet process mixtures", truncated at k
    components. The order of the components matters: earlier ones are expected to be larger.

    Attributes
    ----------
    concentration
        c of the prior Beta(1, c); None for 1/k. The smaller, the fewer components are used.
    """

    def concentrations(self, n: Floats) -> Floats:
        """(2, k) of the posterior of each break."""
        after = np.append(np.cumsum(n[:0:-1])[::-1], 0.0)
        return np.stack([1.0 + n, self.prior(n) + after])

    def estimate(self, n: Floats) -> Floats:
        a, b = self.concentrations(n)
        left = np.cumprod(b / (a + b))
        found = a / (a + b) * np.append(1.0, left[:-1])
        return np.asarray(found / found.sum())

    def _logarithms(self, n: Floats) -> tuple[Floats, Floats]:
        """Expected logarithms of what each break takes (k,), and of what it leaves (k,)."""
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
