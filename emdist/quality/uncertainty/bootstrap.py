"""Bootstrap: standard errors and percentile intervals of parameters from resampled rows."""

from __future__ import annotations

import numpy as np

from emdist.fit.resampled import Resampling
from emdist.quality.uncertainty.parameters import Estimate, parameters_of
from emdist.quality.uncertainty.replicates import Refitted, Replicate


def bootstrap_replicates(number: int, seed: int) -> list[Replicate]:
    """Return replicates of a bootstrap, which start from the fitted model."""
    return [Replicate(Resampling("bootstrap", seed, b)) for b in range(number)]


def estimates(found: Refitted, level: float) -> list[Estimate]:
    """Return the parameters of the fitted model with bootstrap standard errors and intervals.

    Intervals are those between percentiles of the replicates (Efron and Tibshirani 1993, chapter
    13), whose components are in the order of the fitted model.
    """
    model = found.fit.model
    own = parameters_of(found.section, model, found.reference)
    drawn = [parameters_of(found.section, model, one) for one in found.replicates]
    ends = (0.5 - level / 2, 0.5 + level / 2)
    out = []
    for i, parameter in enumerate(own):
        values = np.stack([one[i].values for one in drawn])
        errors = values.std(axis=0, ddof=1)
        low, high = np.quantile(values, ends, axis=0)
        out.append(Estimate(parameter, errors, low, high))
    return out
