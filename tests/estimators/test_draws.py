"""Draws of every mixture have the mean and the covariance that its distribution states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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
from emdist.errors import ConfigError, DomainError

#: Draws of each, and the standard errors that a moment may be off: one in 500,000 is further off.
N, ERRORS = 40_000, 5.0
_KINDS = ("full", "tied", "diag", "spherical")


def reals(n: int = 400) -> Any:
    """(n, 3) two correlated clouds."""
    rng = np.random.default_rng(0)
    slope = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.5, 2.0]])
    return rng.normal(size=(n, 3)) @ slope.T + 4.0 * (np.arange(n)[:, None] % 2)


def counts(n: int = 400) -> Any:
    """(n, 4) counts of two kinds of rows; totals differ from row to row."""
    rng = np.random.default_rng(1)
    rates = np.array([[0.2, 3.0, 1.0, 0.4], [2.0, 0.3, 0.1, 5.0]])
    return rng.poisson(rates[np.arange(n) % 2])


def codes(n: int = 400) -> Any:
    """(n, 4) whole numbers in 0..2."""
    return np.minimum(counts(n), 2)


MIXED = [
    {"columns": [0, 4], "family": "full"},
    {"columns": [1], "family": "poisson"},
    {"columns": [2, 3], "family": "multinomial"},
]

#: A mixture and its rows, by name.
CASES: dict[str, tuple[Any, Any]] = {
    **{t: (GaussianMixture(2, covariance_type=t, random_state=0), reals()) for t in _KINDS},
    **{
        f"variational {kind}": (
            BayesianGaussianMixture(n_components=2, covariance_type=kind, random_state=0),
            reals(),
        )
        for kind in _KINDS
    },
    "isotropic": (IsotropicMixture(2, variance=1.7, random_state=0), reals()),
    "bernoulli": (BernoulliMixture(2, random_state=0), np.minimum(counts(), 1)),
    "binomial": (BinomialMixture(2, n_trials=[2, 2, 3, 2], random_state=0), codes()),
    "pairs": (BinomialMixture(2, n_trials="cell", random_state=0), counts()),
    "poisson": (PoissonMixture(2, random_state=0), counts()),
    "categorical": (CategoricalMixture(2, n_categories=3, random_state=0), codes()),
    "multinomial": (MultinomialMixture(2, random_state=0), counts()),
    "product": (
        ProductMixture(2, groups=MIXED, random_state=0),
        np.column_stack([reals()[:, 0], counts()[:, :3], reals()[:, 1]]),
    ),
}  # fmt: skip


def off(found: Any, wanted: Any) -> float:
    """By how many standard errors the means of `found` (n, ...) differ from `wanted`, at most."""
    error = found.std(axis=0) / np.sqrt(len(found))
    return float((np.abs(found.mean(axis=0) - wanted) / np.maximum(error, 1e-12)).max())


@pytest.mark.parametrize("name", CASES)
def test_draws_have_the_moments_of_the_distribution(name: str) -> None:
    est, x = CASES[name]
    est.fit(x)
    whole = est.distribution()
    mean, covariance = whole.mean(), whole.covariance().total
    for drawn in (est.sample(N)[0], whole.sample(N, 0)[0]):
        centred = drawn - mean
        assert off(drawn, mean) < ERRORS
        assert off(centred[:, :, None] * centred[:, None, :], covariance) < ERRORS
        assert np.isfinite(est.score_samples(drawn[:100])).all()


def test_draws_beside_noise_have_the_moments_of_both() -> None:
    x = reals(2000)
    x[::40] = np.random.default_rng(3).uniform(-30, 30, (50, 3))
    est = GaussianMixture(2, noise=0.05, random_state=0).fit(x)
    drawn, labels = est.sample(N)
    noise = est.noise_weight_
    own = (1 - noise) * est.weights_
    middle = (x.max(axis=0) + x.min(axis=0)) / 2
    box = (x.max(axis=0) - x.min(axis=0)) ** 2 / 12
    mean = own @ est.means_ + noise * middle
    second = np.einsum("k,kij->ij", own, est.covariances_) + noise * np.diag(box)
    for weight, where in zip([*own, noise], [*est.means_, middle], strict=True):
        second += weight * np.outer(where - mean, where - mean)
    centred = drawn - mean
    assert off(drawn, mean) < ERRORS
    assert off(centred[:, :, None] * centred[:, None, :], second) < ERRORS
    assert off((labels == -1)[:, None], noise) < ERRORS


def test_totals_that_are_no_whole_numbers_are_not_rounded() -> None:
    x = np.array([[1, 1]] * 500 + [[1, 0]] * 500)
    est = MultinomialMixture(1, random_state=0).fit(x)
    drawn, _ = est.sample(N)
    np.testing.assert_allclose(est.distribution().mean(), [1.0, 0.5])
    assert off(drawn, [1.0, 0.5]) < ERRORS
    assert set(drawn.sum(axis=1)) == {1.0, 2.0}
    # Rows that are mostly empty have mostly empty draws.
    drawn, _ = MultinomialMixture(1, random_state=0).fit([[1, 0]] + [[0, 0]] * 9).sample(N)
    assert off(drawn, [0.1, 0.0]) < ERRORS


def test_counts_of_any_size_are_drawn_or_refused() -> None:
    x = np.array([[4e25, 1e3], [6e25, 1e3]])
    drawn, _ = PoissonMixture(1).fit(x).sample(N)
    centred = drawn - [5e25, 1e3]
    assert off(centred, 0.0) < ERRORS
    assert off(centred**2, [5e25, 1e3]) < ERRORS
    for est in (MultinomialMixture(1), BinomialMixture(1, n_trials="cell")):
        with pytest.raises(DomainError, match=r"5e\+25 trials or counts in all"):
            est.fit(x).sample()


@pytest.mark.parametrize("wanted", [10**12, 10**30])
def test_more_draws_than_memory_holds_are_refused_with_the_number_that_fits(wanted: int) -> None:
    fitted = GaussianMixture(2, random_state=0).fit(reals())
    for draw, name in ((fitted.sample, "n_samples"), (fitted.distribution().sample, "n")):
        with pytest.raises(ConfigError, match=rf"^{name}=1,000,.* draws of 3 feature") as told:
            draw(wanted)
        assert "is free on this machine" in str(told.value)
        most = str(told.value).rpartition("Draw at most ")[2].partition(" ")[0]
        assert 1000 < int(most.replace(",", "")) < wanted


def test_the_number_of_draws_that_fits_is_what_memory_divides_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted = GaussianMixture(2, random_state=0).fit(reals())
    monkeypatch.setattr("emdist.mixtures.draws.available_memory", lambda: 88 * 50)
    with pytest.raises(ConfigError, match=r"Draw at most 50 at a time\."):
        fitted.sample(51)
    assert len(fitted.sample(50)[0]) == 50
