"""From scores (k, m) to responsibilities or labels, and hard sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]


def softmax(score: Array) -> NDArray[np.float64]:
    """Turn scores (k, m) into responsibilities in place; return log-sum-exp (m,)."""
    top = score.max(axis=0)
    score -= top
    np.exp(score, out=score)
    total = score.sum(axis=0)
    score /= total
    out: NDArray[np.float64] = top.astype(np.float64) + np.log(total.astype(np.float64))
    return out


@jit
def _argmax(score: Array, best: Array, labels: Array) -> None:
    k, m = score.shape
    for i in range(m):
        best[i] = score[0, i]
        labels[i] = 0
    for j in range(1, k):
        row = score[j]
        for i in range(m):
            # A strict comparison: ties go to the lowest component, as in NumPy's argmax.
            if row[i] > best[i]:
                best[i] = row[i]
                labels[i] = j


def hard_labels(score: Array) -> tuple[NDArray[np.int32], Array]:
    """Component of the highest score per row, and that score: (k, m) -> (m,), (m,)."""
    labels = np.empty(score.shape[1], np.int32)
    best = np.empty(score.shape[1], score.dtype)
    _argmax(score, best, labels)
    return labels, best


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
    """Sum the rows of `t` (m, D) by label: weights (k,) and statistics (k, D), in float64."""
    n = np.zeros(k)
    sums = np.zeros((k, t.shape[1]))
    if weight is None:
        _scatter(t, labels, n, sums)
    else:
        _scatter_weighted(t, labels, weight, n, sums)
    return n, sums


def one_hot(labels: NDArray[np.int32], weight: NDArray[np.float64] | None, k: int) -> Array:
    """Responsibilities (k, m) of hard labels, times the weights."""
    resp = np.zeros((k, len(labels)))
    resp[labels, np.arange(len(labels))] = 1.0 if weight is None else weight
    return resp
