"""Transposes squares of rows and features into panels, and multiplies lines of panels."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from emdist.kernels.vector.lanes import (
    I64,
    VECTORS,
    Code,
    arrays,
    code_for,
    contiguous,
    inline,
    size,
)


def _square_transposer(side: int) -> Any:
    """Make the function that transposes squares of this many rows and features."""

    @inline
    def transpose_square(
        typing: Any, x: Any, row: Any, column: Any, origin: Any, panel: Any, lane: Any
    ) -> Any:
        """Write a square of ``x - origin`` to a panel: columns of x (m, d) become its lines.

        The subtraction is done in the numbers of the origin, and then rounded to the panel's.
        """
        contiguous(x, origin, panel)
        signature = types.void(x, row, column, origin, panel, lane)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            a, i, j, o, p, at = arrays(context, builder, sig.args, args)
            places = ((1, i), (2, j), (5, at))
            i, j, at = (context.cast(builder, v, sig.args[n], types.intp) for n, v in places)
            code = Code(builder, context.get_data_type(panel.dtype), side)
            wide = ir.VectorType(context.get_data_type(origin.dtype), code.lanes)
            stored = ir.VectorType(context.get_data_type(x.dtype), code.lanes)
            d, rows = size(code, a, 1), size(code, p, 1)
            middle = code.load(code.at(o.data, j), wide)
            square = []
            for n in range(code.lanes):
                start = code.at(a.data, code.times(builder.add(i, I64(n)), d), j)
                value = code.load(start, stored)
                value = value if stored == wide else builder.fpext(value, wide)
                value = builder.fsub(value, middle)
                square.append(value if code.type == wide else builder.fptrunc(value, code.type))
            for n, line in enumerate(code.transposed(square)):
                code.store(line, code.at(p.data, code.times(builder.add(j, I64(n)), rows), at))
            return context.get_dummy_value()

        return signature, generate

    return transpose_square


transpose_8, transpose_16 = _square_transposer(8), _square_transposer(16)


def _few_transposer(d: int) -> Any:
    """Make the function that transposes rows of `d` features."""

    @inline
    def transpose_few(typing: Any, x: Any, row: Any, origin: Any, panel: Any) -> Any:
        """Write rows of ``x - origin`` (m, d), from `row` on, to a whole panel. See `turn_square`.

        The rows fill d times as many vectors as a line of the panel, and each line takes every
        d-th number of them.
        """
        contiguous(x, origin, panel)
        signature = types.void(x, row, origin, panel)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            a, i, o, p = arrays(context, builder, sig.args, args)
            i = context.cast(builder, i, sig.args[1], types.intp)
            code = code_for(context, builder, panel)
            wide = context.get_data_type(origin.dtype)
            stored = context.get_data_type(x.dtype)
            middle = [builder.load(code.at(o.data, I64(j))) for j in range(d)]
            start = code.times(i, I64(d))
            for v in range(VECTORS):
                place = v * code.lanes
                whole = [
                    code.load(
                        code.at(a.data, start, I64(place * d + n * code.lanes)),
                        ir.VectorType(stored, code.lanes),
                    )
                    for n in range(d)
                ]
                for j in range(d):
                    value = code.every(whole, d, j)
                    if stored != wide:
                        value = builder.fpext(value, ir.VectorType(wide, code.lanes))
                    value = builder.fsub(value, code.splat(middle[j]))
                    value = value if value.type == code.type else builder.fptrunc(value, code.type)
                    line = I64(j * VECTORS * code.lanes + place)
                    code.store(value, code.at(p.data, line))
            return context.get_dummy_value()

        return signature, generate

    return transpose_few


(
    transpose_1,
    transpose_2,
    transpose_3,
    transpose_4,
    transpose_5,
    transpose_6,
    transpose_7,
) = map(_few_transposer, range(1, 8))


@inline
def multiply_lines(typing: Any, panel: Any, pairs: Any, first: Any, last: Any, out: Any) -> Any:
    """Fill `out` with products of pairs (n, 2) of lines of a panel, from `first` to `last` - 1."""
    contiguous(panel, pairs, out)
    signature = types.void(panel, pairs, first, last, out)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, which, low, high, into = arrays(context, builder, sig.args, args)
        code = code_for(context, builder, panel)
        rows = I64(VECTORS * code.lanes)
        low, high = (
            context.cast(builder, v, sig.args[i], types.intp) for i, v in ((2, low), (3, high))
        )
        with cgutils.for_range_slice(builder, low, high, I64(1), I64) as (pair, _):
            twice = code.times(pair, I64(2))
            starts = [
                code.times(
                    builder.sext(builder.load(code.at(which.data, twice, I64(i))), I64), rows
                )
                for i in range(2)
            ]
            line = code.times(builder.sub(pair, low), rows)
            for v in range(VECTORS):
                place = I64(v * code.lanes)
                a, b = (code.load(code.at(x.data, start, place)) for start in starts)
                code.store(builder.fmul(a, b), code.at(into.data, line, place))
        return context.get_dummy_value()

    return signature, generate
