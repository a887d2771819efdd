"""Streams and schedules through the estimators: chunk by chunk, and by name."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from numpy.typing import NDArray
from sklearn.base import clone

import emdist
from emdist import (
    BayesianGaussianMixture,
    BernoulliMixture,
    BinomialMixture,
    CategoricalMixture,
    GaussianMixture,
    KMeans,
    MiniBatchKMeans,
    PoissonMixture,
    ProductMixture,
)
from emdist.errors import ConfigError, DataError, DomainError, ShapeError, StartError, WeightError
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config

Rows = NDArray[np.float64]
CHUNKS = 6


def chunks(x: Rows) -> list[Rows]:
    return np.array_split(x, CHUNKS)


def fed(est: Any, x: Rows) -> Any:
    for chunk in chunks(x):
        est.partial_fit(chunk)
    return est


def test_a_stream_of_kmeans_is_that_of_plain_numpy(x: Rows) -> None:
    start = x[:3]
    found = fed(MiniBatchKMeans(3, init=start, random_state=0), x)
    centres, count = start.copy(), np.zeros(3)
    for chunk in chunks(x):
        distance = np.square(chunk[:, None] - centres).sum(axis=2)
        inertia = distance.min(axis=1).sum()
        for row, label in zip(chunk, distance.argmin(axis=1), strict=True):
            count[label] += 1
            centres[label] += (row - centres[label]) / count[label]
    np.testing.assert_allclose(found.cluster_centers_, centres, rtol=1e-10)
    assert found.inertia_ == pytest.approx(inertia)
    assert found.n_iter_ == CHUNKS
    assert len(found.labels_) == len(chunks(x)[-1])


def test_a_stream_of_poissons_is_that_of_plain_numpy() -> None:
    rng = np.random.default_rng(0)
    rates, weights = np.array([[2.0, 9.0], [6.0, 1.0]]), np.array([0.5, 0.5])
    x = rng.poisson(rates[rng.integers(0, 2, 600)]).astype(np.float64)
    est = PoissonMixture(2, rates_init=rates + 1, weights_init=weights, schedule="stepwise",
                         schedule_options={"alpha": 0.9})  # fmt: skip
    fed(est, x)
    rates, n, t = rates + 1, np.zeros(2), np.zeros((2, 2))
    for step, rows in enumerate(chunks(x)):
        joint = np.log(weights) + rows @ np.log(rates).T - rates.sum(axis=1)
        r = np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])
        eta = 1.0 if step == 0 else (step + 2) ** -0.9
        n = (1 - eta) * n + eta * r.mean(axis=0)
        t = (1 - eta) * t + eta * r.T @ rows / len(rows)
        weights, rates = n / n.sum(), t / n[:, None]
    np.testing.assert_allclose(est.rates_, rates, rtol=1e-10)
    np.testing.assert_allclose(est.weights_, weights, rtol=1e-10)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_a_stream_finds_what_all_rows_tell(kind: str) -> None:
    rng = np.random.default_rng(1)
    centres = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]) + 1e6
    x = centres[rng.integers(0, 3, 6000)] + rng.normal(size=(6000, 2))
    streamed = fed(GaussianMixture(3, covariance_type=kind, random_state=0), x)
    whole = GaussianMixture(3, covariance_type=kind, random_state=0).fit(x)
    assert streamed.score(x) > whole.score(x) - 0.01
    assert not streamed.converged_
    assert sorted(streamed.weights_) == pytest.approx(sorted(whole.weights_), abs=0.02)


def test_a_stream_goes_on_after_pickling(x: Rows) -> None:
    through = fed(GaussianMixture(3, random_state=0), x)
    cut = GaussianMixture(3, random_state=0)
    for chunk in chunks(x):
        cut = pickle.loads(pickle.dumps(cut)).partial_fit(chunk)
    assert np.array_equal(cut.means_, through.means_)
    assert np.array_equal(cut.covariances_, through.covariances_)


def test_weights_in_a_stream_are_repeats(x: Rows) -> None:
    start = x[:3]
    once, twice = (MiniBatchKMeans(3, init=start) for _ in range(2))
    for chunk in chunks(x):
        once.partial_fit(chunk, sample_weight=np.full(len(chunk), 2.0))
        twice.partial_fit(np.repeat(chunk, 2, axis=0))
    np.testing.assert_allclose(once.cluster_centers_, twice.cluster_centers_, rtol=1e-12)


def test_a_chunk_without_weight_changes_nothing(x: Rows) -> None:
    est = MiniBatchKMeans(3, random_state=0).partial_fit(x)
    before = est.cluster_centers_.copy()
    est.partial_fit(x + 50, sample_weight=np.zeros(len(x)))
    assert np.array_equal(est.cluster_centers_, before)


def test_a_stream_starts_from_what_was_fitted(x: Rows, tmp_path: Path) -> None:
    est = KMeans(3, random_state=0).fit(x)
    mini = MiniBatchKMeans(3, random_state=0).fit(x)
    np.testing.assert_allclose(
        np.sort(mini.cluster_centers_, axis=0), np.sort(est.cluster_centers_, axis=0), atol=0.05
    )
    mini.save(tmp_path / "m")
    back = emdist.load(tmp_path / "m")
    assert isinstance(back, MiniBatchKMeans)
    for other in (mini, back):
        before = other.cluster_centers_.copy()
        other.partial_fit(x)
        # One Lloyd iteration from centres that had converged.
        np.testing.assert_allclose(other.cluster_centers_, before, atol=0.1)
        assert other.n_iter_ == 1


def test_fitting_anew_ends_the_stream(x: Rows) -> None:
    est = fed(GaussianMixture(3, random_state=0), x)
    assert np.array_equal(est.fit(x).means_, GaussianMixture(3, random_state=0).fit(x).means_)
    est.partial_fit(x)
    assert est.n_iter_ == 1


def test_a_stream_from_zarr_on_a_cluster(x: Rows, stored: Path) -> None:
    with Client(processes=False, n_workers=2, dashboard_address=None) as client:
        there = GaussianMixture(3, random_state=0, engine=client).partial_fit(stored)
        there.partial_fit(stored)
    here = GaussianMixture(3, random_state=0).partial_fit(stored).partial_fit(stored)
    assert np.array_equal(there.means_, here.means_)


@pytest.mark.parametrize(
    ("chunk", "error"),
    [
        (np.zeros((5, 2)), ShapeError),
        (np.full((5, 3), np.nan), DataError),
        (np.full((5, 3), 2), DomainError),
    ],
)
def test_a_bad_chunk_is_refused_and_changes_nothing(chunk: Any, error: type[Exception]) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (100, 3))
    est = BernoulliMixture(2, random_state=0).partial_fit(bits)
    before = est.probabilities_.copy()
    with pytest.raises(error):
        est.partial_fit(chunk)
    assert np.array_equal(est.probabilities_, before)


def test_the_first_chunk_must_be_enough(x: Rows) -> None:
    with pytest.raises(StartError):
        MiniBatchKMeans(3).partial_fit(x[:2])
    with pytest.raises(WeightError):
        MiniBatchKMeans(3).partial_fit(x, sample_weight=np.zeros(len(x)))


def test_history_of_a_stream_is_bounded(x: Rows) -> None:
    est = MiniBatchKMeans(3, random_state=0)
    for i in range(105):
        est.partial_fit(x[i : i + 20])
    assert len(est.history_) == 100
    assert est.n_iter_ == est.history_[-1].iteration == 105


# ---- schedules by name


@pytest.mark.parametrize("schedule", ["incremental", "squarem", "sparse", "stepwise"])
def test_a_mixture_by_any_schedule(schedule: str, x: Rows, tmp_path: Path) -> None:
    est = GaussianMixture(3, random_state=0, tol=1e-7, schedule=schedule, block_size="2 KiB")
    wanted = GaussianMixture(3, random_state=0, tol=1e-7).fit(x)
    assert est.fit(x).lower_bound_ == pytest.approx(wanted.lower_bound_, abs=1e-4)
    assert est.converged_
    if schedule != "stepwise":
        assert (np.diff(est.lower_bounds_) > -1e-9).all()
    est.save(tmp_path / "m")
    assert emdist.load(tmp_path / "m").get_params()["schedule"] == schedule


def test_a_schedule_that_does_not_fit_is_refused_before_reading(
    stored: Path, reads: list[int]
) -> None:
    for est in (
        KMeans(3, schedule="squarem"),
        GaussianMixture(3, schedule="minibatch"),
        GaussianMixture(3, schedule="incremental", schedule_options={"groups": 0}),
        GaussianMixture(3, schedule="incremental", schedule_options=[1]),
        GaussianMixture(3, schedule="online"),
        MiniBatchKMeans(3, n_batches=0),
    ):
        with pytest.raises(ConfigError):
            est.fit(stored)
    assert reads == []


@pytest.mark.parametrize("schedule", ["incremental", "squarem", "sparse", "stepwise", "minibatch"])
def test_a_run_by_any_schedule_resumes(schedule: str, stored: Path, tmp_path: Path) -> None:
    model = {"name": "kmeans" if schedule == "minibatch" else "diagonal", "n_components": 3}
    results = []
    for name, every in (("through", None), ("cut", 1)):
        values = {
            "data": {"path": str(stored), "block_size": "2 KiB"},
            "model": model,
            "fit": {"schedule": schedule, "max_iter": 6, "tol": 0.0, "init": "random"},
            "run": {"folder": str(tmp_path), "key": name, "checkpoint_iterations": every},
            "labels": {"write": False},
        }
        finished = False
        while not finished:
            with open_job(make_config(values)) as job:
                assert isinstance(job, Job)
                finished = job.segment().finished
                if finished:
                    results.append(job.fitted)
    one, other = results
    assert np.array_equal(one.params.components.means, other.params.components.means)
    assert repr(one.history) == repr(other.history)


COUNTS = np.random.default_rng(0).integers(0, 4, (40, 3)).astype(np.float64)
FULL = [{"columns": [0, 1], "family": "full"}, {"columns": [2], "family": "full"}]
SWAPPED = [{"columns": [0, 2], "family": "full"}, {"columns": [1], "family": "full"}]
#: An estimator, a parameter that decides its shape, and another value of that.
SHAPES: list[tuple[Any, str, Any]] = [
    (GaussianMixture(2), "n_components", 3),
    (GaussianMixture(2), "n_components", 1),
    (GaussianMixture(2), "covariance_type", "diag"),
    (GaussianMixture(2), "noise", True),
    (GaussianMixture(2, noise=True), "noise", None),
    (GaussianMixture(2, covariance_type="diag"), "non_finite", "missing"),
    (MiniBatchKMeans(2), "n_clusters", 3),
    (MiniBatchKMeans(2, non_finite="missing"), "non_finite", "raise"),
    (BayesianGaussianMixture(n_components=2), "covariance_type", "tied"),
    (
        BayesianGaussianMixture(n_components=2),
        "weight_concentration_prior_type",
        "dirichlet_distribution",
    ),
    (CategoricalMixture(2, n_categories=4), "n_categories", 5),
    (BinomialMixture(2, n_trials=4), "n_trials", 5),
    (BinomialMixture(2, n_trials=4), "n_trials", [4, 4, 5]),
    (ProductMixture(2, groups=FULL), "groups", SWAPPED),
    (ProductMixture(2, groups=FULL), "groups", [{"columns": [0, 1, 2], "family": "diagonal"}]),
    (BernoulliMixture(2, non_finite="missing"), "n_components", 3),
]


@pytest.mark.parametrize(("est", "name", "value"), SHAPES, ids=lambda v: str(v)[:40])
def test_a_stream_keeps_its_shape(est: Any, name: str, value: Any) -> None:
    x = np.minimum(COUNTS, 1) if isinstance(est, BernoulliMixture) else COUNTS
    est = clone(est).set_params(random_state=0).partial_fit(x)
    old, before = est.get_params()[name], est.n_iter_
    est.set_params(**{name: value})
    kind = type(est).__name__
    with pytest.raises(ConfigError, match=rf"^{name} is .*{kind}.partial_fit .* or call fit"):
        est.partial_fit(x)
    est.set_params(**{name: old}).partial_fit(x)  # The advice.
    assert est.n_iter_ == before + 1
    est.set_params(max_iter=1, **{name: value}).fit(x)


def test_a_stream_that_goes_on_from_a_model_keeps_its_shape(tmp_path: Path) -> None:
    GaussianMixture(2, random_state=0).fit(COUNTS).save(tmp_path / "model")
    loaded: Any = emdist.load(tmp_path / "model")
    with pytest.raises(ConfigError, match=r"n_components is 3, .* continues has 2\. "):
        loaded.set_params(n_components=3).partial_fit(COUNTS)
    given = MiniBatchKMeans.from_parameters(cluster_centers=COUNTS[:2])
    with pytest.raises(ConfigError, match=r"n_clusters is 3, .* has 2\. .*new MiniBatchKMeans"):
        given.set_params(n_clusters=3).partial_fit(COUNTS)


def test_what_leaves_the_shape_alone_may_change_within_a_stream() -> None:
    est = BinomialMixture(2, n_trials=4, random_state=0).partial_fit(COUNTS)
    est.set_params(n_trials=[4, 4, 4], smoothing=0.5, assignment="hard").partial_fit(COUNTS)
    assert est.n_iter_ == 2
