"""Each dissimilarity against SciPy's, and K-centroids against twenty lines of NumPy."""

from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdist.families.isotropic import Centres
from emdist.fit.start import Given
from emdist.interfaces import Block, Floats, Numerics, Spread
from emdist.models.kcentroids import KCentroidsModel
from emdist.models.params import MixtureParams
from emdist.sums import Sums
from tests.support.dissimilarity_data import (
    ALL,
    MATRIX,
    ORACLES,
    centre,
    dissimilarity,
    k_centroids,
    rows,
    setting,
)
from tests.support.fitting import Fitting, Setting, fit_array, relative

NUMERICS = [Numerics("float64"), Numerics("float64", True), Numerics("float32")]


def model(name: str) -> KCentroidsModel:
    return KCentroidsModel(dissimilarity(name))


def assign(name: str, x: Floats, centres: Floats, numerics: Numerics) -> Any:
    params = MixtureParams(np.full(len(centres), 1 / len(centres)), Centres(centres))
    return model(name).assign(Block(0, 0, x), params, np.zeros(3), numerics)


@pytest.mark.parametrize("numerics", NUMERICS, ids=str)
@pytest.mark.parametrize("name", ALL)
def test_scores_are_scipys(name: str, numerics: Numerics) -> None:
    x, centres = rows(name, 500), rows(name, 4, 4, seed=9)
    apart = ORACLES[name](x, centres)
    found = assign(name, x, centres, numerics)
    tol = 1e-12 if numerics.dtype == "float64" else 3e-5
    if numerics.dtype == "float64":
        np.testing.assert_array_equal(found.labels, apart.argmin(axis=1))
    np.testing.assert_allclose(found.score, apart[np.arange(500), found.labels], tol, tol)


@pytest.mark.parametrize("name", ALL)
def test_near_the_centre_no_digits_are_lost(name: str) -> None:
    # In 50 digits: SciPy's own subtract what is nearly equal.
    x = rows(name, 30)
    mu = centre(name, x, np.ones(30))
    close = mu * (1 + 1e-5 * np.random.default_rng(0).standard_normal((200, 3)))
    found = assign(name, close, mu[None], Numerics("float64")).score
    np.testing.assert_allclose(found, [exactly(name, row, mu) for row in close], 1e-9, 1e-24)


def exactly(name: str, row: Floats, mu: Floats) -> float:
    with localcontext() as context:
        context.prec = 50
        return float(_exactly(name, [Decimal(v) for v in row], [Decimal(v) for v in mu]))


def _exactly(name: str, x: list[Decimal], c: list[Decimal]) -> Any:
    if name == "kullback_leibler":
        x, c = [v / sum(x) for v in x], [v / sum(c) for v in c]
    pairs = list(zip(x, c, strict=True))
    if name == "cosine":
        dot = sum(a * b for a, b in pairs)
        return 1 - dot / (sum(a * a for a in x) * sum(b * b for b in c)).sqrt()
    if name in ("squared_euclidean", "mahalanobis"):
        m = np.eye(3) if name == "squared_euclidean" else np.array(MATRIX)
        d = [a - b for a, b in pairs]
        return sum(d[i] * Decimal(m[i, j]) * d[j] for i in range(3) for j in range(3))
    terms = {
        "kullback_leibler": lambda a, b: a * (a / b).ln(),
        "generalised_i": lambda a, b: a * (a / b).ln() - a + b,
        "itakura_saito": lambda a, b: a / b - (a / b).ln() - 1,
        "logistic": lambda a, b: a * (a / b).ln() + (1 - a) * ((1 - a) / (1 - b)).ln(),
    }
    return sum(terms[name](a, b) for a, b in pairs)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(-6, -1))
def test_no_other_centre_is_nearer(name: str, seed: int, size: float) -> None:
    x, weight = rows(name, 20, seed=seed), np.random.default_rng(seed).exponential(size=20)
    best = m_step(name, x, weight)
    np.testing.assert_allclose(best, centre(name, x, weight), 1e-12)
    other = best * (1 + 10.0**size * np.random.default_rng(seed).standard_normal(3))
    if name == "logistic":
        other = np.clip(other, 1e-6, 1 - 1e-6)
    elif name not in ("cosine", "squared_euclidean", "mahalanobis"):
        other = np.abs(other) + 1e-12
    total = [float(weight @ ORACLES[name](x, c[None])[:, 0]) for c in (best, other)]
    assert total[0] <= total[1] * (1 + 1e-12)


def m_step(name: str, x: Floats, weight: Floats) -> Floats:
    kind, d = dissimilarity(name), np.zeros(3)
    spread = Spread(d, d, d + 1, d - 1, d + 1, d > 0, 1.0)
    params = MixtureParams(np.ones(1), kind.start(x[:1], spread))
    sums = model(name).e_step(Block(0, 0, x, weight), params, d, Numerics("float64"))
    return kind.estimate(sums, params.components, Numerics("float64")).means[0]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_the_fit_is_that_of_plain_numpy(name: str, weighted: bool) -> None:
    x = rows(name, 900, 4)
    weight = np.random.default_rng(1).exponential(size=900) if weighted else np.ones(900)
    start = x[[0, 7, 11, 30]]
    found = fit_array(x, setting(name, 4, fit={"tol": 0.0}), Given(start), weight)
    centres, labels, history = k_centroids(name, x, weight, start)
    assert found.iterations == len(history) > 3
    assert relative(found.means, centres) < 1e-10
    np.testing.assert_allclose([r.objective for r in found.state.history], history, 1e-10)
    np.testing.assert_array_equal(found.assign(x).labels, labels)


