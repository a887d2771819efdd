"""`Sweep`: what it finds is what each estimator finds alone."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import ParameterGrid

from emdist import (
    BayesianGaussianMixture,
    GaussianMixture,
    KCentroids,
    KMeans,
    KMedians,
    Sweep,
)
from emdist.errors import ConfigError, DistinctRowsError, StartError

Rows = NDArray[np.float64]

GRID = {"n_components": [1, 2, 3, 4], "covariance_type": ["full", "diag"], "random_state": [0, 1]}


def alike(one: Any, other: Any) -> None:
    for name in ("weights_", "means_", "covariances_", "cluster_centers_"):
        if hasattr(one, name):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.n_iter_ == other.n_iter_
    assert repr(one.history_) == repr(other.history_)


def test_a_grid_of_mixtures(x: Rows) -> None:
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(x))
    mixture = GaussianMixture(tol=1e-4, max_iter=300, n_init=2)
    sweep = Sweep(mixture, GRID).fit(x, sample_weight=weight)
    found = sweep.results_
    assert found["params"] == list(ParameterGrid(GRID))
    for params, one in zip(found["params"], sweep.estimators_, strict=True):
        alike(one, clone(mixture).set_params(**params).fit(x, sample_weight=weight))
    assert sweep.criterion_ == "bic"
    assert sweep.best_index_ == np.argmin(found["bic"]) == np.argmin(found["rank"])
    assert sweep.best_params_["n_components"] == 3
    assert sweep.best_score_ == found["bic"].min()
    np.testing.assert_array_equal(sweep.predict(x), sweep.best_estimator_.predict(x))
    np.testing.assert_array_equal(sweep.predict_proba(x), sweep.best_estimator_.predict_proba(x))
    assert sweep.score(x) == sweep.best_estimator_.score(x)
    assert not hasattr(sweep, "transform")


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
def test_criteria_are_those_of_the_estimators(x: Rows, criterion: str) -> None:
    sweep = Sweep(GaussianMixture(random_state=0), {"n_components": [2, 3, 5]}, criterion=criterion)
    sweep.fit(x)
    for i, one in enumerate(sweep.estimators_):
        assert sweep.results_["bic"][i] == one.bic(x)
        assert sweep.results_["aic"][i] == one.aic(x)
        if criterion == "icl":
            resp = one.predict_proba(x)
            entropy = -np.sum(resp * np.log(np.maximum(resp, 1e-300)))
            assert sweep.results_["icl"][i] == pytest.approx(one.bic(x) + 2 * entropy, rel=1e-9)


def test_k_means_by_elbow_and_by_calinski_and_harabasz(x: Rows) -> None:
    from sklearn.metrics import calinski_harabasz_score

    grid = {"n_clusters": [2, 3, 4, 5, 6], "n_init": [3]}
    sweep = Sweep(KMeans(random_state=0, tol=0.0), grid, criterion="elbow")
    with pytest.warns(UserWarning, match="heuristic"):
        sweep.fit(x)
    assert sweep.best_params_["n_clusters"] == 3
    np.testing.assert_array_equal(sweep.transform(x), sweep.best_estimator_.transform(x))
    np.testing.assert_array_equal(sweep.best_estimator_.labels_, sweep.predict(x))
    sweep.set_params(criterion="calinski_harabasz").fit(x)
    wanted = [calinski_harabasz_score(x, one.labels_) for one in sweep.estimators_]
    np.testing.assert_allclose(sweep.results_["calinski_harabasz"], wanted, rtol=1e-9)
    assert sweep.best_index_ == np.argmax(wanted)


def test_posteriors_by_their_bound(x: Rows) -> None:
    sweep = Sweep(BayesianGaussianMixture(random_state=0), {"n_components": [1, 3]}).fit(x)
    assert sweep.criterion_ == "bound"
    bounds = [one.lower_bound_ for one in sweep.estimators_]
    assert sweep.best_index_ == np.argmax(bounds)
    np.testing.assert_array_equal(sweep.results_["bound"], bounds)


def test_data_on_disk_are_read_as_often_as_by_the_longest_fit(
    stored: Path, reads: list[int]
) -> None:
    grid = {"n_components": [1, 2, 3, 4, 5], "covariance_type": ["diag"]}
    mixture = GaussianMixture(random_state=0, max_iter=500, block_size="2400 B")
    sweep = Sweep(mixture, grid).fit(str(stored))
    together = len(reads)
    each = []
    for one in sweep.estimators_:
        reads.clear()
        alike(clone(one).fit(str(stored)), one)
        each.append(len(reads))
    # The survey and the passes of the longest, and one read for the criteria.
    assert together == max(each) + len(set(reads))
    assert together < sum(each) / 2


def test_on_a_cluster(x: Rows, stored: Path) -> None:
    grid = {"n_components": [1, 2, 3]}
    here = Sweep(GaussianMixture(random_state=0), grid).fit(str(stored))
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as c:
        there = Sweep(GaussianMixture(random_state=0, engine=c), grid).fit(str(stored))
        for one, other in zip(here.estimators_, there.estimators_, strict=True):
            alike(one, other)
        np.testing.assert_array_equal(here.results_["bic"], there.results_["bic"])


def test_it_is_an_estimator_like_others(x: Rows) -> None:
    sweep = Sweep(KMeans(random_state=0), {"n_clusters": [2, 3, 4]})
    with pytest.raises(NotFittedError):
        sweep.predict(x)
    assert clone(sweep).get_params()["estimator__random_state"] == 0
    again = pickle.loads(pickle.dumps(sweep.fit(x)))
    np.testing.assert_array_equal(again.predict(x), sweep.predict(x))


def test_a_list_of_grids_may_leave_parameters_out(x: Rows) -> None:
    grid = [{"n_components": [2]}, {"n_components": [3], "covariance_type": ["tied"]}]
    found = Sweep(GaussianMixture(random_state=0), grid).fit(x).results_
    assert found["param_covariance_type"].tolist() == [None, "tied"]


def test_models_that_were_cut_short_are_named(x: Rows) -> None:
    grid = {"n_components": [1, 4]}
    with pytest.warns(ConvergenceWarning, match="1 of 2 models.*n_components=4"):
        Sweep(GaussianMixture(random_state=0, max_iter=2, tol=1e-9), grid).fit(x)


@pytest.mark.parametrize(
    ("estimator", "grid", "more", "error", "text"),
    [
        (GaussianMixture(), {"n_components": [2], "engine": [None]}, {}, ConfigError, "share"),
        (GaussianMixture(), {"n_component": [2]}, {}, ConfigError, "n_component"),
        (GaussianMixture(), {"n_components": 2}, {}, ConfigError, "param_grid"),
        (GaussianMixture(), {"n_components": [0]}, {}, ConfigError, "n_components"),
        (GaussianMixture(), {"n_components": [2, 601]}, {}, StartError, "601"),
        (GaussianMixture(), {"n_components": [2]}, {"criterion": "b"}, ConfigError, "criterion"),
        (GaussianMixture(), {"n_components": [2]}, {"memory": "x"}, ConfigError, "memory"),
        (KMeans(), {"n_clusters": [2, 3, 4]}, {"criterion": "bic"}, ConfigError, "Use icl"),
        (KCentroids(dissimilarity="cosine"), {"n_clusters": [2, 3, 4]}, {}, ConfigError, "elbow"),
        (KMedians(), {"n_clusters": [2, 3]}, {"criterion": "elbow"}, ConfigError, "at least 3"),
        (object(), {"n_clusters": [2, 3]}, {}, ConfigError, "GridSearchCV"),
    ],
)
def test_mistakes(
    x: Rows, estimator: Any, grid: Any, more: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Sweep(estimator, grid, **more).fit(x)


def test_too_few_distinct_rows_are_told_as_alone() -> None:
    with pytest.raises(DistinctRowsError, match="only 3 distinct"):
        Sweep(KMeans(), {"n_clusters": [2, 3, 4]}).fit(np.repeat(np.eye(3), 9, axis=0))
