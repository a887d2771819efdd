"""What mixtures are made of: families of components, and densities ready for tiles."""

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
    """k components at one parameter value, ready to score and gather tiles.

    Tiles lie as (m, d); scores and responsibilities as (k, m), so that the loop over rows is
    the inner one and vectorises.
    """

    @property
    def n_components(self) -> int: ...

    @property
    def width(self) -> int:
        """Columns of the sufficient statistic T(x)."""

    @property
    def offset(self) -> Array:
        """(k,) to be added to the scores of each component: the caller does it with its own."""

    @property
    def constant(self) -> float:
        """What is added to every score of every row: nats."""

    def statistics(self, x: Array) -> Array:
        """T(x): (m, d) -> (m, width)."""

    def score(self, x: Array, t: Array, out: Array) -> None:
        """Fill `out` (k, m) with log p(x|k) up to `offset`, `base` and `constant`."""

    def base(self, x: Array) -> Floats:
        """(m,) the part of log p(x|k) that all components share and `score` leaves out."""

    def explain(self, x: Array, score: Array, labels: NDArray[np.int32]) -> Floats:
        """(m,) log p(x|label) without `constant`, free of cancellation where it matters.

        `score` (m,) is that of the label, with its `offset`.
        """

    def gather(self, x: Array, t: Array, resp: Array) -> Array:
        """Sum of resp * T(x): (k, m) -> (k, width), about the pivot of the numerics."""

    def scatter(
        self, x: Array, t: Array, labels: NDArray[np.int32], weight: Floats | None
    ) -> tuple[Floats, Floats]:
        """Sums for hard labels: (k,) weights and (k, width) statistics."""

    def expected(self, n: Floats, t: Floats, about: Floats | None) -> float:
        """Sum of resp * log p(x|k) from its sums, without `base` and `constant`: nats.

        Parameters
        ----------
        n, t
            (k,) weights and (k, width) statistics of a pass.
        about
            (k, d) locations of a centred pass, about which densities that can be centred
            gather; None for the origin.
        """


