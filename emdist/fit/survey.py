"""The survey: the first pass of a run. It checks all rows, computes moments and draws a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from emdist.errors import (
    ConfigError,
    DataError,
    DistinctRowsError,
    NonFiniteError,
    ShapeError,
    StartError,
    WeightError,
)
from emdist.fit.domain import check_rows
from emdist.fit.moments import Moments, moments_of
from emdist.fit.sample import Sample, sample_rows
from emdist.inputs.quoting import listed
from emdist.interfaces import Array, Block, Domain, Floats, Source, Spread
from emdist.kernels.tiles.hashing import hash_of_rows
from emdist.kernels.tiles.tiles import tile_rows, tiles
from emdist.store.grids.nothing_left import nothing_left
from emdist.store.sources.arrays import finite_rows

#: Identifies the random stream of the survey's sample.
_STREAM = 0x5A
#: How many rows get their priorities at a time.
_STRETCH = 1 << 18


@dataclass(frozen=True)
class Survey:
    """What one read of all rows finds out.

    Attributes
    ----------
    rows, masked
        The number of rows that count, and of rows that a policy left out.
    gaps
        How many values of the rows that count are missing.
    moments
        The moments of the rows that count and have weight.
    distinct
        Hashes of up to `wanted` distinct rows, sorted.
    wanted
        How many distinct rows are enough.
    shifted
        Whether features are taken relative to their mean: one value for all, or (d,) for each.
    sample
        The random rows from which starting values are chosen.
    """

    schema: ClassVar[int] = 1

    rows: int
    masked: int
    gaps: int
    moments: Moments
    distinct: NDArray[np.uint64]
    wanted: int
    shifted: bool | NDArray[np.bool_]
    sample: Sample

    def about(self, origin: Floats) -> Survey:
        """Return this survey with another `origin` (d,), to which a fit's statistics are relative.

        What `dataclasses.replace` makes of it has its own origin again.
        """
        found, own = replace(self), self.spread
        by = own.origin - origin
        moved = replace(
            own, origin=origin, mean=own.mean + by, low=own.low + by, high=own.high + by
        )
        vars(found)["spread"] = moved  # In place of the property that is computed once.
        return found

    def __add__(self, other: Survey) -> Survey:
        distinct = np.union1d(self.distinct, other.distinct)[: self.wanted]
        return Survey(
            self.rows + other.rows,
            self.masked + other.masked,
            self.gaps + other.gaps,
            self.moments + other.moments,
            distinct,
            self.wanted,
            self.shifted,
            self.sample + other.sample,
        )

    @cached_property
    def spread(self) -> Spread:
        """Where the data lie. The origin is nearly their mean, or zero."""
        m = self.moments
        # Models that add up no squares still work if means and variances overflow.
        with np.errstate(over="ignore", invalid="ignore"):
            origin = np.where(self.shifted, _short(m), 0.0)
            return Spread(
                origin,
                m.mean - origin,
                m.m2 / np.where(m.cells > 0, m.cells, 1.0),
                m.low - origin,
                m.high - origin,
                m.whole,
                m.weight,
                None if m.products is None else m.products / m.weight,
            )

    def check(self, source: Source) -> None:
        """Raise unless a model can be fitted to `source`: some rows must count and have weight."""
        if self.rows == 0:
            raise ShapeError(f"{nothing_left(source)} No row is left to cluster.")
        check_total(self.moments.weight)
        unseen = np.flatnonzero(~(self.moments.cells > 0))
        if len(unseen):
            raise DataError(
                "These features are missing (NaN) in every row with weight > 0: "
                f"{listed(unseen.tolist(), 5)}. Leave them out."
            )
        low, high = self.moments.low, self.moments.high
        with np.errstate(over="ignore"):
            wide = np.flatnonzero(~np.isfinite(high - low))
        if len(wide):
            raise DataError(
                f"Feature {wide[0]} ranges from {low[wide[0]]:g} to {high[wide[0]]:g}, so "
                "differences overflow. Scale the features, for example to unit variance."
            )

    def check_squares(self) -> None:
        """Raise if squares of rows overflow or are all zero; for models that add up squares."""
        m = self.moments
        if not np.isfinite(m.m2).all():
            self._refuse_large()
        apart = m.low < m.high
        if apart.any() and not (m.m2 > 0).any():
            self._refuse_small(int(np.argmax(apart)))

    def _refuse_large(self) -> NoReturn:
        """Raise for squares that overflow, either of the features or only after weighting."""
        m = self.moments
        with np.errstate(over="ignore"):
            squares = self.rows * (m.high - m.low) ** 2
        if np.isfinite(squares).all():
            raise WeightError(
                f"The sample weights sum to {m.weight:g}, so weighted squares of the features "
                "overflow. Divide the weights by a constant, such as the largest weight."
            )
        worst = int(np.argmax(np.maximum(-m.low, m.high)))
        raise DataError(
            f"Feature {worst} ranges from {m.low[worst]:g} to {m.high[worst]:g}, so its squares "
            "overflow. Scale the features, for example to unit variance."
        )

    def _refuse_small(self, first: int) -> NoReturn:
        """Raise for squares that are zero, either of the features or only after weighting."""
        m = self.moments
        if ((m.high - m.low) ** 2 > 0).any():
            raise WeightError(
                f"The sample weights sum to {m.weight:g}, so weighted squares of the features are "
                "zero in float64. Divide the weights by a constant, such as the largest weight."
            )
        raise DataError(
            "The features vary so little that all their squares are zero in float64: feature "
            f"{first} ranges from {m.low[first]:g} to {m.high[first]:g}. Scale the features, for "
            "example to unit variance."
        )

    def check_distinct(self, k: int) -> None:
        """Raise unless these rows have `k` distinct places for the seeds of components."""
        if k > self.rows:
            raise StartError(
                f"You asked for {k} components, but there are only {self.rows} rows; expected at "
                "least one row for each component. Ask for fewer components."
            )
        if len(self.distinct) < k:
            raise DistinctRowsError(
                f"You asked for {k} clusters, but the data have only {len(self.distinct)} distinct "
                f"rows with weight > 0. Ask for at most {len(self.distinct)}."
            )


def check_total(weight: float) -> None:
    """Raise WeightError unless one can divide by `weight`, the sum of all sample weights."""
    if not weight > 0:
        raise WeightError("All sample weights are zero; expected at least one weight > 0.")
    if not np.isfinite(weight):
        raise WeightError(
            "The sample weights sum to more than float64 holds, 1.8e308. Divide them by a "
            "constant, such as the largest weight."
        )


@dataclass(frozen=True)
class SurveyTask:
    """The task that surveys one block.

    Attributes
    ----------
    source
        The source to read from.
    wanted
        How many distinct rows are enough.
    size
        The number of rows of the sample.
    seed
        The random seed of the sample.
    shifted
        Whether features are taken relative to their mean: one value for all, or (d,) for each.
    missing
        Whether NaN counts as a missing value; if not, NaN raises an error.
    covariance
        Whether to gather the covariance of the features.
    allows_missing
        Whether the model can treat NaN as a missing value, so that an error may advise it.
    """

    source: Source
    wanted: int
    size: int
    seed: int
    shifted: bool | NDArray[np.bool_] = True
    missing: bool = False
    covariance: bool = False
    allows_missing: bool = True

    def __post_init__(self) -> None:
        named, features = np.size(self.shifted), self.source.shape[1]
        if np.ndim(self.shifted) and named != features:
            raise ConfigError(
                f"The groups of the model contain {named} features, but the data have {features}. "
                "Put every feature into one group, or into 'ignored'."
            )

    def __call__(self, i: int) -> Survey:
        block = self.source.read(i)
        x, weight = block.valid()
        check_block(block, missing=self.missing, allows=lambda: self.allows_missing)
        heavy = np.ones(len(x), bool) if weight is None else weight > 0
        # Sums may overflow: `Survey.check` reports that in words.
        with np.errstate(over="ignore", invalid="ignore"):
            moments = moments_of(x, weight, heavy, self.covariance)
            sample = self._sample(block, x, weight)
        return Survey(
            len(x),
            len(block.x) - len(x),
            _gaps(x) if self.missing else 0,
            moments,
            _distinct(x[heavy] if weight is not None else x, self.wanted),
            self.wanted,
            self.shifted,
            sample,
        )

    def _sample(self, block: Block, x: Array, weight: Floats | None) -> Sample:
        """Return the sample of the rows that count.

        It is drawn by stretches, because priorities take 40 bytes a row and pixels only 3.
        """
        numbers = block.numbering()
        found = Sample(0, np.empty(0), np.empty(0, np.int64), x[:0], np.empty(0))
        for a, b in tiles(len(x), max(_STRETCH, 4 * self.size)):
            part = None if weight is None else weight[a:b]
            drawn = sample_rows(self.size + 1, x[a:b], part, numbers(a, b), (self.seed, _STREAM))
            found += drawn
        return replace(found, size=self.size + 1)


def _short(m: Moments) -> Floats:
    """Return the mean (d,), rounded to the digits of float32 if the spread of the data allows it.

    Subtracting it from rows of float32 then needs no more than one rounding. See `readable`.
    """
    with np.errstate(over="ignore"):
        near = m.mean.astype(np.float32).astype(np.float64)
    spread = np.sqrt(m.m2 / np.where(m.cells > 0, m.cells, 1.0))
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(near - m.mean) <= spread + 1e-14 * np.abs(m.mean), near, m.mean)


def check_block(
    block: Block,
    domain: Domain | None = None,
    missing: bool = False,
    allows: Callable[[], bool] | None = None,
) -> None:
    """Raise for sample weights that are invalid, and for rows with NaN, Inf or outside `domain`.

    NaN is accepted if `missing` says that it counts as a missing value. The message advises to
    count it as one unless `allows` returns that the model cannot.
    """
    _check_weight(block.weight, block)
    x, _ = block.valid()
    _check_finite(x, block, missing, allows)
    if domain is not None and len(x):
        check_rows(domain, x)


def _check_weight(weight: Floats | None, block: Block) -> None:
    """Raise WeightError for sample weights that are negative or not finite."""
    if weight is None:
        return
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if len(bad):
        shown = ", ".join(f"{block.named(int(r))}: {weight[r]}" for r in bad[:5])
        raise WeightError(
            f"{len(bad)} of the sample weights of block {block.index} are negative or not finite "
            f"({shown}); expected numbers >= 0. Use 0 to leave a row out."
        )


def accepts_missing(model: Any) -> bool:
    """Return whether there is a model of this kind for rows with missing values."""
    try:
        model.with_missing()
    except (AttributeError, ConfigError):  # Models with noise have no such method.
        return False
    return True


def _check_finite(x: Array, block: Block, missing: bool, allows: Callable[[], bool] | None) -> None:
    """Raise NonFiniteError for rows with infinity, or with NaN unless it counts as missing."""
    finite = finite_rows(x, missing)
    if finite is None:
        return
    bad = np.flatnonzero(~finite)
    rows = block.rows()
    first = int(bad[0])
    allowed = np.isfinite(x[first]) | (missing & np.isnan(x[first]))
    column = int(np.flatnonzero(~allowed)[0])
    shown = listed(rows[bad].tolist(), 5)
    what, remedy = (
        "NaN or infinity",
        ", or set data.non_finite to 'missing' if NaN stands for values missing at random",
    )
    if missing:
        what, remedy = "infinity", ""
    elif allows is not None and not allows():
        remedy = ""
    name = block.named(int(block.local()[first]))
    raise NonFiniteError(
        f"Input contains {what}: block {block.index} ({block.extent}) has {len(bad)} such "
        f"row{'s' * (len(bad) > 1)} ({shown}); {name} has {x[first, column]} in feature {column}"
        f"{block.missing_note}. Replace these values, or set data.non_finite to 'drop' to leave "
        f"these rows out{remedy}."
    )


def _distinct(x: Array, wanted: int) -> NDArray[np.uint64]:
    """Return sorted hashes of up to `wanted` distinct rows, hashing few more rows than needed."""
    found = np.empty(0, np.uint64)
    at, most = 0, tile_rows(x.shape[1], 8)
    rows = min(most, max(64, 2 * wanted))  # usually enough to find `wanted` distinct ones
    while at < len(x) and len(found) < wanted:
        found = np.union1d(found, hash_of_rows(x[at : at + rows]))
        at, rows = at + rows, min(most, 2 * rows)
    return found[:wanted]


def _gaps(x: Array) -> int:
    rows = tile_rows(x.shape[1], 1)
    return sum(int(np.isnan(x[a:b]).sum()) for a, b in tiles(len(x), rows))
