"""Figures of a clustering, with scikit-learn's names, for rows and labels of any size.

Without true labels, `silhouette_score`, `davies_bouldin_score` and `calinski_harabasz_score` say
how compact and how separate clusters are; `evaluate` has all of them from two passes. With two
labellings of the same rows, `adjusted_rand_score` and others say how well they agree.

Rows may be anything that estimators take. Labels may be an array in memory, a path or URL of a
Zarr array, of a group of labels or of the folder of a run, a ``zarr.Array``, a Dask array or an
``xarray.DataArray``. All figures are sums over blocks, so that nothing is read whole.
"""

from emdist.metrics.agreement import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    completeness_score,
    contingency_matrix,
    fowlkes_mallows_score,
    homogeneity_completeness_v_measure,
    homogeneity_score,
    mutual_info_score,
    normalized_mutual_info_score,
    rand_score,
    v_measure_score,
)
from emdist.metrics.clustering import (
    Evaluation,
    calinski_harabasz_score,
    davies_bouldin_score,
    evaluate,
    silhouette_samples,
    silhouette_score,
)

__all__ = [
    "Evaluation",
    "adjusted_mutual_info_score",
    "adjusted_rand_score",
    "calinski_harabasz_score",
    "completeness_score",
    "contingency_matrix",
    "davies_bouldin_score",
    "evaluate",
    "fowlkes_mallows_score",
    "homogeneity_completeness_v_measure",
    "homogeneity_score",
    "mutual_info_score",
    "normalized_mutual_info_score",
    "rand_score",
    "silhouette_samples",
    "silhouette_score",
    "v_measure_score",
]
