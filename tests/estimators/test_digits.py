"""What users see keeps its digits: distances, scores of bits and counts, ill-conditioned rows."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy.special import gammaln, logsumexp
from sklearn.exceptions import ConvergenceWarning

from emdist import (
    BernoulliMixture,
    CategoricalMixture,
    GaussianMixture,
    IsotropicMixture,
    KCentroids,
    KMeans,
    KMedians,
    MiniBatchKMeans,
    MultinomialMixture,
    PoissonMixture,
)
from emdist.errors import CollapseError, DataError, DistinctRowsError, StartError
from emdist.jobs.label import label_data
from emdist.settings.config import DataSection
from emdist.store.places.location import Location


def narrow(dtype: str = "float64") -> Any:
    """(90, 2) three clusters 1e4 apart, each 1e-3 wide."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [1e4, 0.0], [0.0, 1e4]])
    return (np.repeat(centres, 30, axis=0) + 1e-3 * rng.normal(size=(90, 2))).astype(dtype)


def direct(x: Any, centres: Any) -> Any:
    """(n, k) distances, subtracted before they are squared."""
    return np.sqrt(((x.astype(np.float64)[:, None] - centres) ** 2).sum(axis=2))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("missing", [False, True])
def test_distances_are_free_of_cancellation(dtype: str, missing: bool, tmp_path: Path) -> None:
    x = narrow(dtype)
    policy = "missing" if missing else "raise"
    est = KMeans(3, random_state=0, non_finite=policy).fit(x)
    far = direct(x, est.cluster_centers_)
    own = far.min(axis=1)
    np.testing.assert_allclose(est.transform(x), far, rtol=1e-9)
    np.testing.assert_allclose(est.transform(x).min(axis=1), own, rtol=1e-9)
    assert est.inertia_ == pytest.approx((own**2).sum(), rel=1e-6)
    assert est.score(x) == pytest.approx(-(own**2).sum(), rel=1e-9)
    est.save(tmp_path / "m")
    zarr.create_array(tmp_path / "x", shape=x.shape, chunks=(40, 2), dtype=dtype)[:] = x
    data, out = DataSection(path=str(tmp_path / "x")), Location(str(tmp_path / "l"))
    label_data(Location(str(tmp_path / "m")), data, out, outputs=("labels", "score"))
    np.testing.assert_allclose(zarr.open_array(tmp_path / "l/score")[:], own**2, rtol=1e-8)
    if dtype == "float64" and not missing:
        centroids = KCentroids(3, random_state=0).fit(x)
        wanted = direct(x, centroids.cluster_centers_) ** 2
        np.testing.assert_allclose(centroids.transform(x), wanted, rtol=1e-8)
        medians = KMedians(3, random_state=0).fit(x)
        wanted = np.abs(x[:, None] - medians.cluster_centers_).sum(axis=2)
        np.testing.assert_allclose(medians.transform(x), wanted, rtol=1e-12)


