"""The base class of families for rows with missing values, and the completion of such rows.

NaN in a row stands for a missing value. Values are missing at random: whether a value is missing
may depend on observed values, but not on the value itself (Rubin 1976). Then the likelihood of the
observed values is the marginal density, and parameters are those of the family for complete rows.
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
    """Base class of families for rows with missing values.

    A subclass defines the density, the M-step and the completion of rows.

    Attributes
    ----------
    complete
        The same family for rows without missing values.
    """

    complete: Family[P]

    @property
    def params(self) -> type[P]:
        return self.complete.params

    @property
    def shifted(self) -> bool | NDArray[np.bool_]:
        """Whether the mean of the data is subtracted, as in the family for complete rows."""
        return self.complete.shifted

    @property
    def domain(self) -> Domain | None:
        """The values that observed features can have, or None for any real numbers."""
        return self.complete.domain

    @property
    def approximation(self) -> str:
        """Why the M-step for complete rows misses the exact maximum; empty if it does not."""
        return self.complete.approximation

    @property
    def needs_covariance(self) -> bool:
        """Whether the family for complete rows needs the covariance of the data."""
        return self.complete.needs_covariance

    def informed(self, spread: Spread) -> Self:
        """Return the family for data of this spread."""
        whole: Any = self.complete.informed(spread)
        return replace(self, complete=whole)

    def start(self, seeds: Floats, spread: Spread) -> P:
        """Return components at `seeds` (k, d), whose missing values become the data's mean."""
        return self.complete.start(filled(np.asarray(seeds, np.float64), spread.mean), spread)

    def reseat(self, params: P, index: NDArray[np.int64], rows: Floats, spread: Spread) -> P:
        """Return `params` with components `index` reseeded at `rows`.

        Missing values of the rows are replaced by the mean of the data.
        """
        return self.complete.reseat(params, index, filled(rows, spread.mean), spread)

    def amplification(self, params: P, spread: Spread) -> float:
        return self.complete.amplification(params, spread)

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        """Return no sums: all sums depend on responsibilities."""
        return {}

    def shared_base(self, params: P, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        """Return 0: the score has no part that it leaves out."""
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
    """The running mean and variance of predictions of several components: West 1979.

    It has state because components are added one at a time. So the k predictions of a tile are
    never all in memory, and no difference of large squares is computed.

    Attributes
    ----------
    mean, squares
        The mean and the weighted sum of squared deviations so far, (m, d).
    weight
        The sum of weights so far, (m, 1).
    """

    mean: Floats
    squares: Floats = field(init=False)
    weight: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.squares = np.zeros_like(self.mean)
        self.weight = np.zeros((len(self.mean), 1))

    def add(self, share: Array, mean: Floats, variance: Floats | float) -> None:
        """Add the prediction of a component (m, d), weighted by its responsibilities (m,)."""
        r = share[:, None].astype(np.float64)
        self.weight = self.weight + r
        delta = mean - self.mean
        with np.errstate(invalid="ignore"):
            step = np.where(r > 0, r / self.weight, 0.0)
        self.mean = self.mean + delta * step
        self.squares = self.squares + r * (variance + delta * (mean - self.mean))

    def variance(self) -> Floats:
        """Return the variance of the predictions: (m, d)."""
        return self.squares / self.weight


def observed_sums(sums: Sums, d: int) -> Sums:
    """Return sums of independent features in the form of those for complete rows.

    ``n`` (k, d) has the weight of the rows in which each feature was observed. ``t`` loses the
    columns that counted it.
    """
    t = sums["t"]
    kept = np.concatenate([t[:, :d], t[:, 2 * d :]], axis=1)
    return Sums({**sums.fields, "n": t[:, d : 2 * d], "t": kept})


def no_variance(wanted: bool) -> None:
    """Raise a ConfigError if variances are `wanted` from a family that is not Gaussian."""
    if wanted:
        raise ConfigError(
            "Standard deviations of filled values exist only for Gaussian mixtures; set "
            "return_std=False."
        )


def refused(what: str, why: str) -> NoReturn:
    """Raise a ConfigError, with the reason, for a family without a density of incomplete rows."""
    raise ConfigError(
        f"Missing values are not supported for {what}: {why} Fill them, set data.non_finite to "
        "'drop' to leave out these rows, or use another family."
    )
