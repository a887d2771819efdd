"""The base class of families of bits and counts: bounded mean parameters and pseudo-counts.

The origin is not subtracted from their rows, because terms such as log h(x) need the values
themselves.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emdist.components import Density, IncompleteFamily
from emdist.errors import DomainError
from emdist.families.base import MeansAsLocations, P, Plain
from emdist.families.closures import Features, IndependentFeatures
from emdist.families.densities import expanded, itself, no_base
from emdist.families.gaussian.base import DUST, by_feature
from emdist.families.incomplete import Incomplete, no_variance, observed_sums
from emdist.interfaces import Array, Domain, Floats, Numerics, Spread
from emdist.kernels.tiles.missing import filled, with_observed
from emdist.kernels.vector.lines import features
from emdist.sums import Sums

#: An option that is a number of pseudo-observations: finite and not negative.
Pseudo: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]

#: Probabilities and rates stay this far from 0, and probabilities from 1, so that logarithms are
#: finite. The likelihood is concave in each of them, so its maximum within these limits is the mean
#: moved to the limit, and the lower bound still never falls.
FLOOR = 1e-9


#: The size in nats that the terms of a row may have in float32, which loses up to 2^-24 of it. That
#: is 2e-6 nats for bits and codes, and 1e-5 nats for counts, whose largest terms cancel.
FEW_NATS, MANY_NATS = 32.0, 160.0
#: The largest number of trials that can be drawn: NumPy draws integers of 64 bits.
MOST_TRIALS = 2.0**62
#: A growth of rounding errors for which float32 is too coarse, but float64 is accurate enough.
_TOO_COARSE = 200.0


@dataclass(frozen=True)
class Means:
    """The mean parameters of k components.

    Attributes
    ----------
    means
        The expected row of each component, (k, d): probabilities of 1, or expected counts.
    """

    means: Floats


class AsTheyAre(IndependentFeatures, Plain[P]):
    """Base class of families from whose rows the mean of the data is not subtracted.

    Features are independent given the component.
    """

    @property
    def shifted(self) -> bool:
        """False: the mean of the data is not subtracted."""
        return False

    def translate(self, params: P, shift: Floats) -> P:
        unmoved(shift)
        return params


class Discrete(AsTheyAre[Means], MeansAsLocations[Means]):
    """Base class of the families with T(x) = x whose parameters are means within bounds.

    Features are independent given the component. A family for which they are not overrides
    `marginal` and `within`.

    A family defines its domain, the bounds of means, natural parameters, log h, pseudo-counts, the
    log-prior and how to sample. EM follows from these.
    """

    @property
    @abstractmethod
    def domain(self) -> Domain:
        """The values that features can have."""

    @abstractmethod
    def bounded(self, means: Floats) -> Floats:
        """Return the nearest `means` (k, d) whose logarithms are finite."""

    @abstractmethod
    def natural(self, means: Floats) -> tuple[Floats, Floats]:
        """Return natural parameters and minus the log-partition of bounded `means`: (k, d) each."""

    @abstractmethod
    def pseudo(self) -> tuple[float, float | Floats]:
        """Return the numbers to add to each sum of a feature, and to each component's weight."""

    @abstractmethod
    def middle(self, spread: Spread) -> Floats:
        """Return the mean (d,) towards which starting values are moved.

        Without it, a seed such as 0 would give other values the probability 0.
        """

    @abstractmethod
    def log_prior(self, params: Means) -> float:
        """Return the log-density of the prior of the pseudo-counts, up to a constant, in nats."""

    @abstractmethod
    def sample(self, params: Means, k: int, n: int, rng: np.random.Generator) -> Floats:
        """Return `n` draws from component `k`: (n, d)."""

    def log_base(self, x: Array) -> Floats:
        """Return log h(x) of rows `x` (m, d), which is the same for all parameters: (m,).

        A feature that is 0 must add nothing: missing values are replaced by 0.
        """
        return no_base(x)

    params: ClassVar[type[Means]] = Means

    def start(self, seeds: Floats, spread: Spread) -> Means:
        half_way = 0.5 * (np.asarray(seeds, np.float64) + self.middle(spread))
        return Means(self.bounded(half_way))

    def density(self, params: Means, numerics: Numerics) -> Density:
        eta, offset = self.natural(self.bounded(params.means))
        total = offset.sum(axis=1)
        return expanded(
            eta,
            total,
            numerics.dtype,
            base_of=self.log_base,
            expand=itself,
            lines=features(eta.shape[1]),
        )

    def estimate(self, sums: Sums, params: Means, numerics: Numerics) -> Means:
        return Means(self.bounded(mean_of(sums, params.means, *self.pseudo())))

    def amplification(self, params: Means, spread: Spread) -> float:
        eta, offset = self.natural(self.bounded(params.means))
        size = spread.mean + np.sqrt(spread.variance)
        few = float(np.max(self.domain.high)) == 1.0
        return row_growth(eta, offset.sum(axis=1), size, FEW_NATS if few else MANY_NATS)

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        return summed_base(self.log_base(x), weight)

    def shared_base(self, params: Means, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        return float(shared["base"])

    def variances(self, means: Floats) -> Floats:
        """Return the variances of the features, (k, d): ``d mean / d eta``.

        This holds for families with one parameter per feature. The derivative of `natural` is taken
        by a step along the imaginary axis, which is accurate up to rounding (Squire and Trapp
        1998). Override this method if `natural` does not accept complex numbers.
        """
        step = 1e-20
        eta, _ = self.natural(self.bounded(means) + 1j * step)  # type: ignore[arg-type]
        return step / np.imag(eta)

    def within(self, params: Means, weights: Floats) -> Floats:
        return np.diag(weights @ self.variances(params.means))

    def marginal(self, params: Means, features: Features) -> tuple[Any, Means]:
        return self.restricted(features), Means(params.means[:, features])

    def restricted(self, features: Features) -> Self:
        """Return the family for `features` only.

        Override this method if an option can have one value per feature.
        """
        return self

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def with_missing(self) -> IncompleteFamily[Means]:
        """Return the family for rows with missing values.

        Features are independent, so a missing value drops out of the product over features.
        """
        return IncompleteDiscrete(self)


@dataclass(frozen=True)
class IncompleteDiscrete(Incomplete[Means]):
    """A discrete family for rows with missing values: T = (x o, o), with o = 1 if x is observed."""

    complete: Discrete

    def density(self, params: Means, numerics: Numerics) -> Density:
        eta, offset = self.complete.natural(self.complete.bounded(params.means))
        return expanded(
            np.concatenate([eta, offset], axis=1),
            np.zeros(len(eta)),
            numerics.dtype,
            expand=with_observed,
            base_of=self.log_base,
        )

    def log_base(self, x: Array) -> Floats:
        """Return log h of the observed values of rows `x` (m, d): (m,)."""
        return self.complete.log_base(filled(x))

    def estimate(self, sums: Sums, params: Means, numerics: Numerics) -> Means:
        return self.complete.estimate(observed_sums(sums, params.means.shape[1]), params, numerics)

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        return self.complete.shared(filled(x), weight)

    def shared_base(self, params: Means, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        return self.complete.shared_base(params, shared, numerics)

    def fill(
        self, params: Means, x: Floats, resp: Array, variance: bool = False
    ) -> tuple[Floats, None]:
        no_variance(variance)
        return filled(x, resp.T @ params.means), None


def mean_of(sums: Sums, before: Floats, count: float, weight: float | Floats) -> Floats:
    """Return ``(t + count) / (n + weight)``: the mean of T, with pseudo-observations.

    Components without rows and without pseudo-observations keep their means `before`.
    """
    n = by_feature(sums["n"]) + weight
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (sums["t"] + count) / n
    return np.where(n > DUST * sums["weight"], mean, before)


def term_size(eta: Floats, offset: Floats, size: Floats) -> float:
    """Return how large the terms of a score are before they cancel, in nats per feature.

    The result is at least 1.

    Parameters
    ----------
    eta, offset
        The natural parameters of the components, (k, width), and their offsets, (k,).
    size
        The size of T(x), (width,).
    """
    terms = (np.abs(eta) @ size + np.abs(offset)) / eta.shape[1]
    return max(1.0, float(terms.max()))


def row_growth(eta: Floats, offset: Floats, size: Floats, nats: float) -> float:
    """Return how rounding errors grow, per feature: `term_size`, or more if terms exceed `nats`.

    If the terms of a whole row exceed `nats`, the result is large enough to exclude float32. In
    other families, features vary about their mean, so the rounding errors of terms have either
    sign and partly cancel. The terms of bits and counts all have one sign, and so have their
    errors, which add up over rows.
    """
    each = term_size(eta, offset, size)
    return max(each, _TOO_COARSE) if each * eta.shape[1] > nats else each


def summed_base(base: Floats, weight: Floats | None) -> dict[str, Floats]:
    """Return the weighted sum of log h(x). It has no parameters, so it is computed once per run."""
    return {"base": np.array(base.sum() if weight is None else weight @ base)}


def unmoved(shift: Floats) -> None:
    """Raise a DomainError unless `shift` is zero."""
    if np.any(shift != 0):
        raise DomainError("Bits, counts and categories cannot be shifted; expected a shift of 0.")


def whole_draws(expected: Array, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return whole numbers next to `expected` that equal it on average: (n, ...).

    Each number is rounded up with a probability that equals its fractional part.
    """
    check_trials(expected)
    drawn: NDArray[np.int64] = np.floor(expected + rng.random((n, *np.shape(expected)))).astype(
        np.int64
    )
    return drawn


def check_trials(trials: Array) -> None:
    """Raise a DomainError if there are more trials than NumPy can draw."""
    if not np.max(trials) < MOST_TRIALS:
        raise DomainError(
            f"A row has {np.max(trials):g} trials or counts in all, but draws support at most "
            f"{MOST_TRIALS:g}. Count in larger units."
        )


def whole_variance(expected: Floats) -> Floats:
    """Return the variances of `whole_draws` for numbers `expected` of any shape."""
    part = expected % 1
    return part * (1 - part)


def logit(theta: Floats) -> Floats:
    """Return ``log(theta / (1 - theta))``."""
    odds: Floats = np.log(theta) - np.log1p(-theta)
    return odds


def floored(p: Floats, floor: float = FLOOR) -> Floats:
    """Return the probabilities q >= `floor` that maximise ``sum p log q`` along the last axis.

    Values that are too small are set to `floor`, and the others are scaled by one factor. This is
    repeated until no value is too small. If all of `p` are zero, q is uniform.
    """
    total = p.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.where(total > 0, p / total, 1.0 / p.shape[-1])
    low = np.zeros(p.shape, bool)
    for _ in range(p.shape[-1]):
        rest = np.where(low, 0.0, p).sum(axis=-1, keepdims=True)
        scale = (1.0 - floor * low.sum(axis=-1, keepdims=True)) / rest
        found = low | (p * scale < floor)
        if (found == low).all():
            break
        low = found
    return np.where(low, floor, p * scale)
