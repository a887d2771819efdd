"""Models of given parameters: built without a fit, and handed over to scikit-learn."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.cluster
import sklearn.mixture
import zarr
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import emdist
from emdist import (
    BayesianGaussianMixture,
    BernoulliMixture,
    BinomialMixture,
    CategoricalMixture,
    GaussianMixture,
    IsotropicMixture,
    KCentroids,
    KMeans,
    KMedians,
    MiniBatchKMeans,
    MultinomialMixture,
    PoissonMixture,
    ProductMixture,
    Sweep,
)
from emdist.errors import ConfigError, FeatureNamesError
from emdist.jobs.inspect import inspect
from emdist.jobs.label import label_data
from emdist.settings.config import DataSection
from emdist.store.places.location import Location
from tests.support.every_estimator import BITS, COUNTS, ESTIMATORS, EVERY, GROUPS, REAL

MEANS = [[0.0, 1.0], [5.0, -1.0]]
FULL = [[[1.0, 0.3], [0.3, 2.0]], [[1.0, 0.0], [0.0, 0.5]]]


def parameters_of(est: Any, x: Any) -> dict[str, Any]:
    """What `from_parameters` takes, from the attributes of a fitted estimator."""
    kept = {name: value for name, value in est.get_params().items()
            if name not in ("n_components", "n_clusters", "noise")}  # fmt: skip
    if hasattr(est, "cluster_centers_"):
        return kept | {"cluster_centers": est.cluster_centers_}
    if isinstance(est, BayesianGaussianMixture):
        names = ("means", "covariances", "mean_precision", "weight_concentration",
                 "degrees_of_freedom")  # fmt: skip
        return kept | {name: getattr(est, f"{name}_") for name in names}
    if hasattr(est, "transmat_"):
        found = kept | {"startprob": est.startprob_, "transmat": est.transmat_}
        if hasattr(est, "emission_"):
            return found | {"emission_arrays": est.emission_}
        names = [name for name in signature(type(est).from_parameters).parameters
                 if hasattr(est, f"{name}_")]  # fmt: skip
        return found | {name: getattr(est, f"{name}_") for name in names}
    found = kept | {"weights": est.weights_}
    for name in ("means", "covariances", "probabilities", "rates", "parts"):
        if hasattr(est, f"{name}_") and not (name == "means" and hasattr(est, "parts_")):
            found[name] = getattr(est, f"{name}_")
    if hasattr(est, "noise_weight_"):
        box = (np.min(x, axis=0), np.max(x, axis=0))
        found |= {"noise_weight": est.noise_weight_, "noise_box": box}
    return found


@EVERY
def test_a_fitted_model_is_its_parameters(est: Any, x: Any, tmp_path: Path) -> None:
    fitted = clone(est).fit(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = type(est).from_parameters(**parameters_of(fitted, x))
    made.save(tmp_path / "m")
    for one in (made, emdist.load(tmp_path / "m"), copy.deepcopy(made),
                pickle.loads(pickle.dumps(made))):  # fmt: skip
        np.testing.assert_array_equal(one.predict(x), fitted.predict(x))
        assert one.score(x) == pytest.approx(fitted.score(x), rel=1e-10, abs=1e-10)
        if hasattr(fitted, "predict_proba"):
            np.testing.assert_allclose(one.predict_proba(x), fitted.predict_proba(x), atol=1e-9)
            np.testing.assert_allclose(one.score_samples(x), fitted.score_samples(x), rtol=1e-9)
            drawn, labels = one.sample(50)
            assert drawn.shape == (50, 2)
            assert labels.shape == (50,)
        else:
            np.testing.assert_allclose(one.transform(x), fitted.transform(x), rtol=1e-9, atol=1e-9)
        assert (one.n_iter_, one.history_, one.n_features_in_) == (0, (), 2)
        assert one.get_params() == made.get_params()


@EVERY
def test_parameters_keep_their_bits(est: Any, x: Any) -> None:
    fitted = clone(est).fit(x)
    given = parameters_of(fitted, x)
    made = type(est).from_parameters(**given)
    for name in ("cluster_centers", "means", "covariances", "rates", "lambdas"):
        if name in given and getattr(est, "dissimilarity", None) != "cosine":  # brought to length 1
            np.testing.assert_array_equal(getattr(made, f"{name}_"), given[name], strict=True)
    for name in ("weights", "probabilities", "startprob", "transmat", "emissionprob"):
        if name in given:
            np.testing.assert_allclose(getattr(made, f"{name}_"), given[name], rtol=1e-15)


@EVERY
def test_what_only_a_fit_gives_is_not_there_and_says_so(est: Any, x: Any) -> None:
    made = type(est).from_parameters(**parameters_of(clone(est).fit(x), x))
    for name in ("inertia_", "labels_", "converged_", "lower_bound_", "lower_bounds_"):
        assert not hasattr(made, name)
        if name in dir(type(made)):
            with pytest.raises(AttributeError, match=f"given parameters and has no {name}"):
                getattr(made, name)
    # It can be fitted, and is then as any other.
    again = clone(made).fit(x)
    np.testing.assert_array_equal(made.fit(x).predict(x), again.predict(x))


@EVERY
def test_a_distribution_of_given_parameters(est: Any, x: Any) -> None:
    fitted = clone(est).fit(x)
    made = type(est).from_parameters(**parameters_of(fitted, x))
    try:
        wanted = fitted.distribution()
    except (ConfigError, AttributeError) as error:
        with pytest.raises(type(error)):
            made.distribution()
        return
    np.testing.assert_allclose(made.distribution().log_density(x), wanted.log_density(x), rtol=1e-9)


def test_the_numbers_are_those_of_the_formula() -> None:
    weights, means, covariances = [0.25, 0.75], np.array(MEANS), np.array(FULL)
    made = GaussianMixture.from_parameters(weights=weights, means=MEANS, covariances=FULL)
    x = np.random.default_rng(0).normal(size=(50, 2)) * 3
    diff = x[:, None] - means
    solved = np.linalg.solve(covariances[None], diff[..., None])[..., 0]
    log = -0.5 * (diff * solved).sum(axis=2) - np.log(2 * np.pi)
    log += np.log(weights) - 0.5 * np.log(np.linalg.det(covariances))
    np.testing.assert_allclose(made.score_samples(x), np.logaddexp(*log.T), rtol=1e-12)
    np.testing.assert_array_equal(made.predict(x), log.argmax(axis=1))
    assert made.n_components == 2
    assert made.covariance_type == "full"


def test_data_far_from_the_parameters_keeps_its_digits() -> None:
    """Nothing is known of the data, so the arithmetic must suit any."""
    far = 1e8
    x = far + np.random.default_rng(0).normal(size=(200, 2))
    centres = far + np.array([[0.0, 0.0], [0.5, 0.5]])
    wanted = np.square(x[:, None] - centres).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(
        KMeans.from_parameters(cluster_centers=centres).predict(x), wanted
    )
    near = np.array([[0.0, 0.0], [1e-6, 1e-6]], np.float64)
    rows = np.random.default_rng(1).normal(size=(200, 2)).astype(np.float32)
    exact = np.square(rows[:, None].astype(float) - near).sum(axis=2).argmin(axis=1)
    made = KMeans.from_parameters(cluster_centers=near)
    np.testing.assert_array_equal(made.predict(rows), exact)


def test_labelling_with_a_model_of_given_parameters(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "x.zarr", shape=REAL.shape, chunks=(20, 2), dtype="f8")
    array[:] = REAL
    made = GaussianMixture.from_parameters(
        weights=[0.5, 0.5], means=[[0, 100], [9, 103]], covariances=[[1, 1], [1, 1]],
        covariance_type="diag",
    )  # fmt: skip
    made.save(tmp_path / "model")
    found = inspect(Location(str(tmp_path / "model")))
    assert found["objective"] is None
    assert found["status"] == "given (nothing was fitted)"
    json.dumps(found, allow_nan=False)
    out = tmp_path / "labels.zarr"
    data = DataSection(path=str(tmp_path / "x.zarr"))
    summary = label_data(Location(str(tmp_path / "model")), data, Location(str(out)))
    assert summary["score"] == pytest.approx(made.score(REAL), rel=1e-12)
    np.testing.assert_array_equal(zarr.open_group(out)["labels"][:], made.predict(REAL))


def test_names_of_given_parameters() -> None:
    centres = pa.table({"b": [0.0, 5.0], "a": [1.0, -1.0]})
    made = KMeans.from_parameters(cluster_centers=centres)
    assert made.feature_names_in_.tolist() == ["b", "a"]
    with pytest.raises(FeatureNamesError):
        made.predict(pa.table({"a": [1.0], "b": [0.0]}))
    made = KMeans.from_parameters(cluster_centers=MEANS, feature_names=["u", "v"])
    assert made.feature_names_in_.tolist() == ["u", "v"]
    for bad in (["u"], ["u", "v", "w"], "uv", [1, 2]):
        if bad == "uv":
            bad = "u"
        with pytest.raises(ConfigError, match="feature_names"):
            KMeans.from_parameters(cluster_centers=MEANS, feature_names=bad)


def test_a_stream_and_a_warm_start_go_on_from_given_parameters() -> None:
    made = MiniBatchKMeans.from_parameters(cluster_centers=[[0.0, 100.0], [9.0, 103.0]])
    assert np.abs(made.partial_fit(REAL).cluster_centers_ - [[0, 100], [9, 103]]).max() < 1
    means = [[0.0, 100.0], [9.0, 103.0]]
    start = {"weights": [0.5, 0.5], "means": means, "covariances": [1.0, 1.0]}
    warm = GaussianMixture.from_parameters(
        covariance_type="spherical", warm_start=True, max_iter=1, tol=0.0, **start
    )
    cold = GaussianMixture(
        2, covariance_type="spherical", max_iter=1, tol=0.0, weights_init=[0.5, 0.5],
        means_init=means, precisions_init=[1.0, 1.0],
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning):
        np.testing.assert_allclose(warm.fit(REAL).means_, cold.fit(REAL).means_, rtol=1e-12)


def test_values_that_are_missing() -> None:
    made = GaussianMixture.from_parameters(
        weights=[0.5, 0.5], means=MEANS, covariances=FULL, non_finite="missing"
    )
    x = np.array([[0.0, np.nan], [np.nan, -1.0]])
    marginal = [made.distribution().marginal([i]).log_density(x[[i], [i]][:, None])[0]
                for i in (0, 1)]  # fmt: skip
    np.testing.assert_allclose(made.score_samples(x), marginal, rtol=1e-12)
    assert not np.isnan(made.complete(x)).any()


GM = {"weights": [0.5, 0.5], "means": MEANS, "covariances": FULL}
BAD = [
    (KMeans, {"cluster_centers": [1.0, 2.0]}, r"cluster_centers has shape \(2,\)"),
    (KMeans, {"cluster_centers": [[1.0], [2.0, 3.0]]}, "rows of different lengths"),
    (KMeans, {"cluster_centers": [[1.0, np.nan]]}, "NaN"),
    (KMeans, {"cluster_centers": [["a", "b"]]}, "real numbers"),
    (KMeans, {"cluster_centers": np.empty((0, 2))}, "shape"),
    (KMeans, {"cluster_centers": MEANS, "n_clusters": 3}, "n_clusters=3"),
    (KMedians, {"cluster_centers": [[np.inf, 1.0]]}, "infinity"),
    (KCentroids, {"cluster_centers": [[-1.0, 1.0]], "dissimilarity": "generalised_i"}, "-1"),
    (KCentroids, {"cluster_centers": [[0.0, 0.0]], "dissimilarity": "cosine"}, "no direction"),
    (GaussianMixture, GM | {"weights": [0.5, 0.4]}, "weights sums to 0.9"),
    (GaussianMixture, GM | {"weights": [1.5, -0.5]}, "-0.5"),
    (GaussianMixture, GM | {"weights": [0.2, 0.3, 0.5]}, r"weights has shape \(3,\)"),
    (GaussianMixture, GM | {"covariances": np.zeros((2, 2, 2))}, "not positive"),
    (GaussianMixture, GM | {"covariances": [[[1, 2], [2, 1]], FULL[1]]}, r"component\(s\) 0"),
    (GaussianMixture, GM | {"covariances": [[[1, 0.5], [0, 1]], FULL[1]]}, "not symmetric"),
    (GaussianMixture, GM | {"covariances": [1.0, 1.0]}, "covariance_type='spherical'"),
    (GaussianMixture, GM | {"covariances": [1.0, -1.0], "covariance_type": "spherical"}, "-1"),
    (GaussianMixture, GM | {"covariance_type": "round"}, "covariance_type"),
    (GaussianMixture, GM | {"noise_weight": 0.1, "weights": [0.4, 0.5]}, "noise_box"),
    (GaussianMixture, GM | {"noise_weight": 1.5, "noise_box": [[0, 0], [1, 1]]}, "noise_weight"),
    (GaussianMixture, GM | {"noise_weight": 0.5, "noise_box": [[0, 0], [1, 1]]}, "sum to 1.5"),
    (IsotropicMixture, {"weights": [1.0], "means": MEANS, "variance": 1.0}, "weights"),
    (IsotropicMixture, {"weights": [0.5, 0.5], "means": MEANS, "variance": -1.0}, "variance"),
    (IsotropicMixture, {"weights": [0.4, 0.6], "means": MEANS, "uniform_weights": True}, "differ"),
    (BernoulliMixture, {"weights": [0.5, 0.5], "probabilities": [[0.5], [1.5]]}, "1.5"),
    (BinomialMixture, {"weights": [1.0], "probabilities": [[-0.1]], "n_trials": 3}, "-0.1"),
    (BinomialMixture, {"weights": [1.0], "probabilities": [[0.1]], "n_trials": [3, 4]}, "trials"),
    (CategoricalMixture, {"weights": [1.0], "probabilities": [[[0.5, 0.4]]]}, "0.9"),
    (CategoricalMixture, {"weights": [1.0], "probabilities": [[0.5, 0.5]]}, "shape"),
    (MultinomialMixture, {"weights": [1.0], "probabilities": [[0.5, 0.4]]}, "0.9"),
    (MultinomialMixture, {"weights": [1.0], "probabilities": [[0.5, 0.5]], "totals": 0}, "totals"),
    (PoissonMixture, {"weights": [1.0], "rates": [[-2.0]]}, "-2"),
    (ProductMixture, {"weights": [1.0], "parts": [{"means": [[0.0]]}], "groups": GROUPS}, "parts"),
    (BayesianGaussianMixture,
     {"means": MEANS, "covariances": FULL, "mean_precision": [0.5, 3.0]}, "mean_precision_prior"),
    (BayesianGaussianMixture,
     {"means": MEANS, "covariances": FULL, "mean_precision": [2.0, 3.0],
      "degrees_of_freedom": [9.0, 9.0]}, "degrees_of_freedom"),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "params", "told"), BAD)
def test_parameters_that_are_none_are_refused(cls: Any, params: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        cls.from_parameters(**params)
    assert len(str(caught.value)) < 500


@EVERY
def test_assigning_tells_how_to_build_another_model(est: Any, x: Any) -> None:
    fitted = clone(est).fit(x)
    with pytest.raises(AttributeError, match=rf"{type(est).__name__}\.from_parameters\(\w+=\.\.\."):
        fitted.n_iter_ = 3


SAME = [(est, x) for est, x in ESTIMATORS if type(est) in (
    KMeans, MiniBatchKMeans, BayesianGaussianMixture, IsotropicMixture)
    or (type(est) is GaussianMixture and est.noise is None)
    or (type(est) is KCentroids and est.dissimilarity == "squared_euclidean")]  # fmt: skip


@pytest.mark.parametrize(("est", "x"), SAME)
def test_scikit_learn_predicts_the_same(est: Any, x: Any) -> None:
    ours = clone(est).fit(x)
    for one in (ours, type(est).from_parameters(**parameters_of(ours, x))):
        theirs = one.to_sklearn()
        assert type(theirs).__module__.startswith("sklearn.")
        rows = x + np.random.default_rng(5).normal(size=x.shape)
        np.testing.assert_array_equal(theirs.predict(rows), one.predict(rows))
        assert theirs.score(rows) == pytest.approx(one.score(rows), rel=1e-10)
        if hasattr(one, "predict_proba"):
            np.testing.assert_allclose(theirs.predict_proba(rows), one.predict_proba(rows),
                                       rtol=1e-10, atol=1e-10)  # fmt: skip
            np.testing.assert_allclose(theirs.score_samples(rows), one.score_samples(rows),
                                       rtol=1e-10)  # fmt: skip
        else:
            # scikit-learn expands the square, which costs digits.
            root = np.sqrt if isinstance(one, KCentroids) else np.asarray
            np.testing.assert_allclose(theirs.transform(rows), root(one.transform(rows)), rtol=1e-8)
        assert theirs.n_features_in_ == 2
        pickle.loads(pickle.dumps(theirs)).predict(rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clone(theirs).fit(x)


def test_classes_and_names_of_what_is_handed_over() -> None:
    table = pa.table({"a": REAL[:, 0], "b": REAL[:, 1]})
    theirs = KMeans(2, random_state=0).fit(table).to_sklearn()
    assert type(theirs) is sklearn.cluster.KMeans
    assert theirs.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(theirs.labels_, theirs.predict(table))
    theirs.cluster_centers_[0] = 0.0  # It is the caller's.
    mini = MiniBatchKMeans(2, random_state=0).fit(REAL).to_sklearn()
    assert type(mini) is sklearn.cluster.MiniBatchKMeans
    mini.partial_fit(REAL)
    assert type(IsotropicMixture(2).fit(REAL).to_sklearn()) is sklearn.mixture.GaussianMixture
    sweep = Sweep(GaussianMixture(random_state=0), {"n_components": [1, 2]}).fit(REAL)
    assert sweep.to_sklearn().n_components == sweep.best_params_["n_components"]


@pytest.mark.parametrize(
    ("est", "x"),
    [
        (KMedians(2), REAL),
        (KCentroids(2, dissimilarity="cosine"), REAL),
        (GaussianMixture(2, noise=True), REAL),
        (GaussianMixture(2, assignment="hard"), REAL),
        (BernoulliMixture(2), BITS),
        (PoissonMixture(2), COUNTS),
        (ProductMixture(2, groups=GROUPS), COUNTS),
    ],
)
def test_what_scikit_learn_has_not_is_refused(est: Any, x: Any) -> None:
    with pytest.raises(ConfigError, match="scikit-learn has no equivalent of this") as told:
        est.set_params(random_state=0).fit(x).to_sklearn()
    if "distribution()" in str(told.value):
        est.distribution()
    with pytest.raises(ValueError, match="not fitted"):
        clone(est).to_sklearn()
