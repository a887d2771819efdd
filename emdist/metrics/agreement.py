"""How well two labellings of the same rows agree."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

from emdist.errors import ConfigError
from emdist.estimators.inputs import make_engine
from emdist.estimators.wording import in_parameters, level_of_caller
from emdist.interfaces import Array
from emdist.metrics.arguments import as_labels
from emdist.quality import agreement
from emdist.quality.agreement import PairCounts, pair_counts

#: The ways in which two entropies become one, as scikit-learn names them.
_MEANS: dict[str, Any] = {
    "min": min,
    "geometric": lambda a, b: math.sqrt(a * b),
    "arithmetic": lambda a, b: (a + b) / 2,
    "max": max,
}
Average = Literal["min", "geometric", "arithmetic", "max"]


def _counted(labels_true: Any, labels_pred: Any, engine: Any) -> PairCounts:
    first = as_labels(labels_true, "labels_true")
    second = as_labels(labels_pred, "labels_pred")
    found = pair_counts(first, second, make_engine(engine))
    if found.left_out:
        warnings.warn(
            f"{found.left_out:,} rows that have no label in one of the two arrays are not "
            f"compared; {found.rows:,} are.",
            UserWarning,
            stacklevel=level_of_caller(),
        )
    return found


@in_parameters
def contingency_matrix(labels_true: Any, labels_pred: Any, *, engine: Any = None) -> Array:
    """Return how many rows have each pair of labels.

    Parameters
    ----------
    labels_true, labels_pred : array-like of int or str, path, zarr.Array, dask or xarray array
        Two labellings of the same rows: see `emdist.metrics`. Both have one shape.
    engine : None or distributed.Client, default=None
        Where arrays in Zarr are read: threads of this process, or a Dask cluster.

    Returns
    -------
    contingency : ndarray of shape (n_classes_true, n_classes_pred), int64
        Counts; labels are in ascending order.

    Raises
    ------
    DataError
        If labels have different shapes, or are no labels.
    """
    return agreement.as_matrix(_counted(labels_true, labels_pred, engine))[2]


@in_parameters
def rand_score(labels_true: Any, labels_pred: Any, *, engine: Any = None) -> float:
    """Return the Rand index: the share of pairs of rows on which both labellings agree.

    Parameters and errors are those of `contingency_matrix`.

    Returns
    -------
    score : float
        Between 0 and 1.
    """
    return agreement.rand(_counted(labels_true, labels_pred, engine))


@in_parameters
def adjusted_rand_score(labels_true: Any, labels_pred: Any, *, engine: Any = None) -> float:
    """Return the Rand index adjusted for chance (Hubert and Arabie 1985).

    Parameters and errors are those of `contingency_matrix`.

    Returns
    -------
    score : float
        1 for equal partitions, about 0 for independent ones, and at least -0.5.
    """
    return agreement.adjusted_rand(_counted(labels_true, labels_pred, engine))


@in_parameters
def fowlkes_mallows_score(labels_true: Any, labels_pred: Any, *, engine: Any = None) -> float:
    """Return the geometric mean of pairwise precision and recall (Fowlkes and Mallows 1983).

    Parameters and errors are those of `contingency_matrix`.

    Returns
    -------
    score : float
        Between 0 and 1.
    """
    return agreement.fowlkes_mallows(_counted(labels_true, labels_pred, engine))


@in_parameters
def mutual_info_score(labels_true: Any, labels_pred: Any, *, engine: Any = None) -> float:
    """Return the mutual information of two labellings.

    Parameters and errors are those of `contingency_matrix`.

    Returns
    -------
    score : float
        In nats, at least 0.
    """
    return agreement.mutual_information(_counted(labels_true, labels_pred, engine))


@in_parameters
def normalized_mutual_info_score(
    labels_true: Any,
    labels_pred: Any,
    *,
    average_method: Average = "arithmetic",
    engine: Any = None,
) -> float:
    """Return the mutual information over a mean of the entropies of both labellings.

    Parameters
    ----------
    labels_true, labels_pred, engine
        As in `contingency_matrix`.
    average_method : {'min', 'geometric', 'arithmetic', 'max'}, default='arithmetic'
        The mean of the two entropies.

    Returns
    -------
    score : float
        Between 0 and 1.
    """
    mean = _mean(average_method)
    return agreement.normalised_information(_counted(labels_true, labels_pred, engine), mean)


@in_parameters
def adjusted_mutual_info_score(
    labels_true: Any,
    labels_pred: Any,
    *,
    average_method: Average = "arithmetic",
    engine: Any = None,
) -> float:
    """Return the mutual information adjusted for chance (Vinh, Epps and Bailey 2010).

    Parameters are those of `normalized_mutual_info_score`.

    Returns
    -------
    score : float
        1 for equal partitions, about 0 for independent ones.
    """
    mean = _mean(average_method)
    return agreement.adjusted_information(_counted(labels_true, labels_pred, engine), mean)


@in_parameters
def homogeneity_completeness_v_measure(
    labels_true: Any, labels_pred: Any, *, beta: float = 1.0, engine: Any = None
) -> tuple[float, float, float]:
    """Return homogeneity, completeness and V-measure (Rosenberg and Hirschberg 2007).

    Parameters
    ----------
    labels_true, labels_pred, engine
        As in `contingency_matrix`.
    beta : float, default=1.0
        The weight of completeness: above 1 it counts more than homogeneity.

    Returns
    -------
    homogeneity, completeness, v_measure : float
        Each between 0 and 1.
    """
    if not (isinstance(beta, int | float) and 0 <= beta < math.inf):
        raise ConfigError(f"beta={beta!r}; expected a number >= 0.")
    return agreement.v_measure(_counted(labels_true, labels_pred, engine), beta)


@in_parameters
def v_measure_score(
    labels_true: Any, labels_pred: Any, *, beta: float = 1.0, engine: Any = None
) -> float:
    """Return the harmonic mean of homogeneity and completeness.

    Parameters are those of `homogeneity_completeness_v_measure`.
    """
    return homogeneity_completeness_v_measure(labels_true, labels_pred, beta=beta, engine=engine)[2]


@in_parameters
def homogeneity_score(labels_true: Any, labels_pred: Any, *, engine: Any = None) -> float:
    """Return whether each cluster has rows of one class only; see `v_measure_score`."""
    return homogeneity_completeness_v_measure(labels_true, labels_pred, engine=engine)[0]


@in_parameters
def completeness_score(labels_true: Any, labels_pred: Any, *, engine: Any = None) -> float:
    """Return whether all rows of a class are in one cluster; see `v_measure_score`."""
    return homogeneity_completeness_v_measure(labels_true, labels_pred, engine=engine)[1]


def _mean(method: str) -> Any:
    if method not in _MEANS:
        raise ConfigError(f"average_method={method!r}; expected one of {', '.join(_MEANS)}.")
    return _MEANS[method]
