"""The survey: one pass that learns where the data lie, refuses bad rows and draws a sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
from emdist.fit.domain import check_rows, whole_features
from emdist.fit.sample import Sample, sample_rows
from emdist.interfaces import Array, Block, Domain, Floats, Source, Spread
from emdist.kernels.hashing import hash_of_rows
from emdist.kernels.tiles import tile_rows, tiles
from emdist.store.arrays import finite_rows

#: Names the random stream of the survey's sample.
_STREAM = 0x5A
#: Rows that are given priorities at a time.
_STRETCH = 1 << 18


@dataclass(frozen=True)
class Moments:
    """Weight, mean and sum of squared deviations; adds by Chan, Golub and LeVeque 1983.

    Attributes
    ----------
    weight
        Total.
    mean, m2
        (d,) weighted mean, and weighted sum of squared deviations from it.
    rest
        (d,) what rounding took from `mean`: at an offset of 1e8 it would cost the variance all
        but 8 digits when blocks are joined.
    low, high
        (d,) extremes.
    whole
        (d,) whether all values are whole numbers.
    products
        (d, d) weighted sum of products of deviations from the mean, if asked for.
    """

    weight: float
    mean: Floats
    rest: Floats
    m2: Floats
    low: Floats
    high: Floats
    whole: NDArray[np.bool_]
    products: Floats | None = None

    def __add__(self, other: Moments) -> Moments:
        if self.weight == 0 or other.weight == 0:
            return other if self.weight == 0 else self
        total = self.weight + other.weight
        share = other.weight / total
        delta = (other.mean - self.mean) + (other.rest - self.rest)
        step = self.rest + delta * share
        mean = self.mean + step
        products = None
        if self.products is not None and other.products is not None:
            between = np.outer(delta, delta) * (self.weight * share)
            products = self.products + other.products + between
        return Moments(
            total,
            mean,
            step - (mean - self.mean),
            self.m2 + other.m2 + delta * delta * (self.weight * share),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.whole & other.whole,
            products,
        )


@dataclass(frozen=True)
class Survey:
    """What one read of all rows tells.

    Attributes
    ----------
    rows, masked
        Rows that count, and rows left out by policy.
    moments
        Of the rows that count and have weight.
    distinct
        Hashes of up to `wanted` distinct rows, sorted.
    wanted
        Distinct rows that are enough.
    shifted
        Whether features are taken relative to their mean, for all or (d,) for each.
    sample
        For seeding.
    """

    rows: int
    masked: int
    moments: Moments
    distinct: NDArray[np.uint64]
    wanted: int
    shifted: bool | NDArray[np.bool_]
    sample: Sample

    def __add__(self, other: Survey) -> Survey:
        distinct = np.union1d(self.distinct, other.distinct)[: self.wanted]
        return Survey(
            self.rows + other.rows,
            self.masked + other.masked,
            self.moments + other.moments,
            distinct,
            self.wanted,
            self.shifted,
            self.sample + other.sample,
        )

    @property
    def spread(self) -> Spread:
        """Where the data lie; the origin is their mean, or zero."""
        m = self.moments
        origin = np.where(self.shifted, m.mean, 0.0)
        return Spread(
            origin,
            m.mean - origin,
            m.m2 / m.weight,
            m.low - origin,
            m.high - origin,
            m.whole,
            m.weight,
            None if m.products is None else m.products / m.weight,
        )

    def check(self, k: int) -> None:
        """Raise unless `k` components can be fitted to these rows."""
        if self.rows == 0:
            raise ShapeError(
                f"All {self.masked} rows are left out by the missing-chunk and non-finite "
                "policies; there is nothing to cluster."
            )
        if not self.moments.weight > 0:
            raise WeightError("All sample weights are zero; at least one row needs a weight.")
        if not np.isfinite(self.moments.m2).all():
            worst = int(np.argmax(np.maximum(-self.moments.low, self.moments.high)))
            raise DataError(
                f"Feature {worst} reaches from {self.moments.low[worst]:g} to "
                f"{self.moments.high[worst]:g}: its squares overflow. Scale the features, for "
                "example to unit variance."
            )
        if k > self.rows:
            raise StartError(
                f"{k} components for {self.rows} rows; wanted at least one row for each. "
                "Ask for fewer components."
            )
        if len(self.distinct) < k:
            raise DistinctRowsError(
                f"The data has only {len(self.distinct)} distinct rows with weight, fewer than "
                f"the {k} clusters asked for. Ask for at most {len(self.distinct)}."
            )


@dataclass(frozen=True)
class SurveyTask:
    """Survey of one block.

    Attributes
    ----------
    source
        To read from.
    wanted
        Distinct rows that are enough.
    size
        Rows of the sample.
    seed
        Of the sample.
    shifted
        Whether features are taken relative to their mean, for all or (d,) for each.
    covariance
        Whether to gather the covariance of the features.
    """

    source: Source
    wanted: int
    size: int
    seed: int
    shifted: bool | NDArray[np.bool_] = True
    covariance: bool = False

    def __post_init__(self) -> None:
        named, features = np.size(self.shifted), self.source.shape[1]
        if np.ndim(self.shifted) and named != features:
            raise ConfigError(
                f"The groups of the model name {named} feature(s), and the data has {features}. "
                "Put every feature into one group, or among 'ignored'."
            )

    def __call__(self, i: int) -> Survey:
        block = self.source.read(i)
        x, weight = block.valid()
        check_block(block)
        heavy = np.ones(len(x), bool) if weight is None else weight > 0
        return Survey(
            len(x),
            len(block.x) - len(x),
            _moments(x, weight, heavy, self.covariance),
            _distinct(x[heavy] if weight is not None else x, self.wanted),
            self.wanted,
            self.shifted,
            self._sample(block, x, weight),
        )

    def _sample(self, block: Block, x: Array, weight: Floats | None) -> Sample:
        """Of the rows that count, by stretches: priorities take 40 bytes a row, pixels take 3."""
        masked = None if len(x) == len(block.x) else block.rows()
        found = Sample(0, np.empty(0), np.empty(0, np.int64), x[:0], np.empty(0))
        for a, b in tiles(len(x), max(_STRETCH, 4 * self.size)):
            rows = np.arange(a, b) + block.start if masked is None else masked[a:b]
            part = None if weight is None else weight[a:b]
            found += sample_rows(self.size + 1, x[a:b], part, rows, (self.seed, _STREAM))
        return replace(found, size=self.size + 1)


def check_block(block: Block, domain: Domain | None = None) -> None:
    """Raise for weights that are no weights, and for rows with NaN, Inf or outside `domain`."""
    _check_weight(block.weight, block)
    x, _ = block.valid()
    _check_finite(x, block)
    if domain is not None and len(x):
        check_rows(domain, x)


def _check_weight(weight: Floats | None, block: Block) -> None:
    if weight is None:
        return
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if len(bad):
        shown = ", ".join(f"row {block.start + r}: {weight[r]}" for r in bad[:5])
        raise WeightError(
            f"{len(bad)} sample weight(s) of block {block.index} are negative or not finite "
            f"({shown}); wanted numbers >= 0. Use 0 to leave a row out."
        )


def _check_finite(x: Array, block: Block) -> None:
    finite = finite_rows(x)
    if finite is None:
        return
    bad = np.flatnonzero(~finite)
    rows = block.rows()
    first = int(bad[0])
    column = int(np.flatnonzero(~np.isfinite(x[first]))[0])
    shown = ", ".join(str(rows[r]) for r in bad[:5])
    raise NonFiniteError(
        f"Input contains NaN or infinity: block {block.index} (rows {block.start}.."
        f"{block.start + len(block.x) - 1}) has {len(bad)} such row(s), the first {shown}; "
        f"row {rows[first]} has {x[first, column]} in feature {column}. Fill or remove them, or "
        "set non_finite to 'drop' to leave these rows out."
    )


def _moments(
    x: Array, weight: Floats | None, heavy: NDArray[np.bool_], covariance: bool
) -> Moments:
    d = x.shape[1]
    zero = np.zeros(d)
    yes = np.ones(d, bool)
    products = np.zeros((d, d)) if covariance else None
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    total = Moments(0.0, zero, zero, zero, low, high, yes, products)
    for a, b in tiles(len(x), tile_rows(3 * d, 8)):
        tile = x[a:b].astype(np.float64)
        w = None if weight is None else weight[a:b]
        if w is not None:
            tile, w = tile[heavy[a:b]], w[heavy[a:b]]
            if len(w) == 0:
                continue
        mass = float(len(tile)) if w is None else float(w.sum())
        mean = tile.mean(axis=0) if w is None else w @ tile / mass
        low, high = tile.min(axis=0), tile.max(axis=0)
        whole = whole_features(tile) if x.dtype.kind == "f" else yes
        tile -= mean
        rest = (tile.sum(axis=0) if w is None else w @ tile) / mass
        tile -= rest
        if covariance:
            products = tile.T @ (tile if w is None else w[:, None] * tile)
        tile *= tile
        m2 = tile.sum(axis=0) if w is None else w @ tile
        total = total + Moments(mass, mean, rest, m2, low, high, whole, products)
    return total


def _distinct(x: Array, wanted: int) -> NDArray[np.uint64]:
    found = np.empty(0, np.uint64)
    for a, b in tiles(len(x), tile_rows(x.shape[1], 8)):
        found = np.union1d(found, hash_of_rows(x[a:b]))
        if len(found) >= wanted:
            break
    return found[:wanted]
