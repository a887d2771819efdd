"""Measure how long ``precision: auto`` takes, and how accurate its result is."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from benchmarks.comparison.contenders import emdist as ours
from benchmarks.comparison.workload import Outcome, Turn, Work, per_iteration
from emdist.interfaces import Array, Floats

NEEDS = ("emdist",)


def _likelihood(x: Array, weights: Floats, means: Floats, variances: Floats) -> float:
    """Compute the mean log-likelihood of a diagonal mixture in float64, without emdist."""
    scores = np.empty((len(means), len(x)))
    for c, (mean, variance) in enumerate(zip(means, variances, strict=True)):
        away = np.square(x - mean) / variance + np.log(2 * np.pi * variance)
        scores[c] = np.log(weights[c]) - 0.5 * away.sum(axis=1)
    return float(logsumexp(scores, axis=0).mean())


def mixture_iteration(work: Work) -> Turn:
    """Measure one EM iteration, and report the arithmetic of the last one."""
    x = work.array("x")
    how = {"precision": work.options["precision"]}
    ours.mixture(work, x, 1, 0, how).fit(x[: 4 * len(work.start())])

    def turn() -> Outcome:
        seconds, fitted = per_iteration(work, lambda n: ours.mixture(work, x, n, 0, how).fit(x))
        numerics = fitted._fitted.numerics(fitted._model(), x.dtype)
        figures = {
            "bound": _likelihood(x, fitted.weights_, fitted.means_, fitted.covariances_),
            "bits": float(numerics.dtype[-2:]),
            "centred": float(numerics.centred),
        }
        return Outcome(seconds, figures)

    return turn
