"""A dissimilarity of the user's own, with the centre that belongs to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from emdist.components import Density
from emdist.dissimilarities.base import CentreBased, Direct
from emdist.errors import ConfigError
from emdist.families.isotropic import Centres
from emdist.interfaces import Array, Floats, Numerics, Spread

#: (m, d), (k, d) -> (m, k), and (m, d) -> (m, W) or (k, W) -> (k, d).
Pairs: TypeAlias = Callable[[Floats, Floats], Any]
Rows: TypeAlias = Callable[[Floats], Any]


@dataclass(frozen=True)
class OwnPair(CentreBased):
    """A pair (D, centre) in the units of the data, in float64, D taken as it is given.

    Data need not fit in memory, so a centre follows from a mean: ``centre(mean of statistics(x))``
    over the rows of a cluster, by weight.

    Attributes
    ----------
    dissimilarity
        D: (m, d) rows, (k, d) centres -> (m, k), >= 0. Called with up to 8192 rows.
    centre_of
        (k, W) means of the statistics -> (k, d) centres; None: the mean itself.
    statistics
        (m, d) -> (m, W); None: the rows themselves.
    """

    dissimilarity: Pairs
    centre_of: Rows | None = None
    statistics: Rows | None = None

    @property
    def domain(self) -> None:
        """What the functions make of the rows is for them to say."""
        return None

    @property
    def approximation(self) -> str:
        """What a centre of one's own may be."""
        return "the centre given is not where the sum of the dissimilarity given is least"

    def check(self, x: Floats) -> None:
        """ConfigError unless the functions give what they should for the few rows `x` (m, d)."""
        centres = x[: max(1, len(x) - 1)]
        self.pairs(x, centres)
        self.centre(self.expand(x), x)

    def pairs(self, x: Array, centres: Floats) -> Floats:
        """D as (k, m), held to its shape and sign."""
        found = _array("dissimilarity", self.dissimilarity(x, centres), (len(x), len(centres)))
        if not (found >= 0).all():
            row, c = np.argwhere(~(found >= 0))[0]
            raise ConfigError(
                f"The dissimilarity given is {found[row, c]} for the row {_shown(x[row])} and the "
                f"centre {_shown(centres[c])}; wanted a number >= 0 for every pair."
            )
        return found.T

    def expand(self, x: Array) -> Array:
        if self.statistics is None:
            return x
        return _array("statistics", self.statistics(x), (len(x), None))

    def centre(self, mean: Floats, before: Floats) -> Floats:
        if self.centre_of is None:
            if mean.shape != before.shape:
                raise ConfigError(
                    f"The statistics given are {mean.shape[1]} numbers a row and centres are "
                    f"{before.shape[1]}: give centre=(statistics, centre), with the function that "
                    "turns means of the statistics (k, W) into centres (k, d)."
                )
            return mean
        found = _array("centre", self.centre_of(mean), before.shape)
        if not np.isfinite(found).all():
            raise ConfigError(
                f"The centre given is {_shown(found[~np.isfinite(found).all(axis=1)][0])} for a "
                "cluster with rows; wanted finite numbers."
            )
        return found

    def density(self, params: Centres, numerics: Numerics) -> Density:
        centres = params.means
        width = self.expand(centres).shape[1]
        return Direct(len(centres), width, self.expand, lambda x, t: self.pairs(x, centres))

    def amplification(self, params: Centres, spread: Spread) -> float:
        # Nothing is expanded: all is computed in float64, as the function does it.
        return np.inf


def _array(what: str, value: Any, shape: tuple[int, int | None]) -> Floats:
    """`value` as float64 of `shape`, whose second length may be open; ConfigError otherwise."""
    try:
        found = np.asarray(value)
        if found.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        raise ConfigError(
            f"The {what} given returned {type(value).__name__}, no array of real numbers; wanted "
            f"shape {_words(shape)}."
        ) from None
    if found.ndim != 2 or len(found) != shape[0] or shape[1] not in (None, found.shape[1]):
        raise ConfigError(f"The {what} given returned shape {found.shape}; wanted {_words(shape)}.")
    return np.ascontiguousarray(found, np.float64)


def _words(shape: tuple[int, int | None]) -> str:
    return f"({shape[0]}, {'W' if shape[1] is None else shape[1]})"


def _shown(row: Floats) -> str:
    return np.array2string(row, precision=4, threshold=6)
