"""Statistics and scores of the observed values of rows in which NaN marks missing values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit
from emdist.kernels.tiles.distances import squared_distances

Array = NDArray[Any]


@jit
def _observed(x: Array, powers: int, out: Array) -> None:
    m, d = x.shape
    for i in range(m):
        for j in range(d):
            value = x[i, j]
            # A comparison instead of isnan: it is exact for any type of float, and vectorises.
            seen = value == value
            filled = value if seen else out.dtype.type(0)
            out[i, j] = filled
            out[i, d + j] = 1 if seen else 0
            if powers == 2:
                out[i, 2 * d + j] = filled * filled


def with_observed(x: Array) -> Array:
    """Return ``(x, o)``: 0 for a missing x, and o says if it was observed. (m, d) -> (m, 2 d)."""
    out = np.empty((len(x), 2 * x.shape[1]), x.dtype)
    _observed(x, 1, out)
    return out


def with_observed_squares(x: Array) -> Array:
    """Return ``(x, o, x^2)`` with 0 for missing values: (m, d) -> (m, 3 d)."""
    out = np.empty((len(x), 3 * x.shape[1]), x.dtype)
    _observed(x, 2, out)
    return out


def with_observed_norm(x: Array) -> Array:
    """Return ``(x, o, |x|^2)`` with 0 for missing values: (m, d) -> (m, 2 d + 1)."""
    d = x.shape[1]
    out = np.empty((len(x), 2 * d + 1), x.dtype)
    _observed(x, 1, out[:, : 2 * d])
    out[:, 2 * d] = np.einsum("ij,ij->i", out[:, :d], out[:, :d])
    return out


def filled(x: Array, value: Any = 0.0) -> Array:
    """Return `x` with `value` (), (d,) or (m, d) in place of NaN; `x` itself if there is none."""
    missing = np.isnan(x)
    return np.where(missing, value, x).astype(x.dtype, copy=False) if missing.any() else x


def filled_pairs(x: Array) -> Array:
    """Return `x` (m, 2 d) with 0 for both numbers of a pair, j and d + j, that lacks one."""
    missing = np.isnan(x)
    if not missing.any():
        return x
    either = missing[:, : x.shape[1] // 2] | missing[:, x.shape[1] // 2 :]
    return np.where(np.tile(either, 2), 0.0, x).astype(x.dtype, copy=False)


@jit
def observed_quadratic(
    x: Array, means: Array, precisions: Array, half_logs: Array, out: Array
) -> None:
    """Fill `out` (k, m): sum ``half_log_j - (x_j - mean_j)^2 precision_j / 2`` over observed j."""
    for c in range(means.shape[0]):
        for i in range(x.shape[0]):
            total = 0.0
            for j in range(x.shape[1]):
                diff = x[i, j] - means[c, j]
                if diff == diff:
                    total += half_logs[c, j] - 0.5 * diff * diff * precisions[c, j]
            out[c, i] = total


@jit
def observed_squares(x: Array, resp: Array, means: Array, out: Array) -> None:
    """Add sums over rows to `out` (k, 3 d), weighted with `resp`, over observed values only.

    The sums are those of deviations from each mean, of weights, and of squared deviations.
    """
    d = x.shape[1]
    for c in range(means.shape[0]):
        for i in range(x.shape[0]):
            r = resp[c, i]
            if r != 0.0:
                for j in range(d):
                    diff = x[i, j] - means[c, j]
                    if diff == diff:
                        out[c, j] += r * diff
                        out[c, d + j] += r
                        out[c, 2 * d + j] += r * diff * diff


@jit
def observed_distance_to_own(x: Array, means: Array, labels: Array, out: Array) -> None:
    """Fill `out` (m,) with squared distances to the mean of a row's label over observed values."""
    for i in range(x.shape[0]):
        total = 0.0
        c = labels[i]
        for j in range(x.shape[1]):
            diff = np.float64(x[i, j]) - means[c, j]
            if diff == diff:
                total += diff * diff
        out[i] = total


