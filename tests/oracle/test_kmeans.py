"""K-means against scikit-learn's, from the same centres."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from emdist.fit.start import Given
from emdist.fit.state import FitState, Status
from emdist.interfaces import Floats
from emdist.store.sources.arrays import array_source
from tests.support.fitting import Setting, blobs, fit_array, prepare, relative, run
from tests.support.reference_data import CASES, Case, both_kmeans, broad


@pytest.mark.parametrize("data", CASES)
def test_float64_is_scikit_learns(data: str) -> None:
    ours, theirs = both_kmeans(CASES[data])
    assert ours.iterations == theirs.n_iter_
    assert relative(ours.means, theirs.cluster_centers_) < 1e-8
    assert ours.objective == pytest.approx(theirs.inertia_, rel=1e-8)
    found = ours.assign(CASES[data].x)
    np.testing.assert_array_equal(found.labels, theirs.labels_)
    assert found.score.sum() == pytest.approx(theirs.inertia_, rel=1e-8)


@pytest.mark.parametrize("data", CASES)
def test_float32_is_scikit_learns_float64(data: str) -> None:
    ours, theirs = both_kmeans(CASES[data], "float32")
    assert ours.iterations == theirs.n_iter_
    assert relative(ours.means, theirs.cluster_centers_) < 1e-4
    assert ours.objective == pytest.approx(theirs.inertia_, rel=1e-4)


@pytest.mark.parametrize("tol", [0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
def test_tol_is_relative_to_the_mean_variance(tol: float) -> None:
    ours, theirs = both_kmeans(CASES["overlapping"], tol=tol)
    assert ours.iterations == theirs.n_iter_
    assert relative(ours.means, theirs.cluster_centers_) < 1e-8
    # scikit-learn reports the inertia of the final centres, not of those before the last update.
    assert ours.objective == pytest.approx(theirs.inertia_, rel=1e-10)


def test_tol_follows_the_units() -> None:
    case = CASES["overlapping"]
    small, large = (both_kmeans(Case(case.x * scale, case.k))[0] for scale in (2.0**-20, 2.0**20))
    assert small.iterations == large.iterations
    np.testing.assert_array_equal(small.means * 2.0**40, large.means)


def test_max_iter_stops_where_scikit_learn_does() -> None:
    ours, theirs = both_kmeans(CASES["overlapping"], max_iter=4)
    assert (ours.iterations, theirs.n_iter_) == (4, 4)
    assert ours.status is Status.MAX_ITER
    assert relative(ours.means, theirs.cluster_centers_) < 1e-12
    assert ours.objective == pytest.approx(theirs.inertia_, rel=1e-12)


@pytest.mark.parametrize("data", ["separated", "touching"])
def test_an_offset_of_1e6_costs_no_digits(data: str) -> None:
    # See test_gaussian: in steps of 2^-20 the shifted data are exact.
    x = np.round(CASES[data].x * 2**20) / 2**20
    theirs = both_kmeans(Case(x, CASES[data].k))[1]
    start = broad(x, CASES[data].k, "full")[0].means
    ours = fit_array(x + 1e6, Setting("kmeans", CASES[data].k), Given(start + 1e6))
    assert ours.iterations == theirs.n_iter_
    assert np.abs(ours.means - 1e6 - theirs.cluster_centers_).max() < 2.0**-32
    assert ours.objective == pytest.approx(theirs.inertia_, rel=1e-8)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("far", [1, 2])
def test_empty_clusters_are_relocated_as_scikit_learn_does(far: int, dtype: str) -> None:
    x = blobs(1500, 3, 5, 3.0, dtype="float32")[0].astype(np.float64)
    start = x[:5].copy()
    start[1 : 1 + far] = 1e3 * (1 + np.arange(far))[:, None]
    # At once and in the end: the cluster that gives a row away must lose it from its sums.
    for max_iter in (1, 300):
        _compare_relocation(x, start, far, dtype, max_iter)


def _compare_relocation(x: Floats, start: Floats, far: int, dtype: str, max_iter: int) -> None:
    theirs = KMeans(5, init=start, n_init=1, max_iter=max_iter).fit(x)
    setting = Setting("kmeans", 5, fit={"max_iter": max_iter})
    ours = fit_array(x.astype(dtype), setting, Given(start))
    assert ours.state.history[0].reseeded == far
    assert ours.iterations == theirs.n_iter_
    # With two empty clusters scikit-learn does not say which gets which of the farthest rows.
    order, wanted = np.argsort(ours.means[:, 0]), np.argsort(theirs.cluster_centers_[:, 0])
    tol = 1e-8 if dtype == "float64" else 1e-4
    assert relative(ours.means[order], theirs.cluster_centers_[wanted]) < tol
    assert ours.objective == pytest.approx(theirs.inertia_, rel=tol)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64"])
def test_integers_are_numbers(dtype: str) -> None:
    case = CASES["photograph"]
    ours, theirs = both_kmeans(case, dtype)
    assert ours.iterations == theirs.n_iter_
    assert relative(ours.means, theirs.cluster_centers_) < 1e-6


def test_a_row_without_weight_is_no_place_for_an_empty_cluster() -> None:
    x = np.concatenate([blobs(300, 2, 3)[0], [[1e4, 1e4]]])
    weight = np.append(np.ones(300), 0.0)
    start = np.concatenate([x[:2], [[-1e5, -1e5]]])
    ours = fit_array(x, Setting("kmeans", 3), Given(start), weight)
    alone = fit_array(x[:300], Setting("kmeans", 3), Given(start))
    assert ours.state.history[0].reseeded == 1
    assert relative(ours.means, alone.means) < 1e-12


def test_weights_are_scikit_learns_sample_weights() -> None:
    case = CASES["touching"]
    weight = np.random.default_rng(0).exponential(size=len(case.x))
    start = broad(case.x, case.k, "full")[0].means
    theirs = KMeans(case.k, init=start, n_init=1).fit(case.x, sample_weight=weight)
    ours = fit_array(case.x, Setting("kmeans", case.k), Given(start), weight)
    assert ours.iterations == theirs.n_iter_
    assert relative(ours.means, theirs.cluster_centers_) < 1e-8
    assert ours.objective == pytest.approx(theirs.inertia_, rel=1e-8)


@pytest.mark.parametrize("name", ["kmeans", "full"])
def test_n_init_keeps_the_best_start(name: str) -> None:
    x = blobs(600, 2, 7, 2.0)[0]
    fitting = {"n_init": 4, "init": "random", "seed": 2}
    found = run(prepare(array_source(x), Setting(name, 7, fit=fitting)), FitState(2))
    alone = []
    for restart in range(4):
        one = Setting(name, 7, fit=fitting | {"n_init": restart + 1})
        fit = prepare(array_source(x), one)
        alone.append(run(fit, FitState(2, restart)).objective)
    best = min(alone) if name == "kmeans" else max(alone)
    assert alone.count(best) == 1
    assert alone[-1] != best
    assert found.objective == best
    assert found.state.best.restart == alone.index(found.objective)
    assert {r.restart for r in found.state.history} == set(range(4))


def test_the_default_start_is_as_good_as_scikit_learns() -> None:
    x = blobs(3000, 4, 8, 5.0)[0]
    theirs = KMeans(8, n_init=10, random_state=0).fit(x)
    ours = fit_array(x, Setting("kmeans", 8, fit={"n_init": 5}))
    assert ours.objective == pytest.approx(theirs.inertia_, rel=1e-4)
