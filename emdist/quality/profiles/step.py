"""The pass that makes profiles: reads each block once, labels it and sums what its rows have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.fit.assigned import assigned, assigned_in_parts
from emdist.fit.fitted import Fitted
from emdist.fit.observed import ObservedSource, bare, observed_source
from emdist.fit.state import Status
from emdist.interfaces import Array, Assigned, Block, Engine, Floats, Model, Numerics, Source
from emdist.kernels.tiles.histograms import Bins, grid
from emdist.kernels.vector.bins import tally
from emdist.prepare.source import PreparedSource
from emdist.quality.profiles.sums import ProfileSums, feature_moments, first_rows
from emdist.sums import Sums

#: Bytes of the histograms of one block, which bound the number of bins; and that number.
_BYTES, _FEWEST, _MOST = 16 << 20, 16, 1024
#: Bytes of a bin: its weight and its extremes, and one number without meaning.
_BIN = 32
#: Blocks that are read to place the histograms, if the survey did not see the same features.
_PROBES = 4


@dataclass(frozen=True)
class ProfileStep:
    """The task that labels one block and sums what the rows with each label have.

    Features are those of the data, before any preparation: their figures are in the units that
    users know. Noise is the last cluster.

    Attributes
    ----------
    source
        The rows as the model needs them.
    model, params, origin, numerics
        The model as a pass uses it.
    soft
        Whether the model has responsibilities.
    on
        The bins of histograms, of one cluster; None for no histograms.
    size
        How many rows of each cluster are kept as its representatives.
    """

    source: Source
    model: Model[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    soft: bool
    on: Bins | None
    size: int

    def __call__(self, i: int) -> ProfileSums:
        block, raw = read_both(self.source, i)
        x, weight = raw.valid()
        k, numbers = len(self.params.shares), block.rows()
        labels = np.empty(len(x), np.int64)
        near, doubt = np.empty((2, len(x)))
        shared, entropy = np.zeros((k, k)), np.zeros(k)
        for rows, found in self._assigned(block):
            # The label -1 of noise, modulo the number of columns, is the last column.
            own = labels[rows] = found.labels.astype(np.int64) % k
            near[rows], doubt[rows] = found.score, -found.score
            if found.resp is not None:
                w = None if weight is None else weight[rows]
                near[rows], doubt[rows] = _shares(found, own, w, shared, entropy)
        moments, low, high = feature_moments(x, labels, weight, k)
        given = np.ones(len(x)) if weight is None else weight
        counted = np.bincount(labels, given > 0, minlength=k).astype(np.float64)
        sums = {
            "rows": counted,
            "weight": np.bincount(labels, given, minlength=k).astype(np.float64),
            "min.x": low,
            "max.x": high,
        }
        if self.soft:
            sums |= {"shared": shared, "entropy": entropy}
        if self.on is not None:
            sums |= _histograms(x, labels, weight, k, self.on)
        shape = (k, self.size)
        return ProfileSums(
            moments,
            Sums(sums),
            first_rows(near, labels, weight, x, numbers, shape),
            first_rows(doubt, labels, weight, x, numbers, shape),
        )

    def _assigned(self, block: Block) -> Iterator[tuple[slice, Assigned]]:
        """Yield what the model assigns to ranges of the rows that count."""
        at = (self.model, block, self.params, self.origin, self.numerics)
        if self.soft:
            yield from assigned_in_parts(*at, len(self.params.shares))
        else:
            yield slice(None), assigned(*at)


def _shares(
    found: Assigned, own: NDArray[np.int64], weight: Floats | None, shared: Floats, entropy: Floats
) -> tuple[Floats, Floats]:
    """Add responsibilities to `shared` and `entropy`; return how near and how certain rows are.

    Rows are near, by a small first number, if their own component has a high density there. They
    are doubtful, by a small second number, if their largest responsibility is small.
    """
    resp: Any = found.resp
    own_share = resp[np.arange(len(own)), own].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = -(found.score + np.log(own_share))
        logs = np.log(resp)
    logs[resp == 0] = 0.0
    each = -np.einsum("ij,ij->i", resp, logs, dtype=np.float64)
    k = len(entropy)
    entropy += np.bincount(own, each if weight is None else each * weight, minlength=k)
    for c in range(resp.shape[1]):
        column = resp[:, c].astype(np.float64)
        shared[:, c] += np.bincount(own, column if weight is None else column * weight, minlength=k)
    return near, own_share


def _histograms(
    x: Array, labels: NDArray[np.int64], weight: Floats | None, k: int, on: Bins
) -> dict[str, Floats]:
    """Return the histograms of rows by label: ``bins``, ``min.bins``, ``max.bins`` (d, k, bins)."""
    d, number = x.shape[1], labels.astype(np.int32)
    every = _changed(on, lambda grid: np.repeat(grid, k, axis=0))
    if x.dtype.kind != "f" or not np.isnan(x).any():
        found = tally(x, np.zeros(d), number, weight, every)
    else:
        total, least, most = np.empty((3, d, k, on.bins))
        for j in range(d):
            kept = ~np.isnan(x[:, j])
            column = np.ascontiguousarray(x[kept, j : j + 1])
            bins = _changed(every, lambda grid, j=j: np.ascontiguousarray(grid[:, j : j + 1]))  # type: ignore[misc]
            own = None if weight is None else weight[kept]
            one = tally(column, np.zeros(1), number[kept], own, bins)
            total[j], least[j], most[j] = (each[0] for each in one)
        found = total, least, most
    return dict(zip(("bins", "min.bins", "max.bins"), found, strict=True))


def _changed(on: Bins, change: Callable[[Array], Array]) -> Bins:
    """Return a grid with `change` made to each of its arrays (k, d)."""
    arrays = (on.low, on.high, on.slope, on.place, on.shift, on.near)
    return Bins(on.bins, on.tail, *map(change, arrays))


def read_both(source: Source, i: int) -> tuple[Block, Block]:
    """Read a block once; return it as the model needs it and as it is in the data.

    The same rows count in both.
    """
    rows = bare(source)
    if isinstance(rows, PreparedSource):
        raw = rows.source.read(i)
        block = replace(raw, x=rows.preparation(raw))
    else:
        block = raw = rows.read(i)
    if isinstance(source, ObservedSource):
        block = source.masked(block)
    return block, replace(raw, mask=block.mask)


@dataclass(frozen=True)
class ExtentStep:
    """The task that finds the smallest and the largest value of each feature in one block."""

    source: Source

    def __call__(self, i: int) -> Sums:
        x, _ = read_both(self.source, i)[1].valid()
        none = np.full(x.shape[1], np.inf)
        low, high = none, -none
        for a in range(0, len(x), 1 << 14):
            part = x[a : a + (1 << 14)].astype(np.float64)
            low = np.fmin(low, np.fmin.reduce(part, axis=0))
            high = np.fmax(high, np.fmax.reduce(part, axis=0))
        return Sums({"min.x": low, "max.x": high})


def profile_sums(
    fitted: Fitted,
    model: Model[Any],
    source: Source,
    engine: Engine,
    soft: bool,
    size: int,
    done: Callable[[int], None] | None = None,
) -> ProfileSums:
    """Return what the rows of each cluster have, from one pass over the rows of `source`.

    Blocks that cut sequences are read once more before, as they are when labels are written.
    `source` is prepared. `done` is called with the number of finished blocks.
    """
    fitted.check_features(source)
    numerics = fitted.numerics(model, source.dtype)
    seen = observed_source(source, model)
    on = _bins(fitted, seen, engine)
    origin = fitted.spread.origin
    params = fitted.linked(model, seen, engine)
    task = ProfileStep(seen, model, params, origin, numerics, soft, on, size)
    return engine.map_reduce(task, range(len(seen)), done)


def _bins(fitted: Fitted, source: Source, engine: Engine) -> Bins | None:
    """Return bins for the features of the data, or None if all histograms would be too large."""
    k, d = fitted.n_columns, fitted.n_features_in
    most = min(_MOST, _BYTES // (_BIN * k * d))
    if most < _FEWEST:
        return None
    spread = fitted.spread
    low, high = spread.low + spread.origin, spread.high + spread.origin
    if fitted.preparation is not None or fitted.status is Status.GIVEN:
        step = max(1, -(-len(source) // _PROBES))
        found = engine.map_reduce(ExtentStep(source), range(0, len(source), step))
        low, high = found["min.x"], found["max.x"]
    low, high = (np.where(np.isfinite(one), one, 0.0) for one in (low, high))
    width = high - low
    reach = np.where(width > 0, width, np.maximum(np.abs(high), 1.0))
    return grid(low[None], high[None], reach[None], 1 << (most.bit_length() - 1))
