"""Mixtures of bits, counts and categories against scipy's densities and EM by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from scipy.special import logsumexp

from emdist.errors import ConfigError, DomainError, StartError
from emdist.fit.start import Given
from emdist.interfaces import Array, Floats
from emdist.store.sources.arrays import array_source
from tests.support.fitting import (
    OPTIONS,
    Setting,
    draw,
    family_of,
    fit_array,
    prepare,
    relative,
    run,
)

TRIALS, CATEGORIES = OPTIONS["binomial"]["trials"], OPTIONS["categorical"]["categories"]
NAMES = ["bernoulli", "binomial", "poisson", "multinomial", "categorical"]
D, K = 6, 3


def mass(name: str, x: Floats, p: Floats) -> Floats:
    """(n, k) log-probabilities of rows by scipy; `p` is the family's array."""
    stats = scipy.stats
    if name == "multinomial":
        share = p / p.sum(axis=1, keepdims=True)
        return np.stack([stats.multinomial.logpmf(x, x.sum(axis=1), q) for q in share], axis=1)
    if name == "categorical":
        picked = [[q[j][x[:, j].astype(int)] for j in range(x.shape[1])] for q in p]
        return np.log(picked).sum(axis=1).T
    one: Callable[..., Floats] = {
        "bernoulli": lambda v, m: stats.bernoulli.logpmf(v, m),
        "binomial": lambda v, m: stats.binom.logpmf(v, TRIALS, m / TRIALS),
        "poisson": lambda v, m: stats.poisson.logpmf(v, m),
    }[name]
    return np.stack([one(x, m).sum(axis=1) for m in p], axis=1)


def em_by_hand(
    name: str, x: Floats, p: Floats, iterations: int, weight: Floats, smoothing: float
) -> tuple[Floats, Floats, list[float]]:
    """Weights, the family's array and the penalised bounds after so many iterations."""
    pi, bounds, a = np.full(len(p), 1 / len(p)), [], smoothing
    for _ in range(iterations):
        joint = mass(name, x, p) + np.log(pi)
        bounds.append((weight @ logsumexp(joint, axis=1) + a * prior(name, p)) / weight.sum())
        r = weight[:, None] * np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        n, t = r.sum(axis=0), r.T @ x
        pi = n / n.sum()
        if name == "bernoulli":
            p = (t + a) / (n + 2 * a)[:, None]
        elif name == "binomial":
            p = TRIALS * (t + a) / (TRIALS * n + 2 * a)[:, None]
        elif name == "poisson":
            p = (t + a) / (n + a)[:, None]
        elif name == "multinomial":
            share = (t + a) / (t + a).sum(axis=1, keepdims=True)
            p = share * (t.sum(axis=1) / n)[:, None]
        else:
            hot = x[:, :, None] == np.arange(CATEGORIES)
            p = np.einsum("nk,ndc->kdc", r, hot) + a
            p /= p.sum(axis=2, keepdims=True)
    return pi, p, bounds


def prior(name: str, p: Floats) -> float:
    if name == "poisson":
        return float((np.log(p) - p).sum())
    if name == "multinomial":
        return float(np.log(p / p.sum(axis=1, keepdims=True)).sum())
    if name == "categorical":
        return float(np.log(p).sum())
    theta = p / (TRIALS if name == "binomial" else 1)
    return float((np.log(theta) + np.log(1 - theta)).sum())


def data_and_start(name: str, seed: int = 0) -> tuple[Floats, Floats]:
    x, components = draw(name, 400, K, D, seed)
    array = components.probabilities if name == "categorical" else components.means
    return x, array


def given_for(name: str, array: Floats) -> Given:
    weights = np.full(len(array), 1 / len(array))
    if name == "categorical":
        return Given(None, weights, {"probabilities": array})
    return Given(array, weights)


def fitted_array(found: Any) -> Floats:
    return found.arrays.get("probabilities", found.arrays.get("means"))


