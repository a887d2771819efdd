"""Scores the rows of a panel in registers: the best score, the two best, or all scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from emdist.kernels.vector.lanes import (
    COMPONENTS,
    I32,
    I64,
    VECTORS,
    Code,
    arrays,
    code_for,
    contiguous,
    inline,
    size,
)


def _sums(
    code: Code, panel: Any, eta: Any, first: Any, add: Callable[[Any, Any, Any], Any]
) -> list[list[Any]]:
    """Add up ``add(x, eta, sum)`` along the lines of a panel, for a group of components."""
    b, rows = code.builder, I64(VECTORS * code.lanes)
    width = size(code, eta, 1)
    zero = code.constant(0.0)
    sums = [[code.variable(zero) for _ in range(VECTORS)] for _ in range(COMPONENTS)]
    base = code.at(eta.data, code.times(first, width))
    with cgutils.for_range(b, width, intp=I64) as loop:
        column = code.at(panel.data, code.times(loop.index, rows))
        x = [code.load(code.at(column, I64(v * code.lanes))) for v in range(VECTORS)]
        own = code.at(base, code.times(loop.index, I64(COMPONENTS)))
        for c in range(COMPONENTS):
            weight = code.splat(b.load(code.at(own, I64(c))))
            for v in range(VECTORS):
                b.store(add(x[v], weight, b.load(sums[c][v])), sums[c][v])
    return [[b.load(each) for each in row] for row in sums]


def _scores(code: Code, panel: Any, eta: Any, offset: Any, first: Any) -> list[list[Any]]:
    """Compute scores of components first, first + 1, ... for the vectors of a panel."""
    sums = _sums(code, panel, eta, first, code.fused)
    # Add the offset last: it can be as large as the terms, which would lose their digits to it.
    ends = _ends(code, offset, first)
    return [
        [code.builder.fadd(each, end) for each in row] for row, end in zip(sums, ends, strict=True)
    ]


def _ends(code: Code, offset: Any, first: Any) -> list[Any]:
    return [
        code.splat(code.builder.load(code.at(offset.data, first, I64(c))))
        for c in range(COMPONENTS)
    ]


def _closeness(code: Code, panel: Any, centres: Any, offset: Any, first: Any) -> list[list[Any]]:
    """Compute the offset less ``sum_j |x_j - centre_j|``, added in the order of features."""

    def add(x: Any, centre: Any, held: Any) -> Any:
        return code.builder.fadd(held, code.absolute(code.builder.fsub(x, centre)))

    sums = _sums(code, panel, centres, first, add)
    ends = _ends(code, offset, first)
    return [
        [code.builder.fsub(end, each) for each in row] for row, end in zip(sums, ends, strict=True)
    ]


def _winner(code: Code, scores: list[Any]) -> tuple[Any, Any]:
    """Return the highest of some scores, and which one it is: the first among equals.

    The comparisons are made in rounds, so that few of them wait for others. A comparison with NaN
    is false, so NaN never replaces an earlier score.
    """
    left = [(score, code.constant(i, code.labels)) for i, score in enumerate(scores)]
    while len(left) > 1:
        pairs = zip(left[::2], left[1::2], strict=False)
        ahead = len(left) % 2 * left[-1:]
        left = [_better(code, *a, *b) for a, b in pairs] + ahead
    return left[0]


def _better(code: Code, a: Any, own: Any, b: Any, other: Any) -> tuple[Any, Any]:
    wins = code.above(b, a)
    return code.builder.select(wins, b, a), code.builder.select(wins, other, own)


def _two_winners(code: Code, scores: list[Any]) -> tuple[Any, Any, Any]:
    """Return the highest of an even number of scores, the second highest, and the first's index."""
    left = []
    for i in range(0, len(scores), 2):
        at = [code.constant(i + n, code.labels) for n in range(2)]
        best, own = _better(code, scores[i], at[0], scores[i + 1], at[1])
        left.append((best, _lower(code, scores[i], scores[i + 1]), own))
    while len(left) > 1:
        left = [_better_two(code, left[0], left[1]), *left[2:]]
    return left[0]


