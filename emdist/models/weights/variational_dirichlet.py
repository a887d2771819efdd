"""Mixture weights with a Dirichlet prior and a Dirichlet posterior: variational Bayes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln

from emdist.interfaces import Floats
from emdist.models.weights import Posterior


@dataclass(frozen=True)
class VariationalDirichlet(Posterior):
    """The posterior ``q(weights) = Dirichlet(concentration + n)``: Bishop 2006, 10.2.1.

    Attributes
    ----------
    concentration
        The concentration of the symmetric prior, or None for 1/k. The smaller it is, the more
        components stay empty.
    """

    def concentrations(self, n: Floats) -> Floats:
        """Return the concentrations of the posterior: (k,)."""
        return n + self.prior(n)

    def estimate(self, n: Floats) -> Floats:
        a = self.concentrations(n)
        return np.asarray(a / a.sum())

    def expected_logarithms(self, n: Floats) -> Floats:
        a = self.concentrations(n)
        return np.asarray(digamma(a) - digamma(a.sum()))

    def divergence(self, n: Floats) -> float:
        a, prior = self.concentrations(n), self.prior(n)
        norm = gammaln(a.sum()) - gammaln(a).sum()
        prior_norm = gammaln(len(n) * prior) - len(n) * gammaln(prior)
        return float(norm - prior_norm + n @ self.expected_logarithms(n))


weights = VariationalDirichlet