@pytest.mark.parametrize("smoothing", [0.0, 0.7])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_every_iteration_is_that_of_em_by_hand(name: str, weighted: bool, smoothing: float) -> None:
    x, array = data_and_start(name)
    weight = np.random.default_rng(1).exponential(size=len(x)) if weighted else np.ones(len(x))
    fitting = {"max_iter": 12, "tol": 0.0}
    setting = Setting(name, K, options={"smoothing": smoothing}, fit=fitting)
    found = fit_array(x, setting, given_for(name, array), weight if weighted else None, 3000)
    pi, p, bounds = em_by_hand(name, x, array, 12, weight, smoothing)
    assert relative(found.arrays["weights"], pi) < 1e-10
    assert relative(fitted_array(found), p) < 1e-10
    np.testing.assert_allclose([r.objective for r in found.state.history], bounds, rtol=1e-10)
    assert (np.diff(bounds) > -1e-13).all()


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", NAMES)
def test_scores_are_scipys(name: str, dtype: str) -> None:
    if dtype == "bool" and name != "bernoulli":
        pytest.skip("more than two values")
    x, array = data_and_start(name)
    setting = Setting(name, K, fit={"max_iter": 2})
    found = fit_array(x.astype(dtype), setting, given_for(name, array))
    pi, p = found.arrays["weights"], fitted_array(found)
    wanted = logsumexp(mass(name, x, p) + np.log(pi), axis=1)
    narrow = np.dtype(dtype).itemsize < 4 or dtype == "float32"
    np.testing.assert_allclose(
        found.assign(x.astype(dtype)).score, wanted, rtol=1e-5 if narrow else 1e-12, atol=1e-10
    )


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int16", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_narrow_types_give_the_same_fit(name: str, dtype: str) -> None:
    if dtype == "bool" and name != "bernoulli":
        pytest.skip("more than two values")
    x, array = data_and_start(name)
    setting = Setting(name, K, fit={"max_iter": 10, "tol": 0.0})
    wide, narrow = (fit_array(v, setting, given_for(name, array)) for v in (x, x.astype(dtype)))
    assert narrow.numerics.dtype == "float32"
    assert relative(fitted_array(narrow), fitted_array(wide)) < 1e-4
    assert narrow.objective == pytest.approx(wide.objective, rel=1e-6)


# ---- coin flips: Do and Batzoglou 2008


@pytest.mark.parametrize(("iterations", "wanted"), [(1, (0.71, 0.58)), (10, (0.80, 0.52))])
def test_five_series_of_ten_flips_of_two_coins(
    iterations: int, wanted: tuple[float, float]
) -> None:
    heads = np.array([[5], [9], [8], [4], [7]])
    fitting = {"max_iter": iterations, "tol": 0.0}
    setting = Setting("binomial", 2, uniform=True, options={"trials": 10}, fit=fitting)
    found = fit_array(heads, setting, Given(np.array([[6.0], [5.0]]), np.array([0.5, 0.5])))
    assert tuple((found.means.ravel() / 10).round(2)) == wanted
    np.testing.assert_array_equal(found.arrays["weights"], 0.5)


def test_trials_feature_by_feature() -> None:
    rng, trials = np.random.default_rng(0), [1, 4, 20]
    x = rng.binomial(trials, np.repeat([[0.2], [0.7]], 150, axis=0), (300, 3))
    setting = Setting("binomial", 2, options={"trials": trials, "smoothing": 0.5})
    found = fit_array(x, setting)
    pi, theta = found.arrays["weights"], found.means / trials
    joint = np.stack([scipy.stats.binom.logpmf(x, trials, t).sum(axis=1) for t in theta], axis=1)
    total = logsumexp(joint + np.log(pi), axis=1)
    np.testing.assert_allclose(found.assign(x).score, total, rtol=1e-12)
    r = np.exp(joint + np.log(pi) - total[:, None])
    step = (r.T @ x + 0.5) / (np.outer(r.sum(axis=0), trials) + 1.0)
    once = Setting("binomial", 2, options=setting.options, fit={"max_iter": 1})
    after = fit_array(x, once, Given(found.means, pi))
    np.testing.assert_allclose(after.means / trials, step, rtol=1e-10)
    bound = [f.objective for f in found.state.history]
    assert (np.diff(bound) > -1e-13).all()
    wrong = x.copy()
    wrong[5, 1] = 5
    with pytest.raises(DomainError, match="feature 1 ranges from 0 to 5"):
        fit_array(wrong, setting)
    with pytest.raises(ConfigError, match=r"has 3 values, but the data have 2 features"):
        fit_array(x[:, :2], setting)


