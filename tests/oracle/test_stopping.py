"""When fits stop by default: where scikit-learn does, and with little left to gain."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import sklearn.mixture
from sklearn.exceptions import ConvergenceWarning

from emdist import BayesianGaussianMixture, GaussianMixture
from emdist.fit.state import Status
from emdist.interfaces import Floats
from tests.oracle.test_variational_gaussian import KIND, WEIGHTS, FromClusters, GivenClusters
from tests.support.fitting import Fitting, Setting, blobs, fit_array


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def two_wide(rows: int = 1000) -> Floats:
    """N(1000, 500) and N(2000, 600), `rows` each, shuffled."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(1000, 500, rows), rng.normal(2000, 600, rows)])
    return rng.permutation(x)[:, None]


#: Rows, family, weights, concentration and components of posteriors that have too many of them.
CASES: dict[str, tuple[Floats, str, str, float, int]] = {
    "one feature": (two_wide(), "full", "variational_process", 10.0, 10),
    "full": (blobs(600, 2, 3, 3.0, 1)[0], "full", "variational_dirichlet", 1e-3, 8),
    "diagonal": (blobs(600, 3, 2, 3.0, 2)[0], "diagonal", "variational_process", 0.1, 6),
    "tied": (blobs(500, 2, 3, 4.0, 3)[0], "tied", "variational_dirichlet", 1e-2, 6),
    "spherical": (blobs(500, 2, 3, 4.0, 4)[0], "spherical", "variational_process", 1.0, 6),
}


@pytest.mark.parametrize("case", CASES)
def test_posteriors_stop_where_scikit_learns_do(case: str) -> None:
    x, name, weights, concentration, k = CASES[case]
    theirs = FromClusters(
        x[:k], covariance_type=KIND[name], max_iter=1000,
        weight_concentration_prior_type=WEIGHTS[weights],
        weight_concentration_prior=concentration,
    ).fit(x)  # fmt: skip
    ours = fit_array(
        x,
        Setting(
            f"variational_{name}", k, weights=weights,
            weights_options={"concentration": concentration},
        ),
        GivenClusters(x[:k]),
    )  # fmt: skip
    assert theirs.converged_
    assert ours.status is Status.CONVERGED
    # Theirs is the bound after the M-step, ours before it: half an iteration later.
    assert abs(ours.iterations - theirs.n_iter_) <= 2
    used = theirs.weights_ > 0.01
    assert 1 < used.sum() < k
    np.testing.assert_array_equal(ours.arrays["weights"] > 0.01, used)
    np.testing.assert_allclose(ours.arrays["weights"], theirs.weights_, atol=2e-3)
    np.testing.assert_allclose(ours.means[used], theirs.means_[used], rtol=5e-3, atol=5e-3)


def test_the_estimator_leaves_what_it_does_not_need_empty() -> None:
    options = {"n_components": 10, "weight_concentration_prior": 10, "max_iter": 3000}
    x = two_wide(300)
    ours = BayesianGaussianMixture(random_state=0, **options).fit(x)
    theirs = sklearn.mixture.BayesianGaussianMixture(random_state=0, **options).fit(x)
    assert ours.converged_
    assert (ours.weights_ > 0.01).sum() == (theirs.weights_ > 0.01).sum() < 4
    largest = np.argsort(-ours.weights_)[:2], np.argsort(-theirs.weights_)[:2]
    np.testing.assert_allclose(
        np.sort(ours.means_[largest[0]].ravel()),
        np.sort(theirs.means_[largest[1]].ravel()),
        rtol=0.05,
    )


def test_the_tolerance_of_a_posterior_is_of_all_rows_together() -> None:
    x = blobs(400, 2, 3, 3.0, 1)[0]
    setting = Setting("variational_diagonal", 5, weights="variational_dirichlet")
    once = fit_array(x, setting)
    records = once.state.history
    change = [abs(record.change) * len(x) for record in records[1:]]
    assert change[-1] < 1e-3 <= min(change[:-1])


def left(x: Floats, setting: Setting) -> tuple[Fitting, float]:
    """A fit by the defaults, and what a long run gains beyond it: nats per row."""
    own = fit_array(x, setting)
    fit = {**setting.fit, "tol": 1e-11, "max_iter": 5000}
    values = {name: getattr(setting, name) for name in Setting.__dataclass_fields__}
    long = fit_array(x, Setting(**{**values, "fit": fit}))
    return own, long.objective - own.objective


def overlapping(name: str) -> Floats:
    """Rows of three components that overlap, in the family's domain."""
    rng = np.random.default_rng(1)
    z = rng.integers(0, 3, 1000)
    if name == "poisson":
        return rng.poisson(rng.uniform(1, 6, (3, 5))[z]).astype(float)
    shares = rng.dirichlet(np.full(4, 2.0), 3)
    return np.array([rng.multinomial(6, shares[label]) for label in z], float)


@pytest.mark.long
@pytest.mark.parametrize("name", ["poisson", "multinomial"])
def test_counts_stop_near_where_a_long_run_ends(name: str) -> None:
    own, gain = left(overlapping(name), Setting(name, 3, fit={"max_iter": 1000}))
    assert own.status is Status.CONVERGED
    assert -1e-9 < gain < 3e-3
    # The last change alone would have ended the fit long before.
    small = [r.iteration for r in own.state.history if abs(r.change) < 1e-3]
    assert own.iterations > small[0]


@pytest.mark.parametrize("start", [2.0, 5.0])
def test_annealing_does_not_stop_where_heat_has_drawn_components_together(start: float) -> None:
    rng = np.random.default_rng(1)
    x = np.array([[0, 0], [2.5, 0], [0, 2.5]])[rng.integers(0, 3, 800)] + rng.normal(size=(800, 2))
    setting = Setting(
        "full", 3, assignment="tempered", assignment_options={"start": start},
        fit={"max_iter": 3000},
    )  # fmt: skip
    own, gain = left(x, setting)
    assert own.status is Status.CONVERGED
    assert -1e-9 < gain < 1e-2
    assert own.objective > fit_array(x, Setting("full", 3)).objective


def looped(est: Any, x: Floats) -> int:
    """Calls of `fit` until one of them says that it has converged."""
    for calls in range(1, 200):
        if est.fit(x).converged_:
            return calls
    raise AssertionError("never")


def test_a_loop_of_single_iterations_converges_where_scikit_learns_does() -> None:
    x = blobs(500, 2, 3, 3.0, 1)[0]
    options: dict[str, Any] = {
        "n_components": 4, "means_init": x[:4], "weights_init": [0.25] * 4,
        "precisions_init": np.tile(np.eye(2), (4, 1, 1)),
    }  # fmt: skip
    theirs = sklearn.mixture.GaussianMixture(warm_start=True, max_iter=1, **options)
    ours = GaussianMixture(warm_start=True, max_iter=1, **options)
    calls = looped(ours, x)
    assert calls == looped(theirs, x) == GaussianMixture(**options).fit(x).n_iter_ > 3
    np.testing.assert_allclose(ours.means_, theirs.means_, atol=1e-8)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, abs=1e-10)
