"""emdist itself, through its estimators, as users call it."""

from __future__ import annotations

from typing import Any

import numpy as np

import emdist
from benchmarks.comparison.agreement import inertia_of, size_of
from benchmarks.comparison.contenders.cluster import dask_client, peak_of
from benchmarks.comparison.contenders.gaussian_start import given
from benchmarks.comparison.workload import Outcome, Turn, Work, per_iteration, timed
from emdist.engines.threads import LocalEngine
from emdist.interfaces import Array

NEEDS = ("emdist",)


def _how(work: Work) -> dict[str, Any]:
    """Return engine, block size, schedule and precision from the options, as parameters."""
    found = {
        name: work.options[name]
        for name in ("block_size", "schedule", "schedule_options", "precision")
        if name in work.options
    }
    if "workers" in work.options:
        found["engine"] = dask_client(work)
    elif "engine_threads" in work.options:
        found["engine"] = LocalEngine(int(work.options["engine_threads"]))
    return found


def _data(work: Work) -> Array | str:
    """Return the rows in memory, or the path of a Zarr array."""
    path = work.files["x"]
    return str(path) if path.suffix == ".zarr" else work.array("x")


def _peak(how: dict[str, Any]) -> int | None:
    """Return the peak bytes of this process and the workers; None without workers."""
    engine = how.get("engine")
    return peak_of(engine) if hasattr(engine, "scheduler_info") else None


def _kmeans(start: Array, iterations: int, how: dict[str, Any]) -> emdist.KMeans:
    return emdist.KMeans(len(start), init=start, max_iter=iterations, tol=0, **how)


def lloyd_iteration(work: Work) -> Turn:
    """Measure one Lloyd iteration, from memory or from Zarr."""
    return lloyd_iteration_of(work, _data(work))


def lloyd_iteration_of(work: Work, x: Array | str) -> Turn:
    """Measure one Lloyd iteration over `x`."""
    # Plain iterations, which all take the same time.
    start, how = work.start(), {"schedule": "batch", **_how(work)}
    _kmeans(start[:2], 1, how).fit(np.concatenate([start, start]))  # Compiles the kernels.

    def turn() -> Outcome:
        seconds, fitted = per_iteration(work, lambda n: _kmeans(start, n, how).fit(x))
        peak, centres = _peak(how), fitted.cluster_centers_
        figures = size_of(centres) if isinstance(x, str) else inertia_of(work, x, centres)
        return Outcome(seconds, figures, peak=peak)

    return turn


def stored_fit(work: Work) -> Turn:
    """Measure a whole fit of a Zarr array, from its path to its centres."""
    path, start, how = str(work.files["x"]), work.start(), _how(work)
    _kmeans(start[:2], 1, how).fit(np.concatenate([start, start]))
    more = {"cache": work.options.get("cache", "auto")}

    def turn() -> Outcome:
        iterations = work.options["max_iter"]
        seconds, fitted = timed(lambda: _kmeans(start, iterations, how | more).fit(path))
        return Outcome(seconds, size_of(fitted.cluster_centers_))

    return turn


def iterations(work: Work) -> Turn:
    """Measure several Lloyd iterations: the time that a seeder may take."""
    x, start, count = work.array("x"), work.start(), int(work.options["iterations"])
    how = {"schedule": "batch"}
    _kmeans(start[:2], 1, how).fit(np.concatenate([start, start]))  # Compiles the kernels.

    def turn() -> Outcome:
        seconds, _ = per_iteration(work, lambda n: _kmeans(start, n, how).fit(x))
        return Outcome(count * seconds)

    return turn


def seeding(work: Work) -> Turn:
    """Measure how much longer a fit takes if it has to choose its starting centres."""
    x, start, init = work.array("x"), work.start(), work.options["init"]
    emdist.KMeans(2, init=init, max_iter=1).fit(start)  # Compiles the kernels.
    _kmeans(start, 1, {}).fit(x)

    def turn() -> Outcome:
        seeded = emdist.KMeans(len(start), init=init, max_iter=1, tol=0, random_state=0)
        seconds, fitted = timed(lambda: seeded.fit(x))
        given, _ = timed(lambda: _kmeans(start, 1, {}).fit(x))
        return Outcome(max(seconds - given, 1e-6), {"inertia": fitted.inertia_})

    return turn


