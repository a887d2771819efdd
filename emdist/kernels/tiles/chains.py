"""Hidden Markov chains: forward and backward sweeps over tiles of emission scores, and messages.

Scores (k, m) of a tile are relative to the best state of each row. A chain without small
transitions is computed with probabilities that are scaled in each row. All other chains are
computed with logarithms, because a state that is lost to underflow may be the only one that leads
on; transitions of 0 are skipped there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, jit_sums, part

Array = NDArray[Any]

#: Rows after which a message is looked at: have all of its rows become proportional?
_LOOK = 16
#: Relative difference below which they have, to the last bits of float64.
_PROPORTIONAL = 4e-16


@jit
def level(score: Array, offset: Array, top: Array) -> None:
    """Add `offset` (k,) to scores (k, m), and move the best of each row to `top` (m,)."""
    k, m = score.shape
    for t in range(m):
        top[t] = score[0, t] + offset[0]
    for j in range(1, k):
        for t in range(m):
            value = score[j, t] + offset[j]
            if value > top[t]:
                top[t] = value
    for j in range(k):
        for t in range(m):
            score[j, t] = score[j, t] + offset[j] - top[t]


@part
def _begin(score: Array, t: int, log_start: Array, out: Array) -> float:
    """Fill `out` (k,) with the probabilities of the first row, not yet scaled; return their log."""
    k = len(out)
    best = -np.inf
    for j in range(k):
        best = max(best, log_start[j] + score[j, t])
    for j in range(k):
        out[j] = np.exp(log_start[j] + score[j, t] - best)
    return best


@jit_sums
def forward(
    score: Array, e: Array, a: int, starts: Array, log_start: Array, transitions: Array,
    carry: Array, alpha: Array, scale: Array, top: Array,
) -> None:  # fmt: skip
    """Fill `alpha` (m, k) with filtered probabilities, and `scale` (m,) with their sums before.

    Parameters
    ----------
    score, e
        Scores (k, m) and their exponentials.
    a, starts
        The number of the first row, and those of the first rows of sequences, in the block.
    log_start, transitions
        Logarithms of the start probabilities (k,), and transition probabilities (k, k).
    carry
        Filtered probabilities (k,) of the row before; at the end, those of the last row.
    top
        The best score of each row (m,), to which the first rows of sequences add their factor.
    """
    k, m = e.shape
    s = np.searchsorted(starts, a)
    for t in range(m):
        new = alpha[t]
        if s < len(starts) and starts[s] == a + t:
            s += 1
            top[t] += _begin(score, t, log_start, new)
        else:
            for j in range(k):
                new[j] = 0.0
            for i in range(k):
                p = carry[i]
                for j in range(k):
                    new[j] += p * transitions[i, j]
            for j in range(k):
                new[j] *= e[j, t]
        total = 0.0
        for j in range(k):
            total += new[j]
        scale[t] = total
        inverse = 1.0 / total
        for j in range(k):
            new[j] *= inverse
            carry[j] = new[j]


@jit_sums
def backward(
    e: Array, a: int, starts: Array, transitions: Array, before: Array, alpha: Array,
    weight: Array, seen: Array, beta: Array, resp: Array, initial: Array, pairs: Array,
) -> None:  # fmt: skip
    """Fill `resp` (k, m) with smoothed posteriors times weights; add to `initial` and `pairs`.

    Parameters
    ----------
    e, a, starts, transitions
        As in `forward`.
    before
        Filtered probabilities (k,) of the row before the tile.
    alpha
        Filtered probabilities (m, k).
    weight, seen
        Weights (m,) and whether rows are seen (m,), or empty for 1 and for all.
    beta
        The backward message (k,) at the last row; at the end, that of the row before the tile.
    initial, pairs
        Sums: posteriors of first rows (k,), and pairs (k, k), which the caller multiplies by
        `transitions` to get counts.
    """
    k, m = e.shape
    s = np.searchsorted(starts, a + m) - 1
    v, back = np.empty(k), np.empty(k)
    for t in range(m - 1, -1, -1):
        w = weight[t] if len(weight) else 1.0
        total = 0.0
        for j in range(k):
            back[j] = alpha[t, j] * beta[j]
            total += back[j]
        share = w / total
        shown = share if len(seen) == 0 or seen[t] else 0.0
        for j in range(k):
            resp[j, t] = back[j] * shown
        if s >= 0 and starts[s] == a + t:
            s -= 1
            for j in range(k):
                initial[j] += back[j] * share
                beta[j] = 1.0
            continue
        old = alpha[t - 1] if t else before
        for j in range(k):
            v[j] = e[j, t] * beta[j]
        total = 0.0
        for i in range(k):
            value = 0.0
            for j in range(k):
                value += transitions[i, j] * v[j]
            back[i] = value
            total += old[i] * value
        inverse = 1.0 / total
        for i in range(k):
            p = old[i] * inverse * w
            for j in range(k):
                pairs[i, j] += p * v[j]
            beta[i] = back[i] * inverse


@jit
def forward_log(
    score: Array, a: int, starts: Array, log_start: Array, log_transitions: Array, carry: Array,
    alpha: Array, scale: Array,
) -> None:  # fmt: skip
    """Do what `forward` does with logarithms: `carry`, `alpha` and `scale` are logarithms."""
    k, m = score.shape
    s = np.searchsorted(starts, a)
    for t in range(m):
        new = alpha[t]
        if s < len(starts) and starts[s] == a + t:
            s += 1
            for j in range(k):
                new[j] = log_start[j] + score[j, t]
        else:
            for j in range(k):
                new[j] = _log_dot(carry, log_transitions[:, j]) + score[j, t]
        total = _log_sum(new)
        scale[t] = total
        for j in range(k):
            new[j] -= total
            carry[j] = new[j]


@part
def _log_sum(x: Array) -> float:
    """Return the logarithm of the sum of ``exp(x)``; -inf if all are -inf."""
    best = -np.inf
    for i in range(len(x)):
        best = max(best, x[i])
    if best == -np.inf:
        return best
    total = 0.0
    for i in range(len(x)):
        if x[i] > -np.inf:
            total += np.exp(x[i] - best)
    return float(best + np.log(total))


@part
def _log_dot(x: Array, y: Array) -> float:
    """Return the logarithm of the sum of ``exp(x + y)``; -inf if all are -inf."""
    best = -np.inf
    for i in range(len(x)):
        best = max(best, x[i] + y[i])
    if best == -np.inf:
        return best
    total = 0.0
    for i in range(len(x)):
        value = x[i] + y[i]
        if value > -np.inf:
            total += np.exp(value - best)
    return float(best + np.log(total))


@jit
def backward_log(
    score: Array, a: int, starts: Array, log_transitions: Array, before: Array, alpha: Array,
    weight: Array, seen: Array, beta: Array, resp: Array, initial: Array, pairs: Array,
) -> None:  # fmt: skip
    """Do what `backward` does with logarithms: `before`, `alpha` and `beta` are logarithms.

    `pairs` are counts.
    """
    k, m = score.shape
    s = np.searchsorted(starts, a + m) - 1
    v, back = np.empty(k), np.empty(k)
    for t in range(m - 1, -1, -1):
        w = weight[t] if len(weight) else 1.0
        total = _log_dot(alpha[t], beta)
        shown = w if len(seen) == 0 or seen[t] else 0.0
        first = s >= 0 and starts[s] == a + t
        for j in range(k):
            share = np.exp(alpha[t, j] + beta[j] - total)
            resp[j, t] = share * shown
            if first:
                initial[j] += share * w
        if first:
            s -= 1
            beta[:] = 0.0
            continue
        old = alpha[t - 1] if t else before
        for j in range(k):
            v[j] = score[j, t] + beta[j]
        for i in range(k):
            back[i] = _log_dot(log_transitions[i], v)
        total = _log_dot(old, back)
        for i in range(k):
            for j in range(k):
                value = old[i] + log_transitions[i, j] + v[j]
                if value > -np.inf:
                    pairs[i, j] += w * np.exp(value - total)
            beta[i] = back[i] - total


@jit_sums
def carry_message(e: Array, transitions: Array, rows: Array, logs: Array, joined: bool) -> bool:
    """Advance a message by the rows of a tile, with scaled probabilities.

    Parameters
    ----------
    e
        The exponentials of scores (k, m).
    transitions
        Transition probabilities (k, k).
    rows
        For each state before the first row, the filtered probabilities (k, k) of the last row.
    logs
        The logarithms of the factors of `rows` (k,).
    joined
        Whether all of `rows` are equal, so that only the first is advanced.

    Returns
    -------
    bool
        Whether all of `rows` are equal now. Whatever comes later, they stay so.
    """
    k, m = e.shape
    new, held = np.empty(k), np.ones(len(rows))
    for t in range(m):
        count = 1 if joined else len(rows)
        for r in range(count):
            for j in range(k):
                new[j] = 0.0
            for i in range(k):
                p = rows[r, i]
                for j in range(k):
                    new[j] += p * transitions[i, j]
            total = 0.0
            for j in range(k):
                new[j] *= e[j, t]
                total += new[j]
            inverse = 1.0 / total
            for j in range(k):
                rows[r, j] = new[j] * inverse
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


@jit
def carry_message_log(score: Array, log_transitions: Array, rows: Array) -> None:
    """Advance a message (k, k) of logarithms by the rows of a tile."""
    k, m = score.shape
    new = np.empty(k)
    for t in range(m):
        for r in range(len(rows)):
            for j in range(k):
                new[j] = _log_dot(rows[r], log_transitions[:, j]) + score[j, t]
            rows[r] = new
