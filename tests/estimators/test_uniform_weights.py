"""Weights that are kept alike, on mixtures of Gaussians."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

import emdist
from emdist import GaussianMixture
from emdist.errors import ConfigError
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config

X = np.concatenate(
    [np.random.default_rng(1).normal(size=(90, 2)), np.random.default_rng(2).normal(4, 1, (30, 2))]
)


def test_they_stay_alike_and_decide_the_labels() -> None:
    free = GaussianMixture(2, random_state=0).fit(X)
    alike = GaussianMixture(2, random_state=0, uniform_weights=True).fit(X)
    assert alike.weights_.tolist() == [0.5, 0.5]
    assert abs(free.weights_[0] - 0.5) > 0.1
    # Of the same numbers, one fewer is free.
    total = alike.score(X) * len(X)
    assert alike.bic(X) == pytest.approx(-2 * total + 10 * np.log(len(X)))


def test_they_are_those_of_the_configuration(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "x.zarr", data=X)
    config = make_config(
        {
            "data": {"path": str(tmp_path / "x.zarr")},
            "model": {"name": "full", "n_components": 2, "weights": "uniform"},
            "run": {"folder": str(tmp_path), "key": "r"},
        }
    )
    with open_job(config) as job:
        assert isinstance(job, Job)
        job.complete()
    loaded = emdist.load(tmp_path / "r")
    assert loaded.uniform_weights is True
    own = GaussianMixture(2, random_state=0, uniform_weights=True).fit(X)
    assert np.array_equal(loaded.means_, own.means_)


def test_a_prior_of_weights_beside_them_is_refused() -> None:
    both = GaussianMixture(2, uniform_weights=True, weight_concentration_prior=2.0)
    with pytest.raises(
        ConfigError, match=r"weight_concentration_prior=2 .* Give only one of the two"
    ):
        both.fit(X)
    given = {"means": [[0.0, 0.0], [4.0, 4.0]], "covariances": [np.eye(2)] * 2}
    with pytest.raises(ConfigError, match="weights differ"):
        GaussianMixture.from_parameters(weights=[0.7, 0.3], uniform_weights=True, **given)
