"""Moves rows from the exact sums of one centre to those of another, in whole vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numba.core import cgutils, types

from emdist.kernels.vector.lanes import I64, ROW_LANES, Code, arrays, contiguous, inline, size
from emdist.kernels.vector.rows import RowReader


@dataclass(frozen=True)
class _Row:
    """Generates the code for one row.

    Attributes
    ----------
    rows
        The generator of the code that reads the row.
    rounders, t, norm
        Arrays in the generated code.
    begin, share
        Where the row starts, and its weight in each lane.
    """

    rows: RowReader
    rounders: Any
    t: Any
    norm: Any
    begin: Any
    share: Any

    @property
    def code(self) -> Code:
        """The code generator for vectors of float64."""
        return self.rows.code

    def each(self, then: Any) -> None:
        """Call `then` with the values of every vector of the row, and with its position."""
        width = size(self.code, self.t, 2)
        with cgutils.for_range_slice(self.code.builder, I64(0), width, I64(ROW_LANES), I64) as (
            j,
            _,
        ):
            then(self.rows.last(self.begin, j), j)

    def parts(self, value: Any, j: Any) -> tuple[Any, Any]:
        """Return the two parts of a weighted value: see `exact.Grid`."""
        b, code = self.code.builder, self.code
        left, found = b.fmul(value, self.share), []
        for i in range(2):
            line = code.times(I64(i), size(code, self.rounders, 1))
            rounder = code.load(code.at(self.rounders.data, line, j))
            found.append(b.fsub(b.fadd(left, rounder), rounder))
            left = b.fsub(left, found[-1])
        return found[0], found[1]

    def add(self, parts: tuple[Any, Any], j: Any, centre: Any, operation: Any) -> None:
        """Add the parts to the sums of a centre, or subtract them."""
        code = self.code
        k, width = size(code, self.t, 1), size(code, self.t, 2)
        for i, part in enumerate(parts):
            line = code.times(code.builder.add(code.times(I64(i), k), centre), width)
            where = code.at(self.t.data, line, j)
            code.store(operation(code.load(where), part), where)

    def square(self, value: Any, j: Any) -> None:
        """Add the weighted squares, feature by feature, in twice the digits of float64."""
        b, code = self.code.builder, self.code
        width = size(code, self.norm, 1)
        high, low = (code.at(self.norm.data, code.times(I64(i), width), j) for i in range(2))
        square = b.fmul(value, value)
        error = code.fma(value, value, b.fneg(square))
        product = b.fmul(self.share, square)
        error = b.fadd(code.fma(self.share, square, b.fneg(product)), b.fmul(self.share, error))
        # The sum and its rounding error (Knuth 1969).
        held = code.load(high)
        total = b.fadd(held, product)
        part = b.fsub(total, held)
        rest = b.fadd(b.fsub(held, b.fsub(total, part)), b.fsub(product, part))
        code.store(total, high)
        code.store(b.fadd(code.load(low), b.fadd(rest, error)), low)


@inline
def move_row(
    typing: Any, x: Any, row: Any, origin: Any, weight: Any, before: Any, after: Any,
    rounders: Any, scores: Any, t: Any, norm: Any,
) -> Any:  # fmt: skip
    """Move row `row` of ``x - origin`` from centre `before`, unless negative, to `after`.

    Does what `exact.move` does, and `exact.square` for a row that had no centre. The arrays are
    float64: t (2, k, w), rounders (2, >= w), origin (>= w,) and norm (2, w), where w is a multiple
    of `ROW_LANES`. The row is read to that width, which must not reach the end of the array, and
    rounded to the numbers of `scores`.
    """
    contiguous(x, origin, rounders, t, norm)
    signature = types.void(x, row, origin, weight, before, after, rounders, scores, t, norm)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, i, o, w, old, new, r, _, sums, squares = arrays(context, builder, sig.args, args)
        i, old, new = (
            context.cast(builder, v, sig.args[n], types.intp)
            for n, v in ((1, i), (4, old), (5, new))
        )
        w = context.cast(builder, w, sig.args[3], types.float64)
        rows = RowReader.of(context, builder, (x, origin, scores), a, o)
        own = _Row(rows, r, sums, squares, rows.begin(i), rows.code.splat(w))

        def enter(value: Any, j: Any) -> None:
            own.add(own.parts(value, j), j, new, builder.fadd)
            own.square(value, j)

        def move(value: Any, j: Any) -> None:
            parts = own.parts(value, j)
            own.add(parts, j, new, builder.fadd)
            own.add(parts, j, old, builder.fsub)

        with builder.if_else(builder.icmp_signed("<", old, I64(0))) as (first, again):
            with first:
                own.each(enter)
            with again:
                own.each(move)
        return context.get_dummy_value()

    return signature, generate
