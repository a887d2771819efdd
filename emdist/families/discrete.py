"""What the families of bits and counts share: mean parameters within bounds, and pseudo-counts.

Their rows are taken as they are, not relative to an origin: the logarithm of 0 and of m - x need
the values themselves.
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

#: An option that counts pseudo-observations: finite and not negative.
Pseudo: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]

#: Probabilities and rates stay this far from where their logarithm ends: the likelihood is concave
#: in each, so its maximum under the bound is the mean moved to it, and the bound still never falls.
FLOOR = 1e-9


#: Nats that the terms of a row may reach in float32, which loses up to 2^-24 of them: 2e-6 for
#: bits and codes, 1e-5 for counts, of whose terms the largest cancel.
FEW_NATS, MANY_NATS = 32.0, 160.0
#: Trials that NumPy draws from are numbers of 64 bits.
MOST_TRIALS = 2.0**62
#: How often rounding may be said to grow where float32 is too coarse and float64 is not.
_TOO_COARSE = 200.0


@dataclass(frozen=True)
class Means:
    """Mean parameters of k components.

    Attributes
    ----------
    means
        (k, d) expectation of a row: probabilities of 1, expected counts.
    """

    means: Floats


class AsTheyAre(IndependentFeatures, Plain[P]):
    """For families of features independent given the component whose rows are not shifted."""

    @property
    def shifted(self) -> bool:
        """Rows are not shifted by the data's mean."""
        return False

    def translate(self, params: P, shift: Floats) -> P:
        unmoved(shift)
        return params


class Discrete(AsTheyAre[Means], MeansAsLocations[Means]):
    """Base of the families with T(x) = x whose parameters are means within bounds.

    Given the component, features are independent; a family whose are not overrides `marginal` and
    `within`.

    A family states its domain, bounds, natural parameters, base, pseudo-observations and prior,
    and how to sample; EM follows.
    """

    @property
    @abstractmethod
    def domain(self) -> Domain:
        """What its features can be."""

    @abstractmethod
    def bounded(self, means: Floats) -> Floats:
        """The nearest `means` (k, d) whose logarithms are finite."""

    @abstractmethod
    def natural(self, means: Floats) -> tuple[Floats, Floats]:
        """Natural parameters and minus the log-partition of bounded `means`: (k, d), (k, d)."""

    @abstractmethod
    def pseudo(self) -> tuple[float, float | Floats]:
        """Pseudo-count added to each sum of a feature, and to each component's weight."""

    @abstractmethod
    def middle(self, spread: Spread) -> Floats:
        """(d,) mean that a start is drawn towards, so that nothing begins impossible."""

    @abstractmethod
    def log_prior(self, params: Means) -> float:
        """Log-density of the pseudo-observations' prior, up to a constant: nats."""

    @abstractmethod
    def sample(self, params: Means, k: int, n: int, rng: np.random.Generator) -> Floats:
        """(n, d) draws from component `k`."""

    def log_base(self, x: Array) -> Floats:
        """log h(x), which no parameter enters: (m, d) -> (m,). A feature of 0 adds nothing."""
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
        """(k, d) variances of the features: ``d mean / d eta``, for one-parameter families.

        By the derivative of `natural` along the imaginary axis, exact to rounding (Squire and Trapp
        1998). Override it where `natural` takes no complex numbers.
        """
        step = 1e-20
        eta, _ = self.natural(self.bounded(means) + 1j * step)  # type: ignore[arg-type]
        return step / np.imag(eta)

    def within(self, params: Means, weights: Floats) -> Floats:
        return np.diag(weights @ self.variances(params.means))

    def marginal(self, params: Means, features: Features) -> tuple[Any, Means]:
        return self.restricted(features), Means(params.means[:, features])

    def restricted(self, features: Features) -> Self:
        """The family of `features` alone: override it if an option is given feature by feature."""
        return self

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def with_missing(self) -> IncompleteFamily[Means]:
        """Features are independent, so a missing one drops out of the product."""
        return IncompleteDiscrete(self)


@dataclass(frozen=True)
class IncompleteDiscrete(Incomplete[Means]):
    """A discrete family of what is observed: T = (x o, o), with o whether x was observed."""

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
        """log h of what is observed: (m, d) -> (m,)."""
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
    """``(t + count) / (n + weight)``: the mean of T with pseudo-observations.

    Components without either keep what they had `before`.
    """
    n = by_feature(sums["n"]) + weight
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (sums["t"] + count) / n
    return np.where(n > DUST * sums["weight"], mean, before)


def term_size(eta: Floats, offset: Floats, size: Floats) -> float:
    """Nats per feature that the terms of a score reach before they cancel, at least 1.

    Parameters
    ----------
    eta, offset
        (k, width) and (k,), of the components.
    size
        (width,) size of T(x).
    """
    terms = (np.abs(eta) @ size + np.abs(offset)) / eta.shape[1]
    return max(1.0, float(terms.max()))


def row_growth(eta: Floats, offset: Floats, size: Floats, nats: float) -> float:
    """`term_size`, raised to what float32 is too coarse for where a row's terms exceed `nats`.

    Features of other families vary about their mean, and what is lost of each has any sign; terms
    of bits and counts have one, and so has what is lost of them in every row.
    """
    each = term_size(eta, offset, size)
    return max(each, _TOO_COARSE) if each * eta.shape[1] > nats else each


def summed_base(base: Floats, weight: Floats | None) -> dict[str, Floats]:
    """The weighted sum of log h(x), which no parameter enters: gathered once per run."""
    return {"base": np.array(base.sum() if weight is None else weight @ base)}


def unmoved(shift: Floats) -> None:
    """DomainError unless `shift` is zero."""
    if np.any(shift != 0):
        raise DomainError("Bits, counts and categories cannot be shifted; wanted a shift of 0.")


def whole_draws(expected: Array, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n, ...) whole numbers next to those `expected`, and on average equal to them."""
    check_trials(expected)
    drawn: NDArray[np.int64] = np.floor(expected + rng.random((n, *np.shape(expected)))).astype(
        np.int64
    )
    return drawn


def check_trials(trials: Array) -> None:
    """DomainError where there are more than can be drawn from."""
    if not np.max(trials) < MOST_TRIALS:
        raise DomainError(
            f"A row has {np.max(trials):g} trials or counts in all; draws take at most "
            f"{MOST_TRIALS:g}. Count in larger units."
        )


def whole_variance(expected: Floats) -> Floats:
    """The variance of `whole_draws`, of numbers of any shape."""
    part = expected % 1
    return part * (1 - part)


def logit(theta: Floats) -> Floats:
    """``log(theta / (1 - theta))``."""
    odds: Floats = np.log(theta) - np.log1p(-theta)
    return odds


def floored(p: Floats, floor: float = FLOOR) -> Floats:
    """Probabilities along the last axis, none below `floor`, maximising ``sum p log q``.

    Those too small are set to `floor` and the others scaled alike, until none is too small.
    Where all are zero the result is uniform.
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
