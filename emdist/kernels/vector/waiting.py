"""Sums of components that few rows have a share in: their rows wait until they fill a panel.

Most responsibilities of separated components are 0. Rows with a share in such a component are
listed, and gathered for it alone. Groups of components that many rows have a share in are gathered
for all rows, because lists would cost more than they save.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numpy.typing import NDArray

from emdist.kernels.jit import pasted
from emdist.kernels.vector.gathering import gather_panel
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
from emdist.kernels.vector.lines import fill_extras

Array = NDArray[Any]

#: Cost of a listed row, in multiply-adds of a vector: whatever its statistics, and for each of them
#: beside the one that takes part in sums for all rows. Estimated from instructions for AVX-512, and
#: held against a few sizes.
_LISTED, _EACH = 120, 3
#: The share of rows below which lists are not kept, because finding these rows would take as long.
_LEAST = 0.03


def most_listed(rows: int, statistics: int) -> int:
    """Return how many rows times components of a panel and a group are worth listing, at most.

    0 says that nothing is worth it.
    """
    share = statistics / (_EACH * statistics + _LISTED * (rows // VECTORS))
    return int(COMPONENTS * rows * share) if share >= _LEAST else 0


@inline
def crowded(typing: Any, seen: Any, used: Any, most: Any, runs: Any) -> Any:
    """Fill `runs` with the first and last + 1 components of groups that are not worth listing.

    Their bits in seen (panels, k) are cleared. Returned is the number of runs (n, 2). If `most` is
    0, that is one run of all components.
    """
    contiguous(seen, runs)
    signature = types.int64(seen, used, most, runs)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        s, count, limit, found = arrays(context, builder, sig.args, args)
        code = Code(builder, ir.DoubleType(), 1)
        k, all_of_them = size(code, s, 1), builder.icmp_signed("==", limit, I64(0))
        panels = builder.select(all_of_them, I64(0), count)
        runs, last = code.variable(I64(0)), code.variable(I64(-1))
        shared, limit = code.variable(I64(0)), code.times(limit, count)
        with cgutils.for_range_slice(builder, I64(0), k, I64(COMPONENTS), I64) as (begin, _):
            builder.store(I64(0), shared)
            with cgutils.for_range(builder, panels, intp=I64) as panel:
                for c in range(COMPONENTS):
                    mask = code.at(s.data, code.times(panel.index, k), begin, I64(c))
                    more = builder.ctpop(builder.load(mask))
                    builder.store(builder.add(builder.load(shared), more), shared)
            many = builder.icmp_signed(">", builder.load(shared), limit)
            with builder.if_then(builder.or_(many, all_of_them)):
                with builder.if_then(builder.icmp_signed("!=", builder.load(last), begin)):
                    place = code.times(builder.load(runs), I64(2))
                    builder.store(begin, code.at(found.data, place))
                    builder.store(builder.add(builder.load(runs), I64(1)), runs)
                builder.store(builder.add(begin, I64(COMPONENTS)), last)
                place = builder.sub(code.times(builder.load(runs), I64(2)), I64(1))
                builder.store(builder.load(last), code.at(found.data, place))
                with cgutils.for_range(builder, panels, intp=I64) as panel:
                    for c in range(COMPONENTS):
                        mask = code.at(s.data, code.times(panel.index, k), begin, I64(c))
                        builder.store(I64(0), mask)
        return builder.load(runs)

    return signature, generate


@inline
def list_rows(
    typing: Any, first: Any, used: Any, seen: Any, resp: Any, held: Any, listed: Any, shares: Any
) -> Any:
    """Append the rows whose bits are set in seen (panels, k) to the lists of their components.

    The first row of the first panel is `first`. Component c has `held[c]` rows in listed (k, n),
    with their shares in shares (k, n).
    """
    contiguous(seen, resp, held, listed, shares)
    signature = types.void(first, used, seen, resp, held, listed, shares)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        start, count, s, r, h, rows, parts = arrays(context, builder, sig.args, args)
        code = code_for(context, builder, resp)
        k, room, lanes = size(code, s, 1), size(code, rows, 1), I64(VECTORS * code.lanes)
        left = code.variable(I64(0))
        with cgutils.for_range(builder, k, intp=I64) as component:
            c, held = component.index, code.at(h.data, component.index)
            with cgutils.for_range(builder, count, intp=I64) as panel:
                line = builder.add(code.times(panel.index, k), c)
                builder.store(builder.load(code.at(s.data, line)), left)
                with cgutils.for_range(builder, builder.ctpop(builder.load(left)), intp=I64):
                    mask, n = builder.load(left), builder.load(held)
                    i = builder.cttz(mask, ir.Constant(ir.IntType(1), 1))
                    row = builder.add(builder.add(start, code.times(panel.index, lanes)), i)
                    place = builder.add(code.times(c, room), n)
                    builder.store(builder.trunc(row, I32), code.at(rows.data, place))
                    share = builder.load(code.at(r.data, code.times(line, lanes), i))
                    builder.store(share, code.at(parts.data, place))
                    builder.store(builder.and_(mask, builder.sub(mask, I64(1))), left)
                    builder.store(builder.add(n, I64(1)), held)
        return context.get_dummy_value()

    return signature, generate


@inline
def fill_listed(
    typing: Any, x: Any, origin: Any, component: Any, done: Any, count: Any, listed: Any,
    shares: Any, panel: Any, share: Any,
) -> Any:  # fmt: skip
    """Fill a panel and share (rows,) with `count` rows of a list, from `done` on, the rest with 0.

    The origin is subtracted in its own numbers, and then rounded to the panel's.
    """
    contiguous(x, origin, listed, shares, panel, share)
    signature = types.void(x, origin, component, done, count, listed, shares, panel, share)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, o, c, first, n, which, parts, p, s = arrays(context, builder, sig.args, args)
        code, wide = code_for(context, builder, panel), context.get_data_type(origin.dtype)
        d, lanes = size(code, a, 1), I64(VECTORS * code.lanes)
        places = [I64(v * code.lanes) for v in range(VECTORS)]
        zero = code.constant(0.0)
        for place in places:
            code.store(zero, code.at(s.data, place))
        with cgutils.for_range(builder, d, intp=I64) as line:
            for place in places:
                code.store(zero, code.at(p.data, code.times(line.index, lanes), place))
        base = builder.add(code.times(c, size(code, which, 1)), first)
        with cgutils.for_range(builder, n, intp=I64) as lane:
            i = lane.index
            builder.store(builder.load(code.at(parts.data, base, i)), code.at(s.data, i))
            row = builder.sext(builder.load(code.at(which.data, base, i)), I64)
            with cgutils.for_range(builder, d, intp=I64) as line:
                value = builder.load(code.at(a.data, code.times(row, d), line.index))
                value = value if value.type == wide else builder.fpext(value, wide)
                value = builder.fsub(value, builder.load(code.at(o.data, line.index)))
                value = value if wide == code.number else builder.fptrunc(value, code.number)
                builder.store(value, code.at(p.data, code.times(line.index, lanes), i))
        return context.get_dummy_value()

    return signature, generate


@inline
def drop_listed(typing: Any, component: Any, done: Any, held: Any, listed: Any, shares: Any) -> Any:
    """Remove the first `done` rows from the list of a component."""
    contiguous(held, listed, shares)
    signature = types.void(component, done, held, listed, shares)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        c, first, h, which, parts = arrays(context, builder, sig.args, args)
        code = code_for(context, builder, shares)
        left = builder.sub(builder.load(code.at(h.data, c)), first)
        base = code.times(c, size(code, which, 1))
        builder.store(left, code.at(h.data, c))
        with cgutils.for_range(builder, left, intp=I64) as loop:
            for array in (which, parts):
                value = builder.load(code.at(array.data, base, first, loop.index))
                builder.store(value, code.at(array.data, base, loop.index))
        return context.get_dummy_value()

    return signature, generate


@pasted
def gather_listed(least: Any, x: Array, origin: Array, pairs: Array, extras: Array, held: Array,
                  listed: Array, shares: Array, panel: Array, share: Array,
                  out: Array) -> None:  # fmt: skip
    """Gather listed rows, a panel at a time, as long as a component has `least` of them."""
    for c in range(len(held)):
        done = 0
        while held[c] - done >= least:
            count = min(len(share), held[c] - done)
            fill_listed(x, origin, c, done, count, listed, shares, panel, share)
            fill_extras(x.shape[1], extras, panel)
            gather_panel(panel, pairs, share, c, out)
            done += count
        if done:
            drop_listed(c, done, held, listed, shares)
