"""scikit-learn, through its estimators."""

from __future__ import annotations

from typing import Any

from benchmarks.comparison.agreement import inertia_of, size_of
from benchmarks.comparison.contenders.gaussian_start import given
from benchmarks.comparison.workload import Outcome, Turn, Work, per_iteration, timed
from emdist.interfaces import Array

NEEDS = ("sklearn",)


def _kmeans(work: Work, start: Array, iterations: int) -> Any:
    from sklearn.cluster import KMeans

    algorithm = work.options.get("algorithm", "lloyd")
    return KMeans(
        len(start), init=start, n_init=1, max_iter=iterations, tol=0, algorithm=algorithm
    )  # fmt: skip


def lloyd_iteration(work: Work) -> Turn:
    """Measure one Lloyd iteration."""
    x, start = work.array("x"), work.start()

    def turn() -> Outcome:
        seconds, fitted = per_iteration(work, lambda n: _kmeans(work, start, n).fit(x))
        return Outcome(seconds, inertia_of(work, x, fitted.cluster_centers_))

    return turn


def stored_fit(work: Work) -> Turn:
    """Measure a whole fit of a Zarr array, which is loaded first."""
    import zarr

    path, start = str(work.files["x"]), work.start()

    def fit() -> Any:
        return _kmeans(work, start, work.options["max_iter"]).fit(zarr.open_array(path)[:])

    def turn() -> Outcome:
        seconds, fitted = timed(fit)
        return Outcome(seconds, size_of(fitted.cluster_centers_))

    return turn


def kmeans_fit(work: Work) -> Turn:
    """Measure a whole fit until no label changes."""
    x, start = work.array("x"), work.start()

    def turn() -> Outcome:
        seconds, fitted = timed(lambda: _kmeans(work, start, work.options["max_iter"]).fit(x))
        figures = inertia_of(work, x, fitted.cluster_centers_)
        return Outcome(seconds, {**figures, "iterations": fitted.n_iter_}, fitted.labels_)

    return turn


def _mixture(work: Work, x: Array, iterations: int, tol: float) -> Any:
    from sklearn.mixture import GaussianMixture

    kind, start = work.options["covariance"], work.start()
    return GaussianMixture(
        len(start), covariance_type=kind, max_iter=iterations, tol=tol, **given(kind, start, x)
    )


def mixture_iteration(work: Work) -> Turn:
    """Measure one EM iteration."""
    x = work.array("x")

    def turn() -> Outcome:
        seconds, fitted = per_iteration(work, lambda n: _mixture(work, x, n, 0).fit(x))
        return Outcome(seconds, {"bound": float(fitted.lower_bound_)})

    return turn


def mixture_fit(work: Work) -> Turn:
    """Measure a fit until it converges."""
    x = work.array("x")

    def turn() -> Outcome:
        limits = work.options["max_iter"], work.options["tol"]
        seconds, fitted = timed(lambda: _mixture(work, x, *limits).fit(x))
        figures = {"bound": float(fitted.lower_bound_), "iterations": float(fitted.n_iter_)}
        return Outcome(seconds, figures)

    return turn


def small_fit(work: Work) -> Turn:
    """Measure a whole fit of few rows."""
    x, start = work.array("x"), work.start()

    def fit() -> object:
        from sklearn.cluster import KMeans

        return KMeans(len(start), init=start, n_init=1, max_iter=300).fit(x)

    fit()

    def turn() -> Outcome:
        return Outcome(min(timed(fit)[0] for _ in range(5)))

    return turn


def whole_kmeans(work: Work) -> Turn:
    """Measure K-means by default, from nothing to labels."""
    from sklearn.cluster import KMeans

    x, k = work.array("x"), len(work.start())

    def turn() -> Outcome:
        seconds, fitted = timed(lambda: KMeans(k, random_state=0).fit(x))
        figures = {**inertia_of(work, x, fitted.cluster_centers_), "iterations": fitted.n_iter_}
        return Outcome(seconds, figures, fitted.labels_)

    return turn


def whole_mixture(work: Work) -> Turn:
    """Measure a Gaussian mixture by default, from nothing to labels."""
    from sklearn.mixture import GaussianMixture

    x, k = work.array("x"), len(work.start())

    def turn() -> Outcome:
        def fit() -> Any:
            model = GaussianMixture(k, random_state=0).fit(x)
            return model, model.predict(x)

        seconds, (model, _) = timed(fit)
        return Outcome(seconds, {"bound": float(model.score(x)), "iterations": model.n_iter_})

    return turn
