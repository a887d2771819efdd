"""A mixture with uniform noise beside its components: Banfield and Raftery 1993."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Assigned, Block, Domain, Family, Floats, Numerics, Spread, Worst
from emdist.models.mixture import Mixture, MixtureParams
from emdist.models.with_noise import Levelled
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

    noise: Floats
    level: Floats

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
        Of a family with noise; its weights are free.
    share
        Of rows that are noise at the start.
    uniform
        Whether the components' weights stay 1/k of what is no noise.
    """

    mixture: Mixture[Levelled[P]]
    share: float
    uniform: bool = False

    @property
    def minimises(self) -> bool:
        return False

    @property
    def domain(self) -> Domain | None:
        """What features can be."""
        return self.mixture.domain

    @property
    def family(self) -> Family[Any]:
        """The family with noise."""
        return self.mixture.family

    def _joined(self, params: NoisyParams[P]) -> MixtureParams[Levelled[P]]:
        return MixtureParams(params.shares, Levelled(params.components, params.level))

    def _parted(self, joined: MixtureParams[Levelled[P]]) -> NoisyParams[P]:
        weights, noise = joined.weights[:-1], joined.weights[-1]
        total = float(weights.sum())
        # Where all is noise nothing tells the components apart.
        same = self.uniform or not total > 0
        weights = np.full(len(weights), 1.0 / len(weights)) if same else weights / total
        inner = joined.components
        return NoisyParams(weights, inner.components, np.asarray(noise), inner.level)

    def start(self, seeds: Floats, spread: Spread) -> NoisyParams[P]:
        """Equal weights, components at `seeds` (k, d), and the given share of noise."""
        k = len(seeds)
        inner = self.mixture.family.start(seeds, spread)
        weights = np.full(k, 1.0 / k)
        return NoisyParams(weights, inner.components, np.asarray(self.share), inner.level)

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

    def weak(self, sums: Sums, params: NoisyParams[P]) -> NDArray[np.int64]:
        """Components that have collapsed; the noise may do without rows."""
        found = self.mixture.weak(sums, self._joined(params))
        return found[found < len(params.weights)]

    def reseed(
        self, sums: Sums, params: NoisyParams[P], numerics: Numerics, worst: Worst, spread: Spread
    ) -> NoisyParams[P]:
        """As the mixture's."""
        joined = self._joined(params)
        return self._parted(self.mixture.reseed(sums, joined, numerics, worst, spread))

    def take(self, params: NoisyParams[P], index: NDArray[np.int64]) -> NoisyParams[P]:
        """Only components `index`, and the noise as it is."""
        weights = params.weights[index]
        components = self.mixture.family.take(self._joined(params).components, index).components
        return replace(params, weights=weights / weights.sum(), components=components)

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