@runtime_checkable
class WholeBlocks(Protocol):
    """A density whose hard assignment does a block in one compiled call."""

    def hard_sums(
        self, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> tuple[Floats, Floats, float]:
        """Weights (k,), statistics (k, width) and log-likelihood of stored rows (m, d).

        `log_weight` (k,) comes to the scores; the log-likelihood lacks `constant`.
        """

    def hard_rows(
        self, x: Array, origin: Floats, log_weight: Array
    ) -> tuple[NDArray[np.int32], Floats]:
        """Labels (m,) and log-likelihoods (m,), as `hard_sums` has them."""


@dataclass(frozen=True)
class Logits:
    """What responsibilities are the softmax of: ``eta T(x) + offset``.

    Attributes
    ----------
    eta, offset
        (k, D) and (k,), divided by the temperature, in the precision of tiles.
    pairs, extras
        What T(x) is, as `kernels.lines.Lines` says it.
    temperature
        By which the logarithm of the softmax's sum is multiplied to give the objective.
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
        """Of ``softmax((score + log_weight) / temperature)``, `base` and `constant` left out.

        None where tiles have to be gone through.
        """


@lru_cache(maxsize=256)
def offers(kind: type, protocol: Any) -> bool:
    """Whether instances of a class have the methods of a protocol.

    As `issubclass`, which takes as long as all the rest that a small block costs besides its rows.
    """
    return issubclass(kind, protocol)


def does_whole_blocks(density: Density) -> TypeGuard[WholeBlocks]:
    """Whether `density` is one of `WholeBlocks`."""
    return offers(type(density), WholeBlocks)


def does_soft_blocks(density: Density) -> TypeGuard[SoftBlocks]:
    """Whether `density` is one of `SoftBlocks`."""
    return offers(type(density), SoftBlocks)


class Described(Protocol):
    """What components are like: asked by the driver before anything is computed."""

    @property
    def shifted(self) -> bool | NDArray[np.bool_]:
        """Whether features are taken relative to their mean, for all or (d,) for each.

        Real numbers are; counts and categories are not.
        """

    @property
    def domain(self) -> Domain | None:
        """What its features can be, held against all rows; None for any real numbers."""

    @property
    def approximation(self) -> str:
        """Why `estimate` is not quite the maximum, so that the bound may fall; else empty."""

    @property
    def needs_covariance(self) -> bool:
        """Whether `informed` needs `Spread.covariance`, which the survey then gathers."""


class Scored(Protocol[Q]):
    """What a pass over the blocks calls, and the choice of its arithmetic."""

    def density(self, params: Q, numerics: Numerics) -> Density:
        """`params` made ready for the tiles of a pass."""

    def amplification(self, params: Q, spread: Spread) -> float:
        """How many times rounding error grows in the expanded score, per feature (>= 1)."""

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        """Statistics that no responsibility enters, gathered once: tied needs sum x x^T."""


class Estimated(Protocol[P]):
    """What the driver calls after a pass: the M-step, and what the objective counts besides."""

    def estimate(self, sums: Sums, params: P, numerics: Numerics) -> P:
        """The M-step: from ``n`` (k,), ``t`` (k, width) and what `shared` gave."""

    def shared_base(self, params: P, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        """Sum of ``weight * base(x)`` over all rows, from what `shared` gathered."""

    def log_prior(self, params: P) -> float:
        """What the M-step maximises besides the log-likelihood, up to a constant: nats.

        The log-density of a prior, or minus a posterior's divergence from it.
        """


class Placed(Protocol[P]):
    """What starts and policies do to components: place them, find the weak, move and pick them."""

    def start(self, seeds: Floats, spread: Spread) -> P:
        """k components at `seeds` (k, d), each as wide as the data."""

    def locations(self, params: P) -> Floats:
        """(k, d) where the components lie, relative to the origin."""

    def collapsed(self, params: P) -> NDArray[np.bool_]:
        """(k,) components that are too narrow to have a density."""

    def reseat(self, params: P, index: NDArray[np.int64], rows: Floats, spread: Spread) -> P:
        """Components `index` started anew at `rows`; the others as they are."""

    def take(self, params: P, index: NDArray[np.int64]) -> P:
        """Only the components `index`."""

    def translate(self, params: P, shift: Floats) -> P:
        """The same components with `shift` (d,) added to every location."""


class Components(Described, Scored[P], Estimated[P], Placed[P], Protocol[P]):
    """k components that a model is made of: the E-step's density and the M-step's estimate.

    All parameters are relative to `Spread.origin`.
    """

    @property
    def params(self) -> type[P]:
        """The frozen dataclass of arrays that holds k components."""

    def informed(self, spread: Spread) -> Components[P]:
        """The family that is fitted to data of this spread: a prior may depend on it."""

    def with_missing(self) -> Components[P]:
        """The same for rows whose NaN are missing at random; ConfigError if there is none.

        Its components are the same `params`, and its density the marginal of what is observed.
        """


class Family(Components[P], Protocol[P]):
    """k components of one distribution: what a mixture can also draw from and count."""

    def informed(self, spread: Spread) -> Family[P]:
        """As of any components: a family stays one."""

    def sample(self, params: P, k: int, n: int, rng: np.random.Generator) -> Floats:
        """(n, d) draws from component `k`."""

    def free_parameters(self, n_components: int, n_features: int) -> int:
        """For information criteria."""

    def with_missing(self) -> IncompleteFamily[P]:
        """As of `Components`; it can also complete rows."""


class IncompleteFamily(Family[P], Protocol[P]):
    """A family for rows with missing values, NaN: what `Family.with_missing` gives."""

    def fill(
        self, params: P, x: Floats, resp: Array, variance: bool = False
    ) -> tuple[Floats, Floats | None]:
        """Rows `x` (m, d) with what is expected, given what is observed, in place of NaN.

        Parameters
        ----------
        params, x
            Relative to the origin.
        resp
            (k, m) responsibilities of the components for the observed part of each row.
        variance
            Whether to return also the (m, d) variances of what was filled in.
        """
