"""How compact and how separate clusters are, from rows and their labels."""

from __future__ import annotations

import warnings
from typing import Any, Literal, Unpack

import numpy as np

from emdist.errors import ConfigError
from emdist.estimators.inputs import make_engine
from emdist.estimators.wording import in_parameters, level_of_caller
from emdist.inputs.names import naming
from emdist.interfaces import Engine, Floats, Source
from emdist.metrics.arguments import ReadingOptions, as_labelling, as_source
from emdist.prepare.learning import nothing_learned
from emdist.prepare.making import make_steps
from emdist.prepare.source import prepared
from emdist.quality.clusters import ClusterMoments, ClusterStep, calinski_harabasz
from emdist.quality.evaluation import Evaluation as Evaluation
from emdist.quality.evaluation import evaluation
from emdist.quality.labels import LabelGiver
from emdist.quality.silhouettes import euclidean, squared, squared_samples

Metric = Literal["euclidean", "sqeuclidean", "cosine"]
_METRICS = ("euclidean", "sqeuclidean", "cosine")
#: Rows of which `silhouette_samples` takes Euclidean distances of all pairs.
_ALL_PAIRS = 50_000


def _given(
    X: Any, labels: Any, metric: str, engine: Any, reading: ReadingOptions
) -> tuple[Source, LabelGiver, Engine]:
    if metric not in _METRICS:
        raise ConfigError(
            f"metric={metric!r}; expected one of {', '.join(map(repr, _METRICS))}. For other "
            "dissimilarities, there is no formula that works with one pass over the rows."
        )
    ready = make_engine(engine)
    source = as_source(X, ready, reading)
    found = as_labelling(labels, source)
    if metric == "cosine":
        # Distances of rows of unit length are twice the cosine distances; zero rows are refused.
        source = prepared(
            source, nothing_learned(make_steps([{"normalise": "l2"}]), source.shape[1])
        )
    return source, found, ready


@in_parameters
def silhouette_score(
    X: Any,
    labels: Any,
    *,
    metric: Metric = "euclidean",
    sample_size: int | None = None,
    random_state: int | None = None,
    engine: Any = None,
    **reading: Unpack[ReadingOptions],
) -> float:
    """Return the mean silhouette of the rows (Rousseeuw 1987).

    The silhouette of a row is (b - a) / max(a, b), where a is its mean distance to the other rows
    of its cluster and b the smallest mean distance to the rows of another cluster. It is 0 in
    clusters of one row.

    Parameters
    ----------
    X : array-like, path, zarr.Array, dask array, xarray object or emdist.rows
        Rows (n, d), as estimators take them.
    labels : array-like of int or str, path, zarr.Array, dask or xarray array
        A label for each row: see `emdist.metrics`.
    metric : {'euclidean', 'sqeuclidean', 'cosine'}, default='euclidean'
        The distance. 'sqeuclidean' and 'cosine' are exact for any number of rows, with O(n k d)
        operations in two passes.
    sample_size : int, default=None
        With 'euclidean': how many rows, chosen at random, are compared with all rows. None stands
        for all rows if that takes some seconds, and otherwise for 1,000 to 10,000; a warning then
        gives the standard error. scikit-learn compares the rows of its sample with each other.
    random_state : int, default=None
        The seed of the sample; None stands for 0.
    engine : None or distributed.Client, default=None
        Threads of this process, or a Dask cluster.
    **reading
        How rows are read, as by estimators: `block_size` (such as '64 MiB'), `non_finite` ('raise',
        or 'drop' to leave out rows with NaN or infinity, and their labels), `missing_chunks`
        ('raise', 'drop' or 'fill'), `corrupt_chunks` ('raise' or 'drop') and `decode` ('cf' or
        'none').

    Returns
    -------
    score : float
        Between -1 and 1.

    Raises
    ------
    DataError
        If rows or labels are wrong, or if there are not 2 to n - 1 different labels.
    ConfigError
        If a parameter is wrong.
    """
    source, found, ready = _given(X, labels, metric, engine, reading)
    with naming(source):
        if metric != "euclidean":
            if sample_size is not None:
                raise ConfigError(
                    f"sample_size={sample_size}: metric={metric!r} is exact for all rows, and "
                    "takes no sample."
                )
            return squared(source, found, ready, directions=metric == "cosine").mean
        size = _size(sample_size)
        result = euclidean(source, found, ready, size, _seed(random_state)).silhouettes
    if result.error and sample_size is None:
        warnings.warn(
            f"silhouette_score compared {int(result.counts.sum()):,} of {result.clusters.rows:,} "
            f"rows with all rows: {result.mean:.4f}, with a standard error of {result.error:.4f}. "
            "Set sample_size for more or fewer, or metric='sqeuclidean', which is exact.",
            UserWarning,
            stacklevel=level_of_caller(),
        )
    return result.mean