@pytest.mark.parametrize("name", ALL)
def test_float32_is_float64(name: str) -> None:
    x = rows(name, 900, 4).astype(np.float32)
    start = x[[0, 7, 11, 30]].astype(np.float64)
    narrow = fit_array(x, setting(name, 4), Given(start))
    wide = fit_array(x.astype(np.float64), setting(name, 4), Given(start))
    assert narrow.numerics.dtype == "float32"
    assert relative(narrow.means, wide.means) < 1e-4
    assert narrow.objective == pytest.approx(wide.objective, rel=1e-4)


def kmeans(x: Floats, start: Floats) -> Fitting:
    return fit_array(x, Setting("kmeans", 4, fit={"tol": 0.0}), Given(start))


def test_squared_euclidean_is_k_means_to_the_bit() -> None:
    x = rows("squared_euclidean", 900, 4)
    for seed in range(3):
        wanted = fit_array(x, Setting("kmeans", 4, fit={"seed": seed}))
        found = fit_array(x, setting("squared_euclidean", 4, fit={"seed": seed}))
        assert repr(found.state.history) == repr(wanted.state.history)
        np.testing.assert_array_equal(found.means, wanted.means)


def test_mahalanobis_is_k_means_of_whitened_rows() -> None:
    x, w = rows("mahalanobis", 900, 4), np.linalg.cholesky(np.array(MATRIX))
    start = x[[0, 7, 11, 30]]
    found = fit_array(x, setting("mahalanobis", 4, fit={"tol": 0.0}), Given(start))
    wanted = kmeans(x @ w, start @ w)
    assert relative(found.means @ w, wanted.means) < 1e-10
    assert found.objective == pytest.approx(wanted.objective, rel=1e-10)
    inverse = Setting("kcentroids", 4, dissimilarity="mahalanobis", fit={"tol": 0.0},
                      options={"covariance": np.linalg.inv(MATRIX).tolist()})  # fmt: skip
    assert relative(fit_array(x, inverse, Given(start)).means, found.means) < 1e-10


def test_mahalanobis_of_the_identity_is_k_means() -> None:
    x = rows("mahalanobis", 900, 4) + 1e6
    start, one = x[[0, 7, 11, 30]], {"matrix": np.eye(3).tolist()}
    given = Setting("kcentroids", 4, dissimilarity="mahalanobis", options=one, fit={"tol": 0.0})
    found, wanted = fit_array(x, given, Given(start)), kmeans(x, start)
    assert found.iterations == wanted.iterations
    assert np.abs(found.means - wanted.means).max() < 1e-9
    assert found.objective == pytest.approx(wanted.objective, rel=1e-10)


def test_cosine_does_not_see_the_length_of_a_row() -> None:
    x = rows("cosine", 600, 4)
    start = x[[0, 7, 11, 30]]
    wanted = fit_array(x, setting("cosine", 4), Given(start))
    lengths = np.random.default_rng(0).integers(-40, 40, (600, 1))
    scaled = fit_array(np.ldexp(x, lengths), setting("cosine", 4), Given(start))
    np.testing.assert_array_equal(scaled.means, wanted.means)
    assert scaled.objective == wanted.objective
    other = fit_array(x * np.exp(lengths / 7), setting("cosine", 4), Given(start))
    assert relative(other.means, wanted.means) < 1e-12
    assert np.linalg.norm(wanted.means, axis=1) == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "family"), [("generalised_i", "poisson"), ("logistic", "bernoulli")]
)
def test_bregman_clustering_is_hard_em_of_its_family(name: str, family: str) -> None:
    # Banerjee et al. 2005, section 5: the divergence is minus the log-likelihood, shifted.
    rng = np.random.default_rng(3)
    rates = rng.uniform(0.2, 0.8, (3, 8))
    drawn = rates[rng.integers(0, 3, 800)]
    x = rng.poisson(20 * drawn) if family == "poisson" else rng.random((800, 8)) < drawn
    start = np.clip(x[:3].astype(np.float64), 0.2, None if family == "poisson" else 0.8)
    hard = Setting(family, 3, "hard", uniform=True, fit={"tol": 0.0})
    wanted = fit_array(x.astype(np.int64), hard, Given(start, np.full(3, 1 / 3)))
    found = fit_array(x.astype(np.int64), setting(name, fit={"tol": 0.0}), Given(start))
    assert relative(found.means, wanted.means) < 1e-12
    np.testing.assert_array_equal(found.assign(x).labels, wanted.assign(x).labels)


def test_sums_of_a_pass_are_float64() -> None:
    x = rows("cosine", 10).astype(np.float32)
    params = MixtureParams(np.ones(1), Centres(np.eye(3)[:1]))
    sums: Sums = model("cosine").e_step(Block(0, 0, x), params, np.zeros(3), Numerics("float32"))
    assert {value.dtype for value in sums.fields.values()} == {np.dtype(np.float64)}
