"""The divergences of rows to their centres, held against decimal numbers of 60 digits."""

from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np
import pytest

from emdist.interfaces import Floats
from emdist.kernels.vector.divergences import (
    generalised_i,
    half_squares,
    itakura_saito,
    kullback_leibler,
    logistic,
)

Divergence = Callable[[Decimal, Decimal], Decimal]
EPS = float(np.finfo(np.float64).eps)


def amount(x: Decimal, mu: Decimal) -> Decimal:
    return (x * (x / mu).ln() if x else Decimal(0)) - x + mu


def bits(x: Decimal, mu: Decimal) -> Decimal:
    return amount(x, mu) + amount(1 - x, 1 - mu)


def spectrum(x: Decimal, mu: Decimal) -> Decimal:
    return x / mu - (x / mu).ln() - 1


KERNELS = {
    "generalised_i": (generalised_i, amount, 1e8),
    "itakura_saito": (itakura_saito, spectrum, 1e8),
    "logistic": (logistic, bits, 1.0),
}


def exact(divergence: Divergence, x: Floats, mu: Floats) -> Floats:
    with localcontext() as context:
        context.prec = 60
        each = (
            divergence(Decimal(a), Decimal(b))
            for a, b in zip(x.ravel().tolist(), mu.ravel().tolist(), strict=True)
        )
        found = np.array(list(each), object).reshape(x.shape).sum(axis=1)
        return found.astype(np.float64)


def ratios(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Ratios to a centre: a ten-millionth from 1, near the ends of the series, and far away."""
    near = 1 + 1e-7 * rng.standard_normal(shape)
    ends = np.sqrt(2.0) ** rng.choice([-1, 1], shape) * (1 + 1e-9 * rng.standard_normal(shape))
    far = np.exp(3 * rng.standard_normal(shape))
    return np.where(rng.random(shape) < 0.5, near, np.where(rng.random(shape) < 0.5, ends, far))


@pytest.mark.parametrize("d", [1, 5, 8, 37])
@pytest.mark.parametrize("name", sorted(KERNELS))
def test_divergences_have_all_digits_near_and_far(name: str, d: int) -> None:
    kernel, divergence, most = KERNELS[name]
    rng = np.random.default_rng(d)
    centres = rng.uniform(1e-3, 0.999, (5, d)) * most
    labels = rng.integers(5, size=300).astype(np.int32)
    # With one kind of ratio a row, so that a large term cannot hide the errors of a small one.
    rows = ratios(rng, (300, 1)) * (1 + 1e-8 * rng.standard_normal((300, d)))
    x = np.clip(rows * centres[labels], 1e-300, most)
    out = np.full(300, np.nan)
    kernel(x, centres, labels, out)
    np.testing.assert_allclose(out, exact(divergence, x, centres[labels]), rtol=32 * EPS, atol=0)


@pytest.mark.parametrize("name", ["generalised_i", "logistic"])
def test_zeros_cost_the_centre(name: str) -> None:
    kernel, divergence, _ = KERNELS[name]
    x = np.array([[0.0, 0.5, 0.25], [0.0, 0.0, 0.0], [-0.0, 1.0, 0.0]])
    centres = np.array([[0.25, 0.5, 0.125]])
    out = np.full(3, np.nan)
    kernel(x, centres, np.zeros(3, np.int32), out)
    np.testing.assert_allclose(out, exact(divergence, x, np.repeat(centres, 3, axis=0)), rtol=1e-15)


def test_numbers_outside_the_domain_count_as_its_edge() -> None:
    centres, labels = np.array([[0.25, 0.5]]), np.zeros(1, np.int32)
    for kernel, x, edge in (
        (generalised_i, [-3.0, 0.5], [0.0, 0.5]),
        (logistic, [-3.0, 4.0], [0.0, 1.0]),
    ):
        found = np.empty(1), np.empty(1)
        for row, out in zip((x, edge), found, strict=True):
            kernel(np.array([row]), centres, labels, out)
        np.testing.assert_array_equal(*found)


def test_what_no_float64_holds_is_not_finite() -> None:
    out, labels = np.empty(3), np.zeros(3, np.int32)
    generalised_i(np.array([[1e200], [np.nan], [1e-300]]), np.array([[1e-200]]), labels, out)
    assert out[0] == np.inf
    assert np.isnan(out[1])
    assert out[2] == pytest.approx(1e-200)
    itakura_saito(np.array([[1e-200], [np.nan], [1e300]]), np.array([[1e200]]), labels, out)
    assert out[0] == np.inf
    assert np.isnan(out[1])
    assert out[2] == pytest.approx(1e100)


def test_rows_of_zeros_have_no_proportions_and_no_direction() -> None:
    x, labels = np.array([[0.0, 0.0], [0.25, 0.75]]), np.zeros(2, np.int32)
    out = np.full(2, np.nan)
    kullback_leibler(x, np.array([[0.5, 0.5]]), labels, out)
    assert out[0] == 0.0
    assert out[1] == pytest.approx(0.25 * np.log(0.5) + 0.75 * np.log(1.5), rel=1e-14)
    x = np.array([[0.0, 0.0], [0.6, 0.8]])
    half_squares(x, np.array([[1.0, 0.0]]), labels, np.zeros(1), out)
    assert out.tolist() == [0.0, pytest.approx(0.4, rel=1e-14)]
    half_squares(x, np.array([[0.0, 0.0]]), labels, np.ones(1), out)
    assert out.tolist() == [0.0, pytest.approx(1.0, rel=1e-14)]
