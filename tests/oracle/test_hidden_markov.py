"""Hidden Markov models against published figures, sums over all paths, mixtures and hmmlearn."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp

import emdist
from emdist import (
    BernoulliHMM,
    CategoricalHMM,
    GaussianHMM,
    GaussianMixture,
    HiddenMarkovModel,
    PoissonHMM,
)
from emdist.interfaces import Floats

#: Major earthquakes of the years 1900 to 2006, as Zucchini and MacDonald 2009 list them.
EARTHQUAKES = np.array([
    13, 14, 8, 10, 16, 26, 32, 27, 18, 32, 36, 24, 22, 23, 22, 18, 25, 21, 21, 14, 8, 11, 14, 23,
    18, 17, 19, 20, 22, 19, 13, 26, 13, 14, 22, 24, 21, 22, 26, 21, 23, 24, 27, 41, 31, 27, 35,
    26, 28, 36, 39, 21, 17, 22, 17, 19, 15, 34, 10, 15, 22, 18, 15, 20, 15, 22, 19, 16, 30, 27,
    29, 23, 20, 16, 21, 21, 25, 16, 18, 15, 18, 14, 10, 15, 8, 15, 6, 11, 8, 7, 18, 16, 13, 12,
    13, 20, 15, 16, 12, 18, 15, 16, 13, 15, 16, 11, 11,
], np.float64)[:, None]  # fmt: skip


def test_the_umbrella_world() -> None:
    """Russell and Norvig, Artificial Intelligence, chapter 14."""
    hmm = CategoricalHMM.from_parameters(
        startprob=[0.5, 0.5],
        transmat=[[0.7, 0.3], [0.3, 0.7]],
        emissionprob=[[0.9, 0.1], [0.2, 0.8]],
    )
    x = np.array([0, 0, 1, 0, 0])[:, None]
    assert hmm.score(x) == pytest.approx(-3.3725, abs=5e-5)
    log_prob, path = hmm.decode(x)
    assert log_prob == pytest.approx(-4.4590, abs=5e-5)
    assert path.tolist() == [0, 0, 1, 0, 0]
    smoothed = hmm.predict_proba(x)[:, 0]
    np.testing.assert_allclose(smoothed, [0.8673, 0.8204, 0.3075, 0.8204, 0.8673], atol=5e-5)
    filtered = hmm.filter_proba(x)[:, 0]
    np.testing.assert_allclose(filtered[:2], [0.8182, 0.8834], atol=5e-5)
    np.testing.assert_allclose(
        hmm.predict_next_proba(x), hmm.filter_proba(x) @ hmm.transmat_, rtol=1e-14
    )


@pytest.mark.parametrize(
    ("k", "start", "wanted"),
    [
        (1, "free", 391.9189),
        (2, "free", 341.8787),
        (3, "free", 328.5275),
        (4, "free", 326.2850),
        (2, "stationary", 342.3183),
        (3, "stationary", 329.4603),
    ],
)
def test_earthquakes(k: int, start: Any, wanted: float) -> None:
    """Zucchini and MacDonald 2009, table 3.1: -log L of Poisson models of 107 years."""
    hmm = PoissonHMM(
        k, n_init=40, init_params="random", start=start, tol=1e-8, max_iter=3000, random_state=0
    ).fit(EARTHQUAKES)
    assert -hmm.score(EARTHQUAKES) == pytest.approx(wanted, abs=6e-5)
    bounds = np.array(hmm.lower_bounds_)
    assert (np.diff(bounds) > -1e-12).all()
    assert hmm.lower_bound_ * 107 == pytest.approx(-wanted, abs=1e-4)
    assert np.all(np.diff(hmm.lambdas_.ravel()) > 0)
    if start == "stationary":
        np.testing.assert_allclose(hmm.startprob_ @ hmm.transmat_, hmm.startprob_, atol=1e-12)


def test_equal_transition_rows_are_the_mixture() -> None:
    rng = np.random.default_rng(0)
    x = np.vstack([rng.normal(size=(300, 3)), rng.normal(size=(200, 3)) + 2])
    weights = np.array([0.3, 0.7])
    means, covariances = np.array([[0.0] * 3, [2.0] * 3]), np.stack([np.eye(3), 2 * np.eye(3)])
    hmm = GaussianHMM.from_parameters(
        startprob=weights,
        transmat=np.tile(weights, (2, 1)),
        means=means,
        covariances=covariances,
        covariance_type="full",
    )
    mixture = GaussianMixture.from_parameters(weights=weights, means=means, covariances=covariances)
    lengths = [100, 1, 399]
    np.testing.assert_allclose(
        hmm.score_samples(x, lengths), mixture.score_samples(x), rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(
        hmm.predict_proba(x, lengths), mixture.predict_proba(x), rtol=0, atol=1e-12
    )
    assert hmm.score(x, lengths) == pytest.approx(mixture.score(x) * 500, rel=1e-12)


def emissions(hmm: GaussianHMM, x: Floats) -> Floats:
    """Log-densities (n, k) by the definition, 0 for rows of NaN."""
    found = np.zeros((len(x), hmm.n_components))
    for k in range(hmm.n_components):
        variance = hmm.covariances_[k]
        terms = -0.5 * ((x - hmm.means_[k]) ** 2 / variance + np.log(2 * np.pi * variance))
        found[:, k] = np.nansum(terms, axis=1)
    return found


def paths(hmm: GaussianHMM, x: Floats) -> dict[tuple[int, ...], float]:
    """The joint log-probability of every path."""
    scores, n = emissions(hmm, x), len(x)
    with np.errstate(divide="ignore"):
        start, transitions = np.log(hmm.startprob_), np.log(hmm.transmat_)
    found = {}
    for path in itertools.product(range(hmm.n_components), repeat=n):
        value = start[path[0]] + scores[0, path[0]]
        for t in range(1, n):
            value += transitions[path[t - 1], path[t]] + scores[t, path[t]]
        found[path] = float(value)
    return found


TRANSITIONS = {
    "ergodic": [[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.25, 0.25, 0.5]],
    "left-right": [[0.6, 0.4, 0.0], [0.0, 0.7, 0.3], [0.0, 0.0, 1.0]],
}


@pytest.mark.parametrize("block_size", [None, "16B", "48B"])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("kind", TRANSITIONS)
def test_brute_force_over_all_paths(kind: str, missing: bool, block_size: str | None) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(7, 2)) * 2
    if missing:
        x[3] = np.nan
        x[5, 0] = np.nan
    hmm = GaussianHMM.from_parameters(
        startprob=[0.5, 0.5, 0.0],
        transmat=TRANSITIONS[kind],
        means=[[0.0, 1.0], [1.0, -1.0], [3.0, 0.0]],
        covariances=[[1.0, 0.5], [2.0, 1.0], [0.7, 1.5]],
        non_finite="missing" if missing else "raise",
        block_size=block_size,
    )
    every = paths(hmm, x)
    values = np.array(list(every.values()))
    total = logsumexp(values)
    seen = ~np.isnan(x).all(axis=1)
    assert hmm.score(x) == pytest.approx(total, rel=1e-12)
    log_prob, states = hmm.decode(x)
    best = max(every, key=lambda path: every[path])
    assert log_prob == pytest.approx(every[best], rel=1e-12)
    assert states.tolist() == list(np.array(best)[seen])
    posterior = np.zeros((7, 3))
    for path, value in every.items():
        posterior[np.arange(7), path] += np.exp(value - total)
    np.testing.assert_allclose(hmm.predict_proba(x), posterior[seen], atol=1e-12)


KINDS = ["full", "tied", "diag", "spherical"]


def gaussian_start(kind: str) -> dict[str, Any]:
    covariances = {
        "full": np.tile(np.eye(2), (3, 1, 1)),
        "tied": np.eye(2),
        "diag": np.ones((3, 2)),
        "spherical": np.ones(3),
    }
    return {
        "startprob": np.array([0.5, 0.3, 0.2]),
        "transmat": np.array([[0.9, 0.1, 0.0], [0.0, 0.8, 0.2], [0.3, 0.0, 0.7]]),
        "means": np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]),
        "covars": covariances[kind],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_gaussians_agree_with_hmmlearn(kind: Any) -> None:
    theirs = pytest.importorskip("hmmlearn.hmm")
    rng = np.random.default_rng(0)
    x = np.vstack(
        [
            rng.normal(size=(300, 2)),
            rng.normal(size=(200, 2)) * 2 + [3, 0],
            rng.normal(size=(300, 2)) + np.array([0, 5]),
        ]
    )
    lengths, start = [100, 1, 399, 300], gaussian_start(kind)
    their = theirs.GaussianHMM(
        3, kind, min_covar=0, covars_prior=0, covars_weight=0, n_iter=7, tol=-np.inf, init_params=""
    )
    for name, value in start.items():
        setattr(their, f"{name}_", value)
    their.fit(x, lengths)
    own = GaussianHMM(
        3,
        covariance_type=kind,
        reg_covar=0,
        max_iter=7,
        tol=0,
        **{f"{name}_init": value for name, value in start.items()},
    )
    with pytest.warns(UserWarning, match="max_iter"):
        own.fit(x, lengths)
    for name in ("startprob_", "transmat_", "means_"):
        np.testing.assert_allclose(getattr(own, name), getattr(their, name), rtol=1e-8, atol=1e-12)
    if kind != "spherical":  # hmmlearn shows those in another shape
        np.testing.assert_allclose(own.covars_, their.covars_, rtol=1e-8)
    assert own.score(x, lengths) == pytest.approx(their.score(x, lengths), rel=1e-10)
    log_prob, path = own.decode(x, lengths)
    their_prob, their_path = their.decode(x, lengths)
    assert log_prob == pytest.approx(their_prob, rel=1e-10)
    np.testing.assert_array_equal(path, their_path)
    np.testing.assert_allclose(
        own.predict_proba(x, lengths), their.predict_proba(x, lengths), atol=1e-8
    )


def test_counts_and_categories_agree_with_hmmlearn() -> None:
    theirs = pytest.importorskip("hmmlearn.hmm")
    rng = np.random.default_rng(1)
    start, transitions = np.array([0.6, 0.4]), np.array([[0.8, 0.2], [0.3, 0.7]])
    counts = rng.poisson(np.repeat([2.0, 9.0, 3.0], 60))[:, None]
    rates = np.array([[1.0], [8.0]])
    their = theirs.PoissonHMM(
        2, lambdas_prior=0, lambdas_weight=0, n_iter=6, tol=-np.inf, init_params=""
    )
    their.startprob_, their.transmat_, their.lambdas_ = start, transitions, rates
    their.fit(counts, [100, 80])
    own: Any = PoissonHMM(
        2, startprob_init=start, transmat_init=transitions, lambdas_init=rates, max_iter=6, tol=0
    )
    with pytest.warns(UserWarning, match="max_iter"):
        own.fit(counts, [100, 80])
    for name in ("startprob_", "transmat_", "lambdas_"):
        np.testing.assert_allclose(getattr(own, name), getattr(their, name), rtol=1e-8)

    symbols = rng.integers(0, 3, (200, 1))
    symbols[:80] = np.minimum(symbols[:80], 1)
    shares = np.array([[0.5, 0.4, 0.1], [0.2, 0.2, 0.6]])
    their = theirs.CategoricalHMM(2, n_iter=6, tol=-np.inf, init_params="", n_features=3)
    their.startprob_, their.transmat_, their.emissionprob_ = start, transitions, shares
    their.fit(symbols, [150, 50])
    own = CategoricalHMM(
        2,
        n_categories=3,
        startprob_init=start,
        transmat_init=transitions,
        emissionprob_init=shares,
        max_iter=6,
        tol=0,
    )
    with pytest.warns(UserWarning, match="max_iter"):
        own.fit(symbols, [150, 50])
    for name in ("startprob_", "transmat_", "emissionprob_"):
        np.testing.assert_allclose(getattr(own, name), getattr(their, name), rtol=1e-8)


def test_any_family_is_an_emission() -> None:
    rng = np.random.default_rng(5)
    bits = (rng.random((120, 3)) < np.repeat([[0.9] * 3, [0.1] * 3], 60, axis=0)).astype(float)
    named = HiddenMarkovModel(2, emission="bernoulli", random_state=0).fit(bits, [60, 60])
    own = BernoulliHMM(2, random_state=0).fit(bits, [60, 60])
    np.testing.assert_array_equal(named.emission_["means"], own.probabilities_)
    mixed = np.column_stack([bits, rng.poisson(np.repeat([2, 9], 60))])
    groups = [
        {"columns": "0:3", "family": "bernoulli"},
        {"columns": [3], "family": "poisson"},
    ]
    product = HiddenMarkovModel(
        2, emission="product", emission_options={"groups": groups}, random_state=0
    ).fit(mixed)
    assert (np.diff(product.lower_bounds_) > -1e-12).all()
    assert len(set(product.predict(mixed)[:50])) == 1
    counts = rng.multinomial(10, [0.2, 0.3, 0.5], 80)
    many = HiddenMarkovModel(2, emission="multinomial", random_state=0).fit(counts)
    assert np.isfinite(many.score(counts))
    trials = HiddenMarkovModel(
        2, emission="binomial", emission_options={"trials": 10}, random_state=0
    ).fit(rng.binomial(10, 0.4, (80, 2)))
    assert (np.diff(trials.lower_bounds_) > -1e-12).all()


def test_weights_of_sequences_count_as_so_many() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 2)) + np.repeat([[0, 0], [3, 0], [0, 3]], 20, axis=0)
    lengths, weight = [25, 35], np.repeat([2.0, 1.0], [25, 35])
    settings: Any = {"random_state": 0, "max_iter": 50, "tol": 1e-8, "means_init": x[[0, 30, 50]]}
    weighed = GaussianHMM(3, **settings).fit(x, lengths, weight)
    repeated = GaussianHMM(3, **settings).fit(np.vstack([x[:25], x]), [25, 25, 35])
    np.testing.assert_allclose(weighed.transmat_, repeated.transmat_, atol=1e-7)
    np.testing.assert_allclose(weighed.means_, repeated.means_, atol=1e-7)
    with pytest.raises(emdist.errors.WeightError, match="Rows of one sequence have the sample"):
        GaussianHMM(2, random_state=0).fit(x, lengths, np.arange(60.0) + 1)
