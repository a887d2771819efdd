"""emdist's hidden Markov models, through their estimators."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import emdist
from benchmarks.comparison.chain_data import transitions
from benchmarks.comparison.workload import Outcome, Turn, Work, per_iteration
from emdist.interfaces import Array
from emdist.store.sources.arrays import array_source
from emdist.store.sources.plan import ROW_BYTES

NEEDS = ("emdist",)


def chain_iteration(work: Work) -> Turn:
    """Measure one EM iteration of a Gaussian hidden Markov model.

    With the option `blocks`, the rows are in about so many blocks, and are one sequence unless the
    option `cut` is False: then each block is a sequence.
    """
    x, start, lengths = work.array("x"), work.start(), work.array("lengths")
    how: dict[str, Any] = {}
    if "blocks" in work.options:
        row = max(ROW_BYTES, x.itemsize * x.shape[1])
        how["block_size"] = f"{row * -(-len(x) // work.options['blocks'])} B"
        if not work.options.get("cut", True):
            bounds = array_source(x, block_bytes=int(how["block_size"][:-2])).bounds
            lengths = np.array([b - a for a, b in pairwise(bounds)])

    def fit(x: Array, lengths: Array, iterations: int) -> Any:
        return emdist.GaussianHMM(
            len(start),
            covariance_type="full",
            reg_covar=0,
            means_init=start,
            covars_init=np.tile(np.eye(x.shape[1]), (len(start), 1, 1)),
            startprob_init=np.full(len(start), 1 / len(start)),
            transmat_init=transitions(len(start)),
            max_iter=iterations,
            tol=0,
            **how,
        ).fit(x, lengths)

    few = x[:1000]
    fit(few, np.array([len(few)]), 1)  # Compiles the kernels.

    def turn() -> Outcome:
        seconds, fitted = per_iteration(work, lambda n: fit(x, lengths, n))
        return Outcome(seconds, {"bound": float(fitted.lower_bound_)})

    return turn
