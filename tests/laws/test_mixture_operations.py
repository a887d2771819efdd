"""Laws of probability that a mixture's marginals, conditionals, moments and sums obey."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdist.composition.model import make_model
from emdist.errors import ConfigError
from emdist.families.closures import Convolutions, HasMoments
from emdist.interfaces import Block, Spread
from emdist.mixtures.distribution import MixtureDistribution
from emdist.models.precision import CAREFUL
from emdist.sums import Sums
from tests.support.fitting import ALL_FAMILIES, SHIFTED, draw, family_of, relative, section_of


def mixture(name: str, k: int = 3, d: int = 3, seed: int = 0) -> MixtureDistribution:
    """`k` components of any shape: those fitted to rows that no such component made."""
    rng = np.random.default_rng([seed, k, d])
    x = draw(name, 20 * k * d, k, d, seed)[0]
    if name in SHIFTED:
        x = x @ rng.standard_normal((d, d))
    ones = np.ones(d)
    spread = Spread(
        0 * ones, x.mean(axis=0), x.var(axis=0), x.min(axis=0), x.max(axis=0), ones > 1, len(x)
    )
    model = make_model(section_of(name, k, d), spread)
    start, block = model.start(x[:k], spread), Block(0, 0, x)
    labels = np.sort(rng.integers(0, k, len(x))).astype(np.int32)
    sums = model.first_step(block, start, labels, 0 * ones)
    shared = model.shared_step(block, 0 * ones)
    params = model.m_step(Sums({**sums.fields, **shared.fields}), start, CAREFUL)
    return MixtureDistribution(family_of(name, d), rng.dirichlet(2 * np.ones(k)), params.components)


def has_marginals(name: str) -> bool:
    try:
        mixture(name).marginal([0])
    except ConfigError:
        return False
    return True


def has_moments(name: str) -> bool:
    return isinstance(family_of(name), HasMoments)


def has_sums(name: str) -> bool:
    return isinstance(family_of(name), Convolutions)


MARGINALS = list(filter(has_marginals, ALL_FAMILIES))
MOMENTS = list(filter(has_moments, ALL_FAMILIES))
SUMS = list(filter(has_sums, ALL_FAMILIES))

#: Families whose rows add: each with itself, and Gaussians with each other.
PAIRS = [
    *((name, name) for name in SUMS),
    *itertools.permutations(sorted({"isotropic", "spherical", "diagonal", "tied", "full"}), 2),
]

#: Features in any order, cut into groups that are not empty.
orders = st.permutations(range(4))
sizes = st.tuples(st.integers(1, 4), st.integers(0, 1000))
few = settings(max_examples=12, deadline=None, derandomize=True)


def test_what_is_closed() -> None:
    gaussians = {"isotropic", "spherical", "diagonal", "tied", "full"}
    independent = {"bernoulli", "binomial", "poisson", "categorical"}
    known = gaussians | independent | {"multinomial"}
    assert known.intersection(MARGINALS) == gaussians | independent
    assert known.intersection(MOMENTS) == known
    assert known.intersection(SUMS) == gaussians | {"poisson"}


@pytest.mark.parametrize("name", MARGINALS)
@few
@given(order=orders, cut=st.integers(1, 3), size=sizes)
def test_the_product_rule(name: str, order: Sequence[int], cut: int, size: tuple[int, int]) -> None:
    k, seed = size
    whole, b = mixture(name, k, 4, seed), list(order[:cut])
    a = [j for j in range(4) if j not in b]
    x = whole.sample(1, seed)[0]
    given_b = whole.conditional(b, x[0, b])
    parts = whole.marginal(b).log_density(x[:, b]) + given_b.log_density(x[:, a])
    np.testing.assert_allclose(parts, whole.log_density(x), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(given_b.weights.sum(), 1.0, rtol=1e-12)
    # Given everything, the component is all that is left to know.
    np.testing.assert_allclose(
        given_b.responsibilities(x[:, a]), whole.responsibilities(x), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("name", MARGINALS)
@few
@given(order=orders, size=sizes)
def test_marginals_and_conditionals_commute(
    name: str, order: Sequence[int], size: tuple[int, int]
) -> None:
    (a, b, c, e), (k, seed) = order, size
    whole = mixture(name, k, 4, seed)
    x, where = whole.sample(3, seed)[0], sorted((a, b))
    at_once = whole.conditional([c, e], x[0, [c, e]])
    left = [j for j in range(4) if j != c]
    in_turn = whole.conditional(c, x[0, c]).conditional(left.index(e), x[0, e])
    moved = whole.marginal([c, *where, e]).conditional([3, 0], x[0, [e, c]])
    wanted = at_once.log_density(x[:, where])
    for found in (in_turn, moved):
        np.testing.assert_allclose(found.log_density(x[:, where]), wanted, rtol=1e-8, atol=1e-8)
    one = at_once.marginal(where.index(a)).log_density(x[:, [a]])
    other = whole.marginal([a, e, c]).conditional([2, 1], x[0, [c, e]]).log_density(x[:, [a]])
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", MARGINALS)
def test_rows_regress_as_their_conditionals(name: str) -> None:
    whole = mixture(name, 3, 4)
    x = whole.sample(20, 0)[0][:, [3, 1]]
    found = whole.conditional_mean([3, 1], x)
    wanted = [whole.conditional([3, 1], row).mean() for row in x]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(whole.conditional_mean([-1, 1], x.tolist()), found)


@pytest.mark.parametrize("name", MOMENTS)
def test_the_law_of_total_variance(name: str) -> None:
    whole = mixture(name, 3, 3)
    found, single = whole.covariance(), np.eye(3)
    inside = [replace(whole, weights=one).covariance() for one in single]
    assert all((each.between == 0).all() for each in inside)
    means = whole.component_means()
    second = sum(
        w * (each.within + np.outer(m, m))
        for w, each, m in zip(whole.weights, inside, means, strict=True)
    )
    mean = sum(w * m for w, m in zip(whole.weights, means, strict=True))
    np.testing.assert_allclose(whole.mean(), mean, rtol=1e-12)
    assert relative(found.total, second - np.outer(mean, mean)) < 1e-12
    parts = [w * each.within for w, each in zip(whole.weights, inside, strict=True)]
    assert relative(found.within, sum(parts)) < 1e-13


@pytest.mark.parametrize("name", MOMENTS)
def test_draws_have_the_moments(name: str) -> None:
    whole, n = mixture(name, 3, 3), 40_000
    x, labels = whole.sample(n, 1)
    centred = x - whole.mean()
    products = (centred[:, :, None] * centred[:, None, :]).reshape(n, -1)
    for found, wanted in (
        (x, whole.mean()),
        (products, whole.covariance().total.ravel()),
        (labels[:, None] == np.arange(3), whole.weights),
    ):
        error = found.std(axis=0) / np.sqrt(n)
        assert (np.abs(found.mean(axis=0) - wanted) <= 5 * error + 1e-12).all()
    again = whole.sample(n, 1)
    np.testing.assert_array_equal(again[0], x)
    np.testing.assert_array_equal(again[1], labels)


@pytest.mark.parametrize("name", [n for n in MARGINALS if n in MOMENTS])
def test_moments_of_a_marginal_are_those_of_its_features(name: str) -> None:
    whole = mixture(name, 3, 4)
    part, index = whole.marginal([2, 0]), [2, 0]
    np.testing.assert_allclose(part.mean(), whole.mean()[index], rtol=1e-12)
    wanted = whole.covariance().total[np.ix_(index, index)]
    np.testing.assert_allclose(part.covariance().total, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_moments_of_a_sum_add(one: str, two: str) -> None:
    a, b = mixture(one, 3, 3), mixture(two, 2, 3, 1)
    both = a.convolve(b)
    assert both.n_components == 6
    np.testing.assert_allclose(both.mean(), a.mean() + b.mean(), rtol=1e-12, atol=1e-12)
    wanted = a.covariance().total + b.covariance().total
    assert relative(both.covariance().total, wanted) < 1e-12
    last = a.component_means()[2] + b.component_means()[1]
    np.testing.assert_allclose(both.component_means()[5], last, rtol=1e-12)
    other = b.convolve(a)
    x = both.sample(5, 0)[0]
    np.testing.assert_allclose(other.log_density(x), both.log_density(x), rtol=1e-12)
    assert type(other.family) is type(both.family)
    assert one != two or type(both.family) is type(a.family)


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_has_the_density_of_summed_draws(name: str) -> None:
    a, b, n = mixture(name, 3, 2), mixture(name, 2, 2, 1), 60_000
    x = a.sample(n, 0)[0] + b.sample(n, 1)[0]
    both = a.convolve(b)
    # The mean of exp(i t x) is the characteristic function, and tells a distribution from others.
    rng = np.random.default_rng(0)
    t = rng.standard_normal((2, 8)) / np.sqrt(both.covariance().total.trace())
    y = both.sample(n, 2)[0]
    for wave in (np.cos, np.sin):
        here, there = wave(x @ t), wave(y @ t)
        error = np.sqrt((here.var(axis=0) + there.var(axis=0)) / n)
        assert (np.abs(here.mean(axis=0) - there.mean(axis=0)) < 5 * error).all()


@pytest.mark.parametrize("name", [n for n in MARGINALS if n in SHIFTED])
def test_far_from_zero_nothing_is_lost(name: str) -> None:
    near, far = mixture(name, 3, 3), 1e6
    moved = replace(near, components=near.family.translate(near.components, np.full(3, far)))
    x = near.sample(50, 0)[0]
    x = (x + far) - far
    np.testing.assert_allclose(moved.log_density(x + far), near.log_density(x), atol=1e-7)
    for found, wanted in (
        (moved.mean() - far, near.mean()),
        (moved.covariance().total, near.covariance().total),
        (moved.conditional_mean(0, x[:, :1] + far) - far, near.conditional_mean(0, x[:, :1])),
        (moved.conditional(0, x[0, 0] + far).weights, near.conditional(0, x[0, 0]).weights),
        (
            moved.conditional(0, x[0, 0] + far).covariance().total,
            near.conditional(0, x[0, 0]).covariance().total,
        ),
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-7)
