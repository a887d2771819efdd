"""Data sets, starts and names that the comparisons with scikit-learn share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_sample_image
from sklearn.mixture import GaussianMixture

from emdist.fit.start import Given
from emdist.interfaces import Array, Floats
from tests.support.fitting import Fitting, Setting, blobs, fit_array, relative

#: Our family to scikit-learn's covariance_type, and to the name of our array of scales.
GAUSSIAN = {
    "full": ("full", "covariances"),
    "tied": ("tied", "covariance"),
    "diagonal": ("diag", "variances"),
    "spherical": ("spherical", "variances"),
}


@dataclass(frozen=True)
class Case:
    """A data set of float64 numbers that float32 holds as well, and how it is fitted."""

    x: Floats
    k: int
    max_iter: int = 100
    options: dict[str, Any] = field(default_factory=dict)


def _blobs(n: int, d: int, k: int, apart: float) -> Case:
    # Rounded to float32, so that both precisions are asked about the same data.
    return Case(blobs(n, d, k, apart, dtype="float32")[0].astype(np.float64), k)


def _cases() -> dict[str, Case]:
    pixels = load_sample_image("china.jpg")[::4, ::4].reshape(-1, 3)
    return {
        "separated": _blobs(2000, 2, 3, 6.0),
        "touching": _blobs(3000, 8, 5, 2.0),
        "overlapping": _blobs(3000, 3, 6, 1.0),
        "wide": _blobs(2000, 16, 4, 0.5),
        "digits": Case(load_digits().data, 10, max_iter=20),
        "photograph": Case(pixels.astype(np.float64), 8, max_iter=30),
    }


CASES = _cases()


def broad(x: Floats, k: int, name: str, seed: int = 0) -> tuple[Given, dict[str, Array]]:
    """One start in our words and in scikit-learn's: random rows, each as wide as the data."""
    rng = np.random.default_rng(seed)
    means = x[rng.choice(len(x), k, replace=False)].astype(np.float64)
    weights = rng.dirichlet(np.full(k, 5.0))
    # Of the values' own scale where there is one; digits have constant features.
    variance = x.var(axis=0)
    variance = np.where(variance > 0, variance, 1e-3)
    scales = {
        "full": np.tile(np.diag(variance), (k, 1, 1)),
        "tied": np.diag(variance),
        "diagonal": np.tile(variance, (k, 1)),
        "spherical": np.full(k, variance.mean()),
    }[name]
    precisions = 1 / scales if name in ("diagonal", "spherical") else np.linalg.inv(scales)
    given = Given(means, weights, {GAUSSIAN[name][1]: scales})
    theirs = {"means_init": means, "weights_init": weights, "precisions_init": precisions}
    return given, theirs


def ours_of(case: Case, name: str, dtype: str = "float64") -> Fitting:
    """Our fit of `case` in `dtype` from `broad`."""
    setting = Setting(name, case.k, options=case.options, fit={"max_iter": case.max_iter})
    return fit_array(case.x.astype(dtype), setting, broad(case.x, case.k, name)[0])


def theirs_of(case: Case, name: str) -> GaussianMixture:
    """scikit-learn's fit of `case` in float64 from the same start."""
    model = GaussianMixture(
        case.k,
        covariance_type=GAUSSIAN[name][0],
        max_iter=case.max_iter,
        **case.options,
        **broad(case.x, case.k, name)[1],
    )
    return model.fit(case.x)


@lru_cache
def ours_on(data: str, name: str, dtype: str = "float64") -> Fitting:
    """`ours_of` a data set by name; kept, because several tests look at it."""
    return ours_of(CASES[data], name, dtype)


@lru_cache
def theirs_on(data: str, name: str) -> GaussianMixture:
    """`theirs_of` a data set by name."""
    return theirs_of(CASES[data], name)


def both_kmeans(case: Case, dtype: str = "float64", **options: Any) -> tuple[Fitting, KMeans]:
    """As `both`, K-means."""
    means = broad(case.x, case.k, "full")[0].means
    setting = Setting("kmeans", case.k, fit=options)
    ours = fit_array(case.x.astype(dtype), setting, Given(means))
    return ours, KMeans(case.k, init=means, n_init=1, **options).fit(case.x)


def disagreement(ours: Fitting, theirs: GaussianMixture, name: str) -> dict[str, float]:
    """Relative differences of two fits, array by array."""
    arrays = ours.arrays
    return {
        "means": relative(arrays["means"], theirs.means_),
        "weights": relative(arrays["weights"], theirs.weights_),
        "scales": relative(arrays[GAUSSIAN[name][1]], theirs.covariances_),
        "bound": abs(ours.objective - theirs.lower_bound_) / abs(theirs.lower_bound_),
    }
