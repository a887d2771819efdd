"""The interfaces of families of components, and of densities that score and sum tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeGuard, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Domain, Floats, Numerics, Spread
from emdist.sums import Sums

P = TypeVar("P")
Q = TypeVar("Q", contravariant=True)


class Density(Protocol):
    """k components with given parameters, prepared to score tiles and to sum their statistics.

    Tiles have the shape (m, d). Scores and responsibilities have the shape (k, m), so that the
    loop over rows is the inner one and vectorises.
    """

    @property
    def n_components(self) -> int: ...

    @property
    def width(self) -> int:
        """Number of columns of the sufficient statistic T(x)."""

    @property
    def offset(self) -> Array:
        """Number to add to the scores of each component: (k,).

        `score` leaves it to the caller, who adds it together with numbers of its own.
        """

    @property
    def constant(self) -> float:
        """Number in nats that is part of log p(x|k) for all rows and components."""

    def statistics(self, x: Array) -> Array:
        """Return T(x) of the rows `x` (m, d): (m, width)."""

    def score(self, x: Array, t: Array, out: Array) -> None:
        """Fill `out` (k, m) with log p(x|k) without `offset`, `base` and `constant`."""

    def base(self, x: Array) -> Floats:
        """Return the part of log p(x|k) that all components share and `score` leaves out: (m,)."""

    @property
    def exact(self) -> bool:
        """Whether `explain` computes log p(x|label) from the rows themselves, not from scores."""

    def explain(self, x: Array, score: Array, labels: NDArray[np.int32]) -> Floats:
        """Return log p(x|label) without `constant`, free of cancellation where it matters: (m,).

        `score` (m,) is the score of each row's label, with its `offset`.
        """

    def gather(self, x: Array, t: Array, resp: Array) -> Array:
        """Return the sums of resp * T(x) over the rows, (k, width), for `resp` (k, m).

        Centred densities that need second moments sum about the means of the components. All others
        sum about the origin.
        """

    def scatter(
        self, x: Array, t: Array, labels: NDArray[np.int32], weight: Floats | None
    ) -> tuple[Floats, Floats]:
        """Return the sums for hard labels: weights (k,) and statistics (k, width)."""

    def expected(self, n: Floats, t: Floats, about: Floats | None) -> float:
        """Return the sum of resp * log p(x|k), without `base` and `constant`, in nats.

        It follows from the sums of a pass, which may have used other parameters.

        Parameters
        ----------
        n, t
            The weights (k,) and statistics (k, width) that the pass summed.
        about
            The locations (k, d) about which a centred pass summed statistics, or None if it
            summed about the origin. Densities that cannot be centred ignore it.
        """


@runtime_checkable
class WholeBlocks(Protocol):
    """A density that assigns and sums all rows of a block in one compiled call: hard assignment."""

    def has_wide_rows(self) -> bool:
        """Return whether `hard_rows` computes log-likelihoods in float64, whatever gave labels."""

    def hard_sums(
        self, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> tuple[Floats, Floats, float] | None:
        """Return weights (k,), statistics (k, width) and log-likelihood of stored rows (m, d).

        `log_weight` (k,) is added to the scores. The log-likelihood lacks `constant`, and `base`
        unless the density is `exact`. The result is None if the density has no compiled call for
        its statistics, so that the block must be processed tile by tile.
        """

    def hard_rows(
        self, x: Array, origin: Floats, log_weight: Array
    ) -> tuple[NDArray[np.int32], Floats] | None:
        """Return labels (m,) as `hard_sums` assigns them, and log-likelihoods (m,) with `base`."""


@dataclass(frozen=True)
class Logits:
    """The numbers of which responsibilities are the softmax: ``eta T(x) + offset``.

    Attributes
    ----------
    eta, offset
        Coefficients (k, D) and offsets (k,), divided by the temperature, in the precision of
        tiles.
    pairs, extras
        The definition of T(x), in the form of `kernels.vector.lines.Lines`.
    temperature
        The factor that turns the log-sum-exp of the logits into the objective of a row.
    """

    eta: Array
    offset: Array
    pairs: NDArray[np.int32]
    extras: NDArray[np.int32]
    temperature: float = 1.0


@runtime_checkable
class SoftBlocks(Protocol):
    """A density whose responsibilities and their sums come from one compiled call for a block."""

    def logits(self, log_weight: Array, temperature: float) -> Logits | None:
        """Return the logits of ``softmax((score + log_weight) / temperature)``.

        `base` and `constant` are left out. The result is None if the density has no compiled call
        for its statistics, so that the block must be processed tile by tile.
        """


@lru_cache(maxsize=256)
def offers(kind: type, protocol: Any) -> bool:
    """Return whether instances of a class have the methods of a protocol.

    This is `issubclass` with a cache: for a small block, `issubclass` alone takes as long as all
    other costs that do not depend on the number of rows.
    """
    return issubclass(kind, protocol)


def does_whole_blocks(density: Density) -> TypeGuard[WholeBlocks]:
    """Return whether `density` implements `WholeBlocks`."""
    return offers(type(density), WholeBlocks)


def does_soft_blocks(density: Density) -> TypeGuard[SoftBlocks]:
    """Return whether `density` implements `SoftBlocks`."""
    return offers(type(density), SoftBlocks)


class Described(Protocol):
    """Properties of components, which the driver reads before anything is computed."""

    @property
    def shifted(self) -> bool | NDArray[np.bool_]:
        """Whether the mean of the data is subtracted from features: for all, or (d,) for each.

        It is subtracted from real numbers, but not from counts and categories.
        """

    @property
    def domain(self) -> Domain | None:
        """The values that features can have, or None for any real numbers.

        All rows are checked against it.
        """

    @property
    def approximation(self) -> str:
        """Why `estimate` misses the exact maximum, so that the bound may fall; else empty."""

    @property
    def needs_covariance(self) -> bool:
        """Whether `informed` needs `Spread.covariance`. If so, the survey computes it."""


class Scored(Protocol[Q]):
    """The methods of components that a pass calls for its blocks, and to choose its arithmetic."""

    def density(self, params: Q, numerics: Numerics) -> Density:
        """Return the density of components with `params`, for the tiles of a pass."""

    def amplification(self, params: Q, spread: Spread) -> float:
        """Return by what factor (>= 1) rounding errors grow in the expanded score, per feature."""

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        """Return sums over rows that do not depend on responsibilities.

        They are computed once per run. For example, `Tied` needs the sum of x x^T.
        """


class Estimated(Protocol[P]):
    """The methods of components that the driver calls after a pass."""

    def estimate(self, sums: Sums, params: P, numerics: Numerics) -> P:
        """Make the M-step from ``n`` (k,), ``t`` (k, width) and the sums of `shared`."""

    def shared_base(self, params: P, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        """Return the sum of ``weight * base(x)`` over all rows, from the sums of `shared`."""

    def log_prior(self, params: P) -> float:
        """Return what the M-step adds to the log-likelihood that it maximises, in nats.

        It is the log-density of a prior, or minus the divergence of a posterior from its prior. A
        constant may be left out.
        """


class Placed(Protocol[P]):
    """The methods of components that seeding and the policies for collapses call."""

    def start(self, seeds: Floats, spread: Spread) -> P:
        """Return parameters of k components at `seeds` (k, d), each as wide as the data."""

    def locations(self, params: P) -> Floats:
        """Return the locations of the components relative to the origin: (k, d)."""

    def collapsed(self, params: P) -> NDArray[np.bool_]:
        """Return which components are too narrow to have a density: (k,)."""

    def reseat(self, params: P, index: NDArray[np.int64], rows: Floats, spread: Spread) -> P:
        """Return `params` with components `index` reseeded at `rows`."""

    def take(self, params: P, index: NDArray[np.int64]) -> P:
        """Return parameters of the components `index` only."""

    def translate(self, params: P, shift: Floats) -> P:
        """Return parameters of the same components with `shift` (d,) added to every location."""


class Components(Described, Scored[P], Estimated[P], Placed[P], Protocol[P]):
    """k components of a model: their density for the E-step, their estimate for the M-step.

    All parameters are relative to `Spread.origin`.
    """

    @property
    def params(self) -> type[P]:
        """The frozen dataclass of arrays that holds the parameters of k components."""

    def informed(self, spread: Spread) -> Components[P]:
        """Return the family for data of this spread. Its prior may depend on the data."""

    def with_missing(self) -> Components[P]:
        """Return the family for rows with missing values (NaN), which are missing at random.

        It has the same `params`. Its density is the marginal density of the observed values.
        It is a ConfigError if there is no such family.
        """


class Family(Components[P], Protocol[P]):
    """k components of one distribution, which can be sampled and whose parameters are counted."""

    def informed(self, spread: Spread) -> Family[P]:
        """Return the family for data of this spread; see `Components.informed`."""

    def sample(self, params: P, k: int, n: int, rng: np.random.Generator) -> Floats:
        """Return `n` draws from component `k`: (n, d)."""

    def free_parameters(self, n_components: int, n_features: int) -> int:
        """Return the number of free parameters of all components, for information criteria."""

    def with_missing(self) -> IncompleteFamily[P]:
        """Return the family for rows with missing values, which can also fill them in."""


class IncompleteFamily(Family[P], Protocol[P]):
    """A family for rows with missing values (NaN), as `Family.with_missing` returns it."""

    def fill(
        self, params: P, x: Floats, resp: Array, variance: bool = False
    ) -> tuple[Floats, Floats | None]:
        """Return rows `x` (m, d) with expected values in place of NaN, and their variances.

        The expectations and the variances are conditional on the observed values of each row.

        Parameters
        ----------
        params, x
            Parameters and rows, relative to the origin.
        resp
            The responsibilities (k, m), given the observed values of each row.
        variance
            Whether to return the variances (m, d) of the values filled in, else None.
        """