# ---- large counts, impossible values, boundaries


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_large_rates_are_computed_where_their_terms_cancel(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.poisson(np.repeat([[1e6], [1.01e6]], 200, axis=0), (400, 3)).astype(dtype)
    found = fit_array(x, Setting("poisson", 2, fit={"max_iter": 5}), Given(x[[0, -1]] * 1.0))
    assert found.numerics.dtype == "float64"
    joint = mass("poisson", x.astype(float), found.means) + np.log(found.arrays["weights"])
    wanted = logsumexp(joint, axis=1)
    np.testing.assert_allclose(found.assign(x).score, wanted, atol=1e-6)


@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", NAMES)
def test_certainty_is_no_log_of_zero(name: str, assignment: str) -> None:
    # Two kinds of rows, each always the same: probabilities go to 0 and 1.
    x = np.repeat([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]], 20, axis=0)
    found = fit_array(x, Setting(name, 2, assignment, fit={"tol": 0.0, "max_iter": 20}))
    bound = np.array([r.objective for r in found.state.history])
    assert np.isfinite(bound).all()
    assert (np.diff(bound) > -1e-12).all()
    assert len(set(found.assign(x).labels[[0, -1]])) == 2
    impossible = 1.0 - x[:1] * np.array([[1.0, 1.0, 0.0, 0.0]])
    assert np.isfinite(found.assign(impossible).score).all()


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("bernoulli", 0.5, "needs bits, 0 or 1.*feature 2 ranges from 0 to 1 and holds not only"),
        ("bernoulli", -1, "feature 2 ranges from -1 to 1"),
        ("bernoulli", 2, "feature 2 ranges from 0 to 2"),
        (
            "binomial",
            TRIALS + 1,
            f"0..{TRIALS}, .*feature 2 ranges .* to {TRIALS + 1}",
        ),
        ("binomial", 1.5, "feature 2 .*not only whole numbers"),
        ("poisson", -1, "counts, whole numbers >= 0.*feature 2 ranges from -1"),
        ("poisson", 0.25, "feature 2 .*not only whole numbers"),
        ("multinomial", -3, "feature 2 ranges from -3"),
        ("categorical", 7, "codes of categories in 0..3, .*feature 2 ranges from 0 to 7"),
        ("categorical", -1, "feature 2 ranges from -1"),
    ],
)
def test_values_that_the_family_cannot_produce(name: str, bad: float, message: str) -> None:
    x = draw(name, 200, K, D)[0]
    setting = Setting(name, K, fit={"max_iter": 2})
    fitted = fit_array(x, setting, Given(x[:K]))
    wrong = x.copy()
    wrong[100, 2] = bad
    with pytest.raises(DomainError, match=message):
        prepare(array_source(wrong), setting)
    with pytest.raises(DomainError, match="feature 2"):
        fitted.assign(wrong)
    # A row without weight may hold anything.
    weight = np.ones(len(x))
    weight[100] = 0.0
    assert np.isfinite(run(prepare(array_source(wrong, weight), setting)).objective)


@pytest.mark.parametrize("name", NAMES)
def test_a_start_outside_the_domain_is_refused(name: str) -> None:
    x = draw(name, 50, K, D)[0]
    for bad in (-0.5, np.max(family_of(name).domain.high) + 1.0):
        means = x[:K].copy()
        means[1, 2] = bad
        if np.isfinite(bad):
            with pytest.raises(StartError, match="starting means range from"):
                fit_array(x, Setting(name, K), Given(means))


@pytest.mark.parametrize("name", NAMES)
def test_draws_have_the_familys_moments(name: str) -> None:
    family, rng = family_of(name), np.random.default_rng(0)
    components = draw(name, 10, K, D)[1]
    rows = family.sample(components, 1, 40_000, rng)
    wanted = family.locations(components)[1]
    np.testing.assert_allclose(rows.mean(axis=0), wanted, atol=6 * rows.std() / 200)


def brute(p: Array, floor: float) -> Array:
    """The floored maximiser by scanning which entries are at the floor."""
    order = np.argsort(p)
    for low in range(len(p)):
        out = np.empty(len(p))
        out[order[:low]] = floor
        rest = order[low:]
        out[rest] = (1 - floor * low) * p[rest] / p[rest].sum()
        if (out >= floor).all():
            return out
    raise AssertionError


@pytest.mark.parametrize("seed", range(20))
def test_floored_probabilities_maximise_the_likelihood_under_the_floor(seed: int) -> None:
    from emdist.families.discrete import floored

    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(6, 0.2), 5)
    got = floored(p * 7.0, 0.05)
    np.testing.assert_allclose(got, [brute(row, 0.05) for row in p], rtol=1e-12)
    np.testing.assert_allclose(got.sum(axis=1), 1.0, rtol=1e-12)
