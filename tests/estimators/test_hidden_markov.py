"""Hidden Markov models where other packages go wrong, and with data of every kind."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emdist import CategoricalHMM, GaussianHMM, HiddenMarkovModel
from emdist.errors import ConfigError, ShapeError
from emdist.interfaces import Floats
from emdist.models.hidden_markov import HiddenMarkov
from tests.support.every_estimator import BITS, COUNTS, GROUPS, REAL

RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(size=(60, 2)), RNG.normal(size=(60, 2)) + 4, RNG.normal(size=(60, 2))])


def hmm(k: int = 2, **params: Any) -> GaussianHMM:
    return GaussianHMM(k, random_state=0, **params)


def sound(est: Any) -> None:
    """Probabilities are probabilities, and nothing is NaN."""
    np.testing.assert_allclose(est.transmat_.sum(axis=1), 1.0)
    np.testing.assert_allclose(est.startprob_.sum(), 1.0)
    assert np.isfinite(est.lower_bound_)
    if hasattr(est, "means_"):
        assert np.isfinite(est.means_).all()


def test_a_likelihood_that_falls_is_told_and_is_no_convergence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """hmmlearn#410."""
    honest, calls = HiddenMarkov.objective, iter(range(1000))

    def falling(*args: Any) -> float:
        return honest(*args) - 0.5 * next(calls)

    monkeypatch.setattr(HiddenMarkov, "objective", falling)
    with pytest.warns(RuntimeWarning, match="The objective got worse in iteration"):
        est = hmm(max_iter=6).fit(X)
    assert not est.converged_


def test_bounds_never_fall() -> None:
    for kind in ("full", "tied", "diag", "spherical"):
        est = hmm(3, covariance_type=kind, tol=1e-10, max_iter=300).fit(X, [60, 1, 119])  # type: ignore[arg-type]
        assert (np.diff(est.lower_bounds_) > -1e-12).all()


