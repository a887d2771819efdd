"""Hidden Markov chains with scaled probabilities: sweeps over tiles of emissions, and messages.

A row of all states is a few vectors, padded with zeros to a width w. Scaled probabilities do for
chains without small transitions; `kernels.tiles.chains` has all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit_sums, part
from emdist.kernels.vector.steps import step_row

Array = NDArray[Any]

#: Rows after which a message is looked at: have all of its rows become proportional?
_LOOK = 16
#: Relative difference below which they have, to the last bits of float64.
_PROPORTIONAL = 4e-16


@part
def _begin(score: Array, t: int, log_start: Array, out: Array) -> float:
    """Fill row t of `out` with the probabilities of a first row; return the log of their factor."""
    best = -np.inf
    for j in range(len(log_start)):
        best = max(best, log_start[j] + score[j, t])
    for j in range(len(log_start)):
        out[t, j] = np.exp(log_start[j] + score[j, t] - best)
    return best


@jit_sums
def forward(
    score: Array, e: Array, a: int, starts: Array, log_start: Array, matrix: Array, carry: Array,
    alpha: Array, scale: Array, top: Array,
) -> None:  # fmt: skip
    """Fill `alpha` (m, w) with filtered probabilities times their sums, and `scale` with the sums.

    A row is divided by its sum only when the next row is computed: the division then does not
    delay the products. States are padded to w with zeros.

    Parameters
    ----------
    score, e
        Scores (k, m) and their exponentials (m, w).
    a, starts
        The number of the first row, and those of the first rows of sequences, in the block.
    log_start, matrix
        Logarithms of the start probabilities (k,), and transition probabilities (w, w).
    carry
        Filtered probabilities (1, w) of the row before; at the end, those of the last row.
    alpha
        Zeros (m, w).
    top
        The best score of each row (m,), to which the first rows of sequences add their factor.
    """
    m, w = e.shape
    s = np.searchsorted(starts, a)
    inverse = 1.0
    for t in range(m):
        if s < len(starts) and starts[s] == a + t:
            s += 1
            top[t] += _begin(score, t, log_start, alpha)
            total = 0.0
            for j in range(w):
                total += alpha[t, j]
        elif t:
            total = step_row(alpha, t - 1, matrix, e, t, inverse, alpha, t)
        else:
            total = step_row(carry, 0, matrix, e, t, inverse, alpha, t)
        scale[t] = total
        inverse = 1.0 / total
    for j in range(w):
        carry[0, j] = alpha[m - 1, j] * inverse


@jit_sums
def backward(
    e: Array, a: int, starts: Array, matrix: Array, before: Array, alpha: Array, weight: Array,
    seen: Array, ones: Array, beta: Array, resp: Array, initial: Array, left: Array, right: Array,
) -> None:  # fmt: skip
    """Fill `resp` (k, m) with smoothed posteriors times weights, and add to `initial`.

    Counts of transitions are ``left.T @ right``, times the transition probabilities.

    Parameters
    ----------
    e, a, starts
        As in `forward`.
    matrix
        The transposed transition probabilities (w, w).
    before
        Filtered probabilities (1, w) of the row before the tile, times any factor.
    alpha
        The result of `forward` (m, w).
    weight, seen
        Weights (m,) and whether rows are seen (m,), or empty for 1 and for all.
    ones
        Ones (1, w).
    beta
        The backward message (1, w) at the last row; at the end, that of the row before the tile.
    initial
        The sum of the posteriors of first rows (k,).
    left, right
        (m, w) to fill.
    """
    m, w = e.shape
    k = len(initial)
    s = np.searchsorted(starts, a + m) - 1
    for t in range(m - 1, -1, -1):
        counted = weight[t] if len(weight) else 1.0
        total, size = 0.0, 0.0
        for j in range(w):
            total += alpha[t, j] * beta[0, j]
            size += beta[0, j]
        share = counted / total
        shown = share if len(seen) == 0 or seen[t] else 0.0
        for j in range(k):
            resp[j, t] = alpha[t, j] * beta[0, j] * shown
        if s >= 0 and starts[s] == a + t:
            s -= 1
            for j in range(k):
                initial[j] += alpha[t, j] * beta[0, j] * share
            for j in range(w):
                left[t, j] = 0.0
                right[t, j] = 0.0
                beta[0, j] = 1.0 if j < k else 0.0
            continue
        for j in range(w):
            right[t, j] = e[t, j] * beta[0, j]
        # Divided by the size of the message before: that of the new one would delay the next row.
        step_row(right, t, matrix, ones, 0, 1.0 / size, beta, 0)
        old, at = (alpha, t - 1) if t else (before, 0)
        total = 0.0
        for j in range(w):
            total += old[at, j] * beta[0, j]
        share = counted / (total * size)
        for j in range(w):
            left[t, j] = old[at, j] * share


@jit_sums
def carry_message(
    e: Array, matrix: Array, rows: Array, logs: Array, new: Array, joined: bool
) -> bool:
    """Advance a message by the rows of a tile, with scaled probabilities.

    Parameters
    ----------
    e, matrix
        As in `forward`.
    rows
        For each state before the first row, the filtered probabilities (k, w) of the last row.
    logs
        The logarithms of the factors of `rows` (k,).
    new
        (1, w) to work with.
    joined
        Whether all of `rows` are equal, so that only the first is advanced.

    Returns
    -------
    bool
        Whether all of `rows` are equal now. Whatever comes later, they stay so.
    """
    m, w = e.shape
    held = np.ones(len(rows))
    for t in range(m):
        count = 1 if joined else len(rows)
        for r in range(count):
            total = step_row(rows, r, matrix, e, t, 1.0, new, 0)
            inverse = 1.0 / total
            for j in range(w):
                rows[r, j] = new[0, j] * inverse
            # Factors of rows that are joined are equal, and a common factor does not matter.
            if not joined:
                held[r] *= total
                if held[r] < 1e-100:
                    logs[r] += np.log(held[r])
                    held[r] = 1.0
        if not joined and t % _LOOK == 0:
            joined = _are_equal(rows)
    for r in range(len(rows)):
        logs[r] += np.log(held[r])
    return joined


@part
def _are_equal(rows: Array) -> bool:
    """Return whether all rows are equal, but for rounding."""
    for r in range(1, len(rows)):
        for j in range(rows.shape[1]):
            if abs(rows[r, j] - rows[0, j]) > _PROPORTIONAL * rows[0, j]:
                return False
    return True
