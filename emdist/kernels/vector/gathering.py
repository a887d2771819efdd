"""Sums over rows: responsibilities times lines of panels, and rows by their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from emdist.kernels.vector.lanes import (
    COMPONENTS,
    GATHERED,
    I64,
    ROW_LANES,
    STATISTICS,
    VECTORS,
    Code,
    arrays,
    code_for,
    contiguous,
    inline,
    size,
)
from emdist.kernels.vector.rows import RowReader

#: How many accumulators of squared distances take turns, so that no row waits for the one before;
#: and the widths of rows for which loops are unrolled.
_TOTALS, _WIDTHS = 2, (8, 16)


def _line_gatherer(statistics: int, components: int) -> Any:
    """Make the function that gathers this many statistics and components at once."""

    @inline
    def gather_lines(
        typing: Any, resp: Any, lines: Any, count: Any, column: Any, begin: Any, end: Any, out: Any
    ) -> Any:
        """Add sums of resp times a few lines, over the rows of the first `count` panels, to `out`.

        Resp (panels, k, rows), of which components begin..end-1 are used; lines (panels,
        `STATISTICS`, rows), of which the first are used; out (k, width) of float64, in whose
        columns from `column` the sums are. Sums over lanes are made in float64.
        """
        contiguous(resp, lines, out)
        signature = types.void(resp, lines, count, column, begin, end, out)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            r, p, n, at, low, high, sums = arrays(context, builder, sig.args, args)
            code = code_for(context, builder, lines)
            n, at, low, high = (
                context.cast(builder, v, sig.args[i], types.intp)
                for i, v in ((2, n), (3, at), (4, low), (5, high))
            )
            k, width = size(code, r, 1), size(code, sums, 1)
            wide = ir.VectorType(ir.DoubleType(), STATISTICS)
            none = [code.constant(0.0)] * (STATISTICS - statistics)
            with cgutils.for_range_slice(builder, low, high, I64(components), I64) as (first, _):
                found = _products(code, (r, k, first), p, n, (components, statistics))
                for c in range(components):
                    line = code.times(builder.add(first, I64(c)), width)
                    where = code.at(sums.data, line, at)
                    more = code.totals([*map(builder.load, found[c]), *none])
                    code.store(builder.fadd(code.load(where, wide), more), where)
            return context.get_dummy_value()

        return signature, generate

    return gather_lines


#: Gather a whole group of lines, or the one or two that are left, such as the line of ones.
gather_lines = _line_gatherer(STATISTICS, GATHERED)
gather_line, gather_two_lines = _line_gatherer(1, COMPONENTS), _line_gatherer(2, COMPONENTS)


@inline
def gather_panel(typing: Any, panel: Any, pairs: Any, share: Any, row: Any, out: Any) -> Any:
    """Add the sums of share times products of lines, over the rows of a panel, to a row of `out`.

    Panel (lines, rows); pairs (D, 2) of its lines, where D is a multiple of `STATISTICS`; share
    (rows,); out (k, width) of float64. Sums over lanes are made in float64.
    """
    contiguous(panel, pairs, share, out)
    signature = types.void(panel, pairs, share, row, out)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        p, which, s, at, sums = arrays(context, builder, sig.args, args)
        at = context.cast(builder, at, sig.args[3], types.intp)
        code = code_for(context, builder, panel)
        rows, wide = I64(VECTORS * code.lanes), ir.VectorType(ir.DoubleType(), STATISTICS)
        places = [I64(v * code.lanes) for v in range(VECTORS)]
        shares = [code.load(code.at(s.data, place)) for place in places]
        own = code.at(sums.data, code.times(at, size(code, sums, 1)))
        last = size(code, which, 0)
        with cgutils.for_range_slice(builder, I64(0), last, I64(STATISTICS), I64) as (first, _):
            found = []
            for j in range(STATISTICS):
                pair = code.times(builder.add(first, I64(j)), I64(2))
                lines = [
                    code.times(
                        builder.sext(builder.load(code.at(which.data, pair, I64(i))), I64), rows
                    )
                    for i in range(2)
                ]
                total = code.constant(0.0)
                for place, one in zip(places, shares, strict=True):
                    a, b = (code.load(code.at(p.data, line, place)) for line in lines)
                    total = code.fused(builder.fmul(a, one), b, total)
                found.append(total)
            where = code.at(own, first)
            code.store(builder.fadd(code.load(where, wide), code.totals(found)), where)
        return context.get_dummy_value()

    return signature, generate


def _products(
    code: Code, resp: Any, lines: Any, count: Any, shape: tuple[int, int]
) -> list[list[Any]]:
    """Return accumulators, lane by lane, of a few components times a few statistics: `shape`."""
    b, rows = code.builder, size(code, lines, 2)
    # The number is hidden from the compiler, which would unroll the loop and run out of registers.
    vectors = b.udiv(rows, I64(code.lanes))
    r, k, first = resp
    components, statistics = shape
    zero = code.constant(0.0)
    sums = [[code.variable(zero) for _ in range(statistics)] for _ in range(components)]
    with cgutils.for_range(b, count, intp=I64) as panel:
        own = code.at(r.data, code.times(b.add(code.times(panel.index, k), first), rows))
        base = code.at(lines.data, code.times(code.times(panel.index, I64(STATISTICS)), rows))
        with cgutils.for_range(b, vectors, intp=I64) as vector:
            place = code.times(vector.index, I64(code.lanes))
            # Load one line at a time: all of them would need one vector more than registers.
            shares = [
                code.load(code.at(own, place, code.times(I64(c), rows))) for c in range(components)
            ]
            for j in range(statistics):
                t = code.load(code.at(base, place, code.times(I64(j), rows)))
                for c, share in enumerate(shares):
                    b.store(code.fused(share, t, b.load(sums[c][j])), sums[c][j])
    return sums


@dataclass(frozen=True)
class _Gathering:
    """Generates the code that adds rows to the sums of their labels.

    Attributes
    ----------
    rows
        The generator of the code that reads rows.
    means, labels, weight, count, sums
        Arrays in the generated code.
    weighted
        Whether rows have weights.
    """

    rows: RowReader
    means: Any
    labels: Any
    weight: Any
    count: Any
    sums: Any
    weighted: bool

    @property
    def code(self) -> Code:
        """The code generator for vectors of float64."""
        return self.rows.code

    def all(self, low: Any, high: Any) -> Any:
        """Add rows low..high-1; return the sum of their squared distances."""
        b, code = self.code.builder, self.code
        totals = [code.variable(code.constant(0.0)) for _ in range(_TOTALS)]
        width = size(code, self.means, 1)
        done = b.append_basic_block("done")
        for fixed in _WIDTHS:
            # The compiler knows this width, so it unrolls the loop.
            with b.if_then(b.icmp_signed("==", width, I64(fixed))):
                self._loop(low, high, I64(fixed), totals)
                b.branch(done)
        self._loop(low, high, width, totals)
        b.branch(done)
        b.position_at_end(done)
        return code.total(b.fadd(*map(b.load, totals)))

    def _loop(self, low: Any, high: Any, width: Any, totals: list[Any]) -> None:
        b, step = self.code.builder, I64(_TOTALS)
        pairs = b.sub(high, b.urem(b.sub(high, low), step))
        with cgutils.for_range_slice(b, low, pairs, step, I64) as (row, _):
            for i, total in enumerate(totals):
                self._row(b.add(row, I64(i)), low, width, total)
        with cgutils.for_range_slice(b, pairs, high, I64(1), I64) as (row, _):
            self._row(row, low, width, totals[0])

    def _row(self, row: Any, low: Any, width: Any, total: Any) -> None:
        b, code = self.code.builder, self.code
        label = b.sext(b.load(code.at(self.labels.data, b.sub(row, low))), I64)
        begin, line = self.rows.begin(row), code.times(label, width)
        one = b.load(code.at(self.weight.data, row)) if self.weighted else code.number(1.0)
        held = code.at(self.count.data, label)
        b.store(b.fadd(b.load(held), one), held)
        share, part = code.splat(one), code.variable(code.constant(0.0))
        b.store(code.constant(0.0), part)
        last = b.sub(width, I64(ROW_LANES))
        with cgutils.for_range_slice(b, I64(0), last, I64(ROW_LANES), I64) as (j, _):
            self._add(self.rows.vector(begin, j), line, j, share, part)
        self._add(self.rows.last(begin, last), line, last, share, part)
        b.store(self._more(share, b.load(part), b.load(total)), total)

    def _add(self, value: Any, line: Any, j: Any, share: Any, part: Any) -> None:
        b, code = self.code.builder, self.code
        where = code.at(self.sums.data, line, j)
        code.store(self._more(share, value, code.load(where)), where)
        diff = b.fsub(value, code.load(code.at(self.means.data, line, j)))
        b.store(code.fused(diff, diff, b.load(part)), part)

    def _more(self, share: Any, value: Any, held: Any) -> Any:
        code = self.code
        return code.fused(share, value, held) if self.weighted else code.builder.fadd(held, value)


def _row_gatherer(weighted: bool) -> Any:
    @inline
    def gather_rows(
        typing: Any, x: Any, first: Any, last: Any, origin: Any, means: Any, labels: Any,
        weight: Any, scores: Any, count: Any, sums: Any,
    ) -> Any:  # fmt: skip
        """Add rows ``x[first:last] - origin`` to the sums of their labels; return their distance.

        Means and sums (k, w) and the origin (w,) are float64, and w is a multiple of `ROW_LANES`.
        The rows (m, d) are read as if they had this width, so the last of them must not reach the
        end of the array. Labels and weight are (m,), and count (k,) has sums of weights. Returned
        is the sum of weighted squared distances to the means. Rows are rounded to the numbers of
        `scores`: those of float32 add up without rounding, in any order, as long as they are of
        similar size.
        """
        contiguous(x, origin, means, labels, weight, count, sums)
        signature = types.float64(
            x, first, last, origin, means, labels, weight, scores, count, sums
        )

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            a, low, high, o, mu, who, w, _, n, t = arrays(context, builder, sig.args, args)
            low, high = (
                context.cast(builder, v, sig.args[i], types.intp) for i, v in ((1, low), (2, high))
            )
            rows = RowReader.of(context, builder, (x, origin, scores), a, o)
            return _Gathering(rows, mu, who, w, n, t, weighted).all(low, high)

        return signature, generate

    return gather_rows


gather_rows, gather_weighted_rows = _row_gatherer(False), _row_gatherer(True)
