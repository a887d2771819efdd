"""Sums of statistics T(x) by label: a row adds products of its lines to the sums of its component.

The lines of a row are its features, a one, and the extras (`kernels.vector.lines`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numpy.typing import NDArray

from emdist.kernels.jit import pasted
from emdist.kernels.vector.lanes import I64, ROW_LANES, Code, arrays, contiguous, inline, size
from emdist.kernels.vector.lines import Lines
from emdist.kernels.vector.transposing import transpose_8, transpose_16

Array = NDArray[Any]

#: The side of the largest square that is transposed at once. Panels have as many lines to spare.
SQUARE = 16
#: How the lines of a statistic differ from those of the one before it: one line follows and the
#: other stays (the first or the second of the pair), or both follow.
_FIRST_STAYS, _SECOND_STAYS, _BOTH = 1, 2, 3


@dataclass(frozen=True)
class Steps:
    """How T(x) of a row is computed: `ROW_LANES` statistics in each step.

    Statistics whose lines follow each other share a step. The sums are in the order of the steps.

    Attributes
    ----------
    lines
        (s, 2): step i multiplies line ``lines[i, 0]``, or this and the next ones, by the lines from
        ``lines[i, 1]`` on.
    single
        The number of steps that multiply one line by several. They come first.
    columns
        (D,) the column of each statistic in the sums. Other columns have no meaning.
    """

    lines: NDArray[np.int32]
    single: int
    columns: NDArray[np.int64]

    @classmethod
    def of(cls, lines: Lines) -> Self:
        """Return the steps for the statistics of a table."""
        first, length, kind = _runs(lines.pairs)
        order = np.argsort(kind == _BOTH, kind="stable")
        first, length, kind = first[order], length[order], kind[order]
        steps = -(-length // ROW_LANES)
        begin = np.cumsum(steps) - steps
        # The number of each step, and of each statistic, within its run.
        step = np.arange(steps.sum()) - np.repeat(begin, steps)
        own = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        columns = np.empty(len(lines.pairs), np.int64)
        columns[np.repeat(first, length) + own] = np.repeat(ROW_LANES * begin, length) + own
        pairs = lines.pairs[first].astype(np.int64)
        swap = kind == _SECOND_STAYS
        pairs[swap] = pairs[swap, ::-1]
        moves = np.stack([kind == _BOTH, np.ones(len(kind), bool)], axis=1)
        found = np.repeat(pairs, steps, axis=0)
        found += ROW_LANES * step[:, None] * np.repeat(moves, steps, axis=0)
        single = int(steps[kind != _BOTH].sum())
        return cls(np.ascontiguousarray(found, np.int32), single, columns)


def _runs(pairs: NDArray[np.int32]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return where runs of statistics start, how long they are, and how their lines follow."""
    a, b = np.diff(pairs, axis=0).T
    change = np.zeros(len(pairs), np.int64)  # From a statistic to the next one.
    change[:-1] = np.select(
        [(a == 0) & (b == 1), (a == 1) & (b == 0), (a == 1) & (b == 1)],
        [_FIRST_STAYS, _SECOND_STAYS, _BOTH],
    )
    starts = np.ones(len(pairs), bool)
    starts[1:] = change[:-1] == 0
    starts[2:] |= (change[:-2] != 0) & (change[1:-1] != change[:-2])
    first = np.flatnonzero(starts)
    length = np.diff(first, append=len(pairs))
    return first, length, np.where(length > 1, change[first], _FIRST_STAYS)


@pasted
def turn_back(raw: Array, d: Any, lines: Any, nothing: Array, out: Array) -> None:
    """Fill `out` (rows, lines) with the lines of a panel: features, and from d + 1 on the extras.

    The column of ones, number d, is the caller's. Whole squares are transposed, so both arrays have
    `SQUARE` lines to spare. `nothing` (rows,) is 0.
    """
    start, stop = 0, d
    for _ in range(2):
        for j in range(start, stop, SQUARE):
            if raw.shape[1] < SQUARE:
                for half in range(0, SQUARE, 8):
                    transpose_8(raw, j + half, 0, nothing, out, j + half)
            else:
                for i in range(0, raw.shape[1], SQUARE):
                    transpose_16(raw, j, i, nothing, out, j)
        start, stop = d + 1, lines


@inline
def add_products(
    typing: Any, row: Any, weight: Any, lines: Any, single: Any, label: Any, sums: Any
) -> Any:
    """Add a row's statistics times its weight to line `label` of sums (k, width): see `Steps`.

    The row (lines,) and the sums are float64. The row has `ROW_LANES` numbers to spare.
    """
    contiguous(row, lines, sums)
    signature = types.void(row, weight, lines, single, label, sums)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, w, which, alone, own, into = arrays(context, builder, sig.args, args)
        code = Code(builder, ir.DoubleType(), ROW_LANES)
        alone, own = (
            context.cast(builder, v, sig.args[i], types.intp) for i, v in ((3, alone), (4, own))
        )
        base = code.at(into.data, code.times(own, size(code, into, 1)))
        share = code.splat(w)

        def add(step: Any, one: bool) -> None:
            first, second = (
                code.at(
                    x.data,
                    builder.sext(
                        builder.load(code.at(which.data, code.times(step, I64(2)), I64(i))), I64
                    ),
                )
                for i in range(2)
            )
            if one:
                factor = code.splat(builder.fmul(w, builder.load(first)))
            else:
                factor = builder.fmul(share, code.load(first))
            where = code.at(base, code.times(step, I64(ROW_LANES)))
            code.store(code.fused(factor, code.load(second), code.load(where)), where)

        with cgutils.for_range(builder, alone, intp=I64) as loop:
            add(loop.index, True)
        steps = size(code, which, 0)
        with cgutils.for_range_slice(builder, alone, steps, I64(1), I64) as (step, _):
            add(step, False)
        return context.get_dummy_value()

    return signature, generate
