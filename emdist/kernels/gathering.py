"""Sums over rows: of responsibilities times lines of panels, and of labelled rows."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from emdist.kernels.lanes import (
    GATHERED,
    I64,
    ROW_LANES,
    STATISTICS,
    Code,
    arrays,
    code_for,
    contiguous,
    inline,
    size,
)


@inline
def gather_lines(typing: Any, resp: Any, lines: Any, count: Any, column: Any, out: Any) -> Any:
    """Sums over the rows of the first `count` panels of resp times a few lines, added to `out`.

    Resp (panels, k, rows), lines (panels, `STATISTICS`, rows), out (k, width) of float64, whose
    columns `column` and on they are. Sums over lanes are of float64.
    """
    contiguous(resp, lines, out)
    signature = types.void(resp, lines, count, column, out)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        r, p, n, at, sums = arrays(context, builder, sig.args, args)
        code = code_for(context, builder, lines)
        n, at = (context.cast(builder, v, sig.args[i], types.intp) for i, v in ((2, n), (3, at)))
        k, width = size(code, r, 1), size(code, sums, 1)
        wide = ir.VectorType(ir.DoubleType(), STATISTICS)
        with cgutils.for_range(builder, builder.udiv(k, I64(GATHERED)), intp=I64) as loop:
            first = code.times(loop.index, I64(GATHERED))
            found = _products(code, (r, k, first), p, n)
            for c in range(GATHERED):
                line = code.times(builder.add(first, I64(c)), width)
                where = code.at(sums.data, line, at)
                more = code.totals([builder.load(each) for each in found[c]])
                code.store(builder.fadd(code.load(where, wide), more), where)
        return context.get_dummy_value()

    return signature, generate


def _products(code: Code, resp: Any, lines: Any, count: Any) -> list[list[Any]]:
    """Accumulators, lane by lane, of a few components times a few statistics."""
    b, rows = code.builder, size(code, lines, 2)
    # The compiler does not know their number, or it would unroll the loop and run out of registers.
    vectors = b.udiv(rows, I64(code.lanes))
    r, k, first = resp
    zero = code.constant(0.0)
    sums = [[code.variable(zero) for _ in range(STATISTICS)] for _ in range(GATHERED)]
    with cgutils.for_range(b, count, intp=I64) as panel:
        own = code.at(r.data, code.times(b.add(code.times(panel.index, k), first), rows))
        base = code.at(lines.data, code.times(code.times(panel.index, I64(STATISTICS)), rows))
        with cgutils.for_range(b, vectors, intp=I64) as vector:
            place = code.times(vector.index, I64(code.lanes))
            t = [
                code.load(code.at(base, place, code.times(I64(j), rows))) for j in range(STATISTICS)
            ]
            for c in range(GATHERED):
                share = code.load(code.at(own, place, code.times(I64(c), rows)))
                for j in range(STATISTICS):
                    b.store(code.fused(share, t[j], b.load(sums[c][j])), sums[c][j])
    return sums


def _row_gatherer(weighted: bool) -> Any:
    @inline
    def gather_rows(
        typing: Any, x: Any, first: Any, last: Any, origin: Any, means: Any, labels: Any,
        weight: Any, scores: Any, sums: Any,
    ) -> Any:  # fmt: skip
        """Add rows ``x[first:last] - origin`` to the sums of their labels; their distance.

        Origin (1, w), means and sums (k, w) are float64 of a width that is a multiple of
        `ROW_LANES`, and the rows (m, d) are read as if they were so wide: the last of them must
        not reach the end of the array. Labels and weight (m,); the sum of weighted squared
        distances to the means is returned. Rows are rounded to the numbers of `scores`: those of
        float32 add up without rounding, in any order, as long as they are of like size.
        """
        contiguous(x, origin, means, labels, weight, sums)
        signature = types.float64(x, first, last, origin, means, labels, weight, scores, sums)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            a, low, high, o, mu, who, w, _, t = arrays(context, builder, sig.args, args)
            code = Code(builder, ir.DoubleType(), ROW_LANES)
            stored = ir.VectorType(context.get_data_type(x.dtype), ROW_LANES)
            narrow = ir.VectorType(context.get_data_type(scores.dtype), ROW_LANES)
            d, width = size(code, a, 1), size(code, mu, 1)
            end, counted = (
                code.splat(d),
                ir.Constant(ir.VectorType(I64, ROW_LANES), list(range(ROW_LANES))),
            )
            total = code.variable(code.constant(0.0))
            part = code.variable(code.constant(0.0))
            low, high = (
                context.cast(builder, v, sig.args[n], types.intp) for n, v in ((1, low), (2, high))
            )
            with cgutils.for_range_slice(builder, low, high, I64(1), I64) as (row, _):
                place = builder.sub(row, low)
                label = builder.sext(builder.load(code.at(who.data, place)), I64)
                line = code.times(label, width)
                builder.store(code.constant(0.0), part)
                share = code.splat(builder.load(code.at(w.data, row))) if weighted else None
                with cgutils.for_range_slice(builder, I64(0), width, I64(ROW_LANES), I64) as (
                    j,
                    _,
                ):
                    value = code.load(code.at(a.data, code.times(row, d), j), stored)
                    # What was read beyond the row belongs to another, and may be NaN.
                    own = builder.icmp_signed("<", builder.add(code.splat(j), counted), end)
                    value = builder.select(own, value, ir.Constant(stored, [0.0] * ROW_LANES))
                    value = value if stored == code.type else builder.fpext(value, code.type)
                    value = builder.fsub(value, code.load(code.at(o.data, j)))
                    if narrow != code.type:
                        value = builder.fpext(builder.fptrunc(value, narrow), code.type)
                    where = code.at(t.data, line, j)
                    held = code.load(where)
                    more = code.fused(share, value, held) if weighted else builder.fadd(held, value)
                    code.store(more, where)
                    diff = builder.fsub(value, code.load(code.at(mu.data, line, j)))
                    builder.store(code.fused(diff, diff, builder.load(part)), part)
                mine, before = builder.load(part), builder.load(total)
                after = code.fused(share, mine, before) if weighted else builder.fadd(before, mine)
                builder.store(after, total)
            return code.total(builder.load(total))

        return signature, generate

    return gather_rows


gather_rows, gather_weighted_rows = _row_gatherer(False), _row_gatherer(True)
