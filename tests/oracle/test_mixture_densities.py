"""A mixture's densities, marginals, conditionals and sums against scipy and integration."""

import itertools
import tracemalloc
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.stats as stats
from scipy.integrate import quad

from emdist.errors import CollapseError, ConfigError, DataError, DomainError, ShapeError
from emdist.families.bernoulli import Bernoulli
from emdist.families.binomial import Binomial
from emdist.families.categorical import Categorical, Categories
from emdist.families.diagonal import Diagonal, DiagonalParams
from emdist.families.discrete import Means
from emdist.families.full import Full, FullParams
from emdist.families.isotropic import Centres, Isotropic
from emdist.families.multinomial import Multinomial
from emdist.families.poisson import Poisson
from emdist.families.spherical import Spherical, SphericalParams
from emdist.families.tied import Tied, TiedParams
from emdist.interfaces import Floats
from emdist.mixtures.distribution import MixtureDistribution
from tests.support.fitting import relative

WEIGHTS = np.array([0.2, 0.5, 0.3])
GAUSSIANS = ["isotropic", "spherical", "diagonal", "tied", "full"]
#: Of every feature of the discrete mixtures, all values that have any probability.
VALUES = {"bernoulli": 2, "binomial": 6, "categorical": 4, "poisson": 60}


def gaussians(name: str, d: int, far: float = 0.0) -> tuple[MixtureDistribution, Floats, Floats]:
    """A mixture of three, its means (3, d) and its covariances (3, d, d)."""
    rng = np.random.default_rng([d, GAUSSIANS.index(name)])
    means = rng.standard_normal((3, d)) * 2 + far
    v = rng.uniform(0.3, 2.0, (3, d))
    root = rng.standard_normal((3, d, d))
    wide = root @ root.transpose(0, 2, 1) + 0.2 * np.eye(d)
    family, params, covariances = {
        "isotropic": (Isotropic(0.7), Centres(means), np.tile(0.7 * np.eye(d), (3, 1, 1))),
        "spherical": (Spherical(), SphericalParams(means, v[:, 0]), v[:, :1, None] * np.eye(d)),
        "diagonal": (Diagonal(), DiagonalParams(means, v), v[:, :, None] * np.eye(d)),
        "tied": (Tied(), TiedParams(means, wide[0]), np.tile(wide[0], (3, 1, 1))),
        "full": (Full(), FullParams(means, wide), wide),
    }[name]
    return MixtureDistribution(family, WEIGHTS, params), means, covariances


def counts(name: str, d: int = 2) -> MixtureDistribution:
    rng = np.random.default_rng([d, len(name)])
    p = rng.uniform(0.1, 0.9, (3, d))
    table = rng.dirichlet(np.ones(4), (3, d))
    family, params = {
        "bernoulli": (Bernoulli(), Means(p)),
        "binomial": (Binomial(trials=(5, 3, 4)[:d]), Means(p * np.array([5, 3, 4])[:d])),
        "categorical": (Categorical(categories=4), Categories(table)),
        "poisson": (Poisson(), Means(10 * p)),
        "multinomial": (Multinomial(), Means(10 * p)),
    }[name]
    return MixtureDistribution(family, WEIGHTS, params)


def mixed(means: Floats, covariances: Floats, x: Floats, weights: Floats = WEIGHTS) -> Floats:
    """Density of a mixture of Gaussians by scipy."""
    each = [stats.multivariate_normal(m, c).pdf(x) for m, c in zip(means, covariances, strict=True)]
    return np.asarray(weights @ np.reshape(each, (len(weights), -1)))


@pytest.mark.parametrize("far", [0.0, 1e6])
@pytest.mark.parametrize("name", GAUSSIANS)
def test_gaussian_densities_are_scipys(name: str, far: float) -> None:
    whole, means, covariances = gaussians(name, 4, far)
    x = whole.sample(200, 0)[0]
    np.testing.assert_allclose(whole.density(x), mixed(means, covariances, x), rtol=1e-10)
    index = [3, 0]
    part = whole.marginal(index)
    wanted = mixed(means[:, index], covariances[:, index][:, :, index], x[:, index])
    np.testing.assert_allclose(part.density(x[:, index]), wanted, rtol=1e-10)


