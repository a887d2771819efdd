"""Sufficient statistics T(x) as products of two lines of a panel, of which one may be all ones.

A panel of rows has a line for each feature, a line of ones, and the lines that `extras` lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core import cgutils, types
from numpy.typing import NDArray

from emdist.kernels.vector.lanes import (
    I32,
    I64,
    VECTORS,
    arrays,
    code_for,
    contiguous,
    inline,
    size,
)

Array = NDArray[Any]
Index = NDArray[np.int32]

#: Marks an extra line that is the squared norm of all features; others say if feature a equals c.
NORM = -1


@dataclass(frozen=True)
class Lines:
    """A table that says which products of lines make up T(x).

    Attributes
    ----------
    pairs
        (D, 2) lines of the panel: statistic j is the product of pair j. Lines 0..d-1 are the
        features, line d is one, and lines from d + 1 are the extras.
    extras
        (e, 2): (NORM, NORM) for ``|x|^2``, or (a, c) for ``x_a == c``.
    """

    pairs: Index
    extras: Index

    def direct(self, d: int) -> bool:
        """Return whether T(x) is x."""
        return np.array_equal(self.pairs, features(d).pairs)


def _lines(*parts: Any, extras: Any = ()) -> Lines:
    found = np.concatenate([np.asarray(p, np.int32).reshape(-1, 2) for p in parts])
    return Lines(np.ascontiguousarray(found), np.array(extras, np.int32).reshape(-1, 2))


def _itself(d: int) -> Any:
    return np.stack([np.arange(d), np.full(d, d)], axis=1)


def features(d: int) -> Lines:
    """Return the lines of T(x) = x."""
    return _lines(_itself(d))


def squares(d: int) -> Lines:
    """Return the lines of T(x) = (x, x^2)."""
    return _lines(_itself(d), np.stack([np.arange(d)] * 2, axis=1))


def norm(d: int) -> Lines:
    """Return the lines of T(x) = (x, |x|^2)."""
    return _lines(_itself(d), [[d, d + 1]], extras=[[NORM, NORM]])


def products(d: int) -> Lines:
    """Return the lines of T(x) = (x, upper(x x^T))."""
    return _lines(_itself(d), np.stack(np.triu_indices(d), axis=1))


def categories(d: int, c: int) -> Lines:
    """Return the lines of T(x) = one-hot(x), with c numbers for each feature."""
    extras = np.stack(np.divmod(np.arange(d * c), c), axis=1)
    return _lines(np.stack([np.full(d * c, d), d + 1 + np.arange(d * c)], axis=1), extras=extras)


def beside(parts: Sequence[tuple[NDArray[np.int64], Lines | None]], d: int) -> Lines | None:
    """Return lines of groups of columns, for d features in all; None if there is no such table."""
    pairs: list[Any] = []
    extras: list[Any] = []
    for columns, lines in parts:
        if lines is None or (lines.extras[:, 0] == NORM).any():
            return None  # A norm is one of all features, not of a group.
        more = d + 1 + len(extras) + np.arange(len(lines.extras))
        pairs.append(np.concatenate([columns, [d], more])[lines.pairs])
        extras += [(columns[a], c) for a, c in lines.extras]
    return _lines(*pairs, extras=extras)


@inline
def fill_extras(typing: Any, d: Any, extras: Any, panel: Any) -> Any:
    """Fill the lines after the features of a panel (lines, rows): the ones, and the extras."""
    contiguous(extras, panel)
    signature = types.void(d, extras, panel)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        count, table, p = arrays(context, builder, sig.args, args)
        count = context.cast(builder, count, sig.args[0], types.intp)
        code = code_for(context, builder, panel)
        rows, one, zero = I64(VECTORS * code.lanes), code.constant(1.0), code.constant(0.0)
        total = code.variable(zero)
        for v in range(VECTORS):
            base = code.at(p.data, I64(v * code.lanes))
            code.store(one, code.at(base, code.times(count, rows)))
            with cgutils.for_range(builder, size(code, table, 0), intp=I64) as extra:
                pair = code.times(extra.index, I64(2))
                a, c = (builder.load(code.at(table.data, pair, I64(i))) for i in range(2))
                into = builder.add(builder.add(count, I64(1)), extra.index)
                builder.store(zero, total)
                norm = builder.icmp_signed("==", a, I32(NORM))
                with builder.if_else(norm) as (squares, equal):
                    with squares, cgutils.for_range(builder, count, intp=I64) as line:
                        own = code.load(code.at(base, code.times(line.index, rows)))
                        more = builder.fmul(own, own)
                        builder.store(builder.fadd(builder.load(total), more), total)
                    with equal:
                        own = code.load(code.at(base, code.times(builder.sext(a, I64), rows)))
                        value = code.splat(builder.sitofp(c, code.number))
                        same = builder.fcmp_ordered("==", own, value)
                        builder.store(builder.select(same, one, zero), total)
                code.store(builder.load(total), code.at(base, code.times(into, rows)))
        return context.get_dummy_value()

    return signature, generate
