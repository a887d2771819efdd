"""Histograms of labelled rows: the bins of several features of a row are found at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numpy.typing import NDArray

from emdist.kernels.jit import jit
from emdist.kernels.tiles.histograms import FAR, LOWEST, Bins
from emdist.kernels.tiles.tiles import tiles
from emdist.kernels.vector.lanes import (
    I32,
    I64,
    ROW_LANES,
    Code,
    arrays,
    borrowed,
    contiguous,
    inline,
    row_width,
    size,
)
from emdist.kernels.vector.panels import aligned, is_readable, readable, widened

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: Numbers of a bin, next to each other in one vector: the weight, minus the smallest value, the
#: largest value, and one without meaning.
_NUMBERS = 4
#: Rows in a call if they must be converted, and bytes of the bins that are filled together.
_STRETCH, _CACHE = 1 << 16, 1 << 20
#: The bits of a float64 behind its exponent, and the exponent of 1.
_FRACTION, _BIAS = 52, 1023


@inline
def bins_of_row(
    typing: Any, row: Any, label: Any, tail: Any, bins: Any, low: Any, high: Any, slope: Any,
    place: Any, shift: Any, near: Any, out: Any,
) -> Any:  # fmt: skip
    """Fill `out` (w,) with the bin of each feature of a row (w,). See `Bins`; arrays are (k, w)."""
    contiguous(row, low, high, slope, place, shift, near, out)
    signature = types.void(row, label, tail, bins, low, high, slope, place, shift, near, out)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, own, side, total, *grid, found = arrays(context, builder, sig.args, args)
        own, side, total = (
            context.cast(builder, v, sig.args[i], types.intp)
            for i, v in ((1, own), (2, side), (3, total))
        )
        b, code = builder, Code(builder, ir.DoubleType(), ROW_LANES)
        width, whole = size(code, x, 0), ir.VectorType(I64, ROW_LANES)
        line = code.times(own, width)
        upper = code.splat(b.sub(total, side))
        last = code.splat(b.sub(side, I64(1)))
        with cgutils.for_range_slice(b, I64(0), width, I64(ROW_LANES), I64) as (j, _):
            value = code.load(code.at(x.data, j))
            a, z, steep, first, bits, scale = (
                code.load(code.at(each.data, line, j), kind)
                for each, kind in zip(grid, (None, None, None, whole, whole, None), strict=True)
            )
            under, over = b.fsub(a, value), b.fsub(value, z)
            outside = b.select(code.above(under, over), under, over)
            # Outside: 0 up to 1 / near, 1 up to 3 / near, 2 up to 7 / near, and so on.
            far = b.fmul(outside, scale)
            far = b.select(code.above(code.constant(FAR), far), far, code.constant(FAR))
            steps = b.bitcast(b.fadd(far, code.constant(1.0)), whole)
            steps = b.ashr(steps, code.constant(_FRACTION, whole))
            steps = b.sub(steps, code.constant(_BIAS, whole))
            steps = b.select(b.icmp_signed("<", steps, last), steps, last)
            below = code.above(under, code.constant(0.0))
            beyond = b.select(below, b.sub(last, steps), b.add(upper, steps))
            # Within: values outside are moved to the ends, so that every conversion is defined.
            within = b.select(below, a, value)
            within = b.select(code.above(within, z), z, within)
            place_ = b.bitcast(within, whole)
            negative = b.icmp_signed("<", place_, code.constant(0, whole))
            turned = b.sub(code.constant(int(LOWEST), whole), place_)
            place_ = b.select(negative, turned, place_)
            floats = b.lshr(b.sub(place_, first), bits)
            linear = b.fptosi(b.fmul(b.fsub(within, a), steep), whole)
            middle = b.add(code.splat(side), b.add(linear, floats))
            outer = code.above(outside, code.constant(0.0))
            code.store(b.select(outer, beyond, middle), code.at(found.data, j))
        return context.get_dummy_value()

    return signature, generate


@inline
def add_to_bins(typing: Any, row: Any, weight: Any, at: Any, label: Any, histograms: Any) -> Any:
    """Add each feature of a row to bin `at` (w,) of histograms (k, d, bins, numbers)."""
    contiguous(row, at, histograms)
    signature = types.void(row, weight, at, label, histograms)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, w, which, own, into = arrays(context, builder, sig.args, args)
        own = context.cast(builder, own, sig.args[3], types.intp)
        b, code = builder, Code(builder, ir.DoubleType(), _NUMBERS)
        d, bins = size(code, into, 1), size(code, into, 2)
        share = b.insert_element(code.constant(0.0), w, I32(0))
        sign = ir.Constant(code.type, [1.0, -1.0, 1.0, 1.0])
        keep = ir.Constant(code.labels, [0, *range(_NUMBERS + 1, 2 * _NUMBERS)])
        with cgutils.for_range(b, d, intp=I64) as loop:
            histogram = b.add(code.times(own, d), loop.index)
            place = b.add(code.times(histogram, bins), b.load(code.at(which.data, loop.index)))
            where = code.at(into.data, code.times(place, I64(_NUMBERS)))
            held = code.load(where)
            value = b.fmul(code.splat(b.load(code.at(x.data, loop.index))), sign)
            higher = b.select(code.above(value, held), value, held)
            code.store(b.shuffle_vector(b.fadd(held, share), higher, keep), where)
        return context.get_dummy_value()

    return signature, generate


@jit
def _tally(x: Array, first: Any, origin: Array, labels: Array, weight: Array, tail: Any, low: Array,
           high: Array, slope: Array, place: Array, shift: Array, near: Array, row: Array,
           at: Array, histograms: Array) -> None:  # fmt: skip
    """Add features of rows, from `first` on, to the histograms of their labels."""
    x, origin, labels, weight = borrowed(x), borrowed(origin), borrowed(labels), borrowed(weight)
    low, high, slope, place = borrowed(low), borrowed(high), borrowed(slope), borrowed(place)
    shift, near, row, at = borrowed(shift), borrowed(near), borrowed(row), borrowed(at)
    histograms = borrowed(histograms)
    d, bins = histograms.shape[1], histograms.shape[2]
    for i in range(x.shape[0]):
        w = weight[i] if len(weight) else 1.0
        if w == 0.0:
            continue
        for j in range(d):
            # Adding 0 turns -0.0 into 0.0: equal numbers must have equal bits.
            row[j] = (np.float64(x[i, first + j]) - origin[first + j]) + 0.0
        bins_of_row(row, labels[i], tail, bins, low, high, slope, place, shift, near, at)
        add_to_bins(row, w, at, labels[i], histograms)


def tally(
    x: Array, origin: Floats, labels: NDArray[np.int32], weight: Floats | None, on: Bins
) -> tuple[Floats, Floats, Floats]:
    """Return the weight, the smallest and the largest value of every bin: (d, k, bins) each.

    Rows of weight 0 are skipped. Empty bins have the extremes inf and -inf.

    Parameters
    ----------
    x, origin
        (m, d) rows as stored, and (d,) subtracted from them first, in float64.
    labels, weight
        (m,) the clusters of the rows, and their weights, or None for 1.
    on
        The grid.
    """
    k, d = on.low.shape
    total, least, most = np.empty((3, d, k, on.bins))
    dtype, none = np.dtype(np.float64), np.empty(0)
    # Histograms of a few features stay in the second-level cache.
    some = max(ROW_LANES, _CACHE // (_NUMBERS * 8 * k * on.bins) // ROW_LANES * ROW_LANES)
    for first, stop in tiles(d, some):
        here, width = slice(first, stop), row_width(stop - first)
        grid = (
            widened(np.ascontiguousarray(each[:, here]))
            for each in (on.low, on.high, on.slope, on.place, on.shift, on.near)
        )
        low, high, slope, place, shift, near = grid
        row, at = aligned((width,), dtype), np.empty(width, np.int64)
        row[:] = 0.0
        histograms = aligned((k, stop - first, on.bins, _NUMBERS), dtype)
        histograms[:] = -np.inf
        histograms[..., 0] = 0.0
        for a, b in tiles(len(x), max(1, len(x)) if is_readable(x) else _STRETCH):
            part, where = readable(x[a:b], origin, dtype)
            w = none if weight is None else np.ascontiguousarray(weight[a:b])
            _tally(
                part, first, where, labels[a:b], w, on.tail, low, high, slope, place, shift, near,
                row, at, histograms,
            )  # fmt: skip
        found = histograms.transpose(3, 1, 0, 2)
        total[here], most[here] = found[0], found[2]
        np.negative(found[1], out=least[here])
    return total, least, most
