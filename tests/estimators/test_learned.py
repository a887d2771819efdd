"""Fitted attributes are read-only: nobody changes a model and keeps its old predictions."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from sklearn.base import clone

import emdist
from emdist import (
    BayesianGaussianMixture,
    BinomialMixture,
    CategoricalMixture,
    GaussianMixture,
    IsotropicMixture,
    KCentroids,
    KMeans,
    MiniBatchKMeans,
    ProductMixture,
    Sweep,
)
from emdist.engines.threads import LocalEngine
from emdist.errors import DataError
from emdist.estimators.fitted_attributes import Learned, learned_names
from tests.support.every_estimator import BITS, COUNTS, EVERY_AND_SWEEP, GROUPS, REAL


def published(est: Any) -> list[str]:
    return [name for name in vars(est) if name.endswith("_") and not name.startswith("_")]


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from arrays_in(each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from arrays_in(each)


def copies(est: Any) -> list[Any]:
    return [est, copy.deepcopy(est), pickle.loads(pickle.dumps(est))]


@EVERY_AND_SWEEP
def test_every_fitted_attribute_is_declared(est: Any, x: Any) -> None:
    fitted = clone(est).fit(x)
    found = published(fitted)
    assert len(found) >= 5
    assert set(found) <= learned_names(type(fitted))


@EVERY_AND_SWEEP
def test_none_can_be_assigned_and_predictions_stay(est: Any, x: Any) -> None:
    fitted = clone(est).fit(x)
    before = fitted.predict(x)
    for name in published(fitted):
        value = getattr(fitted, name)
        with pytest.raises(AttributeError, match=f"^{name} of .* cannot be assigned"):
            setattr(fitted, name, value)
        with pytest.raises(AttributeError, match=f"^{name} of .* cannot be deleted"):
            delattr(fitted, name)
        assert getattr(fitted, name) is value
    np.testing.assert_array_equal(fitted.predict(x), before)


@EVERY_AND_SWEEP
def test_none_can_be_assigned_before_fit(est: Any, x: Any) -> None:
    bare = clone(est)
    for name in learned_names(type(bare)):
        with pytest.raises(AttributeError, match="cannot be assigned"):
            setattr(bare, name, np.zeros(2))
        assert not hasattr(bare, name)


@EVERY_AND_SWEEP
def test_no_array_can_be_changed_in_place(est: Any, x: Any) -> None:
    for one in copies(clone(est).fit(x)):
        for name in published(one):
            for array in arrays_in(getattr(one, name)):
                with pytest.raises(ValueError, match="read-only"):
                    array[...] = 5
                with pytest.raises(ValueError, match="WRITEABLE"):
                    array.setflags(write=True)


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("update", ({"means": 0},)),
        ("__setitem__", ("means", 0)),
        ("__delitem__", ("means",)),
        ("pop", ("means",)),
        ("setdefault", ("x", 0)),
        ("clear", ()),
    ],
)
def test_dicts_among_them_cannot_be_changed_either(method: str, args: Any) -> None:
    est = ProductMixture(2, groups=GROUPS, random_state=0).fit(COUNTS)
    for one in copies(est):
        part = one.parts_[1]
        with pytest.raises(TypeError, match=r"cannot be changed; change a copy: dict"):
            getattr(part, method)(*args)
        np.testing.assert_array_equal(dict(part)["means"], est.parts_[1]["means"])


def test_lists_among_them_cannot_be_changed_either() -> None:
    for one in copies(GaussianMixture(2, random_state=0).fit(REAL)):
        with pytest.raises(TypeError, match=r"cannot be changed; change a copy: list"):
            one.lower_bounds_[0] = 0.0
        assert one.lower_bounds_ == list(one.lower_bounds_)


def test_labels_of_data_in_memory_and_what_fit_predict_returns() -> None:
    est = KMeans(2, random_state=0)
    own = est.fit_predict(REAL)
    np.testing.assert_array_equal(own, est.labels_)
    own[:] = 7  # the caller's own
    np.testing.assert_array_equal(est.labels_, est.predict(REAL))
    with pytest.raises(ValueError, match="read-only"):
        est.labels_[0] = 7


def test_attributes_of_a_subclass_of_the_users_are_its_own() -> None:
    class Mine(KMeans):
        def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
            super().fit(X, y, sample_weight)
            self.spread_ = np.ptp(self.cluster_centers_)
            return self

    est = Mine(2, random_state=0).fit(REAL)
    est.spread_ = 3.0
    assert est.spread_ == 3.0


def test_fitting_again_forgets_what_the_fit_before_had() -> None:
    est = GaussianMixture(2, noise=True, random_state=0).fit(REAL)
    assert est.noise_weight_ >= 0
    assert not hasattr(est.set_params(noise=None).fit(REAL), "noise_weight_")


def test_labels_of_a_path_are_those_of_the_data_that_was_fitted(stored: Path) -> None:
    est = KMeans(3, random_state=0).fit(stored)
    back = pickle.loads(pickle.dumps(est))
    np.testing.assert_array_equal(est.labels_, est.predict(stored))
    array = zarr.open_array(stored, mode="r+")
    array[:] = array[:][::-1]
    with pytest.raises(DataError, match="written since the fit"):
        _ = back.labels_
    assert est.labels_.shape == (600,)  # They were computed before.


CHANGES = [
    (GaussianMixture(2, random_state=0), {"covariance_type": "diag", "n_components": 5}, REAL),
    (BayesianGaussianMixture(n_components=2, random_state=0), {"covariance_type": "tied"}, REAL),
    (BinomialMixture(2, n_trials=30, random_state=0), {"n_trials": 99}, COUNTS),
    (CategoricalMixture(2, n_categories=2, random_state=0), {"n_categories": 7}, BITS),
    (IsotropicMixture(2, random_state=0), {"variance": 50.0}, REAL),
    (KCentroids(2, dissimilarity="cosine", random_state=0), {"dissimilarity": None}, REAL),
    (KMeans(2, random_state=0), {"n_clusters": 7, "init": "random"}, REAL),
]


@pytest.mark.parametrize(("est", "changes", "x"), CHANGES)
def test_parameters_set_after_fit_change_nothing_that_was_fitted(
    est: Any, changes: dict[str, Any], x: Any, tmp_path: Path
) -> None:
    fitted = clone(est).fit(x)
    methods = [m for m in ("predict", "score", "transform", "score_samples", "bic")
               if hasattr(fitted, m)]  # fmt: skip
    before = [getattr(fitted, method)(x) for method in methods]
    drawn = fitted.sample(20)[0] if hasattr(fitted, "sample") else None
    fitted.set_params(**changes)
    fitted.save(tmp_path / "m")
    for one in (fitted, emdist.load(tmp_path / "m")):
        for method, value in zip(methods, before, strict=True):
            np.testing.assert_array_equal(getattr(one, method)(x), value)
        for name in published(fitted):
            if name not in ("labels_", "history_"):
                np.testing.assert_equal(getattr(one, name), getattr(fitted, name))
        if drawn is not None:
            np.testing.assert_array_equal(one.sample(20)[0], drawn)
        assert one.get_params() == fitted.get_params()


def test_parameters_of_any_type_come_back_from_a_file(tmp_path: Path) -> None:
    est = GaussianMixture(np.int64(2), means_init=REAL[:2], weights_init=(0.5, 0.5),
                          tol=np.float32(1e-3), random_state=np.int64(3)).fit(REAL)  # fmt: skip
    est.save(tmp_path / "m")
    found = emdist.load(tmp_path / "m").get_params()
    for name, value in est.get_params().items():
        np.testing.assert_equal(found[name], value)
    assert type(found["weights_init"]) is tuple
    assert found["means_init"].dtype == np.float64


def test_the_class_attribute_is_the_declaration() -> None:
    assert isinstance(KMeans.cluster_centers_, Learned)
    with pytest.raises(AttributeError, match="'KMeans' object has no attribute 'inertia_'"):
        _ = KMeans().inertia_


class Writing(LocalEngine):
    """Writes other values to an array before one of the passes."""

    def __init__(self, path: Path, before: int) -> None:
        super().__init__()
        self._path, self._left = path, before

    def __deepcopy__(self, memo: Any) -> Writing:
        return self  # `clone` copies parameters, but one engine counts the passes of all.

    def map_reduce(self, task: Any, blocks: Any, done: Any = None) -> Any:
        self._left -= 1
        if self._left == 0:
            array = zarr.open_array(self._path, mode="r+")
            array[:] = array[:] + 100.0
        return super().map_reduce(task, blocks, done)


@pytest.mark.parametrize("cache", ["auto", "off"])
@pytest.mark.parametrize(
    "est",
    [
        KMeans(3, random_state=0, max_iter=5, tol=0),
        GaussianMixture(3, random_state=0, max_iter=5, tol=0),
        Sweep(KMeans(random_state=0, max_iter=5, tol=0), {"n_clusters": [2, 3]}),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_data_that_are_written_during_a_fit_are_refused(est: Any, cache: str, stored: Path) -> None:
    est = clone(est)
    inner = est.estimator if isinstance(est, Sweep) else est
    inner.set_params(cache=cache, engine=Writing(stored, 4))
    with pytest.raises(DataError, match="were written while emdist fitted them"):
        est.fit(stored)
    assert not hasattr(est, "n_features_in_")
    assert est.fit(stored) is est  # Nobody writes any more.


def test_data_that_are_written_during_a_partial_fit_are_refused(stored: Path) -> None:
    est = MiniBatchKMeans(3, random_state=0, engine=Writing(stored, 2))
    with pytest.raises(DataError, match="were written while emdist fitted them"):
        est.partial_fit(stored)
