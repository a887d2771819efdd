"""The step of a chain from one row to the next: a few vectors of states times a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numpy.typing import NDArray

from emdist.kernels.vector.lanes import I64, ROW_LANES, Code, arrays, contiguous, inline, row_width

Floats = NDArray[np.float64]
#: Sums that take turns, so that no product waits for the one before. `ROW_LANES` is a multiple.
_SUMS = 4


@inline
def step_row(
    typing: Any, old: Any, at: Any, matrix: Any, factor: Any, row: Any, scale: Any, new: Any,
    to: Any,
) -> Any:  # fmt: skip
    """Fill ``new[to]`` with ``old[at] @ matrix * factor[row] * scale``; return the sum of it.

    All arrays are float64. Old (m, w), matrix (w, w), factor (n, w) and new (l, w), where w is a
    multiple of `ROW_LANES`. Row `to` of `new` must not be a row of `old` that is read.
    """
    contiguous(old, matrix, factor, new)
    signature = types.float64(old, at, matrix, factor, row, scale, new, to)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        b, code = builder, Code(builder, ir.DoubleType(), ROW_LANES)
        o, at, mat, f, row, by, n, to = arrays(context, builder, sig.args, args)
        at, row, to = (
            context.cast(b, v, sig.args[i], types.intp) for i, v in ((1, at), (4, row), (7, to))
        )
        by = code.splat(context.cast(b, by, sig.args[5], types.float64))
        width, zero = b.extract_value(mat.shape, 0), code.constant(0.0)
        source, factors, into = (
            code.at(array.data, code.times(index, width))
            for array, index in ((o, at), (f, row), (n, to))
        )
        total = code.variable(zero)
        with cgutils.for_range_slice(b, I64(0), width, I64(ROW_LANES), I64) as (column, _):
            sums = [code.variable(zero) for _ in range(_SUMS)]
            for held in sums:
                b.store(zero, held)
            with cgutils.for_range_slice(b, I64(0), width, I64(_SUMS), I64) as (first, _):
                for i, held in enumerate(sums):
                    line = b.add(first, I64(i))
                    value = code.splat(b.load(code.at(source, line)))
                    entry = code.load(code.at(mat.data, code.times(line, width), column))
                    b.store(code.fused(value, entry, b.load(held)), held)
            left = [b.load(held) for held in sums]
            while len(left) > 1:
                left = [b.fadd(x, y) for x, y in zip(left[::2], left[1::2], strict=True)]
            value = b.fmul(b.fmul(left[0], by), code.load(code.at(factors, column)))
            code.store(value, code.at(into, column))
            b.store(b.fadd(b.load(total), value), total)
        return code.total(b.load(total))

    return signature, generate


def padded(rows: Floats) -> Floats:
    """Return float64 rows (m, k) with as many zeros behind each as whole vectors need."""
    out = np.zeros((len(rows), row_width(rows.shape[1])))
    out[:, : rows.shape[1]] = rows
    return out


def padded_matrix(matrix: Floats) -> Floats:
    """Return a square matrix with zeros behind its rows and below: (k, k) to (w, w)."""
    width = row_width(len(matrix))
    out = np.zeros((width, width))
    out[: len(matrix), : len(matrix)] = matrix
    return out
