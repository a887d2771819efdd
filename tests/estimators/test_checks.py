"""scikit-learn's own checks of every estimator, with data of its domain."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import sklearn.utils.estimator_checks as checks
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

import emdist.estimators.reading as reading
from emdist import (
    BernoulliMixture,
    BinomialMixture,
    CategoricalMixture,
    GaussianMixture,
    KCentroids,
    KMeans,
    MultinomialMixture,
    PoissonMixture,
    ProductMixture,
    Sweep,
)

_DRAWS = (
    "Rows are drawn for seeding by their index, so that any chunking draws the same; repeated rows "
    "are other indices and give another start."
)
_WEIGHTS = "check_sample_weight_equivalence_on_dense_data"

#: The largest value of features that are whole numbers in each domain.
_HIGHEST = {BernoulliMixture: 1, CategoricalMixture: 2, BinomialMixture: 9, MultinomialMixture: 9,
            PoissonMixture: 9}  # fmt: skip

EVERY = [
    BernoulliMixture(),
    BinomialMixture(n_trials=9),
    CategoricalMixture(n_categories=3),
    MultinomialMixture(),
    PoissonMixture(),
    ProductMixture(),
    KCentroids(n_clusters=3, dissimilarity="cosine"),
    KCentroids(n_clusters=3, dissimilarity="generalised_i"),
    Sweep(KMeans(random_state=0), {"n_clusters": [1, 2, 3]}),
    Sweep(GaussianMixture(), {"n_components": [1, 2]}),
]


def _expected(estimator: Any) -> dict[str, str]:
    seeded = isinstance(estimator, KCentroids) or (
        isinstance(estimator, Sweep) and isinstance(estimator.estimator, KMeans)
    )
    return {_WEIGHTS: _DRAWS} if seeded else {}


#: Checks that do not ask for data of the estimator's domain: it is brought there on the way in.
_UNASKED = ("check_sample_weights_shape", "check_sample_weights_not_overwritten", _WEIGHTS,
            "check_clustering")  # fmt: skip


@pytest.fixture(autouse=True)
def domain(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The checks' data brought to the domain of the estimator, row by row alike."""
    enforce, taken = checks._enforce_estimator_tags_X, reading.as_matrix

    def brought(estimator: Any, X: Any) -> Any:
        highest = _HIGHEST.get(type(estimator))
        if not isinstance(X, np.ndarray) or X.dtype.kind not in "iuf":
            return X
        if highest is not None:
            return np.clip(np.round(np.abs(X)), 0, highest).astype(X.dtype)
        return np.abs(X) if get_tags(estimator).input_tags.positive_only else X

    def enforced(estimator: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        return brought(estimator, enforce(estimator, X, *args, **kwargs))

    monkeypatch.setattr(checks, "_enforce_estimator_tags_X", enforced)
    params = getattr(request.node, "callspec", None)
    if params is not None and params.params["check"].func.__name__ in _UNASKED:
        own = params.params["estimator"]
        monkeypatch.setattr(reading, "as_matrix", lambda X, *more: brought(own, taken(X, *more)))


@parametrize_with_checks(EVERY, expected_failed_checks=_expected)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_tags_say_what_an_estimator_takes() -> None:
    assert get_tags(PoissonMixture()).input_tags.positive_only
    assert get_tags(KCentroids(dissimilarity="generalised_i")).input_tags.positive_only
    assert not get_tags(KCentroids(dissimilarity="cosine")).input_tags.positive_only
    assert get_tags(CategoricalMixture()).input_tags.categorical
    for policy, wanted in (("raise", False), ("drop", True), ("missing", True)):
        own = KMeans(non_finite=policy)
        assert get_tags(own).input_tags.allow_nan is wanted
        assert get_tags(Sweep(own, {"n_clusters": [1, 2]})).input_tags.allow_nan is wanted
    assert get_tags(Sweep(KMeans(), {})).estimator_type == "clusterer"
    assert get_tags(Sweep(GaussianMixture(), {})).estimator_type == "density_estimator"


def test_a_product_without_groups_is_one_of_diagonal_gaussians() -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    product = ProductMixture(2, random_state=0, init_params="kmeans").fit(x)
    wanted = GaussianMixture(2, covariance_type="diag", random_state=0).fit(x)
    np.testing.assert_allclose(product.score_samples(x), wanted.score_samples(x), rtol=1e-9)


def test_a_sweep_is_used_as_any_estimator() -> None:
    x = np.random.default_rng(0).normal(size=(90, 2)) + np.repeat([[0.0], [9.0], [20.0]], 30, 0)
    sweep = Sweep(KMeans(random_state=0), {"n_clusters": [2, 3, 4, 5]})
    labels = sweep.fit_predict(x)
    np.testing.assert_array_equal(labels, sweep.best_estimator_.labels_)
    np.testing.assert_array_equal(clone(sweep).fit_transform(x), sweep.transform(x))
    k = sweep.best_params_["n_clusters"]
    assert sweep.get_feature_names_out().tolist() == [f"kmeans{i}" for i in range(k)]
    assert sweep.set_params(estimator__max_iter=7).estimator.max_iter == 7
    assert sweep.get_params()["estimator__n_clusters"] == 8
    back = pickle.loads(pickle.dumps(sweep))
    np.testing.assert_array_equal(back.predict(x), labels)
    assert "Sweep(" in repr(sweep)
    assert "KMeans" in sweep._repr_html_()
    pipe = make_pipeline(StandardScaler(), clone(sweep))
    assert pipe.fit_transform(x).shape == (90, len(pipe[-1].best_estimator_.cluster_centers_))
    mixtures = Sweep(GaussianMixture(random_state=0), {"n_components": [1, 2, 3]})
    search = GridSearchCV(mixtures, {"estimator__covariance_type": ["full", "diag"]}, cv=2).fit(x)
    assert search.best_estimator_.best_params_["n_components"] >= 1
    assert not hasattr(mixtures, "transform")
    assert not hasattr(mixtures, "fit_transform")
    assert not hasattr(mixtures, "get_feature_names_out")


def test_a_sweep_gives_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["a", "b"])
    sweep = Sweep(KMeans(random_state=0), {"n_clusters": [2, 3, 4]})
    found = sweep.set_output(transform="pandas").fit_transform(x)
    assert list(found.columns) == list(sweep.get_feature_names_out())
    pandas.testing.assert_frame_equal(found, sweep.transform(x))


def test_showing_a_fit_of_a_path_reads_nothing(stored: Any, reads: list[int]) -> None:
    est = KMeans(3, random_state=0).fit(stored)
    reads.clear()
    assert "KMeans" in est._repr_html_()
    dir(est)
    assert not reads
    assert len(est.labels_) == 600
    assert reads
