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

#: Sums of squared distances that rows take turns with, so that none waits for the one before, and
#: widths of rows whose loops are unrolled.
_TOTALS, _WIDTHS = 2, (8, 16)


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


def _rounded(code: Code, value: Any, origin: Any, narrow: Any) -> Any:
    """Rows less the origin as float64, rounded to the numbers `narrow` of the scores."""
    if value.type != origin.type:
        value = code.builder.fpext(value, origin.type)
    value = code.builder.fsub(value, origin)
    if value.type != narrow:
        value = code.builder.fptrunc(value, narrow)
    return value if value.type == code.type else code.builder.fpext(value, code.type)


def _by_width(builder: Any, width: Any, loop: Any) -> None:
    """`loop` of a width that the compiler knows, where it is one of a few, and any other."""
    done = builder.append_basic_block("done")
    for fixed in _WIDTHS:
        with builder.if_then(builder.icmp_signed("==", width, I64(fixed))):
            loop(fixed)
            builder.branch(done)
        # What follows is for other widths.
    loop(None)
    builder.branch(done)
    builder.position_at_end(done)


def _row_gatherer(weighted: bool) -> Any:
    @inline
    def gather_rows(
        typing: Any, x: Any, first: Any, last: Any, origin: Any, means: Any, labels: Any,
        weight: Any, scores: Any, count: Any, sums: Any,
    ) -> Any:  # fmt: skip
        """Add rows ``x[first:last] - origin`` to the sums of their labels; their distance.

        Means and sums (k, w) are float64 of a width that is a multiple of `ROW_LANES`, as that of
        the origin (w,) is, and the rows (m, d) are read as if they were so wide: the last of them
        must not reach the end of the array. Labels and weight (m,), count (k,) of weights; the sum
        of weighted squared distances to the means is returned. Rows are rounded to the numbers of
        `scores`: those of float32 add up without rounding, in any order, as long as they are of
        like size.
        """
        contiguous(x, origin, means, labels, weight, count, sums)
        signature = types.float64(
            x, first, last, origin, means, labels, weight, scores, count, sums
        )

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            a, low, high, o, mu, who, w, _, n, t = arrays(context, builder, sig.args, args)
            code = Code(builder, ir.DoubleType(), ROW_LANES)
            stored, middle, narrow = (
                ir.VectorType(context.get_data_type(kind.dtype), ROW_LANES)
                for kind in (x, origin, scores)
            )
            d, width = size(code, a, 1), size(code, mu, 1)
            low, high = (
                context.cast(builder, v, sig.args[i], types.intp) for i, v in ((1, low), (2, high))
            )
            zero, nothing = code.constant(0.0), ir.Constant(stored, [0.0] * ROW_LANES)
            counted = ir.Constant(ir.VectorType(I64, ROW_LANES), list(range(ROW_LANES)))
            # The last vector of a row may hold numbers of another, and these may be NaN.
            before_last = builder.sub(width, I64(ROW_LANES))
            own = builder.icmp_signed("<", counted, code.splat(builder.sub(d, before_last)))
            totals = [code.variable(zero) for _ in range(_TOTALS)]

            def add(begin: Any, line: Any, j: Any, share: Any, last: bool, part: Any) -> None:
                value = code.load(code.at(a.data, begin, j), stored)
                value = builder.select(own, value, nothing) if last else value
                value = _rounded(code, value, code.load(code.at(o.data, j), middle), narrow)
                where = code.at(t.data, line, j)
                held = code.load(where)
                more = code.fused(share, value, held) if weighted else builder.fadd(held, value)
                code.store(more, where)
                diff = builder.fsub(value, code.load(code.at(mu.data, line, j)))
                builder.store(code.fused(diff, diff, builder.load(part)), part)

            def gather(row: Any, total: Any, fixed: int | None) -> None:
                label = builder.load(code.at(who.data, builder.sub(row, low)))
                label = builder.sext(label, I64)
                begin = code.times(row, d)
                line = code.times(label, width if fixed is None else I64(fixed))
                one = builder.load(code.at(w.data, row)) if weighted else code.number(1.0)
                held = code.at(n.data, label)
                builder.store(builder.fadd(builder.load(held), one), held)
                share = code.splat(one)
                part = code.variable(zero)
                builder.store(zero, part)
                ends = before_last if fixed is None else I64(fixed - ROW_LANES)
                with cgutils.for_range_slice(builder, I64(0), ends, I64(ROW_LANES), I64) as (j, _):
                    add(begin, line, j, share, False, part)
                add(begin, line, ends, share, True, part)
                mine, sofar = builder.load(part), builder.load(total)
                after = code.fused(share, mine, sofar) if weighted else builder.fadd(sofar, mine)
                builder.store(after, total)

            def loop(fixed: int | None) -> None:
                step = I64(_TOTALS)
                pairs = builder.sub(high, builder.urem(builder.sub(high, low), step))
                with cgutils.for_range_slice(builder, low, pairs, step, I64) as (row, _):
                    for i, total in enumerate(totals):
                        gather(builder.add(row, I64(i)), total, fixed)
                with cgutils.for_range_slice(builder, pairs, high, I64(1), I64) as (row, _):
                    gather(row, totals[0], fixed)

            _by_width(builder, width, loop)
            sums_of = [builder.load(total) for total in totals]
            return code.total(builder.fadd(*sums_of))

        return signature, generate

    return gather_rows


gather_rows, gather_weighted_rows = _row_gatherer(False), _row_gatherer(True)
