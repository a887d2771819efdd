"""A loop of short fits that go on from each other ends as one long fit, converged."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

import emdist
from emdist import (
    BayesianGaussianMixture,
    BernoulliMixture,
    BinomialMixture,
    CategoricalMixture,
    GaussianMixture,
    IsotropicMixture,
    MultinomialMixture,
    PoissonMixture,
    ProductMixture,
)
from emdist.estimators.mixture import MixtureEstimator

Rows = NDArray[np.float64]

_RNG = np.random.default_rng(3)
_LABELS = _RNG.integers(0, 3, 400)
REAL = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])[_LABELS] + _RNG.normal(size=(400, 2))
BITS = (_RNG.random((400, 6)) < _RNG.uniform(0.1, 0.9, (3, 6))[_LABELS]).astype(float)
COUNTS = _RNG.poisson(_RNG.uniform(1, 9, (3, 4))[_LABELS]).astype(float)
GAPS = np.where(_RNG.random(REAL.shape) < 0.2, np.nan, REAL)
FAR = np.concatenate([REAL, _RNG.uniform(-20, 20, (40, 2))])

#: Estimators that take `warm_start`, with rows of their domain.
CASES: dict[str, tuple[Any, Rows]] = {
    "full": (GaussianMixture(n_components=3), REAL),
    "tied": (GaussianMixture(n_components=3, covariance_type="tied"), REAL),
    "diag": (GaussianMixture(n_components=3, covariance_type="diag"), REAL),
    "spherical": (GaussianMixture(n_components=3, covariance_type="spherical"), REAL),
    "noise": (GaussianMixture(n_components=3, noise=True), FAR),
    "missing": (GaussianMixture(n_components=3, non_finite="missing"), GAPS),
    "prior": (GaussianMixture(n_components=3, mean_precision_prior=0.1), REAL),
    "hard": (GaussianMixture(n_components=3, assignment="hard"), REAL),
    "isotropic": (IsotropicMixture(n_components=3, variance=1.0), REAL),
    "process": (BayesianGaussianMixture(n_components=4, tol=0.1), REAL),
    "distribution": (
        BayesianGaussianMixture(
            n_components=4, tol=0.1, weight_concentration_prior_type="dirichlet_distribution"
        ),
        REAL,
    ),
    "bernoulli": (BernoulliMixture(n_components=3), BITS),
    "binomial": (BinomialMixture(n_components=3, n_trials=40), COUNTS),
    "poisson": (PoissonMixture(n_components=3), COUNTS),
    "multinomial": (MultinomialMixture(n_components=3), COUNTS + 1),
    "categorical": (CategoricalMixture(n_components=3), BITS),
    "product": (
        ProductMixture(
            n_components=3,
            groups=[
                {"columns": "0:2", "family": "diagonal"},
                {"columns": "2:8", "family": "bernoulli"},
            ],
        ),
        np.hstack([REAL, BITS]),
    ),
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def test_every_mixture_is_held_to_it() -> None:
    mixtures = {
        getattr(emdist, name)
        for name in emdist.__all__
        if isinstance(getattr(emdist, name), type)
        and issubclass(getattr(emdist, name), MixtureEstimator)
    }
    assert mixtures == {type(est) for est, _ in CASES.values()}


@pytest.mark.parametrize("case", CASES)
def test_a_loop_of_single_iterations_ends_as_one_fit(case: str) -> None:
    est, x = CASES[case]
    once = est.set_params(random_state=0, max_iter=200, warm_start=False).fit(x)
    wanted, bound, shares = once.n_iter_, once.lower_bound_, once.weights_
    est.set_params(max_iter=1)
    est.__dict__.pop("_fitted")
    est.fit(x)
    est.set_params(warm_start=True)
    calls = 1
    while not est.converged_:
        assert calls < 200
        est.fit(x)
        calls += 1
    assert calls == wanted > 1
    assert est.lower_bound_ == pytest.approx(bound, rel=1e-9)
    np.testing.assert_allclose(est.weights_, shares, atol=1e-7)


def test_other_rows_are_not_held_against_those_before() -> None:
    est = GaussianMixture(n_components=3, warm_start=True, max_iter=1, random_state=0, tol=10.0)
    est.fit(REAL)
    assert not est.fit(REAL + 1e-3).converged_
    assert est.fit(REAL + 1e-3).converged_


def test_another_model_is_not_held_against_that_before() -> None:
    est = GaussianMixture(n_components=3, warm_start=True, max_iter=1, random_state=0, tol=10.0)
    est.fit(REAL)
    assert not est.set_params(reg_covar=0.1).fit(REAL).converged_
    assert est.fit(REAL).converged_
