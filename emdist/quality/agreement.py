"""How well two labellings of the same rows agree, from counts of pairs of labels.

The counts come from one read of both arrays of labels. All figures follow from them, with the
definitions of scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.errors import ShapeError
from emdist.interfaces import Engine
from emdist.kernels.tiles.pairs import count_pairs, expected_information
from emdist.quality.labels import LEFT_OUT, LabelArray, Labels, codes_of, distinct

#: Labels that are read at once.
_PART = 1 << 22
#: Cells of a table of counts that is filled densely.
_CELLS = 1 << 22
#: Up to which number factorials are computed by themselves, rather than by Stirling's series.
_EXACT = 1 << 16


@dataclass(frozen=True)
class PairCounts:
    """How often each pair of labels occurs.

    Attributes
    ----------
    first, second
        (p,) the labels of each pair, in ascending order.
    count
        (p,) the number of rows with these labels, int64.
    left_out
        The number of rows that have no label in one of the arrays.
    """

    first: Labels
    second: Labels
    count: NDArray[np.int64]
    left_out: int = 0

    def __add__(self, other: PairCounts) -> PairCounts:
        first = np.concatenate([self.first, other.first])
        second = np.concatenate([self.second, other.second])
        count = np.concatenate([self.count, other.count])
        order = np.lexsort((second, first))
        first, second, count = first[order], second[order], count[order]
        new = np.ones(len(first), bool)
        new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        at = np.flatnonzero(new)
        sums = np.add.reduceat(count, at) if len(at) else count
        return PairCounts(first[at], second[at], sums, self.left_out + other.left_out)

    @property
    def rows(self) -> int:
        """The number of rows with two labels."""
        return int(self.count.sum())

    def table(self) -> tuple[Labels, Labels, NDArray[np.int64], NDArray[np.int64]]:
        """Return the labels of both arrays, and the row and column of each pair's cell."""
        rows, columns = np.unique(self.first), np.unique(self.second)
        return (
            rows,
            columns,
            np.searchsorted(rows, self.first),
            np.searchsorted(columns, self.second),
        )

    def margins(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many rows have each label of the first and of the second array."""
        _, _, at, by = self.table()
        return _summed(at, self.count), _summed(by, self.count)


def _summed(at: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.zeros(int(at.max()) + 1 if len(at) else 0, np.int64)
    np.add.at(found, at, count)
    return found


@dataclass(frozen=True)
class PairStep:
    """The task that counts the pairs of labels in one part of two arrays.

    Attributes
    ----------
    first, second
        The arrays, of one shape.
    step
        The number of positions of the first dimension in a part.
    """

    first: LabelArray
    second: LabelArray
    step: int

    def __call__(self, i: int) -> PairCounts:
        end = min(self.first.shape[0], (i + 1) * self.step)
        region = (slice(i * self.step, end), *map(slice, self.first.shape[1:]))
        a = self.first.read(region, i).reshape(-1)
        b = self.second.read(region, i).reshape(-1)
        out = (a == LEFT_OUT) | (b == LEFT_OUT)
        left = int(np.count_nonzero(out))
        return _counted(a[~out], b[~out], left) if left else _counted(a, b, 0)


def _counted(a: Labels, b: Labels, left: int) -> PairCounts:
    if not len(a):
        return PairCounts(a, b, np.empty(0, np.int64), left)
    low, wide = int(a.min()), int(a.max()) - int(a.min()) + 1
    least, high = int(b.min()), int(b.max()) - int(b.min()) + 1
    if wide * high <= _CELLS:
        cells = np.zeros((wide, high), np.int64)
        count_pairs(a, b, low, least, cells)
        first, second = np.nonzero(cells)
        return PairCounts(first + low, second + least, cells[first, second], left)
    rows, columns = distinct(a), distinct(b)
    at, by = codes_of(a, rows), codes_of(b, columns)
    pairs, count = np.unique(at * len(columns) + by, return_counts=True)
    first, second = np.divmod(pairs, len(columns))
    return PairCounts(rows[first], columns[second], count.astype(np.int64), left)


def pair_counts(first: LabelArray, second: LabelArray, engine: Engine) -> PairCounts:
    """Return the counts of pairs of labels, from one read of both arrays.

    Raises
    ------
    ShapeError
        If the arrays have different shapes.
    """
    if first.shape != second.shape:
        raise ShapeError(
            f"The two arrays of labels have the shapes {first.shape} and {second.shape}; expected "
            "labels of the same rows."
        )
    n = first.shape[0]
    unit = math.lcm(max(1, first.unit), max(1, second.unit))
    whole = max(1, _PART // max(1, math.prod(first.shape[1:])))
    step = -(-whole // unit) * unit if unit <= whole else whole
    found: PairCounts = engine.map_reduce(
        PairStep(first, second, step), range(max(1, -(-n // step)))
    )
    if not found.rows:
        raise ShapeError("No row has a label in both arrays, so that there is nothing to compare.")
    return found


def _pairs(count: NDArray[np.int64]) -> int:
    """Return the number of ordered pairs of rows within each count, added up, exactly."""
    return sum(int(n) * (int(n) - 1) for n in count)


def rand(found: PairCounts) -> float:
    """Return the Rand index (Rand 1971, J. Am. Stat. Assoc. 66)."""
    rows, columns = found.margins()
    n = found.rows
    every = n * (n - 1)
    if not every:
        return 1.0
    return (every + 2 * _pairs(found.count) - _pairs(rows) - _pairs(columns)) / every


def adjusted_rand(found: PairCounts) -> float:
    """Return the adjusted Rand index (Hubert and Arabie 1985, J. Classification 2)."""
    rows, columns = found.margins()
    n = found.rows
    both, a, b, every = _pairs(found.count), _pairs(rows), _pairs(columns), n * (n - 1)
    # As of the confusion matrix of pairs: together or apart in each of the labellings.
    tp, fp, fn = both, b - both, a - both
    tn = every - a - b + both
    if fn == 0 and fp == 0:
        return 1.0
    return 2 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn))


def fowlkes_mallows(found: PairCounts) -> float:
    """Return the index of Fowlkes and Mallows 1983, J. Am. Stat. Assoc. 78."""
    rows, columns = found.margins()
    both, a, b = _pairs(found.count), _pairs(rows), _pairs(columns)
    return math.sqrt(both / a) * math.sqrt(both / b) if both else 0.0


def _entropy(count: NDArray[np.int64]) -> float:
    """Return the entropy of a labelling, in nats."""
    share = count / count.sum()
    return float(-(share @ np.log(share))) + 0.0


def mutual_information(found: PairCounts) -> float:
    """Return the mutual information of the two labellings, in nats."""
    _, _, at, by = found.table()
    rows, columns = found.margins()
    n = found.rows
    share = found.count / n
    logs = np.log(found.count) - np.log(n) - np.log(rows[at] / n) - np.log(columns[by] / n)
    return max(0.0, float(share @ logs))


def normalised_information(found: PairCounts, mean: Callable[[float, float], float]) -> float:
    """Return mutual information over a `mean` of the entropies of both labellings."""
    rows, columns = found.margins()
    if len(rows) == len(columns) == 1:
        return 1.0
    information = mutual_information(found)
    # Below the rounding of entropies, it is no information.
    if information <= float(np.finfo(np.float64).eps):
        return 0.0
    return information / mean(_entropy(rows), _entropy(columns))


def adjusted_information(found: PairCounts, mean: Callable[[float, float], float]) -> float:
    """Return mutual information adjusted for chance, over a `mean` of both entropies.

    Vinh, Epps and Bailey 2010, JMLR 11.
    """
    rows, columns = found.margins()
    n = found.rows
    if len(rows) == len(columns) == 1 or len(rows) == len(columns) == n:
        return 1.0
    information = mutual_information(found)
    upper = min(_EXACT, n) + 1
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, upper)))])
    expected = expected_information(
        rows.astype(np.float64), columns.astype(np.float64), float(n), factorials
    )
    rest = mean(_entropy(rows), _entropy(columns)) - expected
    tiny = float(np.finfo(np.float64).eps)
    rest = min(rest, -tiny) if rest < 0 else max(rest, tiny)
    return float((information - expected) / rest)


def v_measure(found: PairCounts, beta: float = 1.0) -> tuple[float, float, float]:
    """Return homogeneity, completeness and their weighted harmonic mean.

    Rosenberg and Hirschberg 2007, EMNLP-CoNLL.
    """
    rows, columns = found.margins()
    information = mutual_information(found)
    a, b = _entropy(rows), _entropy(columns)
    homogeneity = information / a if a else 1.0
    completeness = information / b if b else 1.0
    if homogeneity + completeness == 0:
        return homogeneity, completeness, 0.0
    both = (1 + beta) * homogeneity * completeness / (beta * homogeneity + completeness)
    return homogeneity, completeness, both


def as_matrix(found: PairCounts) -> tuple[Labels, Labels, NDArray[np.int64]]:
    """Return the labels of both arrays, and the dense table of counts (rows, columns)."""
    rows, columns, at, by = found.table()
    matrix = np.zeros((len(rows), len(columns)), np.int64)
    matrix[at, by] = found.count
    return rows, columns, matrix
