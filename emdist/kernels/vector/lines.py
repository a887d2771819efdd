"""Sufficient statistics T(x) as products of two lines of a panel, of which one may be all ones.

A panel of rows has a line for each feature, a line of ones, and the lines that `extras` lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import pasted

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


@pasted
def fill_extras(d: Any, extras: Array, panel: Array) -> None:
    """Fill the lines after the features of a panel (lines, rows): the ones, and the extras."""
    panel[d, :] = 1.0
    rows = panel.shape[1]
    for e in range(extras.shape[0]):
        a, c = extras[e]
        out = panel[d + 1 + e]
        out[:] = 0.0
        if a == NORM:
            for j in range(d):
                own = panel[j]
                for i in range(rows):
                    out[i] += own[i] * own[i]
        else:
            own = panel[a]
            for i in range(rows):
                out[i] = 1.0 if own[i] == c else 0.0
