"""Families of incomplete rows: what they take from those of complete rows.

A value is missing where a row holds NaN, at random: whether it is missing may depend on what was
observed, not on the value itself (Rubin 1976). Then the likelihood of what was observed is the
component's marginal, and parameters are those of the family of complete rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NoReturn, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Family
from emdist.errors import ConfigError
from emdist.interfaces import Array, Domain, Floats, Numerics, Spread
from emdist.kernels.tiles.missing import filled
from emdist.sums import Sums

P = TypeVar("P")


@dataclass(frozen=True)
class Incomplete(Generic[P]):
    """Base of the families of incomplete rows; a subclass says density, M-step and completion.

    Attributes
    ----------
    complete
        The same family for rows without NaN.
    """

    complete: Family[P]

    @property
    def params(self) -> type[P]:
        return self.complete.params

    @property
    def shifted(self) -> bool | NDArray[np.bool_]:
        """As the family of complete rows."""
        return self.complete.shifted

    @property
    def domain(self) -> Domain | None:
        """Of what is observed."""
        return self.complete.domain

    @property
    def approximation(self) -> str:
        """Why the M-step is not quite the maximum; as that of complete rows."""
        return self.complete.approximation

    @property
    def needs_covariance(self) -> bool:
        """As the family of complete rows."""
        return self.complete.needs_covariance

    def informed(self, spread: Spread) -> Self:
        """With the family of complete rows informed."""
        whole: Any = self.complete.informed(spread)
        return replace(self, complete=whole)

    def start(self, seeds: Floats, spread: Spread) -> P:
        """As that of complete rows, what a seed misses filled with the data's mean."""
        return self.complete.start(filled(np.asarray(seeds, np.float64), spread.mean), spread)

    def reseat(self, params: P, index: NDArray[np.int64], rows: Floats, spread: Spread) -> P:
        """As that of complete rows, what a row misses filled with the data's mean."""
        return self.complete.reseat(params, index, filled(rows, spread.mean), spread)

    def amplification(self, params: P, spread: Spread) -> float:
        return self.complete.amplification(params, spread)

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        """Nothing is gathered once."""
        return {}

    def shared_base(self, params: P, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        """Zero."""
        return 0.0

    def log_prior(self, params: P) -> float:
        return self.complete.log_prior(params)

    def locations(self, params: P) -> Floats:
        return self.complete.locations(params)

    def collapsed(self, params: P) -> NDArray[np.bool_]:
        return self.complete.collapsed(params)

    def translate(self, params: P, shift: Floats) -> P:
        return self.complete.translate(params, shift)

    def take(self, params: P, index: NDArray[np.int64]) -> P:
        return self.complete.take(params, index)

    def with_missing(self) -> Self:
        return self

    def sample(self, params: P, k: int, n: int, rng: np.random.Generator) -> Floats:
        return self.complete.sample(params, k, n, rng)

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return self.complete.free_parameters(n_components, n_features)


@dataclass
class Blend:
    """Mean and variance of a mixture of predictions, component by component: West 1979.

    It has state because components arrive one at a time: k predictions of a tile are never held
    together, and no difference of large squares is taken.

    Attributes
    ----------
    mean, squares
        (m, d) mean, and weighted sum of squared deviations, so far.
    weight
        (m, 1) sum of weights so far.
    """

    mean: Floats
    squares: Floats = field(init=False)
    weight: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.squares = np.zeros_like(self.mean)
        self.weight = np.zeros((len(self.mean), 1))

    def add(self, share: Array, mean: Floats, variance: Floats | float) -> None:
        """A component's prediction (m, d), by its responsibilities (m,)."""
        r = share[:, None].astype(np.float64)
        self.weight = self.weight + r
        delta = mean - self.mean
        with np.errstate(invalid="ignore"):
            step = np.where(r > 0, r / self.weight, 0.0)
        self.mean = self.mean + delta * step
        self.squares = self.squares + r * (variance + delta * (mean - self.mean))

    def variance(self) -> Floats:
        """(m, d)."""
        return self.squares / self.weight


def observed_sums(sums: Sums, d: int) -> Sums:
    """Sums of independent features as if complete: ``n`` (k, d), the weight observed of each."""
    t = sums["t"]
    kept = np.concatenate([t[:, :d], t[:, 2 * d :]], axis=1)
    return Sums({**sums.fields, "n": t[:, d : 2 * d], "t": kept})


def no_variance(wanted: bool) -> None:
    """ConfigError if variances are `wanted` of a family that is no Gaussian."""
    if wanted:
        raise ConfigError(
            "Standard deviations of what was filled in are there for Gaussian mixtures; set "
            "return_std=False."
        )


def refused(what: str, why: str) -> NoReturn:
    """Raise for a family that has no density of incomplete rows: ConfigError with the reason."""
    raise ConfigError(
        f"Missing values make no sense for {what}: {why} Fill them, set data.non_finite to 'drop' "
        "to leave their rows out, or take another family."
    )
