"""A mixture with uniform noise beside its components: Banfield and Raftery 1993."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Components
from emdist.interfaces import Assigned, Block, Domain, Floats, Numerics, Spread, Terms, Turn, Worst
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
    """Weights, components and noise.

    Attributes
    ----------
    weights
        (k,) shares of the rows that are no noise, summing to 1.
    components
        The family's parameters, relative to the origin.
    noise
        () share of all rows that is noise.
    level
        () logarithm of the noise's density: nats.
    """

    noise: Floats = field(kw_only=True)
    level: Floats = field(kw_only=True)

    @property
    def shares(self) -> Floats:
        """(k + 1,) of all rows: the components', then the noise's."""
        return np.append((1.0 - self.noise) * self.weights, self.noise)


@dataclass(frozen=True)
class NoiseMixture(Generic[P]):
    """``noise / V + (1 - noise) sum_k weight_k p(x | k)``.

    It is the mixture of k + 1 components that `mixture` holds, and knows that the last of them is
    none: it has no location, is never weak, never started anew or dropped, and its rows have the
    label -1.

    Attributes
    ----------
    mixture
        Of a family with noise, and of weights `BesideNoise`.
    share
        Of rows that are noise at the start.
    """

    mixture: Mixture[Levelled[P]]
    share: float

    minimises: ClassVar[bool] = False

    @property
    def domain(self) -> Domain | None:
        """What features can be."""
        return self.mixture.domain

    def cells(self, d: int) -> None:
        """Rows miss nothing."""
        return

    @property
    def approximation(self) -> str:
        """The family's."""
        return self.mixture.approximation

    @property
    def settled(self) -> bool:
        """The assignment's."""
        return self.mixture.settled

    @property
    def temperature(self) -> float:
        """The assignment's."""
        return self.mixture.temperature

    #: The noise's share of them has no component to go to in another pass.
    additive: ClassVar[bool] = False

    @property
    def squares(self) -> bool:
        """As the mixture."""
        return self.mixture.squares

    def expected(self, sums: Sums, params: NoisyParams[P]) -> float:
        """Q as the mixture's, the noise's part included."""
        return self.mixture.expected(sums, self._joined(params))

    def at(self, turn: Turn) -> NoiseMixture[P]:
        """The mixture as its assignment works in one turn."""
        mixture = self.mixture.at(turn)
        return self if mixture is self.mixture else replace(self, mixture=mixture)

    #: Noise is a density of whole rows.
    missing: ClassVar[bool] = False

    @property
    def family(self) -> Components[Any]:
        """The family with noise."""
        return self.mixture.family

    def _joined(self, params: NoisyParams[P]) -> MixtureParams[Levelled[P]]:
        counts = None if params.counts is None else np.append(params.counts, 0.0)
        return MixtureParams(params.shares, Levelled(params.components, params.level), counts)

    def _parted(self, joined: MixtureParams[Levelled[P]]) -> NoisyParams[P]:
        own, inner = without_noise(joined), joined.components
        noise = np.asarray(joined.weights[-1])
        return NoisyParams(
            own.weights, inner.components, own.counts, noise=noise, level=inner.level
        )

    def start(self, seeds: Floats, spread: Spread) -> NoisyParams[P]:
        """Equal weights, components at `seeds` (k, d), and the given share of noise."""
        k = len(seeds)
        family, weights = self.mixture.family, self.mixture.weights
        n = np.append(np.full(k, (1.0 - self.share) / k), self.share) * spread.weight
        counts = n if weights.keeps_counts else None
        shares = n / spread.weight
        return self._parted(MixtureParams(shares, family.start(seeds, spread), counts))

    def numerics(self, params: NoisyParams[P], spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """The cheapest arithmetic that keeps the promised digits for these parameters."""
        return self.mixture.numerics(self._joined(params), spread, dtype)

    def e_step(
        self, block: Block, params: NoisyParams[P], origin: Floats, numerics: Numerics
    ) -> Sums:
        """Sums of one block: ``n`` (k + 1,) and ``t`` (k + 1, width), the noise's last."""
        return self.mixture.e_step(block, self._joined(params), origin, numerics)

    def first_step(
        self, block: Block, start: NoisyParams[P], nearest: NDArray[np.int32], origin: Floats
    ) -> Sums:
        """As the mixture's, with the given share of noise."""
        sums = self.mixture.first_step(block, self._joined(start), nearest, origin)
        n = sums["n"].copy()
        n[-1] = float(sums["weight"]) * self.share / (1.0 - self.share)
        return Sums({**sums.fields, "n": n})

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """As the mixture's: of all rows, noise or not."""
        return self.mixture.shared_step(block, origin)

    def m_step(self, sums: Sums, params: NoisyParams[P], numerics: Numerics) -> NoisyParams[P]:
        """New parameters from the sums of a pass with `params` and `numerics`."""
        return self._parted(self.mixture.m_step(sums, self._joined(params), numerics))

    def objective(self, sums: Sums, params: NoisyParams[P], numerics: Numerics) -> float:
        """Log-likelihood and log-prior per unit of weight of `params`: nats."""
        return self.mixture.objective(sums, self._joined(params), numerics)

    def terms(
        self, sums: Sums, params: NoisyParams[P], new: NoisyParams[P], numerics: Numerics
    ) -> Terms:
        """As the mixture's: noise is a part of Q and of the entropy."""
        return self.mixture.terms(sums, self._joined(params), self._joined(new), numerics)

    def log_prior(self, params: NoisyParams[P]) -> float:
        """As the mixture's; the share of noise has no prior."""
        return self.mixture.log_prior(self._joined(params))

    def shift(self, params: NoisyParams[P], new: NoisyParams[P]) -> float:
        """Sum of squared movements of the locations."""
        return self.mixture.shift(self._joined(params), self._joined(new))

    def unchanged(
        self, sums: Sums, previous: Sums | None, params: NoisyParams[P], new: NoisyParams[P]
    ) -> bool:
        """As the mixture's: noise is a label too."""
        return self.mixture.unchanged(sums, previous, self._joined(params), self._joined(new))

    def weak(self, sums: Sums, params: NoisyParams[P]) -> NDArray[np.int64]:
        """Components that have collapsed; the noise may do without rows."""
        found = self.mixture.weak(sums, self._joined(params))
        return found[found < len(params.weights)]

    def shown(self, params: NoisyParams[P], numerics: Numerics, resp: bool = False) -> Numerics:
        """As the mixture."""
        return self.mixture.shown(self._joined(params), numerics, resp)

    def reseed(
        self, sums: Sums, params: NoisyParams[P], numerics: Numerics, worst: Worst, spread: Spread
    ) -> NoisyParams[P]:
        """As the mixture's."""
        joined = self._joined(params)
        return self._parted(self.mixture.reseed(sums, joined, numerics, worst, spread))

    def take(self, params: NoisyParams[P], index: NDArray[np.int64]) -> NoisyParams[P]:
        """Only components `index`, and the noise as it is."""
        counts = None if params.counts is None else params.counts[index]
        if counts is None:
            weights = params.weights[index]
        else:
            weights = self.mixture.weights.estimate(np.append(counts, 0.0))[:-1]
        kept = self.mixture.family.take(self._joined(params).components, index)
        weights = weights / weights.sum()
        return replace(params, weights=weights, components=kept.components, counts=counts)

    def translate(self, params: NoisyParams[P], shift: Floats) -> NoisyParams[P]:
        """The same mixture with every location moved by `shift` (d,)."""
        moved = self.mixture.translate(self._joined(params), shift).components
        return replace(params, components=moved.components)

    def locations(self, params: NoisyParams[P]) -> Floats:
        """(k, d) where the components lie; the noise lies nowhere."""
        return self.mixture.locations(self._joined(params))

    def assign(
        self,
        block: Block,
        params: NoisyParams[P],
        origin: Floats,
        numerics: Numerics,
        resp: bool = False,
    ) -> Assigned:
        """As the mixture's, with the label -1 and the last responsibility for noise."""
        found = self.mixture.assign(block, self._joined(params), origin, numerics, resp)
        labels = np.where(found.labels == len(params.weights), np.int32(NOISE), found.labels)
        return replace(found, labels=labels)