def patterns(missing: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group rows by the features that they lack; return their order (m,) and the group starts.

    The last entry of the second array is m.
    """
    if len(missing) == 0:
        return np.empty(0, np.int64), np.zeros(1, np.int64)
    packed = np.packbits(missing, axis=1)
    order = np.lexsort(packed.T).astype(np.int64)
    steps = (packed[order[1:]] != packed[order[:-1]]).any(axis=1)
    starts = np.concatenate([[0], np.flatnonzero(steps) + 1, [len(missing)]])
    return order, starts.astype(np.int64)


@jit
def _cholesky(a: Array, n: int) -> float:
    """Factor the leading (n, n) of `a` in place, lower; return half its log-determinant.

    The result is NaN if `a` is not positive definite, which is noticed in the objective.
    """
    half_log = 0.0
    for j in range(n):
        pivot = a[j, j]
        for p in range(j):
            pivot -= a[j, p] * a[j, p]
        if not pivot > 0.0:
            pivot = np.nan
        root = np.sqrt(pivot)
        a[j, j] = root
        half_log += np.log(root)
        for i in range(j + 1, n):
            value = a[i, j]
            for p in range(j):
                value -= a[i, p] * a[j, p]
            a[i, j] = value / root
    return half_log


@jit
def _forward(lower: Array, n: int, b: Array) -> float:
    """Solve ``lower z = b`` in place over the leading n; return |z|^2."""
    total = 0.0
    for i in range(n):
        value = b[i]
        for p in range(i):
            value -= lower[i, p] * b[p]
        value /= lower[i, i]
        b[i] = value
        total += value * value
    return total


@jit
def _backward(lower: Array, n: int, b: Array) -> None:
    """Solve ``lower^T z = b`` in place over the leading n."""
    for i in range(n - 1, -1, -1):
        value = b[i]
        for p in range(i + 1, n):
            value -= lower[p, i] * b[p]
        b[i] = value / lower[i, i]


@jit
def _select(row: Array, wanted: bool, at: Array) -> int:
    """Write the indices of the entries of `row` equal to `wanted` to `at`; return how many."""
    n = 0
    for j in range(row.shape[0]):
        if row[j] == wanted:
            at[n] = j
            n += 1
    return n


@jit
def _submatrix(matrix: Array, at: Array, n: int, out: Array) -> None:
    for i in range(n):
        for j in range(i + 1):
            out[i, j] = matrix[at[i], at[j]]


@jit
def marginal_by_precision(
    e: Array,
    pe: Array,
    precision: Array,
    missing: Array,
    order: Array,
    starts: Array,
    out: Array,
) -> None:
    """Compute terms of ``log p(x_observed)`` of one Gaussian from its precision P of all features.

    With u the missing features, the terms are ``-1/2 (e^T P e - g^T P_uu^-1 g) - 1/2 log |P_uu|``,
    where g = (P e)_u. Add ``1/2 log |P|``, and -1/2 log 2 pi for each observed feature. The cost is
    u^3 / 6 for each pattern and u^2 / 2 for each row.

    Parameters
    ----------
    e, pe
        (m, d) ``x - mean`` with 0 for missing values, and ``P e``.
    precision
        (d, d) the precision matrix P.
    missing, order, starts
        (m, d) which values are missing, and the results of `patterns`.
    out
        (m,), filled.
    """
    d = e.shape[1]
    at, a, g = np.empty(d, np.int64), np.empty((d, d)), np.empty(d)
    for p in range(starts.shape[0] - 1):
        n = _select(missing[order[starts[p]]], True, at)
        _submatrix(precision, at, n, a)
        half_log = _cholesky(a, n)
        for r in range(starts[p], starts[p + 1]):
            i = order[r]
            total = 0.0
            for j in range(d):
                total += e[i, j] * pe[i, j]
            for j in range(n):
                g[j] = pe[i, at[j]]
            out[i] = -0.5 * (total - _forward(a, n, g)) - half_log


@jit
def marginal_by_covariance(
    e: Array, covariance: Array, missing: Array, order: Array, starts: Array, out: Array
) -> None:
    """Do what `marginal_by_precision` does, from the covariance S of observed features.

    This has no cancellation. It fills `out` with ``-1/2 e_o^T S_oo^-1 e_o - 1/2 log |S_oo|``, which
    is all but the constant. With o observed features, it costs o^3 / 6 for each pattern.
    """
    d = e.shape[1]
    at, a, z = np.empty(d, np.int64), np.empty((d, d)), np.empty(d)
    for p in range(starts.shape[0] - 1):
        n = _select(missing[order[starts[p]]], False, at)
        _submatrix(covariance, at, n, a)
        half_log = _cholesky(a, n)
        for r in range(starts[p], starts[p + 1]):
            i = order[r]
            for j in range(n):
                z[j] = e[i, at[j]]
            out[i] = -0.5 * _forward(a, n, z) - half_log


@jit
def conditional(
    e: Array,
    pe: Array,
    precision: Array,
    missing: Array,
    order: Array,
    starts: Array,
    weight: Array,
    covariance: Array,
    variance: Array,
) -> None:
    """Fill `e` with missing values, given the observed ones, and add up their covariances.

    Both are those of one Gaussian.

    ``E[x_u | x_o] - mean_u = -P_uu^-1 (P e)_u`` with covariance ``P_uu^-1``. Rows of weight 0 keep
    0, which is right for sums, but not for any other use.

    Parameters
    ----------
    e, pe, precision, missing, order, starts
        As in `marginal_by_precision`; `e` is completed in place.
    weight
        (m,) the weights by which the conditional covariances of the rows are summed.
    covariance
        (d, d), to which that sum is added.
    variance
        (m, d) to be filled with the conditional variances of each row, or (0, 0).
    """
    d = e.shape[1]
    at, a, inverse, g = np.empty(d, np.int64), np.empty((d, d)), np.empty((d, d)), np.empty(d)
    for p in range(starts.shape[0] - 1):
        mass = 0.0
        for r in range(starts[p], starts[p + 1]):
            mass += weight[order[r]]
        n = _select(missing[order[starts[p]]], True, at)
        if mass == 0.0 or n == 0:
            continue
        _submatrix(precision, at, n, a)
        _cholesky(a, n)
        for j in range(n):
            for i in range(n):
                inverse[j, i] = 1.0 if i == j else 0.0
            _forward(a, n, inverse[j])
            _backward(a, n, inverse[j])
            for i in range(n):
                covariance[at[j], at[i]] += mass * inverse[j, i]
        for r in range(starts[p], starts[p + 1]):
            row = order[r]
            if weight[row] != 0.0:
                for j in range(n):
                    g[j] = pe[row, at[j]]
                _forward(a, n, g)
                _backward(a, n, g)
                for j in range(n):
                    e[row, at[j]] = -g[j]
            if variance.shape[0] > 0:
                for j in range(n):
                    variance[row, at[j]] = inverse[j, j]


def observed_distances(x: Array, centres: NDArray[np.float64]) -> Array:
    """Return squared distances over observed values, never negative: (m, d), (c, d) -> (c, m)."""
    if not np.isnan(x).any():
        return squared_distances(x, centres)
    known, present = filled(x), ~np.isnan(x)
    out = (centres * centres) @ present.T
    out -= 2.0 * (centres @ known.T)
    out += np.einsum("ij,ij->i", known, known)
    return np.maximum(out, 0.0, out=out)
