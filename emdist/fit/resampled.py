"""Resampling of rows by weights that belong to a row, so that many fits share each read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from emdist.fit.observed import ObservedSource
from emdist.inputs.names import Names, names_of
from emdist.interfaces import Block, Floats, Source
from emdist.kernels.tiles.hashing import uniform_of_rows
from emdist.store.sources.ahead import expect

#: How rows are drawn: with replacement, or one half of them or the other.
Scheme = Literal["bootstrap", "half", "other half"]
#: Marks the random numbers of resampling among those of a row.
_PURPOSE = 0x626F6F74
#: The distribution function of Poisson(1): a row is drawn as often as it is below the uniform.
_POISSON = poisson.cdf(np.arange(20), 1.0)


@dataclass(frozen=True)
class Resampling:
    """How often each row counts in one replicate.

    A bootstrap sample of n rows draws each about Poisson(1) times. These counts are drawn
    independently here, by row (Chamandy, Muralidharan, Najmi and Naidu 2012, "Estimating
    uncertainty for massive data streams"), so that they do not depend on blocks or workers.

    Attributes
    ----------
    scheme
        How rows are drawn.
    seed, replicate
        The random seed, and the number of the replicate.
    """

    scheme: Scheme
    seed: int
    replicate: int

    def counts(self, rows: NDArray[np.int64]) -> Floats:
        """Return how often each of the rows with these numbers counts: (m,)."""
        u = uniform_of_rows(rows, _PURPOSE, self.seed, self.replicate)
        if self.scheme == "bootstrap":
            drawn: Floats = np.searchsorted(_POISSON, u).astype(np.float64)
            return drawn
        half: Floats = ((u < 0.5) == (self.scheme == "half")).astype(np.float64)
        return half


@dataclass(frozen=True, eq=False)
class ResampledSource:
    """The rows of a source, of which some count several times and some not at all.

    Attributes
    ----------
    source
        The source that is read.
    resampling
        How often each row counts.
    """

    source: Source
    resampling: Resampling

    @property
    def shape(self) -> tuple[int, int]:
        """The rows and features of the source."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the source."""
        return self.source.dtype

    @property
    def bounds(self) -> Sequence[int]:
        """The block plan of the source."""
        return self.source.bounds

    @property
    def feature_names(self) -> Names:
        """The names of the features of the source."""
        return names_of(self.source)

    @property
    def needs(self) -> Any:
        """What the source needs of a cluster, or None."""
        return getattr(self.source, "needs", None)

    def __len__(self) -> int:
        return len(self.source)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the fingerprint of the source."""
        return self.source.fingerprint()

    def expect(self, i: int) -> None:
        """Let the source read block `i` ahead, if it can."""
        expect(self.source, i)

    def read(self, i: int) -> Block:
        """Return block `i` with the rows that were drawn, weighted by how often they were."""
        block = self.source.read(i)
        weight = np.zeros(len(block.x))
        weight[block.local()] = self.resampling.counts(block.rows())
        # Rows that were not drawn are left out, which saves their E-step.
        mask = weight > 0
        if block.weight is not None:
            weight *= block.weight
        return replace(block, mask=mask, weight=weight)


def resampled(source: Source, resampling: Resampling | None) -> Source:
    """Return `source` with its rows resampled; `source` itself for None."""
    if resampling is None:
        return source
    if isinstance(source, ObservedSource):
        return replace(source, source=ResampledSource(source.source, resampling))
    return ResampledSource(source, resampling)


def resampling_of(source: Any) -> Resampling | None:
    """Return how the rows of a source are resampled; None if they are not."""
    if isinstance(source, ObservedSource):
        source = source.source
    return source.resampling if isinstance(source, ResampledSource) else None


def innermost(source: Source) -> Source:
    """Return the source that is read, without resampling and without `observed_source`."""
    found = source.source if isinstance(source, ObservedSource) else source
    return found.source if isinstance(found, ResampledSource) else found


def around(source: Source, other: Source) -> Source:
    """Return `source` with `other` in place of the source that is read; see `innermost`."""
    if isinstance(source, ObservedSource | ResampledSource):
        return replace(source, source=around(source.source, other))
    return other
