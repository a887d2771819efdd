"""A mixture with a noise component of uniform density: Banfield and Raftery 1993."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Components
from emdist.interfaces import (
    Assigned,
    Block,
    Domain,
    Floats,
    IterationIndex,
    Numerics,
    Spread,
    Terms,
    Worst,
)
from emdist.models.mixture import Mixture
from emdist.models.noise.components import Levelled
from emdist.models.noise.weights import without_noise
from emdist.models.params import MixtureParams
from emdist.sums import Sums

P = TypeVar("P")

#: The label of a row that is noise.
NOISE = -1


@dataclass(frozen=True)
class NoisyParams(MixtureParams[P]):
    """The parameters of a mixture with noise: mixture weights, components and noise.

    Attributes
    ----------
    weights
        The shares of the components in the rows that are not noise, (k,), summing to 1.
    components
        The family's parameters of k components, relative to the origin.
    noise
        The share of all rows that is noise, the mixture weight of the noise component: ().
    level
        The logarithm of the density of the noise in nats: ().
    """

    noise: Floats = field(kw_only=True)
    level: Floats = field(kw_only=True)

    @property
    def shares(self) -> Floats:
        """The shares of all rows: those of the components, then that of the noise: (k + 1,)."""
        return np.append((1.0 - self.noise) * self.weights, self.noise)


@dataclass(frozen=True)
class NoiseMixture(Generic[P]):
    """A mixture with noise: ``noise / V + (1 - noise) sum_k weight_k p(x | k)``.

    It wraps a mixture of k + 1 components, the last of which is the noise. The noise has no
    location. It never collapses, and is never reseeded or dropped. Its rows have the label -1.

    Attributes
    ----------
    mixture
        The mixture of k + 1 components, of a family `WithNoise` and with weights `BesideNoise`.
    share
        The share of rows that is noise in the starting values.
    """

    mixture: Mixture[Levelled[P]]
    share: float

    minimises: ClassVar[bool] = False

    @property
    def domain(self) -> Domain | None:
        """None: features are any real numbers."""
        return self.mixture.domain

    def cells(self, d: int) -> None:
        """Return None: rows have no missing values."""
        return

    @property
    def approximation(self) -> str:
        """Why the family's M-step misses the exact maximum; empty if it does not."""
        return self.mixture.approximation

    @property
    def settled(self) -> bool:
        """Whether the assignment works the same way in every later iteration."""
        return self.mixture.settled

    @property
    def temperature(self) -> float:
        """Temperature of the assignment: 1 for EM, 0 for hard assignment, NaN for draws."""
        return self.mixture.temperature

    #: The noise's part of the sums belongs to no component, so it cannot be used in another pass.
    additive: ClassVar[bool] = False

    @property
    def squares(self) -> bool:
        """Whether the mixture adds up squares of the features."""
        return self.mixture.squares

    def expected(self, sums: Sums, params: NoisyParams[P]) -> float:
        """Return Q of `params` as part of the field ``objective``, noise included, in nats."""
        return self.mixture.expected(sums, self.joined(params))

    def at(self, iteration_index: IterationIndex) -> NoiseMixture[P]:
        """Return the mixture with the assignment of one iteration."""
        mixture = self.mixture.at(iteration_index)
        return self if mixture is self.mixture else replace(self, mixture=mixture)

    #: The density of noise is that of rows without missing values.
    missing: ClassVar[bool] = False

    @property
    def family(self) -> Components[Any]:
        """The family with noise."""
        return self.mixture.family

    def joined(self, params: NoisyParams[P]) -> MixtureParams[Levelled[P]]:
        """Return `params` as those of the wrapped mixture of k + 1 components."""
        counts = None if params.counts is None else np.append(params.counts, 0.0)
        return MixtureParams(params.shares, Levelled(params.components, params.level), counts)

    def _parted(self, joined: MixtureParams[Levelled[P]]) -> NoisyParams[P]:
        """Return parameters of the wrapped mixture with components and noise apart."""
        own, inner = without_noise(joined), joined.components
        noise = np.asarray(joined.weights[-1])
        return NoisyParams(
            own.weights, inner.components, own.counts, noise=noise, level=inner.level
        )

    def start(self, seeds: Floats, spread: Spread) -> NoisyParams[P]:
        """Return equal weights, components at `seeds` (k, d), and noise with the share `share`."""
        k = len(seeds)
        family, weights = self.mixture.family, self.mixture.weights
        n = np.append(np.full(k, (1.0 - self.share) / k), self.share) * spread.weight
        counts = n if weights.keeps_counts else None
        shares = n / spread.weight
        return self._parted(MixtureParams(shares, family.start(seeds, spread), counts))

    def numerics(self, params: NoisyParams[P], spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """Return the cheapest arithmetic that is accurate enough for these parameters."""
        return self.mixture.numerics(self.joined(params), spread, dtype)

    def e_step(
        self, block: Block, params: NoisyParams[P], origin: Floats, numerics: Numerics
    ) -> Sums:
        """Return the sums of one block: ``n`` (k + 1,), ``t`` (k + 1, width), noise last."""
        return self.mixture.e_step(block, self.joined(params), origin, numerics)

    def first_step(
        self, block: Block, start: NoisyParams[P], nearest: NDArray[np.int32], origin: Floats
    ) -> Sums:
        """Return the sums of a block whose rows have labels `nearest`, with noise added.

        No row is labelled as noise, so its weight is set to give it the share `share`.
        """
        sums = self.mixture.first_step(block, self.joined(start), nearest, origin)
        n = sums["n"].copy()
        n[-1] = float(sums["weight"]) * self.share / (1.0 - self.share)
        return Sums({**sums.fields, "n": n})

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Return sums of all rows of a block, noise or not: those of the wrapped mixture."""
        return self.mixture.shared_step(block, origin)

    def m_step(self, sums: Sums, params: NoisyParams[P], numerics: Numerics) -> NoisyParams[P]:
        """Return new parameters from the sums of a pass with `params` and `numerics`."""
        return self._parted(self.mixture.m_step(sums, self.joined(params), numerics))

    def objective(self, sums: Sums, params: NoisyParams[P], numerics: Numerics) -> float:
        """Return log-likelihood plus log-prior of `params`, in nats per unit of weight."""
        return self.mixture.objective(sums, self.joined(params), numerics)

    def terms(
        self, sums: Sums, params: NoisyParams[P], new: NoisyParams[P], numerics: Numerics
    ) -> Terms:
        """Return Q before and after the M-step, and H. Both include the noise."""
        return self.mixture.terms(sums, self.joined(params), self.joined(new), numerics)

    def log_prior(self, params: NoisyParams[P]) -> float:
        """Return the log-prior of mixture weights and components in nats. Noise has no prior."""
        return self.mixture.log_prior(self.joined(params))

    def shift(self, params: NoisyParams[P], new: NoisyParams[P]) -> float:
        """Return the sum of squared movements of all locations, in squared units of the data."""
        return self.mixture.shift(self.joined(params), self.joined(new))

    def unchanged(
        self, sums: Sums, previous: Sums | None, params: NoisyParams[P], new: NoisyParams[P]
    ) -> bool:
        """Return whether two passes with hard assignment gave every row the same label.

        Noise counts as a label too.
        """
        return self.mixture.unchanged(sums, previous, self.joined(params), self.joined(new))

    def weak(self, sums: Sums, params: NoisyParams[P]) -> NDArray[np.int64]:
        """Return the indices of collapsed components. The noise may be without rows."""
        found = self.mixture.weak(sums, self.joined(params))
        return found[found < len(params.weights)]

    def shown(self, params: NoisyParams[P], numerics: Numerics, resp: bool = False) -> Numerics:
        """Return the arithmetic for what users see: that of the wrapped mixture."""
        return self.mixture.shown(self.joined(params), numerics, resp)

    def reseed(
        self, sums: Sums, params: NoisyParams[P], numerics: Numerics, worst: Worst, spread: Spread
    ) -> NoisyParams[P]:
        """Make the M-step, with components `worst.index` reseeded at `worst.rows`."""
        joined = self.joined(params)
        return self._parted(self.mixture.reseed(sums, joined, numerics, worst, spread))

    def take(self, params: NoisyParams[P], index: NDArray[np.int64]) -> NoisyParams[P]:
        """Return parameters of the components `index` only, with the noise unchanged."""
        counts = None if params.counts is None else params.counts[index]
        if counts is None:
            weights = params.weights[index]
        else:
            weights = self.mixture.weights.estimate(np.append(counts, 0.0))[:-1]
        kept = self.mixture.family.take(self.joined(params).components, index)
        weights = weights / weights.sum()
        return replace(params, weights=weights, components=kept.components, counts=counts)

    def translate(self, params: NoisyParams[P], shift: Floats) -> NoisyParams[P]:
        """Return parameters of the same mixture, with `shift` (d,) added to every location."""
        moved = self.mixture.translate(self.joined(params), shift).components
        return replace(params, components=moved.components)

    def locations(self, params: NoisyParams[P]) -> Floats:
        """Return the locations of the components, (k, d). The noise has none."""
        return self.mixture.locations(self.joined(params))

    def assign(
        self,
        block: Block,
        params: NoisyParams[P],
        origin: Floats,
        numerics: Numerics,
        resp: bool = False,
    ) -> Assigned:
        """Return labels, log-likelihoods (nats) and, on request, responsibilities of a block.

        Rows that are noise have the label -1. The last responsibility is that of the noise.
        """
        found = self.mixture.assign(block, self.joined(params), origin, numerics, resp)
        labels = np.where(found.labels == len(params.weights), np.int32(NOISE), found.labels)
        return replace(found, labels=labels)
