"""K-medians: clusters by L1 distances, with centres that are exact weighted medians per feature."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emdist.errors import ConfigError
from emdist.interfaces import (
    LARGEST_MOVE,
    Assigned,
    Block,
    Floats,
    IterationIndex,
    Numerics,
    Spread,
    Terms,
    Worst,
)
from emdist.kernels.tiles.absolute import absolute_distances, columns
from emdist.kernels.tiles.assign import softmax
from emdist.kernels.tiles.histograms import grid
from emdist.kernels.tiles.tiles import tile_rows, tiles
from emdist.kernels.vector.bins import tally
from emdist.kernels.vector.nearest import nearest_absolute
from emdist.models.median_brackets import Brackets, chosen, moved, narrowed, whole
from emdist.models.params import MixtureParams
from emdist.sums import Sums

Params = MixtureParams[Brackets]


@dataclass(frozen=True)
class KMediansModel:
    """Clusters whose centres minimise the sum of L1 distances to the nearest centre.

    It is the hard limit of a mixture of Laplace distributions with one scale and uniform weights.
    A pass labels rows by the nearest centre and fills one histogram for each cluster and feature.
    The M-step finds the bin that contains each median. This bin is the bracket of the next pass.
    While labels do not change, brackets shrink to one value, the median itself. When they change,
    the bins outside the bracket find the median again. The fit ends when every centre is the exact
    median of the rows nearest to it.

    Attributes
    ----------
    bins
        The number of bins of each histogram, at least 8. More bins take more memory and need
        fewer passes.
    precision
        The precision, which is always float64: medians are values of the data with all digits.
    """

    bins: Annotated[int, Field(ge=8, le=4096)] = 64
    precision: Literal["auto", "float64"] = "auto"

    params: ClassVar[type[Brackets]] = Brackets
    #: Features are any real numbers, and no value is missing.
    domain: ClassVar[None] = None
    missing: ClassVar[bool] = False
    #: The origin is not subtracted: a median is a value of the data, bit for bit.
    shifted: ClassVar[bool] = False
    #: The model uses only the smallest and largest values of the data, not their covariance.
    needs_covariance: ClassVar[bool] = False
    #: The objective never rises: a centre moves only so far that the objective is sure to fall.
    approximation: ClassVar[str] = ""
    minimises: ClassVar[bool] = True
    settled: ClassVar[bool] = True
    #: Assignment is hard: each row belongs to one cluster.
    temperature: ClassVar[float] = 0.0
    #: A median cannot be computed from sums that were added to others and scaled.
    additive: ClassVar[bool] = False
    #: Distances are sums of absolute differences, not of squares.
    squares: ClassVar[bool] = False

    def at(self, iteration_index: IterationIndex) -> KMediansModel:
        return self

    def expected(self, sums: Sums, params: Params) -> float:
        """Return NaN: the weights of bins do not determine the distances to other centres."""
        return math.nan

    def cells(self, d: int) -> None:
        """Return None: rows have no missing values."""
        return

    def with_missing(self) -> NoReturn:
        """Raise a ConfigError: the histograms of a cluster need every feature of its rows."""
        raise ConfigError(
            "K-medians needs rows without missing values, because its histograms hold every "
            "feature of every row. Fill the values, set data.non_finite to 'drop' to leave out "
            "these rows, or use kmeans."
        )

    def start(self, seeds: Floats, spread: Spread) -> Params:
        """Return parameters with centres at `seeds` (k, d)."""
        k = len(seeds)
        return MixtureParams(np.full(k, 1.0 / k), whole(seeds, spread))

    def numerics(self, params: Params, spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """Return float64 arithmetic, and the unit to which sample weights are rounded.

        float64 holds all digits of the data. Weights are rounded to multiples of 2^-52 of their
        total, or a little more. The sum of such multiples is exact, in whatever order they are
        added. So cumulative weights of exactly one half stay exact, and no median depends on the
        division of rows into blocks.
        """
        unit = 2.0 ** (math.ceil(math.log2(spread.weight)) - 52)
        return Numerics("float64", unit=max(unit, np.finfo(float).smallest_subnormal))

    def e_step(self, block: Block, params: Params, origin: Floats, numerics: Numerics) -> Sums:
        """Return the sums of one block: ``n``, weights and extremes of bins, and the objective.

        ``n`` is (k,). ``bins``, ``min.bins`` and ``max.bins`` are (d, k, bins) each.
        """
        return self._gathered(block, params, origin, numerics.unit)

    def first_step(
        self, block: Block, start: Params, nearest: NDArray[np.int32], origin: Floats
    ) -> Sums:
        """Return the sums of `e_step` for rows that have the labels `nearest` (m,) already.

        Sample weights are not rounded here.
        """
        return self._gathered(block, start, origin, 0.0, nearest)

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Return no sums: every sum of K-medians depends on labels."""
        return Sums({})

    def _gathered(
        self,
        block: Block,
        params: Params,
        origin: Floats,
        unit: float,
        given: NDArray[np.int32] | None = None,
    ) -> Sums:
        """Return the sums of a block, with weights rounded to multiples of `unit` unless it is 0.

        Rows have the labels `given` (m,), or that of the nearest centre if `given` is None.
        """
        x, weight = block.valid()
        found = params.components
        labels, nearest = nearest_absolute(x, origin, found.means)
        objective = 0.0
        for a, b in tiles(len(x), tile_rows(x.shape[1] + len(found.means), 8)):
            some = nearest[a:b]
            objective += float((np.ones(b - a) if weight is None else weight[a:b]) @ some)
        rounded = weight
        if weight is not None and unit:
            rounded = np.rint(weight / unit) * unit
        on = grid(found.low, found.high, found.reach, self.bins)
        total, least, most = tally(x, origin, labels if given is None else given, rounded, on)
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
        """Return centres that are nearer to the medians, and brackets that are one bin wide."""
        bins = (sums[name].swapaxes(0, 1) for name in ("bins", "min.bins", "max.bins"))
        return replace(params, components=narrowed(params.components, *bins))

    def objective(self, sums: Sums, params: Params, numerics: Numerics) -> float:
        """Return the weighted sum of L1 distances to the nearest centre, in units of the data."""
        return float(sums["objective"])

    def terms(self, sums: Sums, params: Params, new: Params, numerics: Numerics) -> Terms:
        """Return only NaN: the bins do not determine the distances to the new centres."""
        return Terms()

    def shift(self, params: Params, new: Params) -> float:
        """Return an upper bound of the summed squared distances of medians from their centres.

        The centres are those of `params`.
        """
        found = new.components
        slack = np.maximum(found.high - found.means, found.means - found.low)
        most = np.abs(found.means - params.components.means) + slack
        # Squares of moves below 1e-162 underflow to 0. The result must be above 0 all the same,
        # because 0 means that nothing moves.
        with np.errstate(over="ignore"):
            moved = min(float(np.sum(most * most)), LARGEST_MOVE)
        return max(moved, 1e-300 * float(most.any()))

    def unchanged(self, sums: Sums, previous: Sums | None, params: Params, new: Params) -> bool:
        """Return whether the centres are the medians of their rows: then nothing changes again."""
        found = new.components
        exact = np.array_equal(found.low, found.high)
        return exact and np.array_equal(found.means, params.components.means)

    def weak(self, sums: Sums, params: Params) -> NDArray[np.int64]:
        """Return the indices of the clusters whose rows have no weight."""
        return np.flatnonzero(sums["n"] <= 1e-12 * sums["weight"])

    def shown(self, params: Params, numerics: Numerics, resp: bool = False) -> Numerics:
        """Return `numerics`, which are float64 in any case."""
        return numerics

    def reseed(
        self, sums: Sums, params: Params, numerics: Numerics, worst: Worst, spread: Spread
    ) -> Params:
        """Make the M-step, and move each cluster without rows to a far row."""
        new = self.m_step(sums, params, numerics)
        return replace(new, components=moved(new.components, worst.index, worst.rows, spread))

    def take(self, params: Params, index: NDArray[np.int64]) -> Params:
        """Return parameters of the clusters `index` only."""
        k = len(index)
        return MixtureParams(np.full(k, 1.0 / k), chosen(params.components, index))

    def translate(self, params: Params, shift: Floats) -> Params:
        """Return parameters with `shift` (d,) added to every centre and bracket."""
        found = params.components
        there = replace(
            found, means=found.means + shift, low=found.low + shift, high=found.high + shift
        )
        return replace(params, components=there)

    def locations(self, params: Params) -> Floats:
        """Return the centres: (k, d)."""
        return params.components.means

    def assign(
        self, block: Block, params: Params, origin: Floats, numerics: Numerics, resp: bool = False
    ) -> Assigned:
        """Return labels, L1 distances and, on request, responsibilities of the rows of a block.

        The responsibilities are those of a mixture of Laplace distributions with scale 1.
        """
        x, _ = block.valid()
        centres = params.components.means
        labels, nearest = nearest_absolute(x, origin, centres)
        if not resp:
            return Assigned(labels, nearest, None)
        shares = np.empty((len(x), len(centres)))
        for a, b in tiles(len(x), tile_rows(x.shape[1] + len(centres), 8)):
            score = -absolute_distances(columns(x[a:b], origin), centres)
            softmax(score, np.zeros(len(centres)))
            shares[a:b] = score.T
        return Assigned(labels, nearest, shares)
