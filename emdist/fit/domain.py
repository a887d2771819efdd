"""Checks, before any iteration, that the data are values that the family can have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emdist.errors import ConfigError, DomainError
from emdist.interfaces import Array, Domain, Floats, Spread
from emdist.kernels.tiles.tiles import tile_rows, tiles


def whole_features(x: Array) -> NDArray[np.bool_]:
    """Return (d,) whether all values of a feature of `x` (n, d) are whole numbers or NaN."""
    return np.asarray(((x == np.floor(x)) | np.isnan(x)).all(axis=0))


def extremes(x: Array) -> tuple[Array, Array]:
    """Return the smallest and largest value (d,) of each feature of `x` (n, d), n >= 1.

    NaN is ignored, unless a feature has nothing else.
    """
    low, high = x.min(axis=0), x.max(axis=0)
    if x.dtype.kind == "f" and np.isnan(low).any():
        # A feature of NaN alone stays NaN: what is not observed is in any domain.
        low, high = np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)
    return low, high


def check_spread(domain: Domain | None, spread: Spread) -> None:
    """Raise DomainError unless all rows that `spread` describes lie in `domain`."""
    if domain is not None:
        low, high = spread.origin + spread.low, spread.origin + spread.high
        _check(domain, low, high, spread.whole)


def check_rows(domain: Domain, x: Array) -> None:
    """Raise DomainError unless all of `x` (n, d), n >= 1, lie in `domain`."""
    whole = np.ones(x.shape[1], bool)
    if np.any(domain.whole) and x.dtype.kind == "f":
        for a, b in tiles(len(x), tile_rows(2 * x.shape[1], x.itemsize)):
            whole &= whole_features(x[a:b])
    _check(domain, *extremes(x), whole)


def _check(domain: Domain, low: Floats, high: Floats, whole: NDArray[np.bool_]) -> None:
    """Raise DomainError unless the extremes (d,) of features lie in `domain`."""
    highest = np.asarray(domain.high)
    if highest.ndim and len(highest) != len(high):
        raise ConfigError(
            f"{domain.option or 'The options of the family'} has {len(highest)} values, but the "
            f"data have {len(high)} features. Give one number for all features, or one for each."
        )
    bad = (low < np.asarray(domain.low)) | (high > highest) | (np.asarray(domain.whole) & ~whole)
    if bad.any():
        first, count = int(np.argmax(bad)), np.count_nonzero(bad)
        what = domain.what if isinstance(domain.what, str) else domain.what[first]
        kind = "whole numbers" if whole[first] else "not only whole numbers"
        holds = f" and holds {kind}" if np.any(domain.whole) else ""
        # These are scikit-learn's words, which its users and its estimator checks look for.
        negative = bool((low[bad & (np.asarray(domain.low) >= 0)] < 0).any())
        raise DomainError(
            f"{'Negative values in data: ' if negative else ''}"
            f"This family needs {what}, but {count} of {len(bad)} features "
            f"{'has' if count == 1 else 'have'} other values: feature {first} ranges from "
            f"{low[first]:g} to {high[first]:g}{holds}. Round, binarise or shift "
            f"the features, set {domain.option or 'the options of the family'} to the range of "
            "the data, or use a Gaussian family."
        )
