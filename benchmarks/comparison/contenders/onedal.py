"""oneDAL, through classes of scikit-learn-intelex, without patching scikit-learn."""

from __future__ import annotations

from typing import Any

from benchmarks.comparison.agreement import inertia_of
from benchmarks.comparison.workload import Outcome, Turn, Work, per_iteration, timed
from emdist.interfaces import Array

NEEDS = ("sklearnex",)


def _kmeans(start: Array, iterations: int) -> Any:
    from sklearnex.cluster import KMeans

    return KMeans(len(start), init=start, n_init=1, max_iter=iterations, tol=0)


def lloyd_iteration(work: Work) -> Turn:
    """Measure one Lloyd iteration."""
    x, start = work.array("x"), work.start()
    _kmeans(start, 1).fit(x[: 4 * len(start)])

    def turn() -> Outcome:
        seconds, fitted = per_iteration(work, lambda n: _kmeans(start, n).fit(x))
        return Outcome(seconds, inertia_of(work, x, fitted.cluster_centers_))

    return turn


def kmeans_fit(work: Work) -> Turn:
    """Measure a whole fit until no label changes."""
    x, start = work.array("x"), work.start()
    _kmeans(start, 1).fit(x[: 4 * len(start)])

    def turn() -> Outcome:
        seconds, fitted = timed(lambda: _kmeans(start, work.options["max_iter"]).fit(x))
        figures = inertia_of(work, x, fitted.cluster_centers_)
        return Outcome(seconds, {**figures, "iterations": fitted.n_iter_}, fitted.labels_)

    return turn


def whole_kmeans(work: Work) -> Turn:
    """Measure K-means by default, from nothing to labels."""
    from sklearnex.cluster import KMeans

    x, k = work.array("x"), len(work.start())
    _kmeans(work.start(), 1).fit(x[: 4 * k])

    def turn() -> Outcome:
        seconds, fitted = timed(lambda: KMeans(k, random_state=0).fit(x))
        figures = {**inertia_of(work, x, fitted.cluster_centers_), "iterations": fitted.n_iter_}
        return Outcome(seconds, figures, fitted.labels_)

    return turn
