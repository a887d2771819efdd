"""Instructions that the compiler does not find by itself: whole vectors of rows in registers.

A **panel** holds a few vectors of rows, statistic by statistic, so that a row is a lane: a score
is then a multiply-add of lanes, and the best of many components a comparison of lanes, without
any step across them. Each function here becomes a few lines of LLVM's intermediate code within a
compiled kernel; on a machine of narrower vectors LLVM splits them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial, log
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, config, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_FUSED = ("contract",)


def _has_512_bits() -> bool:
    named = config.CPU_FEATURES
    if named is not None:
        return "+avx512f" in named
    return bool(binding.get_host_cpu_features().get("avx512f", False))


_WIDE = _has_512_bits()
#: Bytes of a vector, vectors of a panel, and components whose scores are in registers at once:
#: 24 accumulators of 32 registers, or 12 of 16.
_BYTES, _VECTORS = (64, 4) if _WIDE else (32, 2)
COMPONENTS = 6
#: Statistics that are gathered at once, for `COMPONENTS` components.
STATISTICS = 4 if _WIDE else 2


def lanes(itemsize: int) -> int:
    """Numbers of a vector."""
    return _BYTES // itemsize


def panel_rows(itemsize: int) -> int:
    """Rows of a panel of numbers of `itemsize` bytes."""
    return _VECTORS * lanes(itemsize)


@dataclass(frozen=True)
class _Code:
    """Writes code for vectors of one type of number."""

    builder: Any
    number: Any
    lanes: int

    @property
    def type(self) -> Any:
        return ir.VectorType(self.number, self.lanes)

    @property
    def integers(self) -> Any:
        bits = 32 if isinstance(self.number, ir.FloatType) else 64
        return ir.VectorType(ir.IntType(bits), self.lanes)

    @property
    def labels(self) -> Any:
        return ir.VectorType(_I32, self.lanes)

    def at(self, base: Any, *index: Any) -> Any:
        """Address of an element: of a sum of indices."""
        total = index[0]
        for more in index[1:]:
            total = self.builder.add(total, more)
        return self.builder.gep(base, [total])

    def times(self, a: Any, b: Any) -> Any:
        return self.builder.mul(a, b)

    def load(self, address: Any, kind: Any = None) -> Any:
        kind = self.type if kind is None else kind
        value = self.builder.load(self.builder.bitcast(address, kind.as_pointer()))
        value.align = 4  # Panels start where arrays start.
        return value

    def store(self, value: Any, address: Any) -> None:
        stored = self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()))
        stored.align = 4

    def constant(self, value: float, kind: Any = None) -> Any:
        kind = self.type if kind is None else kind
        return ir.Constant(kind, [value] * self.lanes)

    def splat(self, value: Any) -> Any:
        kind = ir.VectorType(value.type, self.lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        one = self.builder.insert_element(nothing, value, _I32(0))
        first = ir.Constant(ir.VectorType(_I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, nothing, first)

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """``a b + c``, rounded once where the machine can."""
        return self.builder.fadd(self.builder.fmul(a, b, flags=_FUSED), c, flags=_FUSED)

    def above(self, a: Any, b: Any) -> Any:
        return self.builder.fcmp_ordered(">", a, b)

    def variable(self, value: Any) -> Any:
        held = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, held)
        return held

    def parts(self, vector: Any, size: int) -> list[Any]:
        """The vector cut into pieces of `size` lanes."""
        return [
            self._picked(vector, vector, range(start, start + size))
            for start in range(0, vector.type.count, size)
        ]

    def _picked(self, a: Any, b: Any, index: Sequence[int]) -> Any:
        mask = ir.Constant(ir.VectorType(_I32, len(index)), list(index))
        return self.builder.shuffle_vector(a, b, mask)

    def total(self, vector: Any) -> Any:
        """Sum over the lanes, in float64: halves are added until one is left."""
        wide = ir.VectorType(ir.DoubleType(), vector.type.count)
        if vector.type != wide:
            vector = self.builder.fpext(vector, wide)
        while vector.type.count > 1:
            a, b = self.parts(vector, vector.type.count // 2)
            vector = self.builder.fadd(a, b)
        return self.builder.extract_element(vector, _I32(0))

    def turned(self, rows: list[Any]) -> list[Any]:
        """A square of vectors, rows for columns: halves change places, then quarters, ..."""
        step = len(rows) // 2
        while step:
            # Lanes of `a` where the bit of `step` is clear come from it, the others from b.
            low = [i if not i & step else len(rows) + i - step for i in range(len(rows))]
            high = [i + step if not i & step else len(rows) + i for i in range(len(rows))]
            for i in range(len(rows)):
                if not i & step:
                    a, b = rows[i], rows[i + step]
                    rows[i], rows[i + step] = self._picked(a, b, low), self._picked(a, b, high)
            step //= 2
        return rows

    def exp(self, x: Any) -> Any:
        """exp(x) for x <= 0 that is no subnormal, to 2 units in the last place; NaN stays NaN.

        2^n times the Taylor series about the nearest multiple n of log 2.
        """
        single = isinstance(self.number, ir.FloatType)
        bits, bias, degree = (23, 127, 7) if single else (52, 1023, 13)
        # Adding this leaves the nearest integer in the last bits of the mantissa.
        shift = 1.5 * 2.0**bits
        moved = self.fused(x, self.constant(1 / log(2)), self.constant(shift))
        n = self.builder.fsub(moved, self.constant(shift))
        # log 2 in two parts, of which the first times n is exact.
        fine = 2.0 ** (9 if single else 32)
        high = round(log(2) * fine) / fine
        r = self.fused(n, self.constant(-high), x)
        r = self.fused(n, self.constant(-(log(2) - high)), r)
        value = self.constant(1 / factorial(degree))
        for i in reversed(range(degree)):
            value = self.fused(value, r, self.constant(1 / factorial(i)))
        kind = self.integers
        exponent = self.builder.shl(
            self.builder.add(self.builder.bitcast(moved, kind), self.constant(bias, kind)),
            self.constant(bits, kind),
        )
        return self.builder.fmul(value, self.builder.bitcast(exponent, self.type))


def _arrays(context: Any, builder: Any, kinds: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    return [
        context.make_array(kind)(context, builder, value)
        if isinstance(kind, types.Array)
        else value
        for kind, value in zip(kinds, values, strict=True)
    ]


def _code(context: Any, builder: Any, kind: Any) -> _Code:
    number = context.get_data_type(kind.dtype)
    return _Code(builder, number, lanes(kind.dtype.bitwidth // 8))


def _contiguous(*kinds: Any) -> None:
    for kind in kinds:
        if isinstance(kind, types.Array) and kind.layout != "C":
            raise TypingError(f"Vectors are loaded from contiguous arrays, and this is {kind}.")


def _size(code: _Code, array: Any, axis: int) -> Any:
    return code.builder.extract_value(array.shape, axis)


def _scores(code: _Code, panel: Any, eta: Any, offset: Any, first: Any) -> list[list[Any]]:
    """Scores of components first, first + 1, ... for the vectors of a panel."""
    b, rows = code.builder, _I64(_VECTORS * code.lanes)
    width = _size(code, eta, 1)
    sums = [
        [code.variable(start) for _ in range(_VECTORS)]
        for start in (
            code.splat(b.load(code.at(offset.data, first, _I64(c)))) for c in range(COMPONENTS)
        )
    ]
    base = code.at(eta.data, code.times(first, width))
    with cgutils.for_range(b, width, intp=_I64) as loop:
        column = code.at(panel.data, code.times(loop.index, rows))
        x = [code.load(code.at(column, _I64(v * code.lanes))) for v in range(_VECTORS)]
        own = code.at(base, code.times(loop.index, _I64(COMPONENTS)))
        for c in range(COMPONENTS):
            weight = code.splat(b.load(code.at(own, _I64(c))))
            for v in range(_VECTORS):
                b.store(code.fused(x[v], weight, b.load(sums[c][v])), sums[c][v])
    return [[b.load(each) for each in row] for row in sums]


@intrinsic
def best_of_panel(typing: Any, panel: Any, eta: Any, offset: Any, best: Any, labels: Any) -> Any:
    """Highest score of each row of a panel and its component, the lowest of equals.

    Panel (width, rows), eta (k / 6, width, 6), offset (k,); fills best (rows,), labels (rows,).
    """
    _contiguous(panel, eta, offset, best, labels)
    signature = types.void(panel, eta, offset, best, labels)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        p, e, o, top, who = _arrays(context, builder, sig.args, args)
        code = _code(context, builder, panel)
        with cgutils.for_range(builder, _size(code, e, 0), intp=_I64) as loop:
            first = code.times(loop.index, _I64(COMPONENTS))
            scores = _scores(code, p, e, o, first)
            for v in range(_VECTORS):
                place = _I64(v * code.lanes)
                held, label = (
                    code.load(code.at(top.data, place)),
                    code.load(code.at(who.data, place), code.labels),
                )
                for c in range(COMPONENTS):
                    wins = code.above(scores[c][v], held)
                    own = code.splat(builder.trunc(builder.add(first, _I64(c)), _I32))
                    held = builder.select(wins, scores[c][v], held)
                    label = builder.select(wins, own, label)
                code.store(held, code.at(top.data, place))
                code.store(label, code.at(who.data, place))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def two_best_of_panel(
    typing: Any, panel: Any, eta: Any, offset: Any, best: Any, second: Any, labels: Any
) -> Any:
    """As `best_of_panel`, and the highest score of the other components: fills second (rows,)."""
    _contiguous(panel, eta, offset, best, second, labels)
    signature = types.void(panel, eta, offset, best, second, labels)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        p, e, o, top, next_, who = _arrays(context, builder, sig.args, args)
        code = _code(context, builder, panel)
        with cgutils.for_range(builder, _size(code, e, 0), intp=_I64) as loop:
            first = code.times(loop.index, _I64(COMPONENTS))
            scores = _scores(code, p, e, o, first)
            for v in range(_VECTORS):
                place = _I64(v * code.lanes)
                held, other = (code.load(code.at(a.data, place)) for a in (top, next_))
                label = code.load(code.at(who.data, place), code.labels)
                for c in range(COMPONENTS):
                    score = scores[c][v]
                    wins = code.above(score, held)
                    own = code.splat(builder.trunc(builder.add(first, _I64(c)), _I32))
                    loser = builder.select(wins, held, score)
                    other = builder.select(code.above(loser, other), loser, other)
                    held = builder.select(wins, score, held)
                    label = builder.select(wins, own, label)
                for value, array in ((held, top), (other, next_), (label, who)):
                    code.store(value, code.at(array.data, place))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def scores_of_panel(typing: Any, panel: Any, eta: Any, offset: Any, out: Any, best: Any) -> Any:
    """All scores of a panel, and the highest: fills out (k, rows), raises best (rows,)."""
    _contiguous(panel, eta, offset, out, best)
    signature = types.void(panel, eta, offset, out, best)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        p, e, o, score, top = _arrays(context, builder, sig.args, args)
        code = _code(context, builder, panel)
        rows = _I64(_VECTORS * code.lanes)
        with cgutils.for_range(builder, _size(code, e, 0), intp=_I64) as loop:
            first = code.times(loop.index, _I64(COMPONENTS))
            scores = _scores(code, p, e, o, first)
            for v in range(_VECTORS):
                place = _I64(v * code.lanes)
                held = code.load(code.at(top.data, place))
                for c in range(COMPONENTS):
                    line = code.times(builder.add(first, _I64(c)), rows)
                    code.store(scores[c][v], code.at(score.data, line, place))
                    held = builder.select(code.above(scores[c][v], held), scores[c][v], held)
                code.store(held, code.at(top.data, place))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def exponentials_of_panel(typing: Any, score: Any, best: Any, lowest: Any, total: Any) -> Any:
    """exp(score - best) in place of scores (k, rows), 0 below `lowest`; adds to total (rows,)."""
    _contiguous(score, best, total)
    signature = types.void(score, best, lowest, total)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        s, top, least, sums = _arrays(context, builder, sig.args, args)
        code = _code(context, builder, score)
        rows = _I64(_VECTORS * code.lanes)
        floor = code.splat(least)
        for v in range(_VECTORS):
            place = _I64(v * code.lanes)
            highest = code.load(code.at(top.data, place))
            added = code.variable(code.load(code.at(sums.data, place)))
            with cgutils.for_range(builder, _size(code, s, 0), intp=_I64) as loop:
                where = code.at(s.data, code.times(loop.index, rows), place)
                below = builder.fsub(code.load(where), highest)
                # Ordered: NaN is not below, stays NaN, and is noticed in the objective.
                tiny = builder.fcmp_ordered("<", below, floor)
                value = builder.select(tiny, code.constant(0.0), code.exp(below))
                code.store(value, where)
                builder.store(builder.fadd(builder.load(added), value), added)
            code.store(builder.load(added), code.at(sums.data, place))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def gather_panels(typing: Any, resp: Any, panels: Any, count: Any, out: Any) -> Any:
    """Sums over the rows of the first `count` panels of resp times statistics, added to `out`.

    Resp (panels, k, rows), panels (panels, width, rows), out (k, width) of float64; k and width
    are multiples of `COMPONENTS` and `STATISTICS`. Lanes are added in float64.
    """
    _contiguous(resp, panels, out)
    signature = types.void(resp, panels, count, out)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        r, p, n, sums = _arrays(context, builder, sig.args, args)
        code = _code(context, builder, panels)
        k, width = _size(code, r, 1), _size(code, p, 1)
        n = context.cast(builder, n, sig.args[2], types.intp)
        blocks = [
            builder.udiv(total, _I64(size))
            for total, size in ((width, STATISTICS), (k, COMPONENTS))
        ]
        # Statistics outside: their vectors stay in the first cache for all components.
        with cgutils.for_range(builder, blocks[0], intp=_I64) as outer:
            column = code.times(outer.index, _I64(STATISTICS))
            with cgutils.for_range(builder, blocks[1], intp=_I64) as inner:
                first = code.times(inner.index, _I64(COMPONENTS))
                found = _products(code, (r, k, first), (p, width, column), n)
                for c in range(COMPONENTS):
                    line = code.times(builder.add(first, _I64(c)), width)
                    for j in range(STATISTICS):
                        where = code.at(sums.data, line, column, _I64(j))
                        more = code.total(builder.load(found[c][j]))
                        builder.store(builder.fadd(builder.load(where), more), where)
        return context.get_dummy_value()

    return signature, generate


def _products(code: _Code, resp: Any, statistics: Any, count: Any) -> list[list[Any]]:
    """Accumulators, lane by lane, of a few components times a few statistics."""
    b, rows = code.builder, _I64(_VECTORS * code.lanes)
    (r, k, first), (p, width, column) = resp, statistics
    zero = code.constant(0.0)
    sums = [[code.variable(zero) for _ in range(STATISTICS)] for _ in range(COMPONENTS)]
    with cgutils.for_range(b, count, intp=_I64) as panel:
        own = code.at(r.data, code.times(b.add(code.times(panel.index, k), first), rows))
        lines = code.at(p.data, code.times(b.add(code.times(panel.index, width), column), rows))
        with cgutils.for_range(b, _I64(_VECTORS), intp=_I64) as vector:
            place = code.times(vector.index, _I64(code.lanes))
            t = [
                code.load(code.at(lines, place, code.times(_I64(j), rows)))
                for j in range(STATISTICS)
            ]
            for c in range(COMPONENTS):
                share = code.load(code.at(own, place, code.times(_I64(c), rows)))
                for j in range(STATISTICS):
                    b.store(code.fused(share, t[j], b.load(sums[c][j])), sums[c][j])
    return sums


def _square_turner(side: int) -> Any:
    @intrinsic
    def turn_square(
        typing: Any, x: Any, row: Any, column: Any, origin: Any, panel: Any, lane: Any
    ) -> Any:
        """Lay a square of ``x - origin`` into a panel: columns of x (m, d) become lines of it.

        The subtraction is done in float64 and then rounded to the panel's numbers.
        """
        _contiguous(x, origin, panel)
        signature = types.void(x, row, column, origin, panel, lane)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            a, i, j, o, p, at = _arrays(context, builder, sig.args, args)
            places = ((1, i), (2, j), (5, at))
            i, j, at = (context.cast(builder, v, sig.args[n], types.intp) for n, v in places)
            code = _Code(builder, context.get_data_type(panel.dtype), side)
            wide = ir.VectorType(ir.DoubleType(), code.lanes)
            stored = ir.VectorType(context.get_data_type(x.dtype), code.lanes)
            d, rows = _size(code, a, 1), _size(code, p, 1)
            middle = code.load(code.at(o.data, j), wide)
            square = []
            for n in range(code.lanes):
                start = code.at(a.data, code.times(builder.add(i, _I64(n)), d), j)
                value = code.load(start, stored)
                value = value if stored == wide else builder.fpext(value, wide)
                value = builder.fsub(value, middle)
                square.append(value if code.type == wide else builder.fptrunc(value, code.type))
            for n, line in enumerate(code.turned(square)):
                code.store(line, code.at(p.data, code.times(builder.add(j, _I64(n)), rows), at))
            return context.get_dummy_value()

        return signature, generate

    return turn_square


turn_4, turn_8, turn_16 = _square_turner(4), _square_turner(8), _square_turner(16)


def _row_gatherer(weighted: bool) -> Any:
    @intrinsic
    def gather_rows(
        typing: Any, x: Any, first: Any, last: Any, origin: Any, means: Any, labels: Any,
        weight: Any, sums: Any,
    ) -> Any:  # fmt: skip
        """Add rows ``x[first:last] - origin`` to the sums of their labels; their distance.

        Origin (1, w), means and sums (k, w) are float64 of a width that is a multiple of
        `ROW_LANES`, and the rows (m, d) are read as if they were so wide: the last of them must
        not reach the end of the array. Labels and weight (m,); the sum of weighted squared
        distances to the means is returned.
        """
        _contiguous(x, origin, means, labels, weight, sums)
        signature = types.float64(x, first, last, origin, means, labels, weight, sums)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            a, low, high, o, mu, who, w, t = _arrays(context, builder, sig.args, args)
            code = _Code(builder, ir.DoubleType(), ROW_LANES)
            stored = ir.VectorType(context.get_data_type(x.dtype), ROW_LANES)
            d, width = _size(code, a, 1), _size(code, mu, 1)
            end, counted = (
                code.splat(d),
                ir.Constant(ir.VectorType(_I64, ROW_LANES), list(range(ROW_LANES))),
            )
            total = code.variable(code.constant(0.0))
            part = code.variable(code.constant(0.0))
            low, high = (
                context.cast(builder, v, sig.args[n], types.intp) for n, v in ((1, low), (2, high))
            )
            with cgutils.for_range_slice(builder, low, high, _I64(1), _I64) as (row, _):
                place = builder.sub(row, low)
                label = builder.sext(builder.load(code.at(who.data, place)), _I64)
                line = code.times(label, width)
                builder.store(code.constant(0.0), part)
                share = code.splat(builder.load(code.at(w.data, row))) if weighted else None
                with cgutils.for_range_slice(builder, _I64(0), width, _I64(ROW_LANES), _I64) as (
                    j,
                    _,
                ):
                    value = code.load(code.at(a.data, code.times(row, d), j), stored)
                    # What was read beyond the row belongs to another, and may be NaN.
                    own = builder.icmp_signed("<", builder.add(code.splat(j), counted), end)
                    value = builder.select(own, value, ir.Constant(stored, [0.0] * ROW_LANES))
                    value = value if stored == code.type else builder.fpext(value, code.type)
                    value = builder.fsub(value, code.load(code.at(o.data, j)))
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


#: Numbers of a row that are added at once.
ROW_LANES = 8
gather_rows, gather_weighted_rows = _row_gatherer(False), _row_gatherer(True)