def kmeans_fit(work: Work) -> Turn:
    """Measure a whole fit until no label changes, and its labels."""
    x, start, how = work.array("x"), work.start(), _how(work)
    _kmeans(start[:2], 1, how).fit(np.concatenate([start, start]))

    def turn() -> Outcome:
        seconds, fitted = timed(lambda: _kmeans(start, work.options["max_iter"], how).fit(x))
        figures = inertia_of(work, x, fitted.cluster_centers_)
        figures["iterations"] = fitted.n_iter_
        return Outcome(seconds, figures, fitted.labels_)

    return turn


def mixture(work: Work, x: Array, iterations: int, tol: float, how: dict[str, Any]) -> Any:
    """Make a Gaussian mixture of the workload's kind, from its start, with the parameters `how`."""
    kind = work.options["covariance"]
    return emdist.GaussianMixture(
        len(work.start()),
        covariance_type=kind,
        max_iter=iterations,
        tol=tol,
        **given(kind, work.start(), x),
        **how,
    )


def mixture_iteration(work: Work) -> Turn:
    """Measure one EM iteration of a Gaussian mixture."""
    x, how = work.array("x"), _how(work)
    mixture(work, x, 1, 0, how).fit(x[: 4 * len(work.start())])

    def turn() -> Outcome:
        seconds, fitted = per_iteration(
            work, lambda n: mixture(work, x, n, 0, how).fit(x)
        )  # fmt: skip
        return Outcome(seconds, {"bound": float(fitted.lower_bound_)})

    return turn


def mixture_fit(work: Work) -> Turn:
    """Measure the fit of a Gaussian mixture until it converges."""
    x, how = work.array("x"), _how(work)
    mixture(work, x, 1, 0, how).fit(x[: 4 * len(work.start())])

    def turn() -> Outcome:
        limits = work.options["max_iter"], work.options["tol"]
        seconds, fitted = timed(lambda: mixture(work, x, *limits, how).fit(x))
        figures = {"bound": float(fitted.lower_bound_), "iterations": float(fitted.n_iter_)}
        return Outcome(seconds, figures)

    return turn


def bernoulli_iteration(work: Work) -> Turn:
    """Measure one EM iteration of a Bernoulli mixture."""
    x, start = work.array("x"), work.start()
    k = len(start)

    def fit(iterations: int, rows: Array) -> emdist.BernoulliMixture:
        return emdist.BernoulliMixture(
            k,
            max_iter=iterations,
            tol=0,
            weights_init=np.full(k, 1 / k),
            probabilities_init=start,
        ).fit(rows)

    fit(1, x[: 4 * k])

    def turn() -> Outcome:
        seconds, fitted = per_iteration(work, lambda n: fit(n, x))
        return Outcome(seconds, {"bound": float(fitted.lower_bound_)})

    return turn


def small_fit(work: Work) -> Turn:
    """Measure a whole fit of few rows, once everything is loaded and compiled."""
    x, start = work.array("x"), work.start()

    def fit() -> object:
        return emdist.KMeans(len(start), init=start, max_iter=300).fit(x)

    fit()

    def turn() -> Outcome:
        return Outcome(min(timed(fit)[0] for _ in range(5)))

    return turn


def whole_kmeans(work: Work) -> Turn:
    """Measure K-means by default, from nothing to labels."""
    x, k = work.array("x"), len(work.start())
    emdist.KMeans(k, random_state=0).fit(x)  # Compiles the kernels.

    def turn() -> Outcome:
        seconds, fitted = timed(lambda: emdist.KMeans(k, random_state=0).fit(x))
        more, labels = timed(lambda: fitted.labels_)
        figures = {**inertia_of(work, x, fitted.cluster_centers_), "iterations": fitted.n_iter_}
        return Outcome(seconds + more, figures, labels)

    return turn


def whole_mixture(work: Work) -> Turn:
    """Measure a Gaussian mixture by default, from nothing to labels."""
    x, k = work.array("x"), len(work.start())
    emdist.GaussianMixture(k, random_state=0, max_iter=2).fit(x)

    def turn() -> Outcome:
        def fit() -> Any:
            model = emdist.GaussianMixture(k, random_state=0).fit(x)
            return model, model.predict(x)

        seconds, (model, _) = timed(fit)
        return Outcome(seconds, {"bound": float(model.score(x)), "iterations": model.n_iter_})

    return turn
