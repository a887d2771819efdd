"""One estimator of every kind, with data of its domain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emdist import (
    BayesianGaussianMixture,
    BernoulliHMM,
    BernoulliMixture,
    BinomialMixture,
    CategoricalHMM,
    CategoricalMixture,
    GaussianHMM,
    GaussianMixture,
    HiddenMarkovModel,
    IsotropicMixture,
    KCentroids,
    KMeans,
    KMedians,
    MiniBatchKMeans,
    MultinomialMixture,
    PoissonHMM,
    PoissonMixture,
    ProductMixture,
    Sweep,
)

_APART = np.repeat([[0.0, 100.0], [9.0, 103.0]], 30, axis=0)
REAL = np.random.default_rng(0).normal(size=(60, 2)) + _APART
COUNTS = np.random.default_rng(1).poisson(np.repeat([[1.0, 8.0], [9.0, 2.0]], 30, axis=0))
BITS = (COUNTS > 4).astype(np.float64)
GROUPS = [{"columns": [0], "family": "diagonal"}, {"columns": [1], "family": "poisson"}]

ESTIMATORS: list[tuple[Any, Any]] = [
    (KMeans(2, random_state=0), REAL),
    (MiniBatchKMeans(2, random_state=0), REAL),
    (KMedians(2, random_state=0), REAL),
    (KCentroids(2, dissimilarity="generalised_i", random_state=0), COUNTS + 1),
    (KCentroids(2, dissimilarity="cosine", random_state=0), REAL),
    (KCentroids(2, random_state=0), REAL),
    *((GaussianMixture(2, covariance_type=kind, random_state=0), REAL)
      for kind in ("full", "tied", "diag", "spherical")),
    (GaussianMixture(2, covariance_type="diag", noise=True, random_state=0), REAL),
    *((BayesianGaussianMixture(n_components=2, covariance_type=kind, random_state=0), REAL)
      for kind in ("full", "tied", "diag", "spherical")),
    (BayesianGaussianMixture(n_components=2, random_state=0,
                             weight_concentration_prior_type="dirichlet_distribution"), REAL),
    (IsotropicMixture(2, random_state=0), REAL),
    (BernoulliMixture(2, random_state=0), BITS),
    (BinomialMixture(2, n_trials=30, random_state=0), COUNTS),
    (BinomialMixture(2, n_trials="cell", random_state=0), COUNTS),
    (CategoricalMixture(2, n_categories=2, random_state=0), BITS),
    (MultinomialMixture(2, random_state=0), COUNTS),
    (PoissonMixture(2, random_state=0), COUNTS),
    (ProductMixture(2, groups=GROUPS, random_state=0), COUNTS),
    *((GaussianHMM(2, covariance_type=kind, random_state=0), REAL)
      for kind in ("full", "tied", "diag", "spherical")),
    (BernoulliHMM(2, random_state=0), BITS),
    (CategoricalHMM(2, n_categories=2, random_state=0), BITS),
    (PoissonHMM(2, random_state=0), COUNTS),
    (HiddenMarkovModel(2, emission="product", emission_options={"groups": GROUPS}, random_state=0),
     COUNTS),
]  # fmt: skip

SWEEP = (Sweep(KMeans(random_state=0), {"n_clusters": [2, 3, 4]}), REAL)


def _name(value: Any) -> str:
    if not hasattr(value, "get_params"):
        return ""
    told = [
        str(getattr(value, name))
        for name in ("covariance_type", "dissimilarity", "n_trials", "noise")
        if getattr(value, name, None) is not None
    ]
    return "-".join([type(value).__name__, *told])


EVERY = pytest.mark.parametrize(("est", "x"), ESTIMATORS, ids=_name)
EVERY_AND_SWEEP = pytest.mark.parametrize(("est", "x"), [*ESTIMATORS, SWEEP], ids=_name)