@in_parameters
def silhouette_samples(
    X: Any,
    labels: Any,
    *,
    metric: Metric = "euclidean",
    engine: Any = None,
    **reading: Unpack[ReadingOptions],
) -> Floats:
    """Return the silhouette of each row; parameters and errors are those of `silhouette_score`.

    Returns
    -------
    silhouettes : ndarray of shape (n_samples,), float64
        In the order of the rows; NaN for rows without a label and for rows that are left out. With
        'euclidean', which compares all pairs of rows, for up to 50,000 rows.
    """
    source, found, ready = _given(X, labels, metric, engine, reading)
    with naming(source):
        if metric != "euclidean":
            return squared_samples(source, found, ready, metric == "cosine")
        n = source.shape[0]
        if n > _ALL_PAIRS:
            raise ConfigError(
                f"metric='euclidean' compares all pairs of {n:,} rows; silhouette_samples does so "
                f"for up to {_ALL_PAIRS:,}. Pass metric='sqeuclidean', which takes one pass, or "
                "use silhouette_score, which takes a sample."
            )
        return euclidean(source, found, ready, n, 0).samples.among(n)


@in_parameters
def calinski_harabasz_score(
    X: Any, labels: Any, *, engine: Any = None, **reading: Unpack[ReadingOptions]
) -> float:
    """Return the variance ratio criterion of clusters (Calinski and Harabasz 1974).

    It is the dispersion between clusters over that within them, each per degree of freedom.
    Parameters and errors are those of `silhouette_score`.

    Returns
    -------
    score : float
        At least 0; larger for clusters that are compact and far apart.
    """
    source, found, ready = _given(X, labels, "sqeuclidean", engine, reading)
    return calinski_harabasz(_moments(source, found, ready))


@in_parameters
def davies_bouldin_score(
    X: Any, labels: Any, *, engine: Any = None, **reading: Unpack[ReadingOptions]
) -> float:
    """Return the Davies-Bouldin index of clusters (Davies and Bouldin 1979).

    It is the mean, over clusters, of how much a cluster and the one that is most similar to it
    spread, compared with the distance of their means. Parameters and errors are those of
    `silhouette_score`.

    Returns
    -------
    score : float
        At least 0; smaller for clusters that are compact and far apart.
    """
    return evaluate(X, labels, engine=engine, **reading).davies_bouldin


def _moments(source: Source, labels: LabelGiver, engine: Engine) -> ClusterMoments:
    with naming(source):
        found: ClusterMoments = engine.map_reduce(ClusterStep(source, labels), range(len(source)))
    found.check()
    return found


@in_parameters
def evaluate(
    X: Any, labels: Any, *, engine: Any = None, **reading: Unpack[ReadingOptions]
) -> Evaluation:
    """Return silhouettes, both indices and the moments of clusters, from two passes over the rows.

    Parameters and errors are those of `silhouette_score`.

    Returns
    -------
    evaluation : Evaluation
        The figures.
    """
    source, found, ready = _given(X, labels, "sqeuclidean", engine, reading)
    with naming(source):
        return evaluation(source, found, ready)


def _size(size: Any) -> int | None:
    whole = type(size) is int or isinstance(size, np.integer)
    if size is not None and not (whole and size >= 1):
        raise ConfigError(f"sample_size={size!r}; expected a whole number >= 1, or None.")
    return None if size is None else int(size)


def _seed(state: Any) -> int:
    if state is None:
        return 0
    if not (type(state) is int or isinstance(state, np.integer)) or state < 0:
        raise ConfigError(f"random_state={state!r}; expected a whole number >= 0, or None.")
    return int(state)
