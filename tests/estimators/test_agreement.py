"""From the same parameters, every answer is scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.cluster
import sklearn.mixture
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from emdist import GaussianMixture, IsotropicMixture, KMeans

Rows = NDArray[np.float64]

COVARIANCES = ["full", "tied", "diag", "spherical"]


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


def twin(own: GaussianMixture) -> sklearn.mixture.GaussianMixture:
    """scikit-learn's mixture with our fitted parameters."""
    other = sklearn.mixture.GaussianMixture(own.n_components, covariance_type=own.covariance_type)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        setattr(other, name, getattr(own, name))
    other.n_features_in_ = own.n_features_in_
    return other


def identity(kind: str, k: int, d: int, scale: float = 1.0) -> Rows:
    """Precisions of k components, the same in all directions."""
    wide = np.broadcast_to(np.eye(d) * scale, (k, d, d)).copy()
    return {
        "full": wide,
        "tied": wide[0],
        "diag": np.full((k, d), scale),
        "spherical": np.full(k, scale),
    }[kind]


@pytest.mark.parametrize("kind", COVARIANCES)
def test_a_fitted_mixture_answers_as_scikit_learns_would(kind: str, x: Rows) -> None:
    own = GaussianMixture(3, covariance_type=kind, random_state=0).fit(x)
    other = twin(own)
    new = x[::3] + 0.25
    assert np.array_equal(own.predict(new), other.predict(new))
    close(own.predict_proba(new), other.predict_proba(new))
    close(own.score_samples(new), other.score_samples(new))
    for method in ("score", "bic", "aic"):
        close(getattr(own, method)(new), getattr(other, method)(new))
    root = own.precisions_cholesky_
    close(own.precisions_, root @ np.swapaxes(root, -1, -2) if root.ndim > 1 and kind in (
        "full", "tied") else root**2)  # fmt: skip


@pytest.mark.parametrize("kind", COVARIANCES)
def test_the_same_start_gives_the_same_fit(kind: str, x: Rows) -> None:
    start = {
        "covariance_type": kind,
        "weights_init": np.array([0.2, 0.3, 0.5]),
        "means_init": x[:3],
        "precisions_init": identity(kind, 3, 3, 0.5),
        "tol": 1e-6,
        "max_iter": 200,
    }
    own = GaussianMixture(3, **start).fit(x)
    other = sklearn.mixture.GaussianMixture(3, **start).fit(x)
    assert own.n_iter_ == other.n_iter_
    assert own.converged_ == other.converged_
    close(own.means_, other.means_)
    close(own.weights_, other.weights_)
    close(own.covariances_, other.covariances_)
    close(own.precisions_, other.precisions_)
    close(own.lower_bound_, other.lower_bound_)
    close(own.lower_bounds_, other.lower_bounds_)


@pytest.mark.parametrize("kind", COVARIANCES)
@pytest.mark.parametrize("given", ["means_init", "weights_init", "precisions_init"])
def test_part_of_a_start_is_enough(kind: str, given: str, x: Rows) -> None:
    start = {
        "means_init": x[[0, 1, 2]],
        "weights_init": np.array([0.2, 0.3, 0.5]),
        "precisions_init": identity(kind, 3, 3),
    }[given]
    est = GaussianMixture(3, covariance_type=kind, random_state=0, tol=1e-8, max_iter=500)
    est.set_params(**{given: start}).fit(x)
    plain = GaussianMixture(3, covariance_type=kind, random_state=0, tol=1e-8, max_iter=500).fit(x)
    # All starts of well separated clusters end in the same place.
    assert est.score(x) == pytest.approx(plain.score(x), abs=1e-4)


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "k-means||", "random", "random_from_data"])
def test_every_start_by_name(init: str, x: Rows) -> None:
    est = GaussianMixture(3, init_params=init, random_state=1, max_iter=500).fit(x)
    assert est.weights_.sum() == pytest.approx(1)
    assert est.score(x) < 0


@pytest.mark.parametrize("init", ["k-means++", "random", "k-means||", "kmeans"])
def test_every_start_of_kmeans_by_name(init: str, x: Rows) -> None:
    own = KMeans(3, init=init, n_init=4, random_state=0).fit(x)
    other = sklearn.cluster.KMeans(3, n_init=4, random_state=0).fit(x)
    assert own.inertia_ == pytest.approx(other.inertia_, rel=1e-3)


def test_kmeans_from_the_same_centres(x: Rows) -> None:
    own = KMeans(3, init=x[:3], tol=0).fit(x)
    other = sklearn.cluster.KMeans(3, init=x[:3], n_init=1, tol=0).fit(x)
    close(own.cluster_centers_, other.cluster_centers_)
    close(own.inertia_, other.inertia_)
    assert np.array_equal(own.labels_, other.labels_)
    new = x[::3] + 0.25
    assert np.array_equal(own.predict(new), other.predict(new))
    close(own.transform(new), other.transform(new))
    close(own.score(new), other.score(new))
    weight = np.linspace(0, 2, len(new))
    close(own.score(new, None, weight), other.score(new, None, weight))
    close(own.fit_transform(x), other.fit_transform(x))
    assert np.array_equal(own.fit_predict(x), other.fit_predict(x))


def test_fit_predict_labels_the_rows_that_were_fitted(x: Rows) -> None:
    for est in (KMeans(3, random_state=0), GaussianMixture(3, random_state=0)):
        assert np.array_equal(est.fit_predict(x), est.predict(x))


