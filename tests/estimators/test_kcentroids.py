"""KCentroids: scikit-learn's manners, one's own pair, saving, and what a configuration does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from distributed import Client
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import emdist
from emdist import KCentroids, KMeans
from emdist.composition.model import make_model
from emdist.errors import ConfigError, DomainError, StartError
from emdist.jobs.inspect import inspect
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import ModelSection, make_config, make_section
from emdist.store.places.location import Location

Rows = NDArray[np.float64]

NAMES = ["squared_euclidean", "cosine", "kullback_leibler", "generalised_i", "itakura_saito"]


@pytest.fixture
def positive(x: Rows) -> Rows:
    return np.exp(x / 4)


def cityblock(x: Rows, centres: Rows) -> Rows:
    return cdist(x, centres, "cityblock")


def to_sphere(mean: Rows) -> Rows:
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def cosine(x: Rows, centres: Rows) -> Rows:
    return np.maximum(cdist(x, centres, "cosine"), 0.0)


PAIR: dict[str, Any] = {"dissimilarity": cosine, "centre": (to_sphere, to_sphere)}


@parametrize_with_checks(
    [KCentroids(3), KCentroids(3, dissimilarity="cosine")],
    expected_failed_checks=lambda _: {
        "check_sample_weight_equivalence_on_dense_data": "rows are drawn for seeding by index"
    },
)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_squared_euclidean_is_kmeans(x: Rows) -> None:
    own, other = KCentroids(3, random_state=1).fit(x), KMeans(3, random_state=1).fit(x)
    np.testing.assert_array_equal(own.cluster_centers_, other.cluster_centers_)
    assert own.inertia_ == other.inertia_
    np.testing.assert_allclose(own.transform(x), other.transform(x) ** 2, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_attributes_agree_with_each_other(name: str, positive: Rows) -> None:
    est = KCentroids(3, dissimilarity=name, random_state=0).fit(positive)
    apart = est.transform(positive)
    assert apart.shape == (600, 3)
    np.testing.assert_array_equal(est.labels_, apart.argmin(axis=1))
    np.testing.assert_array_equal(est.labels_, est.predict(positive))
    assert est.inertia_ == pytest.approx(apart.min(axis=1).sum(), rel=1e-10)
    assert est.score(positive) == pytest.approx(-est.inertia_, rel=1e-10)
    assert len(est.history_) == est.n_iter_
    again = clone(est).fit(positive)
    np.testing.assert_array_equal(again.cluster_centers_, est.cluster_centers_)
    given = clone(est).set_params(init=est.cluster_centers_).fit(positive)
    assert given.inertia_ == pytest.approx(est.inertia_, rel=1e-9)


def test_an_own_pair_is_the_named_one(x: Rows) -> None:
    own = KCentroids(3, **PAIR, init=x[:3], tol=0).fit(x)
    named = KCentroids(3, dissimilarity="cosine", init=x[:3], tol=0).fit(x)
    np.testing.assert_allclose(own.cluster_centers_, named.cluster_centers_, rtol=1e-10)
    np.testing.assert_array_equal(own.labels_, named.labels_)
    assert own.inertia_ == pytest.approx(named.inertia_, rel=1e-10)
    np.testing.assert_allclose(own.transform(x), named.transform(x), rtol=1e-9, atol=1e-12)


def test_the_default_centre_is_the_mean(x: Rows) -> None:
    est = KCentroids(3, dissimilarity=cityblock, random_state=0).fit(x)
    for c in range(3):
        np.testing.assert_allclose(est.cluster_centers_[c], x[est.labels_ == c].mean(axis=0))


def test_an_own_pair_travels_to_workers(stored: Path) -> None:
    # In another process: tests/laws/test_centroids.py.
    with Client(processes=False, n_workers=1, dashboard_address=None) as client:
        shift = 0.25
        pair = {"dissimilarity": lambda x, c: cosine(x + shift, c + shift)}
        there = KCentroids(3, **pair, engine=client, random_state=0).fit(stored)
        labels = there.labels_
    here = KCentroids(3, **pair, random_state=0).fit(stored)
    np.testing.assert_array_equal(there.cluster_centers_, here.cluster_centers_)
    np.testing.assert_array_equal(labels, here.labels_)


def test_it_comes_back(x: Rows, positive: Rows, tmp_path: Path) -> None:
    covariance = np.cov(x.T)
    for name, data, params in (
        ("mahalanobis", x, {"covariance": covariance}),
        ("itakura_saito", positive, None),
    ):
        est = KCentroids(3, dissimilarity=name, dissimilarity_options=params, random_state=0)
        est.fit(data).save(tmp_path / name)
        back = emdist.load(tmp_path / name)
        assert isinstance(back, KCentroids)
        np.testing.assert_array_equal(back.cluster_centers_, est.cluster_centers_)
        np.testing.assert_array_equal(back.predict(data), est.labels_)
        np.testing.assert_array_equal(back.transform(data), est.transform(data))
        np.testing.assert_array_equal(back.fit(data).cluster_centers_, est.cluster_centers_)


def test_an_own_pair_is_not_saved(x: Rows, tmp_path: Path) -> None:
    est = KCentroids(3, **PAIR, random_state=0).fit(x)
    with pytest.raises(ConfigError, match="without code"):
        est.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"dissimilarity": "manhattan"}, "K-medians.*emdist.KMedians"),
        ({"dissimilarity": "l1"}, "K-medians"),
        ({"dissimilarity": "cosin"}, "did you mean 'cosine'.*itakura_saito"),
        ({"dissimilarity": 3}, "choose one of"),
        ({"dissimilarity": "cosine", "centre": to_sphere}, "has a centre already"),
        ({"dissimilarity": cosine, "centre": "mean"}, "a pair of functions"),
        ({"dissimilarity": cosine, "centre": (to_sphere, 1)}, "a pair of functions"),
        ({"dissimilarity": cosine, "dissimilarity_options": {"p": 1}}, "functools.partial"),
        (
            {"dissimilarity": "cosine", "dissimilarity_options": {"p": 1}},
            r"dissimilarity_options\['p'\] is not a known key",
        ),
        ({"dissimilarity": "cosine", "dissimilarity_options": 3}, "dissimilarity_options"),
        ({"dissimilarity": "mahalanobis"}, "exactly one"),
        ({"init": np.zeros((2, 3))}, r"init has shape \(2, 3\); expected \(3, 3\)"),
    ],
)
def test_mistakes_are_told(params: dict[str, Any], says: str, x: Rows) -> None:
    with pytest.raises(ConfigError, match=f"(?s){says}"):
        KCentroids(3, **params).fit(x)


def test_rows_and_starts_outside_the_domain_are_told(positive: Rows) -> None:
    est = KCentroids(3, dissimilarity="generalised_i", random_state=0).fit(positive)
    with pytest.raises(DomainError):
        est.predict(-positive)
    with pytest.raises(DomainError):
        est.transform(-positive)
    with pytest.raises(StartError, match="numbers >= 0"):
        clone(est).set_params(init=-positive[:3]).fit(positive)


def test_a_configuration_runs_resumes_labels_and_is_inspected(
    positive: Rows, tmp_path: Path
) -> None:
    path = tmp_path / "x.zarr"
    zarr.create_array(path, shape=positive.shape, chunks=(100, 3), dtype="f8")[:] = positive
    config = make_config(
        {
            "data": {"path": str(path)},
            "model": {"name": "kcentroids", "n_components": 3, "dissimilarity": "kullback_leibler"},
            "run": {"folder": str(tmp_path), "key": "run", "checkpoint_iterations": 1},
            "labels": {"outputs": ["labels", "score"]},
        }
    )
    with open_job(config) as job:
        assert isinstance(job, Job)
        job.survey()
        job.segment()
    assert inspect(Location(str(tmp_path / "run")))["config"]["model"]["name"] == "kcentroids"
    with open_job(config) as job:  # As after a crash.
        assert isinstance(job, Job)
        job.complete()
    est = KCentroids(3, dissimilarity="kullback_leibler", random_state=0).fit(str(path))
    back = emdist.load(tmp_path / "run")
    assert isinstance(back, KCentroids)
    np.testing.assert_array_equal(back.cluster_centers_, est.cluster_centers_)
    group = zarr.open_group(tmp_path / "run" / "labels.zarr", mode="r")
    np.testing.assert_array_equal(group["labels"][:], est.labels_)
    np.testing.assert_allclose(
        group["score"][:], est.transform(positive).min(axis=1), rtol=1e-9, atol=1e-15
    )
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["model"]["name"] == "kcentroids"


def test_a_configuration_names_what_there_is() -> None:
    def model(**values: Any) -> Any:
        return make_config({"data": {"path": "x"}, "model": values}).model

    assert make_model(model(name="kcentroids")).minimises
    with pytest.raises(ConfigError, match=r"model.dissimilarity.*K-medians"):
        model(name="kcentroids", dissimilarity="manhattan")
    with pytest.raises(ConfigError, match="set name to kcentroids"):
        model(name="full", dissimilarity="cosine")
    with pytest.raises(ConfigError, match=r"^model.options.matrix: "):
        make_model(model(name="kcentroids", dissimilarity="mahalanobis", options={"matrix": "a"}))


def test_rows_that_miss_values_have_the_distances_of_kmeans(x: Rows) -> None:
    holes = np.where(np.random.default_rng(0).random(x.shape) < 0.2, np.nan, x)
    start, options = x[:2], {"non_finite": "missing", "random_state": 0}
    ours = KCentroids(2, init=start, **options).fit(holes)
    same = KMeans(2, init=start, **options).fit(holes)
    np.testing.assert_array_equal(ours.cluster_centers_, same.cluster_centers_)
    np.testing.assert_allclose(ours.transform(holes), same.transform(holes) ** 2, atol=1e-9)
    with pytest.raises(ConfigError, match="squared_euclidean supports missing"):
        KCentroids(2, dissimilarity="cosine", non_finite="missing").fit(holes)


def test_the_old_name_of_the_options(x: Rows, tmp_path: Path) -> None:
    given = {"covariance": np.cov(x.T)}
    settings = {"dissimilarity": "mahalanobis", "random_state": 0}
    new = KCentroids(3, dissimilarity_options=given, **settings).fit(x)
    with pytest.warns(FutureWarning, match="is now called dissimilarity_options"):
        old = KCentroids(3, dissimilarity_params=given, **settings).fit(x)
    np.testing.assert_array_equal(old.cluster_centers_, new.cluster_centers_)
    old.save(tmp_path / "m")
    back = emdist.load(tmp_path / "m")
    np.testing.assert_array_equal(back.dissimilarity_options["covariance"], given["covariance"])
    assert back.dissimilarity_params is None
    np.testing.assert_array_equal(back.predict(x), new.labels_)
    with pytest.raises(ConfigError, match="both are given"):
        KCentroids(3, dissimilarity_options=given, dissimilarity_params=given, **settings).fit(x)
    with pytest.raises(ConfigError, match="dissimilarity_params"), pytest.warns(FutureWarning):
        KCentroids(3, dissimilarity_params=3, **settings).fit(x)


def test_a_configuration_calls_the_options_the_same() -> None:
    named = {"name": "kcentroids", "dissimilarity": "mahalanobis"}
    options = {"matrix": [[1.0, 0.0], [0.0, 2.0]]}
    new = make_section(ModelSection, {**named, "dissimilarity_options": options})
    assert new == make_section(ModelSection, {**named, "options": options})
    with pytest.raises(ConfigError, match="the same; give only one"):
        make_section(ModelSection, {**named, "options": options, "dissimilarity_options": options})
    with pytest.raises(ConfigError, match="dissimilarity_options are only for kcentroids"):
        make_section(ModelSection, {"name": "full", "dissimilarity_options": options})
