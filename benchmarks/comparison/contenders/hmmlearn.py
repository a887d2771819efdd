"""hmmlearn, through its estimators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.comparison.chain_data import transitions
from benchmarks.comparison.workload import Outcome, Turn, Work, per_iteration

NEEDS = ("hmmlearn",)


def chain_iteration(work: Work) -> Turn:
    """Measure one EM iteration of a Gaussian hidden Markov model."""
    from hmmlearn.hmm import GaussianHMM

    # Its matrices have a few rows. On them, two threads of BLAS wait for each other, and longest
    # where sequences are many and short.
    work.stack.enter_context(threadpool_limits(1))

    x, start, lengths = work.array("x"), work.start(), work.array("lengths")
    k, d = start.shape

    def fit(iterations: int) -> Any:
        model = GaussianHMM(
            k,
            "full",
            min_covar=0,
            covars_prior=0,
            covars_weight=0,
            n_iter=iterations,
            tol=-math.inf,
            init_params="",
        )
        model.startprob_, model.transmat_ = np.full(k, 1 / k), transitions(k)
        model.means_, model.covars_ = start, np.tile(np.eye(d), (k, 1, 1))
        return model.fit(x, lengths)

    def turn() -> Outcome:
        seconds, fitted = per_iteration(work, fit)
        return Outcome(seconds, {"bound": float(fitted.monitor_.history[-1]) / len(x)})

    return turn
