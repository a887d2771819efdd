"""dask-ml, on a Dask cluster with the same workers and memory as emdist's."""

from __future__ import annotations

from typing import Any

from benchmarks.comparison.agreement import inertia_of, size_of
from benchmarks.comparison.contenders.cluster import dask_client, peak_of
from benchmarks.comparison.workload import Outcome, Turn, Work, per_iteration, timed

NEEDS = ("dask_ml",)


def lloyd_iteration(work: Work) -> Turn:
    """Measure one Lloyd iteration from Zarr, with one task per chunk."""
    import dask.array
    from dask_ml.cluster import KMeans

    client = dask_client(work)
    x, start = dask.array.from_zarr(str(work.files["x"])), work.start()

    def fit(iterations: int) -> Any:
        return KMeans(len(start), init=start, max_iter=iterations, tol=0).fit(x)

    def turn() -> Outcome:
        seconds, fitted = per_iteration(work, fit)
        # dask-ml's own inertia sums distances that are not squared, so compare centres instead.
        return Outcome(seconds, size_of(fitted.cluster_centers_), peak=peak_of(client))

    return turn


def stored_fit(work: Work) -> Turn:
    """Measure a whole fit of a Zarr array until the centres stay where they are."""
    import dask.array
    from dask_ml.cluster import KMeans

    dask_client(work)
    path, start = str(work.files["x"]), work.start()
    model = KMeans(len(start), init=start, max_iter=work.options["max_iter"], tol=1e-12)

    def turn() -> Outcome:
        seconds, fitted = timed(lambda: model.fit(dask.array.from_zarr(path)))
        return Outcome(seconds, size_of(fitted.cluster_centers_))

    return turn


def whole_kmeans(work: Work) -> Turn:
    """Measure K-means by default on the threads of this process, from nothing to labels."""
    import dask
    import dask.array
    from dask_ml.cluster import KMeans

    rows, k = work.array("x"), len(work.start())
    x = dask.array.from_array(rows, chunks=(-(-len(rows) // 4), rows.shape[1]))

    def fit() -> Any:
        with dask.config.set(scheduler="threads"):
            fitted = KMeans(k, random_state=0).fit(x)
            return fitted, fitted.labels_.compute()

    def turn() -> Outcome:
        seconds, (fitted, labels) = timed(fit)
        figures = {**inertia_of(work, rows, fitted.cluster_centers_), "iterations": fitted.n_iter_}
        return Outcome(seconds, figures, labels)

    return turn
