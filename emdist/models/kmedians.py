"""K-medians: L1 distances, and centres that are exact component-wise weighted medians."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emdist.errors import ConfigError
from emdist.interfaces import (
    LARGEST_MOVE,
    Array,
    Assigned,
    Block,
    Floats,
    Numerics,
    Spread,
    Terms,
    Turn,
    Worst,
)
from emdist.kernels.tiles.absolute import absolute_distances, columns, nearest_centre
from emdist.kernels.tiles.assign import softmax
from emdist.kernels.tiles.histograms import grid, tally
from emdist.kernels.tiles.tiles import tile_rows, tiles
from emdist.models.median_brackets import Brackets, chosen, moved, narrowed, whole
from emdist.models.params import MixtureParams
from emdist.sums import Sums

Params = MixtureParams[Brackets]


@dataclass(frozen=True)
class KMedians:
    """The hard limit of a mixture of Laplace distributions of one scale, with uniform weights.

    A pass labels rows by the nearest centre and fills one histogram for each cluster and feature;
    the M-step finds each median's bin, which is the next pass's bracket. While labels stay as they
    are brackets shrink to one value, the median itself; when they change, bins outside the bracket
    find it again. The fit ends where every centre is the exact median of the rows nearest to it.

    Attributes
    ----------
    bins
        Of each histogram, at least 8: more take more memory and fewer passes.
    precision
        float64 always: medians are values of the data, with all their digits.
    """

    bins: Annotated[int, Field(ge=8, le=4096)] = 64
    precision: Literal["auto", "float64"] = "auto"

    params: ClassVar[type[Brackets]] = Brackets
    #: Any real numbers, and none missing.
    domain: ClassVar[None] = None
    missing: ClassVar[bool] = False
    #: Rows are taken as they are: a median is one of their values, to the last bit.
    shifted: ClassVar[bool] = False
    #: Nothing but extremes.
    needs_covariance: ClassVar[bool] = False
    #: Centres move only as far as J is sure to fall.
    approximation: ClassVar[str] = ""
    minimises: ClassVar[bool] = True
    settled: ClassVar[bool] = True
    #: Rows belong to one cluster.
    temperature: ClassVar[float] = 0.0
    #: A median is no mean of sums.
    additive: ClassVar[bool] = False
    #: Distances are sums of absolute differences.
    squares: ClassVar[bool] = False

    def at(self, turn: Turn) -> KMedians:
        return self

    def expected(self, sums: Sums, params: Params) -> float:
        """Not a number: distances to other centres do not follow from bins."""
        return math.nan

    def cells(self, d: int) -> None:
        """Rows miss nothing."""
        return

    def with_missing(self) -> NoReturn:
        """Refused: histograms of a cluster hold as many rows of one feature as of another."""
        raise ConfigError(
            "K-medians want rows that miss nothing: their histograms hold every feature of every "
            "row. Fill the values, set data.non_finite to 'drop' to leave their rows out, or take "
            "kmeans."
        )

    def start(self, seeds: Floats, spread: Spread) -> Params:
        """Centres at `seeds` (k, d)."""
        k = len(seeds)
        return MixtureParams(np.full(k, 1.0 / k), whole(seeds, spread))

    def numerics(self, params: Params, spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """Always float64, which holds the data's own values, and weights whose sums are exact.

        Multiples of 2^-52 of the total, or a little more, add without rounding in any order. So
        ties at one half stay ties, and no median depends on how rows are cut into blocks.
        """
        unit = 2.0 ** (math.ceil(math.log2(spread.weight)) - 52)
        return Numerics("float64", unit=max(unit, np.finfo(float).smallest_subnormal))

    def _tiles(
        self, x: Array, params: Params, origin: Floats
    ) -> Iterator[tuple[slice, Floats, Floats]]:
        """Row range, features (d, m) and distances (k, m) of each tile."""
        centres = params.components.means
        for a, b in tiles(len(x), tile_rows(x.shape[1] + len(centres), 8)):
            tile = columns(x[a:b], origin)
            yield slice(a, b), tile, absolute_distances(tile, centres)

    def e_step(self, block: Block, params: Params, origin: Floats, numerics: Numerics) -> Sums:
        """Sums of one block: ``n`` (k,), the bins' weights and extremes, each (d, k, bins)."""
        return self._gathered(block, params, origin, numerics.unit)

    def first_step(
        self, block: Block, start: Params, nearest: NDArray[np.int32], origin: Floats
    ) -> Sums:
        """As `e_step`, for rows already labelled with `nearest` (m,)."""
        return self._gathered(block, start, origin, 0.0, nearest)

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Nothing is shared."""
        return Sums({})

    def _gathered(
        self,
        block: Block,
        params: Params,
        origin: Floats,
        unit: float,
        given: NDArray[np.int32] | None = None,
    ) -> Sums:
        x, weight = block.valid()
        found = params.components
        shape = (x.shape[1], len(params.weights), self.bins)
        total, least, most = np.zeros(shape), np.full(shape, np.inf), np.full(shape, -np.inf)
        on = grid(found.low, found.high, found.reach, self.bins)
        objective = 0.0
        for at, tile, distance in self._tiles(x, params, origin):
            labels, nearest = nearest_centre(distance)
            w = np.ones(len(labels)) if weight is None else weight[at]
            objective += float(w @ nearest)
            labels = labels if given is None else given[at]
            if weight is not None and unit:
                w = np.rint(w / unit) * unit
            tally(tile, labels, w, on, total, least, most)
        return Sums(
            {
                "n": total[0].sum(axis=-1),
                "bins": total,
                "min.bins": least,
                "max.bins": most,
                "objective": np.array(objective),
                "weight": np.array(float(len(x)) if weight is None else float(weight.sum())),
            }
        )

    def m_step(self, sums: Sums, params: Params, numerics: Numerics) -> Params:
        """Centres nearer to the medians, brackets one bin wide."""
        bins = (sums[name].swapaxes(0, 1) for name in ("bins", "min.bins", "max.bins"))
        return replace(params, components=narrowed(params.components, *bins))

    def objective(self, sums: Sums, params: Params, numerics: Numerics) -> float:
        """Weighted sum of L1 distances to the nearest centre, in units of the data."""
        return float(sums["objective"])

    def terms(self, sums: Sums, params: Params, new: Params, numerics: Numerics) -> Terms:
        """Nothing: the bins do not tell the distances to the new centres."""
        return Terms()

    def shift(self, params: Params, new: Params) -> float:
        """Sum of squares of how far the medians may lie from the centres of `params`."""
        found = new.components
        slack = np.maximum(found.high - found.means, found.means - found.low)
        most = np.abs(found.means - params.components.means) + slack
        # Squares of moves below 1e-162 are 0, and are moves.
        with np.errstate(over="ignore"):
            moved = min(float(np.sum(most * most)), LARGEST_MOVE)
        return max(moved, 1e-300 * float(most.any()))

    def unchanged(self, sums: Sums, previous: Sums | None, params: Params, new: Params) -> bool:
        """Whether the centres are the medians of their rows: then nothing changes any more."""
        found = new.components
        exact = np.array_equal(found.low, found.high)
        return exact and np.array_equal(found.means, params.components.means)

    def weak(self, sums: Sums, params: Params) -> NDArray[np.int64]:
        """Clusters without weight."""
        return np.flatnonzero(sums["n"] <= 1e-12 * sums["weight"])

    def shown(self, params: Params, numerics: Numerics, resp: bool = False) -> Numerics:
        """Always float64."""
        return numerics

    def reseed(
        self, sums: Sums, params: Params, numerics: Numerics, worst: Worst, spread: Spread
    ) -> Params:
        """The M-step with each cluster without rows moved to a far row."""
        new = self.m_step(sums, params, numerics)
        return replace(new, components=moved(new.components, worst.index, worst.rows, spread))

    def take(self, params: Params, index: NDArray[np.int64]) -> Params:
        """Only clusters `index`."""
        k = len(index)
        return MixtureParams(np.full(k, 1.0 / k), chosen(params.components, index))

    def translate(self, params: Params, shift: Floats) -> Params:
        """Every centre and bracket moved by `shift` (d,)."""
        found = params.components
        there = replace(
            found, means=found.means + shift, low=found.low + shift, high=found.high + shift
        )
        return replace(params, components=there)

    def locations(self, params: Params) -> Floats:
        """(k, d) centres."""
        return params.components.means

    def assign(
        self, block: Block, params: Params, origin: Floats, numerics: Numerics, resp: bool = False
    ) -> Assigned:
        """Labels, L1 distances and, on request, a Laplace mixture's responsibilities of a block."""
        x, _ = block.valid()
        k = len(params.weights)
        labels, nearest = np.empty(len(x), np.int32), np.empty(len(x))
        shares = np.empty((len(x), k)) if resp else None
        for at, _, distance in self._tiles(x, params, origin):
            labels[at], nearest[at] = nearest_centre(distance)
            if shares is not None:
                distance *= -1.0
                softmax(distance, np.zeros(k))
                shares[at] = distance.T
        return Assigned(labels, nearest, shares)