@pytest.mark.parametrize("name", GAUSSIANS)
def test_a_gaussian_conditional_is_the_textbooks(name: str) -> None:
    whole, means, covariances = gaussians(name, 4)
    a, b, values = [0, 2], [3, 1], np.array([0.7, -1.1])
    found = whole.conditional(b, values)
    weights = np.array(
        [
            w * stats.multivariate_normal(m[b], c[np.ix_(b, b)]).pdf(values)
            for w, m, c in zip(WEIGHTS, means, covariances, strict=True)
        ]
    )
    gain = [c[np.ix_(a, b)] @ np.linalg.inv(c[np.ix_(b, b)]) for c in covariances]
    centres = np.array([m[a] + g @ (values - m[b]) for m, g in zip(means, gain, strict=True)])
    left = np.array(
        [c[np.ix_(a, a)] - g @ c[np.ix_(b, a)] for c, g in zip(covariances, gain, strict=True)]
    )
    np.testing.assert_allclose(found.weights, weights / weights.sum(), rtol=1e-11)
    np.testing.assert_allclose(found.component_means(), centres, rtol=1e-11)
    x = np.random.default_rng(0).standard_normal((50, 2))
    np.testing.assert_allclose(found.density(x), mixed(centres, left, x, found.weights), rtol=1e-10)
    assert type(found.family) is type(whole.family)


@pytest.mark.parametrize("name", GAUSSIANS)
def test_marginals_and_conditionals_are_integrals(name: str) -> None:
    whole = gaussians(name, 2)[0]
    grid = np.linspace(-40.0, 40.0, 6001)  # a smooth density that vanishes at the ends: exact

    def along(values: Floats, axis: int) -> Floats:
        rows = np.insert(grid[:, None], axis, values, axis=1)
        return whole.density(rows)

    step = grid[1] - grid[0]
    for axis, value in itertools.product((0, 1), (-1.0, 0.3)):
        joint = along(np.array([value]), axis)
        total = joint.sum() * step
        np.testing.assert_allclose(whole.marginal(axis).density([[value]]), total, rtol=1e-10)
        given = whole.conditional(axis, value)
        np.testing.assert_allclose(given.density(grid[:, None]), joint / total, atol=1e-11)
        expected = (grid * joint).sum() * step / total
        np.testing.assert_allclose(given.mean(), expected, atol=1e-10)
        spread = ((grid - expected) ** 2 * joint).sum() * step / total
        np.testing.assert_allclose(given.covariance().total, [[spread]], rtol=1e-9)


@pytest.mark.parametrize("name", VALUES)
def test_discrete_marginals_and_conditionals_are_sums(name: str) -> None:
    whole, values = counts(name), np.arange(float(VALUES[name]))
    heights = [min(VALUES[name], {"binomial": h + 1}.get(name, 99)) for h in (5, 3)]
    axes = [values[:h] for h in heights]
    rows = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    p = whole.density(rows.reshape(-1, 2)).reshape(heights)
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    mean = np.array([p.sum(axis=1) @ axes[0], p.sum(axis=0) @ axes[1]])
    centred = rows - mean
    np.testing.assert_allclose(whole.mean(), mean, rtol=1e-11)
    covariance = np.einsum("ij,ija,ijb->ab", p, centred, centred)
    np.testing.assert_allclose(whole.covariance().total, covariance, rtol=1e-9)
    for axis in (0, 1):
        own = p.sum(axis=1 - axis)
        np.testing.assert_allclose(
            whole.marginal(axis).density(axes[axis][:, None]), own, rtol=1e-9
        )
        at = 1
        given = whole.conditional(axis, float(at)).density(axes[1 - axis][:, None])
        np.testing.assert_allclose(given, np.take(p, at, axis) / own[at], rtol=1e-9)
        expected = whole.conditional_mean(axis, [[at]])[0, 0]
        assert expected == pytest.approx(given @ axes[1 - axis], rel=1e-9)


def test_trials_follow_their_features() -> None:
    whole = counts("binomial", 3)
    assert whole.marginal([2, 0]).family == Binomial(trials=(4, 5))
    assert whole.conditional(0, 5).family == Binomial(trials=(3, 4))
    with pytest.raises(DomainError, match="trials"):
        whole.conditional(1, 4)


