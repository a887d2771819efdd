"""Turns scores (k, m) into responsibilities or labels, and sums rows by their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]

#: Logarithm of the smallest responsibility that is not set to 0, by precision.
LOWEST = {"float32": -75.0, "float64": -700.0}


@jit
def _below_top(score: Array, offset: Array, lowest: Any, top: Array) -> None:
    """Subtract each row's highest score; scores below `lowest` become -inf."""
    k, m = score.shape
    for i in range(m):
        top[i] = score[0, i] + offset[0]
    for j in range(1, k):
        for i in range(m):
            value = score[j, i] + offset[j]
            if value > top[i]:
                top[i] = value
    for j in range(k):
        for i in range(m):
            value = score[j, i] + offset[j] - top[i]
            # Not "keep if >=", because NaN must stay NaN to be noticed in the objective.
            score[j, i] = -np.inf if value < lowest else value


@jit
def _normalise(score: Array, total: Array) -> None:
    """Divide the values of each row by their sum, which goes to `total`."""
    k, m = score.shape
    for i in range(m):
        total[i] = score[0, i]
    for j in range(1, k):
        for i in range(m):
            total[i] += score[j, i]
    for j in range(k):
        for i in range(m):
            score[j, i] /= total[i]


def softmax(score: Array, offset: Array) -> NDArray[np.float64]:
    """Turn scores (k, m), plus offset (k,), into responsibilities in place.

    Returns the logarithm of each row's sum of exponentials (m,). Responsibilities that would be
    subnormal, below 1e-32 or 1e-304, become 0: if one in ten were subnormal, the matrix product
    that follows would take sixty times longer.
    """
    top = np.empty(score.shape[1], score.dtype)
    total = np.empty(score.shape[1], score.dtype)
    _below_top(score, offset, score.dtype.type(LOWEST[score.dtype.name]), top)
    np.exp(score, out=score)
    _normalise(score, total)
    out: NDArray[np.float64] = top.astype(np.float64) + np.log(total.astype(np.float64))
    return out


@jit
def _argmax(score: Array, offset: Array, best: Array, labels: Array) -> None:
    k, m = score.shape
    for i in range(m):
        best[i] = score[0, i] + offset[0]
        labels[i] = 0
    for j in range(1, k):
        for i in range(m):
            # A strict comparison: ties go to the lowest component, as in NumPy's argmax.
            value = score[j, i] + offset[j]
            if value > best[i]:
                best[i] = value
                labels[i] = j


def hard_labels(score: Array, offset: Array) -> tuple[NDArray[np.int32], Array]:
    """Return the component of each row's highest ``score + offset``, and that value: (m,), (m,).

    Parameters
    ----------
    score, offset
        (k, m) and (k,).
    """
    labels = np.empty(score.shape[1], np.int32)
    best = np.empty(score.shape[1], score.dtype)
    _argmax(score, offset, best, labels)
    return labels, best


@jit
def _drawn(resp: Array, u: Array, labels: Array) -> None:
    k, m = resp.shape
    for i in range(m):
        left = u[i]
        last = 0
        for j in range(k):
            # Rounding may leave a remainder. It goes to the last component with a share of the row.
            if resp[j, i] > 0:
                last = j
                left -= resp[j, i]
                if left < 0:
                    break
        labels[i] = last


def drawn_labels(resp: Array, u: NDArray[np.float64]) -> NDArray[np.int32]:
    """Draw a component of each row from its responsibilities (k, m), by `u` (m,) in (0, 1)."""
    labels = np.empty(resp.shape[1], np.int32)
    _drawn(resp, u, labels)
    return labels


@jit
def _overlap(resp: Array, labels: Array, out: Array) -> None:
    k, m = resp.shape
    for j in range(k):
        for i in range(m):
            out[j, labels[i]] += resp[j, i]


def overlap(resp: Array) -> NDArray[np.float64]:
    """Return the responsibility that rows of each most likely component give to each: (k, k)."""
    k = len(resp)
    labels, _ = hard_labels(resp, np.zeros(k, resp.dtype))
    out = np.zeros((k, k))
    _overlap(resp, labels, out)
    return np.ascontiguousarray(out.T)


@jit
def keep_frozen(resp: Array, labels: Array, active: Array, mass: Array) -> None:
    """Set responsibilities (k, m) of ``active[label]`` to 0, and `mass` (m,) to what remains."""
    k, m = resp.shape
    mass[:] = 0.0
    for j in range(k):
        for i in range(m):
            if active[j, labels[i]]:
                resp[j, i] = 0.0
            mass[i] += resp[j, i]


@jit
def _scatter(t: Array, labels: Array, n: Array, sums: Array) -> None:
    for i in range(t.shape[0]):
        c = labels[i]
        n[c] += 1.0
        for j in range(t.shape[1]):
            sums[c, j] += t[i, j]


@jit
def _scatter_weighted(t: Array, labels: Array, weight: Array, n: Array, sums: Array) -> None:
    for i in range(t.shape[0]):
        c = labels[i]
        w = weight[i]
        n[c] += w
        for j in range(t.shape[1]):
            sums[c, j] += w * t[i, j]


def scatter(
    t: Array, labels: NDArray[np.int32], weight: NDArray[np.float64] | None, k: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum the rows of `t` (m, D) by label, in float64: weights (k,) and statistics (k, D)."""
    n = np.zeros(k)
    sums = np.zeros((k, t.shape[1]))
    if weight is None:
        _scatter(t, labels, n, sums)
    else:
        _scatter_weighted(t, labels, weight, n, sums)
    return n, sums


def one_hot(labels: NDArray[np.int32], weight: NDArray[np.float64] | None, k: int) -> Array:
    """Return responsibilities (k, m) of hard labels, times the weights."""
    resp = np.zeros((k, len(labels)))
    resp[labels, np.arange(len(labels))] = 1.0 if weight is None else weight
    return resp
