"""The estimators are scikit-learn's in name, shape and manners."""

from __future__ import annotations

import inspect
import io
import pickle
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn.cluster
import sklearn.mixture
from distributed import Client
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from emdist import (
    BayesianGaussianMixture,
    GaussianMixture,
    IsotropicMixture,
    KMeans,
    KMedians,
    MiniBatchKMeans,
)

COVARIANCES = ["full", "tied", "diag", "spherical"]
PAIRS = [(KMeans, sklearn.cluster.KMeans), (GaussianMixture, sklearn.mixture.GaussianMixture)]

_DIFFERENT_DRAWS = (
    "Rows are drawn for seeding by their index, so that any chunking draws the same; repeated rows "
    "are other indices and give another start. From one start weights and repeats agree: see "
    "test_agreement.py."
)


def _expected_failures(estimator: Any) -> dict[str, str]:
    if isinstance(estimator, KMeans | MiniBatchKMeans | KMedians):
        return {"check_sample_weight_equivalence_on_dense_data": _DIFFERENT_DRAWS}
    return {}


@parametrize_with_checks(
    [
        KMeans(n_clusters=3),
        MiniBatchKMeans(n_clusters=3),
        KMedians(n_clusters=3),
        GaussianMixture(),
        IsotropicMixture(),
        GaussianMixture(covariance_type="tied"),
        BayesianGaussianMixture(),
    ],
    expected_failed_checks=_expected_failures,
)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_the_constructor_begins_with_scikit_learns_parameters(ours: Any, theirs: Any) -> None:
    own = list(inspect.signature(ours).parameters.values())
    wanted = list(inspect.signature(theirs).parameters.values())
    shared = own[: len(wanted)]
    assert [(p.name, p.default, p.kind) for p in shared] == [
        (p.name, p.default, p.kind) for p in wanted
    ]
    assert all(p.default is not inspect.Parameter.empty for p in own[len(wanted) :])


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_every_public_name_of_scikit_learn_is_there(
    ours: Any, theirs: Any, x: NDArray[np.float64]
) -> None:
    own, other = ours(3, random_state=0).fit(x), theirs(3, random_state=0).fit(x)
    missing = {n for n in dir(other) if not n.startswith("_")} - set(dir(own))
    assert missing == set()


@pytest.mark.parametrize("kind", COVARIANCES)
def test_fitted_attributes_have_scikit_learns_shapes(kind: str, x: NDArray[np.float64]) -> None:
    settings = {"covariance_type": kind, "random_state": 0}
    own = GaussianMixture(3, **settings).fit(x)
    other = sklearn.mixture.GaussianMixture(3, **settings).fit(x)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(own, name).shape == getattr(other, name).shape, name
        assert getattr(own, name).dtype == np.float64
    assert own.converged_ is True
    assert own.n_features_in_ == 3
    assert len(own.lower_bounds_) == own.n_iter_ == len(own.history_)
    assert own.lower_bounds_[-1] == own.lower_bound_


def test_kmeans_attributes(x: NDArray[np.float64]) -> None:
    own = KMeans(3, random_state=0).fit(x)
    assert own.cluster_centers_.shape == (3, 3)
    assert own.labels_.shape == (len(x),)
    assert own.labels_.dtype == np.int32
    assert isinstance(own.inertia_, float)
    assert own.n_iter_ == len(own.history_)
    assert own.get_feature_names_out().tolist() == ["kmeans0", "kmeans1", "kmeans2"]


@pytest.mark.parametrize("cls", [KMeans, GaussianMixture])
def test_clone_and_parameters(cls: Any, x: NDArray[np.float64]) -> None:
    est = cls(3, tol=1e-5, random_state=7, block_size="1 MiB").fit(x)
    twin = clone(est)
    assert twin.get_params() == est.get_params()
    assert not hasattr(twin, "n_iter_")
    assert twin.set_params(tol=1e-2).tol == 1e-2
    assert est.tol == 1e-5


@pytest.mark.parametrize("cls", [KMeans, GaussianMixture])
def test_pickle_and_joblib_keep_a_fitted_estimator(cls: Any, x: NDArray[np.float64]) -> None:
    est = cls(3, random_state=0).fit(x)
    file = io.BytesIO()
    joblib.dump(est, file)
    file.seek(0)
    for copy in (pickle.loads(pickle.dumps(est)), joblib.load(file)):
        assert np.array_equal(copy.predict(x), est.predict(x))
        assert np.array_equal(copy.fit(x).predict(x), est.predict(x))


def test_a_client_is_shared_by_clones_and_left_out_of_pickles(x: NDArray[np.float64]) -> None:
    with Client(processes=False, n_workers=1, dashboard_address="127.0.0.1:0") as client:
        est = KMeans(3, random_state=0, engine=client).fit(x)
        assert clone(est).engine is client
        assert clone(est).fit(x).inertia_ == est.inertia_
        copy = pickle.loads(pickle.dumps(est))
        assert est.engine is client
    assert copy.engine is None
    assert np.array_equal(copy.predict(x), est.labels_)


def test_in_a_pipeline_and_a_grid_search(x: NDArray[np.float64]) -> None:
    pipe = make_pipeline(StandardScaler(), KMeans(3, random_state=0))
    assert pipe.fit_transform(x).shape == (len(x), 3)
    assert len(set(pipe.predict(x))) == 3
    search = GridSearchCV(
        GaussianMixture(random_state=0),
        {"n_components": np.arange(1, 5), "covariance_type": ["full", "diag"]},
        cv=3,
    )
    search.fit(x)
    assert search.best_params_["n_components"] == 3


def test_numpy_numbers_are_parameters(x: NDArray[np.float64]) -> None:
    KMeans(
        np.int64(3),
        n_init=np.int32(2),
        max_iter=np.uint8(9),
        tol=np.float32(1e-3),
        random_state=np.int64(1),
    ).fit(x)
    GaussianMixture(
        np.int8(2),
        tol=np.float32(1e-3),
        reg_covar=np.float32(1e-3),
        random_state=np.random.RandomState(0),
    ).fit(x)


@pytest.mark.parametrize("method", ["predict", "score", "save", "transform"])
def test_kmeans_says_when_it_is_not_fitted(method: str, x: NDArray[np.float64]) -> None:
    with pytest.raises(NotFittedError):
        getattr(KMeans(3), method)(x)


@pytest.mark.parametrize(
    "method",
    ["predict", "predict_proba", "score_samples", "score", "bic", "aic", "sample", "save"],
)
def test_mixtures_say_when_they_are_not_fitted(method: str, x: NDArray[np.float64]) -> None:
    with pytest.raises(NotFittedError):
        getattr(GaussianMixture(3), method)(x)


@pytest.mark.parametrize("cls", [KMeans, KMedians, GaussianMixture])
def test_a_fit_that_did_not_converge_says_so(cls: Any, x: NDArray[np.float64]) -> None:
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        est = cls(3, max_iter=1, tol=0, random_state=0).fit(x)
    assert est.n_iter_ == 1


def test_verbose_prints_a_line_per_iteration(
    x: NDArray[np.float64], capsys: pytest.CaptureFixture[str]
) -> None:
    est = KMeans(3, verbose=1, random_state=0).fit(x)
    assert capsys.readouterr().out.count("iteration") == est.n_iter_
    KMeans(3, random_state=0).fit(x)
    assert capsys.readouterr().out == ""
