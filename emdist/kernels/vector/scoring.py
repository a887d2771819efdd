"""Scores of the rows of a panel, in registers: the best, the two best, or all of them."""

from __future__ import annotations

from typing import Any

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


def _scores(code: Code, panel: Any, eta: Any, offset: Any, first: Any) -> list[list[Any]]:
    """Scores of components first, first + 1, ... for the vectors of a panel."""
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
                b.store(code.fused(x[v], weight, b.load(sums[c][v])), sums[c][v])
    # The offset comes last: it is large where terms are, and would take their digits with it.
    ends = [code.splat(b.load(code.at(offset.data, first, I64(c)))) for c in range(COMPONENTS)]
    return [
        [b.fadd(b.load(each), end) for each in row] for row, end in zip(sums, ends, strict=True)
    ]


def _winner(code: Code, scores: list[Any]) -> tuple[Any, Any]:
    """The highest of some scores, and which it is: the first of equals.

    In rounds, so that few comparisons wait for others. NaN lose, but among themselves.
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
    """The highest of an even number of scores, the second highest, and which the first is."""
    left = []
    for i in range(0, len(scores), 2):
        at = [code.constant(i + n, code.labels) for n in range(2)]
        best, own = _better(code, scores[i], at[0], scores[i + 1], at[1])
        left.append((best, _lower(code, scores[i], scores[i + 1]), own))
    while len(left) > 1:
        left = [_better_two(code, left[0], left[1]), *left[2:]]
    return left[0]


def _better_two(code: Code, a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """The first two of two pairs, and which is first: that of `a`, of equals."""
    best, own = _better(code, a[0], a[2], b[0], b[2])
    losers = _lower(code, a[0], b[0])
    seconds = code.builder.select(code.above(a[1], b[1]), a[1], b[1])
    return best, code.builder.select(code.above(losers, seconds), losers, seconds), own


def _lower(code: Code, a: Any, b: Any) -> Any:
    return code.builder.select(code.above(b, a), a, b)


@inline
def best_of_panel(typing: Any, panel: Any, eta: Any, offset: Any, best: Any, labels: Any) -> Any:
    """Highest score of each row of a panel and its component, the lowest of equals.

    Panel (width, rows), eta (k / 6, width, 6), offset (k,); fills best (rows,), labels (rows,).
    """
    contiguous(panel, eta, offset, best, labels)
    signature = types.void(panel, eta, offset, best, labels)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        p, e, o, top, who = arrays(context, builder, sig.args, args)
        code = code_for(context, builder, panel)
        with cgutils.for_range(builder, size(code, e, 0), intp=I64) as loop:
            first = code.times(loop.index, I64(COMPONENTS))
            scores = _scores(code, p, e, o, first)
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


@inline
def two_best_of_panel(
    typing: Any, panel: Any, eta: Any, offset: Any, best: Any, second: Any, labels: Any
) -> Any:
    """As `best_of_panel`, and the highest score of the other components: fills second (rows,)."""
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
    """All scores of a panel, and the highest: fills out (k, rows), raises best (rows,)."""
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
    """exp(score - best) in place of scores (k, rows), 0 below `lowest`; adds to total (rows,)."""
    contiguous(score, best, total)
    signature = types.void(score, best, lowest, total)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        s, top, least, sums = arrays(context, builder, sig.args, args)
        code = code_for(context, builder, score)
        rows = I64(VECTORS * code.lanes)
        floor = code.splat(least)
        for v in range(VECTORS):
            place = I64(v * code.lanes)
            highest = code.load(code.at(top.data, place))
            added = code.variable(code.load(code.at(sums.data, place)))
            with cgutils.for_range(builder, size(code, s, 0), intp=I64) as loop:
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
