"""BayesianGaussianMixture, and priors of GaussianMixture: scikit-learn's manners, saved, told."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.mixture
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import emdist
from emdist import BayesianGaussianMixture, GaussianMixture
from emdist.errors import ConfigError, EmdistError
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config

Rows = NDArray[np.float64]

KINDS = ["full", "tied", "diag", "spherical"]
TYPES = ["dirichlet_process", "dirichlet_distribution"]
FITTED = [
    "weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_",
    "mean_precision_", "degrees_of_freedom_", "mean_prior_", "mean_precision_prior_",
    "degrees_of_freedom_prior_", "covariance_prior_", "weight_concentration_",
    "weight_concentration_prior_",
]  # fmt: skip

RNG_ROWS = np.random.default_rng(4).normal(size=(60, 2))


def test_the_constructor_begins_with_scikit_learns_parameters() -> None:
    own = list(inspect.signature(BayesianGaussianMixture).parameters.values())
    wanted = list(inspect.signature(sklearn.mixture.BayesianGaussianMixture).parameters.values())
    assert [(p.name, p.default, p.kind) for p in own[: len(wanted)]] == [
        (p.name, p.default, p.kind) for p in wanted
    ]


@pytest.mark.covering
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weights", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_separated_clusters_end_where_scikit_learns_do(kind: str, weights: str, x: Rows) -> None:
    options = {
        "n_components": 3, "covariance_type": kind, "weight_concentration_prior_type": weights,
        "random_state": 0, "max_iter": 400, "tol": 1e-13,
    }  # fmt: skip
    own = BayesianGaussianMixture(**options).fit(x)
    other = sklearn.mixture.BayesianGaussianMixture(**options).fit(x)
    # The order of components is the start's, and a process depends on it.
    order = np.argsort(own.means_[:, 0])[np.argsort(np.argsort(other.means_[:, 0]))]
    tol = 1e-2 if weights == "dirichlet_process" else 1e-6
    np.testing.assert_allclose(own.means_[order], other.means_, atol=tol)
    np.testing.assert_allclose(own.weights_[order], other.weights_, atol=tol)
    for name in FITTED:
        found, wanted = getattr(own, name), getattr(other, name)
        assert np.shape(found) == np.shape(wanted), name
        assert type(found) is type(wanted) or not isinstance(wanted, tuple), name
    np.testing.assert_allclose(own.covariance_prior_, other.covariance_prior_, rtol=1e-10)
    np.testing.assert_allclose(own.mean_prior_, other.mean_prior_, atol=1e-12)
    missing = {n for n in dir(other) if not n.startswith("_")} - set(dir(own))
    assert missing == set()


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_back(kind: str, x: Rows, tmp_path: Path) -> None:
    scale = {"full": 2 * np.eye(3), "tied": 2 * np.eye(3), "diag": [2.0] * 3, "spherical": 2.0}
    est = BayesianGaussianMixture(
        n_components=4, covariance_type=kind, covariance_prior=scale[kind], mean_prior=x[0],
        weight_concentration_prior_type="dirichlet_distribution", random_state=1, tol=1e-4,
    ).fit(x)  # fmt: skip
    est.save(tmp_path / "m")
    back = emdist.load(tmp_path / "m")
    assert isinstance(back, BayesianGaussianMixture)
    for name in FITTED:
        np.testing.assert_array_equal(getattr(back, name), getattr(est, name), err_msg=name)
    assert np.array_equal(back.predict_proba(x), est.predict_proba(x))
    assert np.array_equal(back.sample(9)[0], est.sample(9)[0])
    assert np.array_equal(back.fit(x).means_, est.means_)
    twin, own = clone(back).get_params(), back.get_params()
    assert twin.keys() == own.keys()
    for name in own:  # arrays come back as arrays
        np.testing.assert_array_equal(twin[name], own[name], err_msg=name)


def test_a_run_of_the_command_line_is_an_estimator(stored: Path, x: Rows, tmp_path: Path) -> None:
    model = {
        "name": "variational_diagonal", "n_components": 5, "weights": "variational_process",
        "weights_options": {"concentration": 0.01}, "options": {"prior": {"mean_precision": 0.1}},
    }  # fmt: skip
    config = make_config(
        {
            "data": {"path": str(stored)},
            "model": model,
            "run": {"folder": str(tmp_path), "key": "run"},
        }
    )
    with open_job(config) as job:
        assert isinstance(job, Job)
        job.complete()
    back = emdist.load(tmp_path / "run")
    assert isinstance(back, BayesianGaussianMixture)
    assert back.covariance_type == "diag"
    assert back.weight_concentration_prior == back.weight_concentration_prior_ == 0.01
    assert back.mean_precision_prior == back.mean_precision_prior_ == 0.1
    own = clone(back).set_params(random_state=0).fit(str(stored))
    np.testing.assert_array_equal(own.means_, back.means_)


def test_a_warm_start_goes_on(x: Rows) -> None:
    options = {"n_components": 4, "random_state": 0, "max_iter": 6, "tol": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        long = BayesianGaussianMixture(**{**options, "max_iter": 12}).fit(x)
        warm = BayesianGaussianMixture(warm_start=True, **options).fit(x)
        first = warm.lower_bound_
        warm.fit(x)
    assert first < warm.lower_bound_
    assert warm.lower_bound_ == pytest.approx(long.lower_bound_, abs=1e-4)


def test_more_rows_leave_less_to_the_prior(x: Rows) -> None:
    options = {"n_components": 3, "covariance_type": "diag", "random_state": 0}
    few = BayesianGaussianMixture(**options, mean_precision_prior=50.0).fit(x)
    many = BayesianGaussianMixture(**options, mean_precision_prior=50.0).fit(
        x, sample_weight=np.full(len(x), 100.0)
    )
    assert np.abs(few.means_ - x.mean(axis=0)).sum() < np.abs(many.means_ - x.mean(axis=0)).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_a_prior_of_gaussian_mixture(kind: str, x: Rows, tmp_path: Path) -> None:
    plain = GaussianMixture(3, covariance_type=kind, random_state=0).fit(x)
    weak = {"mean_precision_prior": 1e-9, "weight_concentration_prior": 1.0}
    strong = {"mean_precision_prior": 1e9, "mean_prior": [1.0, 2.0, 3.0]}
    near = GaussianMixture(3, covariance_type=kind, random_state=0, **weak).fit(x)
    np.testing.assert_allclose(near.means_, plain.means_, atol=0.05)
    held = GaussianMixture(3, covariance_type=kind, random_state=0, **strong).fit(x)
    np.testing.assert_allclose(held.means_, [[1.0, 2.0, 3.0]] * 3, atol=1e-4)
    held.save(tmp_path / "m")
    back = emdist.load(tmp_path / "m")
    assert isinstance(back, GaussianMixture)
    assert back.mean_prior == [1.0, 2.0, 3.0]
    assert np.array_equal(back.fit(x).means_, held.means_)


TOO_MANY = 601
BAD: dict[str, list[Any]] = {
    "weight_concentration_prior_type": ["dirichlet", None, 3],
    "weight_concentration_prior": [0, -1.0, "a", np.nan, np.inf],
    "mean_precision_prior": [0, -1, "a", np.nan],
    "degrees_of_freedom_prior": [2.0, 0, "a", np.nan],
    "mean_prior": [[1.0], 1.0, "a", [np.nan] * 3],
    "covariance_prior": [1.0, np.ones(3), "a", np.full((3, 3), np.nan)],
    "covariance_type": ["diagonally", None],
    "n_components": [0, 2.5, TOO_MANY],
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_told_in_the_users_words(name: str, x: Rows) -> None:
    for value in BAD[name]:
        with pytest.raises(EmdistError, match="n_samples" if value is TOO_MANY else name):
            BayesianGaussianMixture(**{"n_components": 3, name: value}).fit(x)


def test_a_prior_of_weights_without_a_mode_is_refused(x: Rows) -> None:
    with pytest.raises(ConfigError, match="BayesianGaussianMixture"):
        GaussianMixture(2, weight_concentration_prior=0.5).fit(x)


def test_hard_assignment_counts_whole_rows() -> None:
    x = np.concatenate([RNG_ROWS, RNG_ROWS[:30] + 2.5])
    soft = BayesianGaussianMixture(n_components=2, random_state=0).fit(x)
    hard = BayesianGaussianMixture(n_components=2, random_state=0, assignment="hard").fit(x)
    counts = hard.degrees_of_freedom_ - hard.degrees_of_freedom_prior_
    np.testing.assert_allclose(counts, np.bincount(hard.predict(x), minlength=2), rtol=1e-12)
    fractions = soft.degrees_of_freedom_ - soft.degrees_of_freedom_prior_
    assert np.abs(fractions - np.round(fractions)).max() > 1e-3


def test_another_schedule_ends_at_the_same_bound() -> None:
    settings = {"n_components": 2, "random_state": 0, "tol": 1e-9, "max_iter": 2000}
    x = np.concatenate([RNG_ROWS, RNG_ROWS[:30] + 2.5])
    batch = BayesianGaussianMixture(**settings).fit(x)
    other = BayesianGaussianMixture(
        **settings, schedule="incremental", schedule_options={"groups": 2}, block_size="800 B"
    ).fit(x)
    assert other.lower_bound_ == pytest.approx(batch.lower_bound_, abs=1e-7)
    np.testing.assert_allclose(other.means_, batch.means_, atol=1e-3)