def test_a_multinomial_is_scipys_and_knows_no_marginal() -> None:
    whole = counts("multinomial", 3)
    assert isinstance(whole.components, Means)
    totals = whole.components.means.sum(axis=1)
    p = whole.components.means / totals[:, None]
    x = whole.sample(30, 0)[0]
    each = [stats.multinomial(x.sum(axis=1), q).pmf(x) for q in p]
    np.testing.assert_allclose(whole.density(x), WEIGHTS @ np.array(each), rtol=1e-10)
    unit = [stats.multinomial(1, q).cov() for q in p]
    inside = np.einsum("k,k,kij->ij", WEIGHTS, totals, np.array(unit))
    # Draws have whole totals: the next lower or higher, so that their mean is right.
    part = totals % 1
    inside += np.einsum("k,k,ki,kj->ij", WEIGHTS, part * (1 - part), p, p)
    np.testing.assert_allclose(whole.covariance().within, inside, rtol=1e-12)
    for refused in (lambda: whole.marginal(0), lambda: whole.conditional(0, 2.0)):
        with pytest.raises(ConfigError, match="total"):
            refused()


def test_a_sum_of_gaussians_is_a_convolution() -> None:
    a, _, _ = gaussians("full", 1)
    b, _, _ = gaussians("spherical", 1)
    both = a.convolve(b)
    for x in (-2.0, 0.4, 3.0):
        wanted = quad(
            lambda y, x=x: float(a.density([[y]])[0] * b.density([[x - y]])[0]), -12, 12, limit=200
        )[0]
        assert both.density([[x]])[0] == pytest.approx(wanted, rel=1e-8)


def test_a_sum_of_poissons_is_a_convolution() -> None:
    a, b = counts("poisson", 1), counts("poisson", 2).marginal(1)
    x = np.arange(60.0)[:, None]
    wanted = np.convolve(a.density(x), b.density(x))[:60]
    np.testing.assert_allclose(a.convolve(b).density(x), wanted, atol=1e-14)


def test_sums_that_are_not_closed_say_why() -> None:
    bits, poisson = counts("bernoulli"), counts("poisson")
    for a, b in [(bits, bits), (bits, poisson), (poisson, gaussians("full", 2)[0])]:
        with pytest.raises(ConfigError, match="add the draws"):
            a.convolve(b)
    with pytest.raises(ShapeError, match="cannot be added"):
        poisson.convolve(counts("poisson", 1))
    with pytest.raises(TypeError):
        poisson + poisson  # type: ignore[operator]  # a plus could be read as a mixture of both


