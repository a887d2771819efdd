"""Gaussian mixtures against scikit-learn's, from the same start."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.mixture._gaussian_mixture import _estimate_gaussian_parameters

from emdist.fit.loop import seeded
from emdist.fit.start import Given
from emdist.fit.state import FitState, Status
from tests.support.fitting import Setting, blobs, fit_array, relative
from tests.support.reference_data import (
    CASES,
    GAUSSIAN,
    Case,
    broad,
    disagreement,
    ours_of,
    ours_on,
    theirs_of,
    theirs_on,
)

OFFSET = 1e6


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.mark.long
@pytest.mark.covering
@pytest.mark.parametrize("name", GAUSSIAN)
@pytest.mark.parametrize("data", CASES)
def test_float64_is_scikit_learns(data: str, name: str) -> None:
    ours, theirs = ours_on(data, name), theirs_on(data, name)
    assert ours.iterations == theirs.n_iter_
    assert (ours.status is Status.CONVERGED) == theirs.converged_
    for what, difference in disagreement(ours, theirs, name).items():
        assert difference < 1e-8, what
    np.testing.assert_allclose(
        [r.objective for r in ours.state.history], theirs.lower_bounds_, rtol=1e-10
    )


@pytest.mark.parametrize("name", GAUSSIAN)
@pytest.mark.parametrize("data", CASES)
def test_float32_is_scikit_learns_float64(data: str, name: str) -> None:
    ours, theirs = ours_on(data, name, "float32"), theirs_on(data, name)
    assert ours.iterations == theirs.n_iter_
    for what, difference in disagreement(ours, theirs, name).items():
        assert difference < 1e-4, what


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", GAUSSIAN)
@pytest.mark.parametrize("data", ["touching", "digits"])
def test_rows_are_scored_and_labelled_as_scikit_learn_does(
    data: str, name: str, dtype: str
) -> None:
    case, ours, theirs = CASES[data], ours_on(data, name, dtype), theirs_on(data, name)
    found = ours.assign(case.x.astype(dtype))
    tol = 1e-8 if dtype == "float64" else 1e-4
    assert relative(found.score, theirs.score_samples(case.x)) < tol
    proba = theirs.predict_proba(case.x)
    assert found.resp is not None
    # Relative to 1. A logit is a difference of scores tens of nats large, each with its error.
    assert np.abs(found.resp - proba).max() < (1e-8 if dtype == "float64" else 5e-4)
    top = np.sort(proba, axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-2
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found.labels[clear], theirs.predict(case.x)[clear])


@pytest.mark.parametrize("name", GAUSSIAN)
@pytest.mark.parametrize("data", ["separated", "touching"])
def test_an_offset_of_1e6_costs_no_digits(data: str, name: str) -> None:
    # Data in steps of 2^-20: adding 1e6 < 2^20 needs 40 bits of the 52, so x + 1e6 is exact and
    # only the answer's own rounding is left: means near 1e6 are stored to 2^-33 = 1.2e-10.
    x = np.round(CASES[data].x * 2**20) / 2**20
    assert ((x + OFFSET) - OFFSET == x).all()
    given, theirs = broad(x, CASES[data].k, name)
    model = GaussianMixture(CASES[data].k, covariance_type=GAUSSIAN[name][0], **theirs).fit(x)
    moved = Given(given.means + OFFSET, given.weights, given.scales)
    ours = fit_array(x + OFFSET, Setting(name, CASES[data].k), moved)
    assert ours.iterations == model.n_iter_
    assert np.abs(ours.means - OFFSET - model.means_).max() < 2.0**-32
    assert relative(ours.arrays[GAUSSIAN[name][1]], model.covariances_) < 1e-8
    assert abs(ours.objective - model.lower_bound_) < 1e-8 * abs(model.lower_bound_)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["full", "tied", "diagonal"])
def test_features_in_very_different_units(name: str, dtype: str) -> None:
    scale = np.array([1e-6, 1.0, 1e3, 1e6])
    x = (blobs(3000, 4, 3, 4.0)[0] * scale).astype(np.float32).astype(np.float64)
    case = Case(x, 3, options={"reg_covar": 0.0})
    ours, theirs = ours_of(case, name, dtype), theirs_of(case, name)
    tol = 1e-8 if dtype == "float64" else 1e-4
    squares = scale**2 if name == "diagonal" else np.outer(scale, scale)
    assert ours.iterations == theirs.n_iter_
    assert relative(ours.means / scale, theirs.means_ / scale) < tol
    scales = ours.arrays[GAUSSIAN[name][1]]
    assert relative(scales / squares, theirs.covariances_ / squares) < tol


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", GAUSSIAN)
def test_the_start_from_clusters_is_scikit_learns_first_m_step(name: str, dtype: str) -> None:
    x, k = CASES["touching"].x, 5
    means = x[:k].copy()
    nearest = ((x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    n, _, covariances = _estimate_gaussian_parameters(
        x, np.eye(k)[nearest], 1e-6, GAUSSIAN[name][0], xp=None
    )
    ours = fit_array(x.astype(dtype), Setting(name, k, fit={"max_iter": 1}), Given(means))
    start = seeded(ours.fit, FitState(0)).params
    assert relative(start.weights, n / n.sum()) < 1e-12
    assert relative(getattr(start.components, GAUSSIAN[name][1]), covariances) < 1e-8
    # As with scikit-learn's means_init, the means given replace those of their clusters.
    assert relative(start.components.means + ours.fit.origin, means) < 1e-12


@pytest.mark.parametrize("name", GAUSSIAN)
def test_the_default_start_reaches_scikit_learns_optimum(name: str) -> None:
    x = blobs(2000, 4, 3, 6.0)[0]
    theirs = GaussianMixture(3, covariance_type=GAUSSIAN[name][0], tol=1e-10, random_state=0)
    theirs.fit(x)
    ours = fit_array(x, Setting(name, 3, fit={"tol": 1e-10, "n_init": 2}))
    order, wanted = np.argsort(ours.means[:, 0]), np.argsort(theirs.means_[:, 0])
    assert relative(ours.means[order], theirs.means_[wanted]) < 1e-4
    assert ours.objective == pytest.approx(theirs.lower_bound_, rel=1e-8)
