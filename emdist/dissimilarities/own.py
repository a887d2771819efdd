"""A dissimilarity that the user defines by functions: D, the centre, and the statistics for it."""

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

#: Functions of the user: `Pairs` from (m, d) and (k, d) to (m, k), `Rows` from (m, d) to (m, W), or
#: from (k, W) to (k, d).
Pairs: TypeAlias = Callable[[Floats, Floats], Any]
Rows: TypeAlias = Callable[[Floats], Any]


@dataclass(frozen=True)
class OwnPair(CentreBased):
    """A dissimilarity D and its centre, as functions of the user.

    They receive rows in the units of the data, in float64. D is used as the function returns it.
    The data need not fit in memory, so a centre must follow from means: it is ``centre(mean of
    statistics(x))``, where the weighted mean is that over the rows of a cluster.

    Attributes
    ----------
    dissimilarity
        The function D, from rows (m, d) and centres (k, d) to (m, k) numbers >= 0. It is called
        with up to 8192 rows.
    centre_of
        The function from means of the statistics (k, W) to centres (k, d), or None if the means
        are the centres.
    statistics
        The function from rows (m, d) to statistics (m, W), or None for the rows themselves.
    """

    dissimilarity: Pairs
    centre_of: Rows | None = None
    statistics: Rows | None = None

    @property
    def domain(self) -> None:
        """None: the functions of the user decide which rows they accept."""
        return None

    @property
    def approximation(self) -> str:
        """Why the objective may rise: the centre may not minimise the sum of D."""
        return "the given centre does not minimise the sum of the given dissimilarity"

    def check(self, x: Floats) -> None:
        """Raise a ConfigError unless the functions return what they should for rows `x` (m, d)."""
        # One centre less than rows, so that a transposed result is noticed.
        centres = x[: max(1, len(x) - 1)]
        self.pairs(x, centres)
        self.centre(self.expand(x), x)

    def pairs(self, x: Array, centres: Floats) -> Floats:
        """Return D as (k, m); ConfigError if the result has another shape or negative numbers."""
        found = _array("dissimilarity", self.dissimilarity(x, centres), (len(x), len(centres)))
        if not (found >= 0).all():
            row, c = np.argwhere(~(found >= 0))[0]
            raise ConfigError(
                f"The given dissimilarity is {found[row, c]} for the row {_shown(x[row])} and "
                f"the centre {_shown(centres[c])}; expected a number >= 0 for every pair."
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
                    f"The given statistics have {mean.shape[1]} numbers per row, but centres "
                    f"have {before.shape[1]}. Give centre=(statistics, centre), with the "
                    "function that turns means of the statistics (k, W) into centres (k, d)."
                )
            return mean
        found = _array("centre", self.centre_of(mean), before.shape)
        if not np.isfinite(found).all():
            raise ConfigError(
                f"The given centre is {_shown(found[~np.isfinite(found).all(axis=1)][0])} for a "
                "cluster with rows; expected finite numbers."
            )
        return found

    def density(self, params: Centres, numerics: Numerics) -> Density:
        centres = params.means
        width = self.expand(centres).shape[1]
        return Direct(len(centres), width, self.expand, lambda x, t: self.pairs(x, centres))

    def amplification(self, params: Centres, spread: Spread) -> float:
        # D is never expanded. The infinite growth selects float64.
        return np.inf


def _array(what: str, value: Any, shape: tuple[int, int | None]) -> Floats:
    """Return `value` as float64 of the given shape; ConfigError if it has another shape.

    `what` names the function that returned it. A second length of None means any.
    """
    try:
        found = np.asarray(value)
        if found.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        raise ConfigError(
            f"The given {what} returned {type(value).__name__}, not an array of real numbers; "
            f"expected shape {_words(shape)}."
        ) from None
    if found.ndim != 2 or len(found) != shape[0] or shape[1] not in (None, found.shape[1]):
        raise ConfigError(
            f"The given {what} returned shape {found.shape}; expected {_words(shape)}."
        )
    return np.ascontiguousarray(found, np.float64)


def _words(shape: tuple[int, int | None]) -> str:
    return f"({shape[0]}, {'W' if shape[1] is None else shape[1]})"


def _shown(row: Floats) -> str:
    return np.array2string(row, precision=4, threshold=6)
