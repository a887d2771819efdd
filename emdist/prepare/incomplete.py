"""Completes incomplete rows by the conditional mean of a Gaussian with given moments."""

from __future__ import annotations

import numpy as np

from emdist.interfaces import Floats


def completed(x: Floats, mean: Floats, covariance: Floats) -> Floats:
    """Return rows `x` (m, d) with each NaN replaced by its expected value given the row.

    ``E[x_m | x_o] = mean_m + C_mo C_oo^+ (x_o - mean_o)``, with the pseudo-inverse of the
    covariance of what is observed. Rows without any observed value stay as they are, because they
    say nothing. Rows with the same gaps are computed together.
    """
    missing = np.isnan(x)
    some = missing.any(axis=1)
    if not some.any():
        return x
    partly = np.flatnonzero(some & ~missing.all(axis=1))
    if not len(partly):
        return x
    packed = np.packbits(missing[partly], axis=1)
    _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    edges = np.searchsorted(which.ravel()[order], np.arange(len(first) + 1))
    for pattern, at in enumerate(first):
        rows = partly[order[edges[pattern] : edges[pattern + 1]]]
        gone = missing[partly[at]]
        seen = ~gone
        inverse = np.linalg.pinv(covariance[np.ix_(seen, seen)], hermitian=True)
        weights = inverse @ covariance[np.ix_(seen, gone)]
        x[np.ix_(rows, gone)] = mean[gone] + (x[np.ix_(rows, seen)] - mean[seen]) @ weights
    return x
