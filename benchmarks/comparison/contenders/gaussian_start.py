"""The starting values of every Gaussian mixture, in the shapes that scikit-learn uses."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.interfaces import Array


def given(kind: str, start: Array, x: Array) -> dict[str, Any]:
    """Return equal weights, means `start`, and precisions from the variances of the data."""
    k = len(start)
    variance = x[:: max(1, len(x) // 10_000)].var(axis=0, dtype=np.float64)
    precisions = np.diag(1 / variance)
    if kind == "full":
        precisions = np.tile(precisions, (k, 1, 1))
    elif kind == "diag":
        precisions = np.tile(1 / variance, (k, 1))
    elif kind == "spherical":
        precisions = np.full(k, 1 / variance.mean())
    return {
        "means_init": start,
        "weights_init": np.full(k, 1 / k, start.dtype),
        "precisions_init": precisions.astype(start.dtype),
    }
