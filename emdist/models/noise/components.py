"""A noise component for mixtures of any family of real numbers.

Source: Banfield and Raftery 1993. The noise is one more component, the last. Its density is 1 / V
everywhere, where V is the volume of the bounding box of the data. `WithNoise` wraps a family and
`NoisyDensity` its density. Both work for every family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, Family
from emdist.errors import CollapseError, ConfigError
from emdist.interfaces import Array, Floats, Numerics, Spread
from emdist.sums import Sums

P = TypeVar("P")

Shared = Callable[[Floats, Floats | None], dict[str, Floats]]


@dataclass(frozen=True)
class Levelled(Generic[P]):
    """The parameters of k components and of the noise.

    Attributes
    ----------
    components
        The parameters of the wrapped family.
    level
        The logarithm of the density of the noise, 1 / V, in nats: ().
    """

    components: P
    level: Floats


@dataclass(frozen=True)
class NoisyDensity:
    """A density of k components, and of the noise as component number k.

    The statistics of rows that are noise count for no component. But the shared sums of a family
    do not depend on responsibilities, so they include these rows. The noise therefore has columns
    behind those of the family, which contain its part of the shared sums. The M-step subtracts
    this part.

    Attributes
    ----------
    inner
        The density of the components without noise.
    level
        The logarithm of the density of the noise minus the `constant` of `inner`, in nats.
    shared
        The function that computes the shared sums of the family.
    extra
        The number of values in these shared sums.
    base_of
        The function that takes the part of the noise in the shared sums, (extra,). It returns the
        sum of ``resp * base(x)`` over rows, where resp is the responsibility of the noise.
    """

    inner: Density
    level: float
    shared: Shared
    extra: int
    base_of: Callable[[Floats], float]

    @property
    def n_components(self) -> int:
        return self.inner.n_components + 1

    @property
    def width(self) -> int:
        return self.inner.width + self.extra

    @property
    def offset(self) -> Array:
        return np.append(self.inner.offset, self.inner.offset.dtype.type(self.level))

    @property
    def constant(self) -> float:
        return self.inner.constant

    def statistics(self, x: Array) -> Array:
        return self.inner.statistics(x)

    def score(self, x: Array, t: Array, out: Array) -> None:
        self.inner.score(x, t, out[:-1])
        # The caller adds base(x) to all scores. It is no part of the score of the noise, so it is
        # subtracted here.
        out[-1] = -self.inner.base(x)

    def base(self, x: Array) -> Floats:
        return self.inner.base(x)

    @property
    def exact(self) -> bool:
        return self.inner.exact

    def explain(self, x: Array, score: Array, labels: NDArray[np.int32]) -> Floats:
        noise = labels == self.inner.n_components
        found = self.inner.explain(x, score, np.where(noise, np.int32(0), labels))
        return np.where(noise, self.level, found)

    def gather(self, x: Array, t: Array, resp: Array) -> Array:
        out = np.zeros((self.n_components, self.width))
        out[:-1, : self.inner.width] = self.inner.gather(x, t, resp[:-1])
        out[-1, self.inner.width :] = self._taken(x, resp[-1])
        return out

    def scatter(
        self, x: Array, t: Array, labels: NDArray[np.int32], weight: Floats | None
    ) -> tuple[Floats, Floats]:
        n, out = np.zeros(self.n_components), np.zeros((self.n_components, self.width))
        noise = labels == self.inner.n_components
        if noise.any():
            given = np.ones(len(x)) if weight is None else weight
            n[-1] = given[noise].sum()
            out[-1, self.inner.width :] = self._taken(x[noise], given[noise])
            x, t, labels = x[~noise], t[~noise], labels[~noise]
            weight = None if weight is None else weight[~noise]
        n[:-1], out[:-1, : self.inner.width] = self.inner.scatter(x, t, labels, weight)
        return n, out

    def expected(self, n: Floats, t: Floats, about: Floats | None) -> float:
        width = self.inner.width
        noise = float(n[-1]) * self.level - self.base_of(t[-1, width:])
        return self.inner.expected(n[:-1], t[:-1, :width], about) + noise

    def _taken(self, x: Array, weight: Array) -> Floats:
        """Return the part of the noise in the shared sums: (extra,)."""
        if self.extra == 0:
            return np.empty(0)
        found = self.shared(x.astype(np.float64, copy=False), weight.astype(np.float64))
        return np.concatenate([found[name].ravel() for name in sorted(found)])


@dataclass(frozen=True)
class WithNoise(Generic[P]):
    """A family of real numbers, with noise as one more component, the last.

    Methods that return or change components, such as `locations` and `take`, leave the noise out.
    Only `collapsed` includes it, as a component that never collapses.

    Attributes
    ----------
    family
        The family of the components.
    volume
        The volume V, in the units of the data to the power of d, or None for the volume of the
        bounding box of the data.
    """

    family: Family[P]
    volume: float | None = None

    def __post_init__(self) -> None:
        if self.family.domain is not None:
            raise ConfigError(
                f"{type(self.family).__name__} cannot have noise: noise is uniform over real "
                "numbers, and the features of this family are not real numbers. Remove the "
                "noise, or use a Gaussian family."
            )

    params: ClassVar[type[Any]] = Levelled

    @property
    def shifted(self) -> bool | NDArray[np.bool_]:
        return self.family.shifted

    @property
    def domain(self) -> None:
        """None: features are any real numbers. Unlimited counts have no uniform distribution."""
        return None

    @property
    def approximation(self) -> str:
        """Why the family's M-step misses the exact maximum; empty if it does not."""
        return self.family.approximation

    @property
    def needs_covariance(self) -> bool:
        """Whether the family needs the covariance of the data."""
        return self.family.needs_covariance

    def informed(self, spread: Spread) -> WithNoise[P]:
        """Return the family with noise, for data of this spread."""
        return replace(self, family=self.family.informed(spread))

    def start(self, seeds: Floats, spread: Spread) -> Levelled[P]:
        level = _box_level(self.family, spread) if self.volume is None else -np.log(self.volume)
        return Levelled(self.family.start(seeds, spread), np.asarray(level))

    def density(self, params: Levelled[P], numerics: Numerics) -> Density:
        inner = self.family.density(params.components, numerics)
        level = float(params.level) - inner.constant

        def base_of(taken: Floats) -> float:
            shared = self._shaped(taken, params)
            return self.family.shared_base(params.components, shared, numerics)

        return NoisyDensity(inner, level, self.family.shared, self._sizes(params)[1], base_of)

    def _sizes(self, params: Levelled[P]) -> tuple[dict[str, tuple[int, ...]], int]:
        """Return the shapes of the shared sums by name, and the number of values in all of them."""
        d = self.family.locations(params.components).shape[1]
        empty = self.family.shared(np.empty((0, d)), None)
        return {n: empty[n].shape for n in sorted(empty)}, sum(v.size for v in empty.values())

    def _shaped(self, taken: Floats, params: Levelled[P]) -> dict[str, Floats]:
        """Return the part of the noise in the shared sums, (extra,), as arrays by name."""
        found, at = {}, 0
        for name, shape in self._sizes(params)[0].items():
            size = int(np.prod(shape))
            found[name] = taken[at : at + size].reshape(shape)
            at += size
        return found

    def _of_components(self, sums: Sums, params: Levelled[P]) -> Sums:
        """Return the sums that a pass without the rows of the noise would have had."""
        _, extra = self._sizes(params)
        fields = dict(sums.fields)
        fields["n"] = sums["n"][:-1]
        width = sums["t"].shape[1] - extra
        fields["t"] = sums["t"][:-1, :width]
        for name, noise in self._shaped(sums["t"][-1, width:], params).items():
            if f"shared.{name}" in fields:
                fields[f"shared.{name}"] = fields[f"shared.{name}"] - noise
        return Sums(fields)

    def estimate(self, sums: Sums, params: Levelled[P], numerics: Numerics) -> Levelled[P]:
        own = self._of_components(sums, params)
        return Levelled(self.family.estimate(own, params.components, numerics), params.level)

    def amplification(self, params: Levelled[P], spread: Spread) -> float:
        growth = self.family.amplification(params.components, spread)
        if not np.isfinite(growth):
            return growth
        # An error in the base is common to all components and cancels among them, but not between
        # a component and the noise.
        density = self.family.density(params.components, Numerics("float64"))
        base = density.base((np.abs(spread.mean) + np.sqrt(spread.variance))[None])
        return max(growth, 2 * float(np.abs(base[0])) / len(spread.mean))

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        return self.family.shared(x, weight)

    def shared_base(
        self, params: Levelled[P], shared: Mapping[str, Floats], numerics: Numerics
    ) -> float:
        return self.family.shared_base(params.components, shared, numerics)

    def log_prior(self, params: Levelled[P]) -> float:
        return self.family.log_prior(params.components)

    def locations(self, params: Levelled[P]) -> Floats:
        return self.family.locations(params.components)

    def collapsed(self, params: Levelled[P]) -> NDArray[np.bool_]:
        return np.append(self.family.collapsed(params.components), False)

    def with_missing(self) -> NoReturn:
        """Raise a ConfigError: each pattern of missing values would need a box of its own."""
        raise ConfigError(
            "Uniform noise has a density of whole rows only, but data.non_finite: missing "
            "accepts rows with missing values. Leave model.noise out, or set data.non_finite "
            "to 'drop'."
        )

    def translate(self, params: Levelled[P], shift: Floats) -> Levelled[P]:
        return Levelled(self.family.translate(params.components, shift), params.level)

    def reseat(
        self, params: Levelled[P], index: NDArray[np.int64], rows: Floats, spread: Spread
    ) -> Levelled[P]:
        return Levelled(self.family.reseat(params.components, index, rows, spread), params.level)

    def take(self, params: Levelled[P], index: NDArray[np.int64]) -> Levelled[P]:
        return Levelled(self.family.take(params.components, index), params.level)

    def sample(self, params: Levelled[P], k: int, n: int, rng: np.random.Generator) -> Floats:
        return self.family.sample(params.components, k, n, rng)

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return self.family.free_parameters(n_components, n_features)


def _box_level(family: Family[Any], spread: Spread) -> float:
    """Return the logarithm of 1 / V for the bounding box of the data, in nats.

    A constant feature has no extent. It adds as much as to the density of a component that is as
    wide as the data, so that it does not distinguish noise from components.
    """
    extent = spread.high - spread.low
    wide = extent > 0
    level = -float(np.log(extent[wide]).sum())
    if not wide.all():
        variance = np.maximum(spread.variance[wide], np.finfo(np.float64).tiny)
        level += _peak(family, spread) + 0.5 * float(np.log(2 * np.pi * variance).sum())
    return level


def _peak(family: Family[Any], spread: Spread) -> float:
    """Return the log-density of a component as wide as the data, at its location, in nats.

    It is 0 if such a component has no density.
    """
    at = spread.mean[None]
    try:
        density = family.density(family.start(at, spread), Numerics("float64", centred=True))
    except CollapseError:
        return 0.0
    score = np.empty((1, 1))
    density.score(at, density.statistics(at), score)
    return float(score[0, 0] + density.offset[0] + density.base(at)[0] + density.constant)