def _better_two(code: Code, a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Return the two best of two pairs, and the index of the best: that of `a` among equals."""
    best, own = _better(code, a[0], a[2], b[0], b[2])
    losers = _lower(code, a[0], b[0])
    seconds = code.builder.select(code.above(a[1], b[1]), a[1], b[1])
    return best, code.builder.select(code.above(losers, seconds), losers, seconds), own


def _lower(code: Code, a: Any, b: Any) -> Any:
    return code.builder.select(code.above(b, a), a, b)


def _best_finder(scores_of: Callable[..., list[list[Any]]]) -> Any:
    """Make the function that finds the best component by such scores."""

    @inline
    def best_of_panel(
        typing: Any, panel: Any, eta: Any, offset: Any, best: Any, labels: Any
    ) -> Any:
        """Find each row's highest score and its component, the lowest index among equals.

        Panel (width, rows), eta (k / 6, width, 6), offset (k,); fills best (rows,), labels (rows,).
        """
        contiguous(panel, eta, offset, best, labels)
        signature = types.void(panel, eta, offset, best, labels)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            p, e, o, top, who = arrays(context, builder, sig.args, args)
            code = code_for(context, builder, panel)
            with cgutils.for_range(builder, size(code, e, 0), intp=I64) as loop:
                first = code.times(loop.index, I64(COMPONENTS))
                scores = scores_of(code, p, e, o, first)
                for v in range(VECTORS):
                    place = I64(v * code.lanes)
                    held = code.load(code.at(top.data, place))
                    label = code.load(code.at(who.data, place), code.labels)
                    best, own = _winner(code, [row[v] for row in scores])
                    own = builder.add(own, code.splat(builder.trunc(first, I32)))
                    wins = code.above(best, held)
                    held = builder.select(wins, best, held)
                    label = builder.select(wins, own, label)
                    code.store(held, code.at(top.data, place))
                    code.store(label, code.at(who.data, place))
            return context.get_dummy_value()

        return signature, generate

    return best_of_panel


#: By scores ``eta x + offset``, and by minus the sum of ``|x - eta|``, plus the offset.
best_of_panel, nearest_of_panel = _best_finder(_scores), _best_finder(_closeness)


@inline
def two_best_of_panel(
    typing: Any, panel: Any, eta: Any, offset: Any, best: Any, second: Any, labels: Any
) -> Any:
    """Do what `best_of_panel` does, and fill second (rows,) with the next highest score."""
    contiguous(panel, eta, offset, best, second, labels)
    signature = types.void(panel, eta, offset, best, second, labels)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        p, e, o, top, next_, who = arrays(context, builder, sig.args, args)
        code = code_for(context, builder, panel)
        with cgutils.for_range(builder, size(code, e, 0), intp=I64) as loop:
            first = code.times(loop.index, I64(COMPONENTS))
            scores = _scores(code, p, e, o, first)
            for v in range(VECTORS):
                place = I64(v * code.lanes)
                held, other = (code.load(code.at(a.data, place)) for a in (top, next_))
                label = code.load(code.at(who.data, place), code.labels)
                best, second, own = _two_winners(code, [row[v] for row in scores])
                own = builder.add(own, code.splat(builder.trunc(first, I32)))
                held, other, label = _better_two(code, (held, other, label), (best, second, own))
                for value, array in ((held, top), (other, next_), (label, who)):
                    code.store(value, code.at(array.data, place))
        return context.get_dummy_value()

    return signature, generate


@inline
def scores_of_panel(typing: Any, panel: Any, eta: Any, offset: Any, out: Any, best: Any) -> Any:
    """Fill `out` (k, rows) with all scores of a panel, and raise `best` (rows,) to the highest."""
    contiguous(panel, eta, offset, out, best)
    signature = types.void(panel, eta, offset, out, best)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        p, e, o, score, top = arrays(context, builder, sig.args, args)
        code = code_for(context, builder, panel)
        rows = I64(VECTORS * code.lanes)
        with cgutils.for_range(builder, size(code, e, 0), intp=I64) as loop:
            first = code.times(loop.index, I64(COMPONENTS))
            scores = _scores(code, p, e, o, first)
            for v in range(VECTORS):
                place = I64(v * code.lanes)
                held = code.load(code.at(top.data, place))
                for c in range(COMPONENTS):
                    line = code.times(builder.add(first, I64(c)), rows)
                    code.store(scores[c][v], code.at(score.data, line, place))
                    held = builder.select(code.above(scores[c][v], held), scores[c][v], held)
                code.store(held, code.at(top.data, place))
        return context.get_dummy_value()

    return signature, generate


@inline
def exponentials_of_panel(typing: Any, score: Any, best: Any, lowest: Any, total: Any) -> Any:
    """Replace scores (k, rows) by exp(score - best), 0 below `lowest`; sum into total (rows,)."""
    contiguous(score, best, total)
    signature = types.void(score, best, lowest, total)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        s, top, least, sums = arrays(context, builder, sig.args, args)
        code = code_for(context, builder, score)
        rows = I64(VECTORS * code.lanes)
        floor = code.splat(context.cast(builder, least, sig.args[2], score.dtype))
        for v in range(VECTORS):
            place = I64(v * code.lanes)
            highest = code.load(code.at(top.data, place))
            added = code.variable(code.load(code.at(sums.data, place)))
            with cgutils.for_range(builder, size(code, s, 0), intp=I64) as loop:
                where = code.at(s.data, code.times(loop.index, rows), place)
                below = builder.fsub(code.load(where), highest)
                # The comparison is ordered: NaN is not below the floor, so it stays NaN and is
                # noticed in the objective.
                tiny = builder.fcmp_ordered("<", below, floor)
                value = builder.select(tiny, code.constant(0.0), code.exp(below))
                code.store(value, where)
                builder.store(builder.fadd(builder.load(added), value), added)
            code.store(builder.load(added), code.at(sums.data, place))
        return context.get_dummy_value()

    return signature, generate


@inline
def shares_of_panel(typing: Any, resp: Any, share: Any, seen: Any) -> Any:
    """Multiply resp (k, rows) by share (rows,), and mark in seen (k,) where the result is not 0.

    Each row has a bit of an int64, and there are at most 64 rows. NaN is not 0.
    """
    contiguous(resp, share, seen)
    signature = types.void(resp, share, seen)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        r, s, found = arrays(context, builder, sig.args, args)
        code = code_for(context, builder, resp)
        places = [I64(v * code.lanes) for v in range(VECTORS)]
        shares = [code.load(code.at(s.data, place)) for place in places]
        zero, bits = code.constant(0.0), ir.IntType(code.lanes)
        with cgutils.for_range(builder, size(code, r, 0), intp=I64) as loop:
            line, mask = code.times(loop.index, I64(VECTORS * code.lanes)), I64(0)
            for place, one in zip(places, shares, strict=True):
                where = code.at(r.data, line, place)
                value = builder.fmul(code.load(where), one)
                code.store(value, where)
                there = builder.bitcast(builder.fcmp_unordered("!=", value, zero), bits)
                there = there if bits == I64 else builder.zext(there, I64)
                mask = builder.or_(mask, builder.shl(there, place))
            builder.store(mask, code.at(found.data, loop.index))
        return context.get_dummy_value()

    return signature, generate