@pytest.mark.parametrize(
    ("ask", "error", "told"),
    [
        (lambda m: m.log_density([1.0, 2.0]), ShapeError, "Reshape"),
        (lambda m: m.log_density([[1.0, 2.0, 3.0]]), ShapeError, "3 feature"),
        (lambda m: m.log_density([[1.0, 2.0], [3.0]]), DataError, "different lengths"),
        (lambda m: m.log_density([["a", "b"]]), DataError, "dtype"),
        (lambda m: m.log_density([[1.0, 2.0], [np.nan, 0.0]]), DataError, "first row 1"),
        (lambda m: m.marginal([]), ConfigError, "at least one"),
        (lambda m: m.marginal([0, 0]), ConfigError, "twice"),
        (lambda m: m.marginal([0, -2]), ConfigError, "twice"),
        (lambda m: m.marginal(2), ConfigError, "no feature 2"),
        (lambda m: m.marginal(0.5), ConfigError, "the index or the name of a feature"),
        (lambda m: m.marginal([True, False]), ConfigError, "flatnonzero"),
        (lambda m: m.conditional([0, 1], [1.0, 2.0]), ConfigError, "none is left"),
        (lambda m: m.conditional(0, [1.0, 2.0]), ShapeError, "conditional_mean"),
        (lambda m: m.conditional(0, "x"), DataError, "not real numbers"),
        (lambda m: m.conditional(0, np.inf), DataError, "finite"),
        (lambda m: m.conditional(0, 1e200), DomainError, "far from every component"),
        (lambda m: m.conditional_mean(0, [[1.0, 2.0]]), ShapeError, "2 feature"),
        (lambda m: m.sample(0), ConfigError, "at least 1"),
        (lambda m: MixtureDistribution(m.family, WEIGHTS[:2], m.components), ShapeError, "weights"),
        (lambda m: MixtureDistribution(m.family, WEIGHTS * 2, m.components), ConfigError, "sum to"),
    ],
)
def test_mistakes_are_told(ask: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        ask(gaussians("full", 2)[0])


def test_values_outside_the_domain_are_refused() -> None:
    bits = counts("bernoulli")
    for ask in (lambda: bits.density([[0.5, 1.0]]), lambda: bits.conditional(0, 2)):
        with pytest.raises(DomainError, match="bits"):
            ask()


def test_a_family_that_states_nothing_is_refused_by_name() -> None:
    class Silent:
        def locations(self, params: Any) -> Floats:
            return np.asarray(params)

    silent = MixtureDistribution(Silent(), np.ones(1), np.zeros((1, 2)))  # type: ignore[arg-type]
    for ask in (silent.mean, silent.covariance, lambda: silent.marginal(0)):
        with pytest.raises(ConfigError, match="Silent has no"):
            ask()
    with pytest.raises(ConfigError, match="add the draws"):
        silent.convolve(silent)


def test_a_flat_component_has_no_conditional() -> None:
    flat = FullParams(np.zeros((1, 2)), np.array([[[1.0, 1.0], [1.0, 1.0]]]))
    with pytest.raises(CollapseError, match=r"component\(s\) \[0\]"):
        MixtureDistribution(Full(), np.ones(1), flat).conditional(0, 0.0)


def test_a_nearly_flat_component_has_a_proper_conditional() -> None:
    rng = np.random.default_rng(0)
    # Features that are all but multiples of one: what is left of a feature is a millionth.
    c, noise = rng.standard_normal(6), 1e-12
    covariance = (np.outer(c, c) + noise * np.eye(6))[None]
    whole = MixtureDistribution(Full(), np.ones(1), FullParams(np.zeros((1, 6)), covariance))
    given = whole.conditional([0, 1, 2], np.zeros(3))
    assert np.isfinite(given.log_density(np.zeros((1, 3)))).all()
    # By Sherman and Morrison.
    wanted = noise * (np.eye(3) + np.outer(c[3:], c[3:]) / (noise + c[:3] @ c[:3]))
    assert relative(given.covariance().total, wanted) < 1e-3


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f2", "bool"])
def test_rows_of_any_numbers(dtype: str) -> None:
    whole, x = counts("bernoulli"), np.array([[0, 1], [1, 1]])
    np.testing.assert_array_equal(whole.log_density(x.astype(dtype)), whole.log_density(x))
    np.testing.assert_array_equal(whole.labels(x.astype(dtype)), whole.labels(x))
    if dtype != "bool":
        real = gaussians("full", 2)[0]
        np.testing.assert_array_equal(real.density(x.astype(dtype)), real.density(1.0 * x))


def test_observing_nothing_changes_nothing() -> None:
    whole = gaussians("full", 3)[0]
    assert whole.conditional([], []) is whole


def test_a_weight_of_zero_is_no_obstacle() -> None:
    whole = gaussians("full", 2)[0]
    one = MixtureDistribution(whole.family, np.array([0.0, 1.0, 0.0]), whole.components)
    x = one.sample(100, 0)[0]
    assert (one.labels(x) == 1).all()
    assert one.conditional(0, 0.5).weights.tolist() == [0.0, 1.0, 0.0]


def test_rows_are_scored_in_tiles() -> None:
    rng = np.random.default_rng(0)
    k, n = 256, 50_000
    whole = MixtureDistribution(
        Spherical(), np.full(k, 1 / k), SphericalParams(rng.standard_normal((k, 2)), np.ones(k))
    )
    x = rng.standard_normal((n, 2))
    for ask, rows, share in (
        (whole.log_density, x, 0.2),
        (partial(whole.conditional_mean, 0), x[:, :1], 0.5),
    ):
        ask(rows[:10])
        tracemalloc.start()
        ask(rows)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < share * n * k * 8  # bytes of all responsibilities