@pytest.mark.parametrize("kind", COVARIANCES)
def test_weights_are_repeated_rows(kind: str, x: Rows) -> None:
    times = np.random.default_rng(0).integers(0, 4, len(x))
    start = {"covariance_type": kind, "means_init": x[:3], "tol": 1e-6, "max_iter": 300}
    own = GaussianMixture(3, **start).fit(x, sample_weight=times)
    other = GaussianMixture(3, **start).fit(np.repeat(x, times, axis=0))
    close(own.means_, other.means_)
    close(own.covariances_, other.covariances_)
    close(own.lower_bound_, other.lower_bound_)
    close(own.score(x, None, times), other.score(np.repeat(x, times, axis=0)))


def test_weights_of_kmeans_are_repeated_rows(x: Rows) -> None:
    times = np.random.default_rng(0).integers(0, 4, len(x))
    own = KMeans(3, init=x[:3], tol=0).fit(x, sample_weight=times)
    other = KMeans(3, init=x[:3], tol=0).fit(np.repeat(x, times, axis=0))
    close(own.cluster_centers_, other.cluster_centers_)
    close(own.inertia_, other.inertia_)
    sklearns = sklearn.cluster.KMeans(3, init=x[:3], n_init=1, tol=0).fit(x, sample_weight=times)
    close(own.cluster_centers_, sklearns.cluster_centers_)


def test_weights_may_have_any_scale(x: Rows) -> None:
    weight = np.linspace(1, 2, len(x))
    one = GaussianMixture(3, means_init=x[:3]).fit(x, sample_weight=weight)
    for scale in (1e-100, 1e-8, 1e8, 1e100):
        other = GaussianMixture(3, means_init=x[:3]).fit(x, sample_weight=weight * scale)
        close(one.means_, other.means_)
        close(one.lower_bound_, other.lower_bound_)


def test_a_warm_start_goes_on(x: Rows) -> None:
    straight = GaussianMixture(3, means_init=x[:3], tol=0, max_iter=12)
    with pytest.warns(ConvergenceWarning):
        straight.fit(x)
    warm = GaussianMixture(3, means_init=x[:3], tol=0, max_iter=6, warm_start=True)
    for _ in range(2):
        with pytest.warns(ConvergenceWarning):
            warm.fit(x)
    close(warm.means_, straight.means_)
    close(warm.covariances_, straight.covariances_)
    cold = warm.set_params(warm_start=False, max_iter=6)
    with pytest.warns(ConvergenceWarning):
        cold.fit(x)
    assert not np.allclose(cold.means_, straight.means_, rtol=1e-8)


def test_a_warm_start_of_another_model_is_refused(x: Rows) -> None:
    est = GaussianMixture(3, warm_start=True, random_state=0).fit(x)
    with pytest.raises(ValueError, match="the previous fit was full with 3 components"):
        est.set_params(n_components=2).fit(x)
    with pytest.raises(ValueError, match="warm_start=False"):
        est.set_params(n_components=3, covariance_type="diag").fit(x)


@pytest.mark.parametrize("kind", COVARIANCES)
def test_a_sample_is_of_the_mixture(kind: str, x: Rows) -> None:
    est = GaussianMixture(3, covariance_type=kind, random_state=0).fit(x)
    rows, labels = est.sample(20_000)
    assert rows.shape == (20_000, 3)
    assert np.all(np.diff(labels) >= 0)
    assert np.allclose(np.bincount(labels) / 20_000, est.weights_, atol=0.02)
    for k in range(3):
        assert np.allclose(rows[labels == k].mean(axis=0), est.means_[k], atol=0.2)
    covariance = np.cov(rows[labels == 0].T)
    wanted = {
        "full": lambda: est.covariances_[0],
        "tied": lambda: est.covariances_,
        "diag": lambda: np.diag(est.covariances_[0]),
        "spherical": lambda: np.eye(3) * est.covariances_[0],
    }[kind]()
    assert np.allclose(covariance, wanted, atol=0.35)
    again, _ = est.sample(20_000)
    assert np.array_equal(rows, again)
    assert est.sample()[0].shape == (1, 3)


def test_more_starts_are_never_worse(x: Rows) -> None:
    one = KMeans(5, init="random", n_init=1, random_state=0).fit(x)
    ten = KMeans(5, init="random", random_state=0).fit(x)  # "auto": 10
    assert ten.inertia_ <= one.inertia_
    assert {r.restart for r in ten.history_} != set()


def test_a_collapse_follows_its_policy() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(200, 2)), np.full((40, 2), 9.0)])
    start = {"means_init": [[0.0, 0.0], [9.0, 9.0]], "reg_covar": 0.0}
    with pytest.raises(ValueError, match="collapsed"):
        GaussianMixture(2, on_collapse="raise", **start).fit(x)
    dropped = GaussianMixture(2, on_collapse="drop", **start).fit(x)
    assert dropped.means_.shape == (1, 2)
    assert dropped.predict_proba(x).shape == (240, 1)
    assert np.isfinite(dropped.score(x))


def test_a_small_variance_makes_soft_kmeans_kmeans() -> None:
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(c, 1.0, (150, 2)) for c in (0.0, 6.0, 14.0)]) + 1e4
    start = x[[0, 150, 300]]
    hard = KMeans(3, init=start, tol=0.0).fit(x)
    soft = IsotropicMixture(
        3, variance=1e-4, means_init=start, uniform_weights=True, tol=1e-12, max_iter=500
    ).fit(x)
    np.testing.assert_allclose(soft.means_, hard.cluster_centers_, atol=1e-6)
    np.testing.assert_array_equal(soft.predict(x), hard.labels_)
    cem = IsotropicMixture(
        3, variance=0.5, means_init=start, uniform_weights=True, assignment="hard", tol=0.0
    ).fit(x)
    np.testing.assert_array_equal(cem.means_, hard.cluster_centers_)
