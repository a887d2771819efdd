"""Sufficient statistics as products of two lines of a panel, where one may be a line of ones.

A panel of rows has a line for each feature, one of ones, and what `extras` asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]
Index = NDArray[np.int32]

#: What an extra line is: the squared norm of all features, or whether feature a is c.
NORM = -1


@dataclass(frozen=True)
class Lines:
    """T(x), line by line.

    Attributes
    ----------
    pairs
        (D, 2) of lines of the panel: statistic j is the product of pair j. Lines 0..d-1 are the
        features, d is one, d + 1 and on are extras.
    extras
        (e, 2): (NORM, NORM) for ``|x|^2``, or (a, c) for ``x_a == c``.
    """

    pairs: Index
    extras: Index

    def direct(self, d: int) -> bool:
        """Whether T(x) is x."""
        return np.array_equal(self.pairs, features(d).pairs)


def _lines(*parts: Any, extras: Any = ()) -> Lines:
    found = np.concatenate([np.asarray(p, np.int32).reshape(-1, 2) for p in parts])
    return Lines(np.ascontiguousarray(found), np.array(extras, np.int32).reshape(-1, 2))


def _itself(d: int) -> Any:
    return np.stack([np.arange(d), np.full(d, d)], axis=1)


def features(d: int) -> Lines:
    """T(x) = x."""
    return _lines(_itself(d))


def squares(d: int) -> Lines:
    """T(x) = (x, x^2)."""
    return _lines(_itself(d), np.stack([np.arange(d)] * 2, axis=1))


def norm(d: int) -> Lines:
    """T(x) = (x, |x|^2)."""
    return _lines(_itself(d), [[d, d + 1]], extras=[[NORM, NORM]])


def products(d: int) -> Lines:
    """T(x) = (x, upper(x x^T))."""
    return _lines(_itself(d), np.stack(np.triu_indices(d), axis=1))


def categories(d: int, c: int) -> Lines:
    """T(x) = one-hot(x), c numbers a feature."""
    extras = np.stack(np.divmod(np.arange(d * c), c), axis=1)
    return _lines(np.stack([np.full(d * c, d), d + 1 + np.arange(d * c)], axis=1), extras=extras)


def beside(parts: Sequence[tuple[NDArray[np.int64], Lines | None]], d: int) -> Lines | None:
    """Lines of groups of columns, of d features in all; None where there is no such table."""
    pairs: list[Any] = []
    extras: list[Any] = []
    for columns, lines in parts:
        if lines is None or (lines.extras[:, 0] == NORM).any():
            return None  # A norm is of all features.
        more = d + 1 + len(extras) + np.arange(len(lines.extras))
        pairs.append(np.concatenate([columns, [d], more])[lines.pairs])
        extras += [(columns[a], c) for a, c in lines.extras]
    return _lines(*pairs, extras=extras)


@jit
def fill_extras(d: Any, extras: Array, panel: Array) -> None:
    """Fill the lines behind the features of a panel (lines, rows): ones, and extras."""
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
