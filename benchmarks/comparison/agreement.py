"""Check that contenders did the same work, by figures that all of them have, such as inertia."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from benchmarks.comparison.workload import Work
from emdist.interfaces import Array

#: Number of rows on which inertia is measured, so that checking takes less time than measuring.
_SAMPLE = 100_000


def inertia_of(work: Work, x: Array, centres: Array) -> dict[str, float]:
    """Compute the mean squared distance of evenly spaced rows to the nearest centre, in float64."""
    step = -(-len(x) // _SAMPLE)
    c = np.asarray(centres, np.float64)
    middle = c.mean(axis=0)
    c = c - middle
    total, rows = 0.0, 0
    for at in range(0, len(x), 4096 * step):
        part = np.asarray(x[at : at + 4096 * step : step], np.float64) - middle
        squares = np.square(part).sum(axis=1)
        total += float((squares + (np.square(c).sum(axis=1) - 2 * part @ c.T).min(axis=1)).sum())
        rows += len(part)
    return {"inertia": total / rows}


def size_of(centres: Array) -> dict[str, float]:
    """Compute a figure that differs between centres, for when the data do not fit into memory."""
    return {"norm of centres": float(np.linalg.norm(np.asarray(centres, np.float64)))}


def disagreements(
    ours: Mapping[str, float], theirs: Mapping[str, float], tolerances: Mapping[str, float]
) -> list[str]:
    """Return a sentence for every figure that differs by more than its tolerance."""
    found = []
    for name, tolerance in tolerances.items():
        if name not in ours or name not in theirs:
            continue
        a, b = ours[name], theirs[name]
        if not math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-12):
            found.append(f"{name} {a:.8g} here, {b:.8g} there (tolerance {tolerance:g})")
    return found


def different_labels(ours: Array, theirs: Array) -> float:
    """Return the share of rows whose labels differ; clusters are numbered as in the start."""
    return float(np.mean(ours != theirs)) if ours.shape == theirs.shape else 1.0