def test_a_state_that_no_row_visits_keeps_its_transitions() -> None:
    """hmmlearn#169: rows of zeros, and means of NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        est = hmm(3, means_init=[[0, 0], [4, 4], [1e3, 1e3]]).fit(X)
    sound(est)


def test_covariances_stay_positive_definite() -> None:
    """hmmlearn#285."""
    line = np.column_stack([X[:, 0], 2 * X[:, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        est = hmm(covariance_type="full").fit(line)
    sound(est)
    for one in est.covariances_:
        np.linalg.cholesky(one)


@pytest.mark.parametrize("assignment", ["soft", "hard"])
def test_zeros_of_a_left_right_model_stay_zero(assignment: Any) -> None:
    """hmmlearn#77."""
    upper = np.array([[0.9, 0.1, 0.0], [0.0, 0.9, 0.1], [0.0, 0.0, 1.0]])
    est = hmm(
        3, transmat_init=upper, startprob_init=[1, 0, 0], means_init=[[0, 0], [4, 4], [0, 0]],
        assignment=assignment,
    ).fit(X)  # fmt: skip
    assert (est.transmat_[upper == 0] == 0.0).all()
    assert est.startprob_.tolist() == [1.0, 0.0, 0.0]
    assert (np.diff(est.predict(X)) >= 0).all()


def test_many_rows_of_many_features_do_not_overflow() -> None:
    wide = np.random.default_rng(1).normal(size=(2000, 60)) * 30
    est = hmm(covariance_type="diag").fit(wide)
    sound(est)
    np.testing.assert_allclose(est.predict_proba(wide).sum(axis=1), 1.0)


def test_a_symbol_that_never_occurs() -> None:
    symbols = np.random.default_rng(2).integers(0, 2, (100, 1))
    est = CategoricalHMM(2, n_categories=4, random_state=0).fit(symbols)
    sound(est)
    assert np.isfinite(est.score(np.array([[3], [0]])))


def test_sequences_of_one_row() -> None:
    est = hmm().fit(X, [1] * 180)
    sound(est)
    assert est.startprob_.max() < 1
    one = hmm(1).fit(X[:1])
    assert one.transmat_.tolist() == [[1.0]]


FAMILIES: list[tuple[str, Any, Any]] = [
    ("full", REAL, None), ("tied", REAL, None), ("diagonal", REAL, None),
    ("spherical", REAL, None), ("isotropic", REAL, None), ("bernoulli", BITS, None),
    ("poisson", COUNTS, None), ("multinomial", COUNTS + 1, None),
    ("categorical", BITS, {"categories": 2}), ("binomial", COUNTS, {"trials": 30}),
    ("binomial_pairs", COUNTS, None), ("product", COUNTS, {"groups": GROUPS}),
]  # fmt: skip


@pytest.mark.parametrize(("emission", "x", "options"), FAMILIES, ids=[one[0] for one in FAMILIES])
def test_equal_rows_of_transitions_are_a_mixture(emission: str, x: Any, options: Any) -> None:
    est = HiddenMarkovModel(2, emission=emission, emission_options=options, random_state=0).fit(x)
    assert (np.diff(est.lower_bounds_) > -1e-12).all()
    weights = np.array([0.3, 0.7])
    made = HiddenMarkovModel.from_parameters(
        startprob=weights, transmat=np.tile(weights, (2, 1)), emission_arrays=est.emission_,
        emission=emission, emission_options=options,
    )  # fmt: skip
    each = np.column_stack([
        HiddenMarkovModel.from_parameters(
            startprob=one, transmat=np.tile(one, (2, 1)), emission_arrays=est.emission_,
            emission=emission, emission_options=options,
        ).score_samples(x, [1] * len(x))
        for one in np.eye(2)
    ])  # fmt: skip
    wanted = logsumexp(each + np.log(weights), axis=1)
    np.testing.assert_allclose(made.score_samples(x, [17, 1, 42]), wanted, rtol=1e-12, atol=1e-12)
    posterior = np.exp(each + np.log(weights) - wanted[:, None])
    np.testing.assert_allclose(made.predict_proba(x, [17, 1, 42]), posterior, atol=1e-12)


def test_priors_are_pseudo_counts() -> None:
    plain, smooth = hmm().fit(X), hmm(transmat_prior=50.0, startprob_prior=10.0).fit(X)
    assert smooth.transmat_[0, 1] > plain.transmat_[0, 1]
    assert smooth.startprob_.min() > 0.4 > plain.startprob_.min()
    assert (np.diff(smooth.lower_bounds_) > -1e-12).all()
    with pytest.raises(ConfigError, match="transmat_prior"):
        hmm(transmat_prior=0.5).fit(X)


def test_weights_of_zero_leave_a_sequence_out() -> None:
    weight = np.repeat([1.0, 0.0, 1.0], 60)
    found, wanted = (
        hmm().fit(X, [60, 60, 60], weight),
        hmm().fit(np.vstack([X[:60], X[120:]]), [60, 60]),
    )
    np.testing.assert_allclose(found.means_, wanted.means_, rtol=1e-6)


@pytest.mark.parametrize("policy", ["drop", "missing"])
def test_rows_without_values_keep_their_time(policy: Any) -> None:
    gone = X.copy()
    gone[[3, 70, 71]] = np.nan
    est = hmm(non_finite=policy).fit(gone, [90, 90])
    assert len(est.predict(gone, [90, 90])) == 177
    without = hmm().fit(gone[~np.isnan(gone[:, 0])], [87, 90])
    assert (est.transmat_ != without.transmat_).any()
    # A sequence in which no row counts says nothing.
    more = np.vstack([gone, np.full((500, 2), np.nan)])
    again = hmm(non_finite=policy).fit(more, [90, 90, 500])
    np.testing.assert_allclose(again.transmat_, est.transmat_, rtol=1e-9)
    np.testing.assert_allclose(again.startprob_, est.startprob_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int16", "uint8"])
def test_dtypes(dtype: str) -> None:
    x = (np.abs(X) * 10).astype(dtype)
    np.testing.assert_allclose(
        hmm().fit(x).means_, hmm().fit(x.astype(np.float64)).means_, rtol=1e-4
    )


def test_frames_ids_and_lazy_arrays() -> None:
    da = pytest.importorskip("dask.array")
    wanted = hmm().fit(X, [60, 60, 60])
    frame = pd.DataFrame(X, columns=["température", "日本"])
    named = hmm().fit(frame, groups=np.repeat(["ü", "a", "é b"], 60))
    assert named.feature_names_in_.tolist() == ["température", "日本"]
    for est in (named, hmm().fit(da.from_array(X, chunks=(50, 2)), [60, 60, 60])):
        np.testing.assert_allclose(est.transmat_, wanted.transmat_, rtol=1e-9)


def bad(ids: Any = None, lengths: Any = None) -> None:
    hmm().fit(X, lengths, groups=ids)


def test_wrong_sequences_are_refused() -> None:
    with pytest.raises(ShapeError, match="sums to 30"):
        bad(lengths=[10, 20])
    for lengths in ([90.0, 90.0], 180, [[90, 90]], np.ones(180, bool)):
        with pytest.raises(ConfigError, match="whole numbers"):
            bad(lengths=lengths)
    with pytest.raises(ConfigError, match="not consecutive"):
        bad(np.repeat([2, 1, 2], 60))
    with pytest.raises(ConfigError, match="several types"):
        bad(np.array([None] * 60 + ["a"] * 120, dtype=object))
    with pytest.raises(ConfigError, match="Pass only one"):
        bad(np.zeros(180), [180])


def test_scikit_learn_uses_it() -> None:
    assert clone(hmm(start="stationary")).start == "stationary"
    path: Floats = make_pipeline(StandardScaler(), hmm()).fit(X).predict(X)
    assert len(set(path[:60])) == 1
    found = GridSearchCV(hmm(), {"n_components": [1, 2]}, cv=2).fit(X)
    assert found.best_params_ == {"n_components": 2}
