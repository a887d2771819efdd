"""EM as users write it in NumPy: whole arrays, two matrix products, one softmax."""

from __future__ import annotations

import numpy as np

from benchmarks.comparison.workload import Outcome, Turn, Work, per_iteration
from emdist.interfaces import Array

NEEDS = ("numpy",)


def _bernoulli(x: Array, start: Array, iterations: int) -> float:
    """Fit, and return the mean log-likelihood before the last M-step."""
    theta, weights = start, np.full(len(start), 1 / len(start), x.dtype)
    bound = 0.0
    for _ in range(iterations):
        scores = x @ (np.log(theta) - np.log1p(-theta)).T
        scores += np.log1p(-theta).sum(axis=1) + np.log(weights)
        top = scores.max(axis=1, keepdims=True)
        resp = np.exp(scores - top)
        total = resp.sum(axis=1, keepdims=True)
        bound = float(np.mean(np.log(total) + top, dtype=np.float64))
        resp /= total
        counts = resp.sum(axis=0)
        theta = np.clip((resp.T @ x) / counts[:, None], 1e-6, 1 - 1e-6)
        weights = counts / len(x)
    return bound


def bernoulli_iteration(work: Work) -> Turn:
    """Measure one EM iteration of a Bernoulli mixture."""
    x, start = work.array("x"), work.start()

    def turn() -> Outcome:
        seconds, bound = per_iteration(work, lambda n: _bernoulli(x, start, n))
        return Outcome(seconds, {"bound": bound})

    return turn
