"""`align`: the components of one model in the order of another, so that labels mean the same."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import emdist
from emdist import GaussianMixture, KMeans, KMedians, MiniBatchKMeans, Sweep, align
from emdist.errors import ConfigError, FeatureNamesError, NotFoundError, ShapeError
from emdist.estimators.aligning import _aligned
from emdist.fit.aligning import Matching
from tests.estimators.test_warm_start import CASES as MIXTURES
from tests.estimators.test_warm_start import REAL

CENTRES = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0], [7.0, 8.0]])
_RNG = np.random.default_rng(5)
ROWS = np.concatenate(
    [_RNG.normal(size=(n, 2)) + at for n, at in zip((400, 300, 200, 100), CENTRES, strict=True)]
)
CASES: dict[str, Any] = {
    **MIXTURES,
    "kmeans": (KMeans(3, random_state=0), REAL),
    "minibatch": (MiniBatchKMeans(3, random_state=0), REAL),
    "kmedians": (KMedians(3, random_state=0), REAL),
    "prepared": (GaussianMixture(3, random_state=0, prepare=["standardise"]), REAL * [1.0, 90.0]),
}


def given(centres: Any, weights: Any = None, **params: Any) -> Any:
    """A model of unit variances with these centres."""
    centres = np.asarray(centres, float)
    k = len(centres)
    return GaussianMixture.from_parameters(
        weights=np.full(k, 1 / k) if weights is None else weights,
        means=centres,
        covariances=np.ones(k),
        covariance_type="spherical",
        **params,
    )


def turned(estimator: Any, order: list[int]) -> Any:
    """The same model with its components in another order."""
    k = len(order)
    moved = Matching(np.array(order), np.arange(k), np.zeros(k), ())
    twin = _aligned(estimator, moved).model
    assert twin is not estimator
    return twin


@pytest.mark.parametrize("name", CASES)
def test_every_model_is_put_in_order(name: str) -> None:
    estimator, rows = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(rows)
    k = estimator._fitted.n_components
    order = [*range(1, k), 0]
    found = align(estimator, turned(estimator, order))
    assert found.order.tolist() == order
    assert found.matches.tolist() == list(range(k))
    assert found.new == found.gone == ()
    assert found.moved == pytest.approx(0, abs=1e-12)
    labels = estimator.predict(rows)
    assert len(set(labels.tolist())) > 1
    if name != "process":  # The order of components is part of its prior.
        assert found.model.score(rows) == pytest.approx(estimator.score(rows), rel=1e-12)
        assert (found.model.predict(rows) == found.relabel(labels)).all()
    assert (np.asarray(found.relabel(labels)) == np.argsort(order)[labels])[labels >= 0].all()
    if hasattr(found.model, "weights_"):
        assert (found.model.weights_ == estimator.weights_[order]).all()
    again = align(found.model, estimator).model
    assert again._fitted.params.weights.tolist() == estimator._fitted.params.weights.tolist()


def test_distances_are_in_standard_deviations_of_the_data() -> None:
    before = GaussianMixture(4, random_state=0).fit(ROWS)
    step = 0.3 * ROWS.std(axis=0)
    found = align(GaussianMixture(4, random_state=7).fit(ROWS + step), before)
    assert found.moved == pytest.approx(0.3, abs=2e-3)
    assert found.model.means_ == pytest.approx(before.means_ + step, abs=1e-2)


def test_of_equal_places_the_weights_decide() -> None:
    places = [[0.0], [0.0], [4.0]]
    before = given(places, [0.6, 0.1, 0.3])
    now = given(places, [0.15, 0.5, 0.35])
    assert align(now, before).order.tolist() == [1, 0, 2]
    # Models of centres have no weights, so nothing is gained by a change.
    assert align(KMeans.from_parameters(cluster_centers=places), before).order.tolist() == [0, 1, 2]


def test_assigned_together_and_not_each_to_the_nearest() -> None:
    """Both are nearest to the first, which only one of them can be."""
    found = align(given([[1.0], [0.5]]), given([[0.0], [9.0]]))
    assert found.order.tolist() == [1, 0]


def test_more_components_come_last_and_fewer_close_up() -> None:
    before = given(CENTRES)
    more = align(given(np.concatenate([[[20.0, 20.0]], CENTRES[::-1]])), before)
    assert more.order.tolist() == [4, 3, 2, 1, 0]
    assert more.matches.tolist() == [0, 1, 2, 3, -1]
    assert (more.new, more.gone) == ((4,), ())
    assert np.isnan(more.moved).tolist() == [False] * 4 + [True]
    fewer = align(given(CENTRES[[3, 0, 2]]), before)
    assert fewer.model.means_.tolist() == CENTRES[[0, 2, 3]].tolist()
    assert fewer.matches.tolist() == [0, 2, 3]
    assert (fewer.new, fewer.gone) == ((), (1,))


def test_other_families_and_preparations() -> None:
    before = GaussianMixture(4, random_state=0, prepare=["standardise"]).fit(ROWS)
    labels = before.predict(ROWS)
    for other in (
        KMeans(4, random_state=3),
        GaussianMixture(4, covariance_type="diag", random_state=4),
        GaussianMixture(4, random_state=2, prepare=["standardise"]),
    ):
        found = align(other.fit(ROWS[::2]), before)
        assert (found.model.predict(ROWS) == labels).mean() > 0.99
        assert found.moved.max() < 0.1


def test_labels_follow() -> None:
    before = KMeans(4, random_state=0).fit(ROWS)
    twin = turned(before, [2, 0, 3, 1])
    assert (twin.labels_ == twin.predict(ROWS)).all()
    assert (align(twin, before).model.labels_ == before.labels_).all()
    grid = xr.DataArray(np.array([[0, 1], [-1, 3]]), dims=("y", "x"), attrs={"a": 1})
    found = align(twin, before).relabel(grid)
    assert found.dims == ("y", "x")
    assert found.values.tolist() == [[2, 0], [-1, 1]]
    with pytest.raises(ConfigError, match=r"contain 4, but the model has the components 0\.\.3"):
        align(twin, before).relabel([4])


def test_folders_and_sweeps(tmp_path: Path) -> None:
    before = KMeans(4, random_state=0).fit(ROWS)
    turned(before, [3, 2, 1, 0]).save(tmp_path / "twin")
    assert (align(tmp_path / "twin", before).model.predict(ROWS) == before.labels_).all()
    before.save(tmp_path / "before")
    swept = Sweep(KMeans(random_state=9), {"n_clusters": [4]}).fit(ROWS)
    found = align(swept, str(tmp_path / "before"))
    assert (found.model.predict(ROWS) == before.labels_).all()
    found.model.save(tmp_path / "aligned")
    assert (emdist.load(tmp_path / "aligned").predict(ROWS) == before.labels_).all()


def test_many_components_take_little_memory() -> None:
    """Without an array of all components by all components by all features: 8 GiB here."""
    places = np.random.default_rng(0).normal(size=(1024, 1024)).astype(float)
    order = np.random.default_rng(1).permutation(1024)
    before = KMeans.from_parameters(cluster_centers=places + 1e6)
    now = KMeans.from_parameters(cluster_centers=places[order] + 1e6)
    tracemalloc.start()
    found = align(now, before)
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()
    assert (order[found.order] == np.arange(1024)).all()
    assert found.moved.max() < 1e-6


def test_constant_features_count_as_they_are() -> None:
    """A feature without any spread is no reason to divide by zero."""
    flat = np.column_stack([ROWS, np.ones(len(ROWS))])
    before = KMeans(4, random_state=0).fit(flat)
    found = align(KMeans(4, random_state=3).fit(flat), before)
    assert np.isfinite(found.moved).all()
    assert found.moved.max() < 1e-6


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    before = given(CENTRES, feature_names=["a", "b"])
    with pytest.raises(ShapeError, match="has 1 features, but the reference has 2"):
        align(given([[0.0]]), before)
    with pytest.raises(FeatureNamesError, match="The reference has a, b; the model has b, a"):
        align(given(CENTRES, feature_names=["b", "a"]), before)
    with pytest.raises(ConfigError, match="reference is 3; expected a fitted estimator"):
        align(before, 3)
    with pytest.raises(NotFoundError):
        align(before, tmp_path / "nothing")
    rows = np.abs(ROWS) + 1
    one = KMeans(2, random_state=0, prepare=["normalise"]).fit(rows)
    with pytest.raises(ConfigError, match="normalise of the first cannot be undone"):
        align(one, KMeans(2, random_state=0).fit(rows))