def test_distances_over_what_rows_have() -> None:
    x = narrow()
    x[::7, 0] = np.nan
    est = KMeans(3, random_state=0, non_finite="missing").fit(x)
    seen = np.nan_to_num(x[:, None] - est.cluster_centers_)
    np.testing.assert_allclose(est.transform(x), np.sqrt((seen**2).sum(axis=2)), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_narrow_isotropic_components_keep_their_nats(dtype: str) -> None:
    x = narrow(dtype)
    centres = x.reshape(3, 30, 2).mean(axis=1, dtype=np.float64)
    est = IsotropicMixture(3, variance=1e-6, means_init=centres, random_state=0).fit(x)
    square = direct(x, est.means_) ** 2
    wanted = logsumexp(-square / 2e-6 + np.log(est.weights_), axis=1) - np.log(2 * np.pi * 1e-6)
    np.testing.assert_allclose(est.score_samples(x), wanted, atol=1e-7)


def bits(d: int = 400) -> Any:
    """(300, d) bits of two kinds of rows."""
    rng = np.random.default_rng(1)
    share = rng.uniform(0.05, 0.95, (2, d))
    return (rng.random((300, d)) < share[np.arange(300) % 2]).astype(np.uint8)


def bernoulli_scores(x: Any, est: Any) -> Any:
    p = np.clip(est.probabilities_, 1e-9, 1 - 1e-9)
    joint = x @ np.log(p).T + (1.0 - x) @ np.log1p(-p).T + np.log(est.weights_)
    return logsumexp(joint, axis=1)


def poisson_scores(x: Any, est: Any) -> Any:
    rates = np.maximum(est.rates_, 1e-9)
    joint = x @ np.log(rates).T - rates.sum(axis=1) + np.log(est.weights_)
    return logsumexp(joint, axis=1) - gammaln(x + 1.0).sum(axis=1)


def categorical_scores(x: Any, est: Any) -> Any:
    log_p = np.log(np.maximum(est.probabilities_, 1e-9))
    each = np.take_along_axis(log_p[None], x.astype(int)[:, None, :, None], axis=3)
    return logsumexp(each[..., 0].sum(axis=2) + np.log(est.weights_), axis=1)


def multinomial_scores(x: Any, est: Any) -> Any:
    joint = x @ np.log(np.maximum(est.probabilities_, 1e-9)).T + np.log(est.weights_)
    orders = gammaln(x.sum(axis=1, dtype=float) + 1) - gammaln(x + 1.0).sum(axis=1)
    return logsumexp(joint, axis=1) + orders


DISCRETE = {
    "bernoulli": (BernoulliMixture(2, random_state=0), bernoulli_scores),
    "poisson": (PoissonMixture(2, random_state=0), poisson_scores),
    "categorical": (CategoricalMixture(2, n_categories=2, random_state=0), categorical_scores),
    "multinomial": (MultinomialMixture(2, random_state=0), multinomial_scores),
}


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("d", [40, 400])
@pytest.mark.parametrize("name", DISCRETE)
def test_bits_and_counts_keep_their_nats(name: str, d: int, dtype: str) -> None:
    est, scores = DISCRETE[name]
    x = bits(d).astype(dtype)
    est.fit(x)
    wanted = scores(bits(d), est)
    np.testing.assert_allclose(est.score_samples(x), wanted, rtol=0, atol=1e-9)
    assert est.score(x) == pytest.approx(wanted.mean(), abs=1e-10)
    np.testing.assert_allclose(est.predict_proba(x).sum(axis=1), 1.0, rtol=1e-6)
    # The bound is of the parameters before the last step; once settled they are the same.
    settled = est.set_params(tol=1e-12).fit(x)
    assert settled.lower_bound_ == pytest.approx(scores(bits(d), settled).mean(), abs=2e-6)
    est.set_params(tol=1e-3)


def test_float32_is_computed_where_it_is_asked_for() -> None:
    x = bits()
    est = BernoulliMixture(2, precision="float32", random_state=0).fit(x)
    wanted = bernoulli_scores(x, est)
    error = np.abs(est.score_samples(x) - wanted).max()
    assert 1e-9 < error < 1e-3


def rotated(condition: float) -> Any:
    """(2500, 4) distinct rows whose deviations along some axes differ by so much."""
    rng = np.random.default_rng(2)
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    return (rng.normal(size=(2500, 4)) * np.geomspace(1.0, 1.0 / condition, 4)) @ turn


@pytest.mark.parametrize("kind", ["tied", "full"])
def test_ill_conditioned_rows_are_fitted_or_told_of_rightly(kind: str) -> None:
    x = rotated(1e6)
    est = GaussianMixture(1, covariance_type=kind, reg_covar=0.0).fit(x)
    singular = np.linalg.svd((x - x.mean(axis=0)) / 50, compute_uv=False)
    bound = -2 * np.log(2 * np.pi) - 2 - np.log(singular).sum()
    assert est.lower_bound_ == pytest.approx(bound, abs=1e-5)
    for condition, unit in ((1e9, 1.0), (1e12, 1e-30), (1e12, 1e30)):
        x = rotated(condition) * unit
        with pytest.raises(CollapseError, match=r"follow from each other.*Set reg_covar") as told:
            GaussianMixture(2, covariance_type=kind, reg_covar=0.0, random_state=0).fit(x)
        assert len(str(told.value)) < 520
        # The advice can be followed.
        enough = float(str(told.value).split("variances, to ")[1].split()[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            GaussianMixture(2, covariance_type=kind, reg_covar=enough, random_state=0).fit(x)


@pytest.mark.parametrize("kind", ["tied", "full", "diag", "spherical"])
def test_features_of_any_scale_are_no_collapse(kind: str) -> None:
    x = np.random.default_rng(3).normal(size=(2500, 3))
    options = {"covariance_type": kind, "reg_covar": 0.0, "random_state": 0, "tol": 1e-9}
    wanted = GaussianMixture(1, **options).fit(x)
    for scale in ([1e-12, 1.0, 1e12], [1e-60] * 3, [1e60] * 3):
        if kind == "spherical" and scale[0] != scale[2]:
            continue
        found = GaussianMixture(1, **options).fit(x * scale)
        moved = wanted.lower_bound_ - np.log(scale).sum()
        assert found.lower_bound_ == pytest.approx(moved, rel=1e-9)


def test_collapse_names_the_feature_that_is_constant() -> None:
    x = np.random.default_rng(3).normal(size=(100, 3))
    x[:, 1] = 7.0
    for kind in ("tied", "full", "diag"):
        with pytest.raises(
            CollapseError, match=r"equal .*feature\(s\) \[1\]|feature\(s\) \[1\].*equal"
        ):
            GaussianMixture(1, covariance_type=kind, reg_covar=0.0).fit(x)


START = {
    "weights_init": [0.2, 0.3, 0.5],
    "means_init": [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]],
    "precisions_init": np.ones((3, 2)),
}


@pytest.mark.parametrize("n", [40, 2])
def test_a_given_start_needs_no_rows_to_seed_at(n: int) -> None:
    x = np.repeat([[0.0, 0.0], [1.0, 1.0]], n // 2, axis=0)
    with pytest.raises((DistinctRowsError, StartError)):
        GaussianMixture(3, covariance_type="diag").fit(x)
    est = GaussianMixture(3, covariance_type="diag", max_iter=3, tol=0.0, reg_covar=0.01, **START)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.fit(x)
    # Three iterations by hand.
    w, m, v = np.array(START["weights_init"]), np.array(START["means_init"]), np.ones((3, 2))
    for _ in range(3):
        log = -0.5 * ((x[:, None] - m) ** 2 / v + np.log(2 * np.pi * v)).sum(axis=2) + np.log(w)
        r = np.exp(log - logsumexp(log, axis=1, keepdims=True))
        total = r.sum(axis=0)
        w, m = total / len(x), (r.T @ x) / total[:, None]
        v = np.stack([r[:, c] @ (x - m[c]) ** 2 / total[c] for c in range(3)]) + 0.01
    np.testing.assert_allclose(est.weights_, w, rtol=1e-9)
    np.testing.assert_allclose(est.means_, m, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(est.covariances_, v, rtol=1e-9)


def test_k_means_with_given_centres_says_that_some_are_of_no_use() -> None:
    x = np.repeat([[0.0, 0.0], [1.0, 1.0]], 20, axis=0)
    centres = [[0.1, 0.0], [1.1, 1.0], [2.0, 2.0]]
    for est in (KMeans(3, init=centres), KMedians(3, init=centres)):
        with pytest.warns(
            RuntimeWarning,
            match="for 3 clusters, but the data have only 2 distinct rows with weight",
        ):
            est.fit(x)
        assert est.inertia_ == pytest.approx(0.0, abs=1e-20)
        np.testing.assert_allclose(est.cluster_centers_[:2], [[0, 0], [1, 1]], atol=1e-12)
        assert set(est.labels_) == {0, 1}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("unit", [1e200, 1e300, 1e-200])
def test_k_medians_have_no_squares(unit: float) -> None:
    x = np.random.default_rng(4).normal(size=(200, 3))
    x[100:] += 7.0
    for options in ({}, {"tol": 1e-4}, {"init": "k-means||"}, {"init": "random", "n_init": 2}):
        est = KMedians(2, random_state=0, **options).fit(x * unit)
        low = np.sort(est.cluster_centers_[:, 0])[0]
        labels = est.labels_
        for c in range(2):
            own = (x * unit)[labels == c]
            wanted = np.quantile(own, 0.5, axis=0, method="inverted_cdf")
            np.testing.assert_array_equal(est.cluster_centers_[c], wanted)
        nearest = np.abs(x * unit - est.cluster_centers_[labels]).sum()
        assert est.inertia_ == pytest.approx(nearest, rel=1e-12)
        assert low < 1.0 * unit
    with pytest.raises(DataError, match=r"differences overflow|overflow when added up"):
        KMedians(2, random_state=0).fit(np.sign(x) * 1.7e308)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("name", ["cosine", "kullback_leibler", "generalised_i", "itakura_saito"])
@pytest.mark.parametrize("unit", [2.0**-560, 2.0**600])
def test_dissimilarities_without_squares_take_any_unit(name: str, unit: float) -> None:
    rng = np.random.default_rng(5)
    x = rng.uniform(0.5, 1.0, (120, 3)) * np.where(
        np.arange(120)[:, None] % 2, [1, 1, 9], [9, 1, 1]
    )
    wanted = KCentroids(2, dissimilarity=name, random_state=0).fit(x)
    found = KCentroids(2, dissimilarity=name, random_state=0).fit(x * unit)
    same = found.labels_ == wanted.labels_
    assert same.all() or not same.any()
    scale = unit if name == "generalised_i" else 1.0
    assert found.inertia_ / scale == pytest.approx(wanted.inertia_, rel=1e-9)


def test_a_stream_goes_on_with_fewer_rows_than_components() -> None:
    x = np.random.default_rng(6).normal(size=(60, 2))
    for est in (GaussianMixture(3, random_state=0), MiniBatchKMeans(3, random_state=0)):
        with pytest.raises((DistinctRowsError, StartError)):
            est.partial_fit(x[:2])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            est.fit(x)
        for _ in range(2):
            est.partial_fit(x[:1])
        assert np.isfinite(est.score(x))
