"""A user's script, which `make types` checks in strict mode: choices, arrays and `load` are typed.

It is checked and never run. A line marked ``type: ignore`` is one that a type checker must refuse:
mypy also fails if it does not.
"""

from __future__ import annotations

from typing import assert_type

import numpy as np

import emdist
from emdist import GaussianMixture, KMeans, Sweep

x = np.random.default_rng(0).normal(size=(500, 3))

kmeans = KMeans(n_clusters=4, init="k-means++", n_init=3, tol=1e-4, on_collapse="reseed")
assert_type(kmeans.fit(x), KMeans)
assert_type(kmeans.inertia_, float)
print(kmeans.predict(x).shape, kmeans.cluster_centers_.mean(axis=0))
KMeans(init=np.zeros((8, 3)))
KMeans(init=[[0.0, 1.0], [2.0, 3.0]], n_clusters=2)
KMeans(init="k-means+")  # type: ignore[arg-type]
KMeans(n_clusters="four")  # type: ignore[arg-type]

mixture = GaussianMixture(3, covariance_type="diag", means_init=[[0, 0, 0], [1, 1, 1], [2, 2, 2]])
assert_type(mixture.fit(x), GaussianMixture)
print(mixture.bic(x), mixture.weights_.sum(), mixture.predict_proba(x).max(axis=1))
GaussianMixture(covariance_type="diagnal")  # type: ignore[arg-type]

mixture.save("model")
assert_type(emdist.load("model", GaussianMixture), GaussianMixture)
print(emdist.load("model", GaussianMixture).distribution().covariance())

best = Sweep(GaussianMixture(random_state=0), {"n_components": [1, 2, 3]}, criterion="bic").fit(x)
print(best.best_params_, best.best_score_)
