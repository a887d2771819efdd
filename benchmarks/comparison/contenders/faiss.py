"""faiss, with all rows in each iteration and without subsampling."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.comparison.agreement import inertia_of
from benchmarks.comparison.workload import Outcome, Turn, Work, per_iteration, timed
from emdist.interfaces import Array

NEEDS = ("faiss",)

#: Number of iterations after which a fit is checked for changes.
_STEP = 25


def _trained(x: Array, start: Array, iterations: int) -> Any:
    import faiss

    found = faiss.Kmeans(
        x.shape[1],
        len(start),
        niter=iterations,
        nredo=1,
        min_points_per_centroid=1,
        max_points_per_centroid=len(x),
    )
    found.train(x, init_centroids=start)
    return found


def lloyd_iteration(work: Work) -> Turn:
    """Measure one Lloyd iteration. No warm-up is needed before the shorter of the two fits."""
    x, start = work.array("x"), work.start()

    def turn() -> Outcome:
        seconds, fitted = per_iteration(work, lambda n: _trained(x, start, n))
        return Outcome(seconds, inertia_of(work, x, fitted.centroids))

    return turn


def _needed(x: Array, start: Array, most: int) -> int:
    """Return the iterations until the centres stop moving, because faiss has no stop rule."""
    centres, done = start, 0
    while done < most:
        fitted = _trained(x, centres, min(_STEP, most - done))
        objective = np.asarray([step["obj"] for step in fitted.iteration_stats])
        still = np.flatnonzero(objective[1:] == objective[:-1])
        if len(still):
            return done + int(still[0]) + 1
        centres, done = fitted.centroids, done + len(objective)
    return most


def kmeans_fit(work: Work) -> Turn:
    """Measure as many iterations as needed, which are counted before the timing, and labels."""
    x, start = work.array("x"), work.start()
    iterations = _needed(x, start, work.options["max_iter"])

    def fit() -> tuple[Any, Array]:
        fitted = _trained(x, start, iterations)
        return fitted, fitted.index.search(x, 1)[1].ravel()

    def turn() -> Outcome:
        seconds, (fitted, labels) = timed(fit)
        figures = inertia_of(work, x, fitted.centroids)
        return Outcome(seconds, {**figures, "iterations": iterations}, labels)

    return turn


def whole_kmeans(work: Work) -> Turn:
    """Measure K-means by default (25 iterations on a subsample) and the labels of all rows."""
    import faiss

    x, k = work.array("x"), len(work.start())

    def fit() -> tuple[Any, Array]:
        fitted = faiss.Kmeans(x.shape[1], k)
        fitted.train(x)
        return fitted, fitted.index.search(x, 1)[1].ravel()

    def turn() -> Outcome:
        seconds, (fitted, labels) = timed(fit)
        return Outcome(seconds, {**inertia_of(work, x, fitted.centroids)}, labels)

    return turn
